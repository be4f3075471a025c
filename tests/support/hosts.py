"""The server under the web servers that people have: uWSGI, gunicorn, and an app's own."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any, ClassVar

import requests

from tests.support.server import ROOT, RunningServer, new_upload
from tests.support.waiting import wait_until

BIN = Path(sys.executable).parent


def group_lives(group: int) -> bool:
    """Returns whether any thread of this process group still runs, and so may hold a port; see proc(5), stat.

    A killed process of several threads is a zombie as soon as its first thread has ended. The others may
    wait for the disk, in a system call that no signal ends, and until then all its descriptors stay open.
    """
    return any(
        _runs_in(group, thread) for process in Path("/proc").glob("[0-9]*") for thread in _threads(process)
    )


def _threads(process: Path) -> list[Path]:
    try:
        return list((process / "task").iterdir())
    except OSError:  # it has ended meanwhile
        return []


def _runs_in(group: int, thread: Path) -> bool:
    try:
        state, _, its_group = (thread / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return False
    return int(its_group) == group and state not in ("Z", "X")


class HostedServer(RunningServer):
    """A server that some other program runs; it is ready when it answers."""

    title: ClassVar[str]
    tells_clients_when_it_stops: ClassVar[bool] = True

    def __init__(self, storage_dir: Path, *options: str, **settings: Any) -> None:
        """`options` are those of the program that runs it; they win over its file."""
        super().__init__(storage_dir, **settings)
        self._options = options

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {
            "INCOMING_STORAGE_DIR": str(self.storage_dir),
            "PYTHONPATH": str(ROOT),
        }

    def _announced_url(self) -> str:
        assert self._process and self._process.poll() is None, "the server ended at its start"
        with contextlib.suppress(requests.ConnectionError, requests.ReadTimeout):  # it is still starting
            if requests.get(f"{self.url}/incoming/frontend/incoming.js", timeout=60).ok:
                return self.url
        return ""

    def kill(self) -> None:
        """See RunningServer. Of several processes one is gone then; the port is free when all are."""
        if self.runs:
            group = self.pid
            super().kill()
            wait_until(lambda: not group_lives(group), "all of its processes are gone")

    def new_ticket(self, signal_finish_url: str) -> str:
        """Returns the id of a new ticket."""
        return new_upload(self, signal_finish_url)


class UwsgiServer(HostedServer):
    """Under uWSGI, as deploy/uwsgi.ini says."""

    title = "uWSGI"

    def _environment(self) -> dict[str, str]:
        """At a reload pyuwsgi starts the interpreter below its environment, without that."""
        packages = sysconfig.get_path("purelib")
        return super()._environment() | {"PYTHONPATH": f"{ROOT}{os.pathsep}{packages}"}

    def _command(self) -> list[str]:
        ini = (ROOT / "deploy/uwsgi.ini").read_text("utf-8")
        file = self.storage_dir.with_name("uwsgi.ini")
        file.write_text(ini.replace("127.0.0.1:4000", f"127.0.0.1:{self.port}"))
        # The wheel of pyuwsgi embeds the interpreter, and has to be told of its environment.
        return [str(BIN / "uwsgi"), "--ini", str(file), "--virtualenv", str(BIN.parent), *self._options]


class GunicornServer(HostedServer):
    """Under gunicorn, as deploy/gunicorn.conf.py says."""

    title = "gunicorn"

    def _command(self) -> list[str]:
        config = ["--config", str(ROOT / "deploy/gunicorn.conf.py"), "--no-control-socket"]
        bind = ["--bind", f"127.0.0.1:{self.port}"]
        return [str(BIN / "gunicorn"), *config, *bind, *self._options, "incoming.wsgi:application"]


class CohostedServer(HostedServer):
    """In one process with an app (tests/hosts/cohosted_app.py)."""

    title = "incoming.serve"
    how = "serve"

    def _command(self) -> list[str]:
        module = ["-m", "tests.hosts.cohosted_app"]
        return [sys.executable, *module, self.how, str(self.port), str(self.storage_dir)]

    def post(self, path: str) -> str:
        """Returns what the app answers. Raises AssertionError for an error."""
        answer = requests.post(self.url + path, timeout=60)
        assert answer.ok, f"{answer.status_code}: {answer.text}"
        return answer.text

    def told(self) -> list[dict[str, Any]]:
        """Returns what the app was told so far."""
        file = self.storage_dir.parent / "told.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


class BottleServer(CohostedServer):
    """The same, run by Bottle itself."""

    title = "Bottle's gevent"
    how = "bottle"
    tells_clients_when_it_stops = False


class PywsgiServer(CohostedServer):
    """The same, under a WSGIServer of the app's own."""

    title = "pywsgi"
    how = "pywsgi"
    tells_clients_when_it_stops = False


class WebsocketHandlerServer(CohostedServer):
    """The same, with gevent-websocket's handler."""

    title = "gevent-websocket"
    how = "websocket"
    tells_clients_when_it_stops = False


HOSTS: tuple[type[HostedServer], ...] = (
    UwsgiServer,
    GunicornServer,
    CohostedServer,
    BottleServer,
    PywsgiServer,
    WebsocketHandlerServer,
)
