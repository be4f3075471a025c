"""Support for other WSGI servers: uWSGI and gunicorn.

The process has to be patched by gevent. Without Redis and S3, all tickets are in one process. If a manager
would then run several, or copy this one after it has opened the storage, the start fails with an error that
says what to change.
"""

from __future__ import annotations

import importlib
import os
import signal
from typing import Any, Final

from incoming.composition.service import Service
from incoming.runtime.gevent_runtime import is_patched
from incoming.runtime.output import occupy_standard_descriptors
from incoming.settings.table import Settings

NOT_PATCHED: Final = (
    "Incoming!! needs a process that gevent has patched. Start it with "
    "'from gevent import monkey; monkey.patch_all()', before every other import "
    "(uWSGI: gevent-early-monkey-patch = true; gunicorn: worker_class = 'gevent', and no preload_app)."
)
SEVERAL: Final = (
    "Incoming!! keeps its tickets in one process, but {manager} runs {number}. Set {setting} = 1: "
    "one process serves thousands of uploads. Several processes need Redis and S3 (INCOMING_REGISTRY, "
    "INCOMING_STORAGE), and no INCOMING_STORAGE_CHOICE."
)
COPIED: Final = (
    "uWSGI copies this process after Incoming!! has taken its storage directory. Set lazy-apps = true."
)


def check(settings: Settings) -> None:
    """Raises RuntimeError, with what to do, if the service can't work in this process."""
    if not is_patched():
        raise RuntimeError(NOT_PATCHED)
    uwsgi = _uwsgi()
    if uwsgi:
        if uwsgi.numproc > 1 and not settings.is_shared:
            raise RuntimeError(SEVERAL.format(manager="uWSGI", number=uwsgi.numproc, setting="processes"))
        if uwsgi.masterpid() and not uwsgi.worker_id():
            raise RuntimeError(COPIED)


def start(settings: Settings) -> Service:
    """Returns the service for a process of another web server.

    It resumes the stored uploads as soon as that server runs. Raises StorageInUse, OSError, and as `check`.
    """
    check(settings)
    occupy_standard_descriptors()
    service = Service(settings)
    service.runtime.spawn(service.begin)
    _stop_with(service)
    return service


def _stop_with(service: Service) -> None:
    """Stops the service when the process manager, if there is one, ends this process."""
    uwsgi = _uwsgi()
    if uwsgi:
        uwsgi.atexit = service.wind_down  # the last moment in which greenlets run
    elif os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn/"):
        _before_their_handler(signal.SIGTERM, service)


def _before_their_handler(number: signal.Signals, service: Service) -> None:
    """Stops the service before gunicorn's own handler runs, which waits for the requests of clients."""
    theirs = signal.getsignal(number)

    def handler(signal_number: int, frame: Any) -> None:
        service.runtime.spawn(service.stop)
        if callable(theirs):
            theirs(signal_number, frame)

    signal.signal(number, handler)


def late_variables() -> dict[str, str]:
    """Returns the variables of uWSGI's `env` options, which pyuwsgi sets too late for `os.environ`."""
    uwsgi = _uwsgi()
    given = uwsgi.opt.get("env", []) if uwsgi else []
    lines = [os.fsdecode(line) for line in (given if isinstance(given, list) else [given])]
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _uwsgi() -> Any:
    """Returns the module `uwsgi`, which exists only under uWSGI; None elsewhere."""
    try:
        return importlib.import_module("uwsgi")
    except ImportError:
        return None
