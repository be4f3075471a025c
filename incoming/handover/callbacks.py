"""Calls an app in this process: a function, by a name that survives a restart.

A ticket's `signal_finish_url` is then `callback:NAME`, or `callback:NAME NAME2` with a second function for
cancellations. No HTTP request can ask for one, because its URL has to be http or https. NAME is one that
the app has given to `register`, or `module:function`, which is imported when it is called.
"""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final

from incoming.app import Refuse
from incoming.core.errors import BadParameter
from incoming.core.folder_arrival import FolderArrival
from incoming.core.lifecycle import CALLED_OFF
from incoming.core.object_address import ObjectAddress
from incoming.core.ticket import FILE, Ticket
from incoming.handover.answers import Answer, Done, FailureKind, Refused, WillFinish, no_answer
from incoming.runtime.base import Runtime

log = logging.getLogger(__name__)

SCHEME: Final = "callback:"
CALLS_AT_ONCE: Final = 32
"""The limit for a backlog of thousands of handovers."""


@dataclass(frozen=True, slots=True)
class ArrivedUpload:
    """What a callback gets: the fields of the handover, as values.

    `path` is the stored file, absolute, or `s3://BUCKET/KEY`. Then `url` gives the file to anyone who has
    it, for a limited time, and `bucket` and `key` say where it is. `name` is the one from the browser: data,
    never a path. `crc32c` and `sha256` are hex, the second one only if the ticket asked for it. `metadata` is
    what the ticket was made with. `upload_metadata` is what a client of tus says of its file, unchanged: a
    stranger's text. Of a cancelled upload there is no file: `path` is empty, and `cancel_reason` tells why.

    `dest_type` is `folder` if the ticket was for one. Then `path` is the folder. It has `files` files, which
    have `files_bytes` bytes, and `manifest` is the path of their list. `left_out` files are missing, because
    their client could not read them.
    """

    id: str
    path: str
    name: str
    size_bytes: int
    crc32c: str = ""
    sha256: str = ""
    metadata: Any = field(default=None, repr=False)
    cancel_reason: str = ""
    upload_metadata: str = field(default="", repr=False)
    url: str = field(default="", repr=False)
    bucket: str = ""
    key: str = ""
    dest_type: str = FILE
    files: int = 0
    files_bytes: int = 0
    left_out: int = 0
    manifest: str = ""


Callback = Callable[[ArrivedUpload], object]
"""Returns `done` or None (the app has the file), or `wait` (it calls finish_upload later). Raises Refuse. Any
other exception is a failure, and the call is retried."""


class Callbacks:
    """The callbacks of this process."""

    def __init__(self, runtime: Runtime, answer_timeout_s: float) -> None:
        self._runtime = runtime
        self._answer_timeout_s = answer_timeout_s
        self.slots: Final = runtime.semaphore(CALLS_AT_ONCE)
        """A semaphore to hold during a call."""
        self._registered: dict[str, Callback] = {}

    def register(self, name: str, callback: Callback) -> None:
        """Registers a callback. Raises BadParameter if the name is taken or not valid."""
        if not name or not name.isprintable() or " " in name:
            raise BadParameter("name", "must be a text without spaces")
        if self._registered.setdefault(name, callback) is not callback:
            raise BadParameter("name", f"{name!r} belongs to another callback")

    def url(self, on_finished: Callback, on_cancelled: Callback | None = None) -> str:
        """Returns the `signal_finish_url` for these. Raises BadParameter if a restart would lose one."""
        names = [self._name("on_finished", on_finished)]
        if on_cancelled is not None:
            names.append(self._name("on_cancelled", on_cancelled))
        return SCHEME + " ".join(names)

    def _name(self, parameter: str, callback: Callback) -> str:
        for name, registered in self._registered.items():
            if registered is callback:
                return name
        name = f"{getattr(callback, '__module__', '')}:{getattr(callback, '__qualname__', '')}"
        if _imported(name) is not callback:
            raise BadParameter(
                parameter,
                f"is {callback!r}, which can't be found again after a restart: use a function of a module, "
                "or register it with @incoming.callback(NAME)",
            )
        return name

    def call(
        self, ticket: Ticket, path: str, address: ObjectAddress | None = None,
        folder: FolderArrival | None = None,
    ) -> Answer:  # fmt: skip
        """Calls the function that the ticket names, in the caller's greenlet, and returns its answer.

        `address`: where the file is in a store of objects, if it is in one. `folder`: what is known of a
        folder that has arrived.
        """
        on_finished, _, on_cancelled = ticket.signal_finish_url.removeprefix(SCHEME).partition(" ")
        called_off = ticket.state in CALLED_OFF
        name = on_cancelled if called_off else on_finished
        if not name:
            return Done()  # the app has no callback for cancellations
        callback = self._registered.get(name) or _imported(name)
        if callback is None:
            return no_answer(FailureKind.CALLBACK, f"no callback has the name {name}")
        try:
            with self._runtime.time_limit(self._answer_timeout_s, TimeoutError()):
                return _answer(callback(_arrived(ticket, "" if called_off else path, address, folder)))
        except Refuse as exc:
            return Refused(str(exc) or FailureKind.REFUSED.words)
        except Exception as exc:
            log.exception("upload %(ticket)s: the callback %(name)s failed", ticket.for_log(name=name))
            return no_answer(FailureKind.CALLBACK, f"{name} raised {type(exc).__name__}")


def _imported(name: str) -> Callback | None:
    """Returns the function `module:qualified.name`; None if it does not exist."""
    module_name, _, path = name.partition(":")
    try:
        found = reduce(getattr, path.split("."), importlib.import_module(module_name))
    except (ImportError, AttributeError, ValueError):
        return None
    return found if callable(found) else None


def _answer(result: object) -> Answer:
    if result is None or result == "done":
        return Done()
    if result == "wait":
        return WillFinish()
    return Refused(FailureKind.OTHER_WORD.words, FailureKind.OTHER_WORD, f"it returned {result!r}")


def _arrived(
    ticket: Ticket, path: str, address: ObjectAddress | None, folder: FolderArrival | None
) -> ArrivedUpload:
    return ArrivedUpload(
        id=ticket.id,
        path=path,
        name=ticket.name,
        size_bytes=ticket.length_bytes or 0,
        crc32c="" if ticket.crc32c is None else f"{ticket.crc32c:08x}",
        sha256=ticket.sha256,
        metadata=json.loads(ticket.metadata) if ticket.metadata else None,
        cancel_reason=ticket.reason,
        upload_metadata=ticket.upload_metadata,
        url=address.url if address else "",
        bucket=address.bucket if address else "",
        key=address.key if address else "",
        dest_type=ticket.dest_type,
        files=folder.files if folder else 0,
        files_bytes=folder.files_bytes if folder else 0,
        left_out=folder.left_out if folder else 0,
        manifest=folder.manifest if folder else "",
    )
