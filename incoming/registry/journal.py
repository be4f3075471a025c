"""One small JSON file a ticket, written atomically at each change of state: tickets survive a kill.

`DIRECTORY/ID.json` holds `{"version": 1, "ticket": {...}}`, secrets included, so the directory is 0700. A
file is written beside, synced (as the setting says) and renamed, so a kill leaves the old one or the new
one. A file that holds no ticket is set aside in `damaged/` and reported, and stops nobody else.

Every method here blocks on the disk: callers on the event loop go through the pool.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, ParamSpec, get_type_hints

from incoming.errors import StorageFailed, StorageFull
from incoming.lifecycle import State
from incoming.runtime import close_descriptor
from incoming.ticket import Ticket

P = ParamSpec("P")
VERSION: Final = 1
TICKET_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CLOCK_FILE: Final = "clock"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""Another one each time that the machine starts."""
_FULL: Final = {28, 122}  # ENOSPC, EDQUOT
_TYPES: Final = get_type_hints(Ticket)
_MAX_TIME_S: Final = 1e15
"""JSON has larger numbers, and Python reads NaN and Infinity from it; none of them is a time."""

log = logging.getLogger(__name__)


class DamagedEntry(ValueError):
    """A journal file that holds no ticket; the text says why."""


class Journal:
    """The journal of one server. Errors of the disk are StorageFull or StorageFailed."""

    def __init__(self, directory: Path, fsync: bool) -> None:
        """Creates the directory when there is none. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        self._directory = directory.resolve()
        self._path = str(self._directory)
        self._fsync = fsync
        self._directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def write(self, ticket: Ticket) -> None:
        """Replaces the ticket's entry; when it returns, the new one survives."""
        [error] = self.write_all([ticket])
        if error:
            raise error

    def write_all(self, tickets: Sequence[Ticket]) -> Sequence[Exception | None]:
        """The same for several, with one sync of the directory; returns what went wrong with each."""
        errors = [_error(self._replace, f"{ticket.id}.json", encode(ticket)) for ticket in tickets]
        unsynced = _error(self._sync_names)
        return [error or unsynced for error in errors]

    def remove(self, ticket_id: str) -> None:
        """Removes the ticket's entry; already gone is fine."""
        with _disk_errors(), contextlib.suppress(FileNotFoundError):
            (self._directory / f"{ticket_id}.json").unlink()

    def load(self) -> Iterator[Ticket]:
        """Yields every ticket; damaged entries are set aside and reported."""
        for file in sorted(self._directory.glob("*.tmp")):
            file.unlink()  # ours, cut off by a kill before its rename
        for file in sorted(self._directory.glob("*.json")):
            try:
                ticket = decode(file.read_bytes(), file.stem)
            except (DamagedEntry, IsADirectoryError) as exc:
                self._set_aside(file, exc)
            except OSError as exc:
                # It may be sound: a disk that fails, or too few descriptors. The next start tries it again.
                about = {"ticket": file.stem[:8], "error": exc}
                log.error("journal entry %(ticket)s can't be read (%(error)s): restart to try again", about)
            else:
                yield ticket

    def write_clock(self, ran_s: float) -> None:
        """Keeps how many seconds the service has run, and that it was since the machine's last start."""
        self._replace(_CLOCK_FILE, json.dumps({"ran_s": ran_s, "boot": _boot_id()}).encode())
        self._sync_names()

    def read_clock(self) -> float:
        """Returns how many seconds the service had run; 0 when nothing is known."""
        try:
            return float(self._read_clock_file()["ran_s"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0

    def machine_has_run_on(self) -> bool:
        """Returns whether the machine has surely not been off since `write_clock`: no power cut."""
        try:
            boot: object = self._read_clock_file()["boot"]
            return bool(boot) and boot == _boot_id()
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _read_clock_file(self) -> Any:
        """Raises OSError, ValueError."""
        return json.loads((self._directory / _CLOCK_FILE).read_bytes())

    def _replace(self, name: str, content: bytes) -> None:
        """Puts the content in the place of a file's; that survives once the names are synced, too."""
        target = f"{self._path}/{name}"
        beside = f"{target}.tmp"
        with _disk_errors():
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                written = 0
                while written < len(content):
                    written += os.pwrite(fd, content[written:], written)
                if self._fsync:
                    os.fdatasync(fd)
            finally:
                close_descriptor(fd)
            os.replace(beside, target)  # noqa: PTH105 - a Path costs more than the call

    def _sync_names(self) -> None:
        if self._fsync:
            with _disk_errors():
                os.fsync(self._directory_fd)

    def _set_aside(self, file: Path, why: Exception) -> None:
        shelf = self._directory / "damaged"
        about = {"ticket": file.stem[:8], "error": why, "shelf": shelf}
        log.error("journal entry %(ticket)s is damaged (%(error)s): set aside in %(shelf)s", about)
        try:
            shelf.mkdir(mode=0o700, exist_ok=True)
            file.replace(shelf / file.name)
        except OSError as exc:
            about["error"] = exc
            log.error("journal entry %(ticket)s could not be set aside: %(error)s", about)


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise (StorageFull() if exc.errno in _FULL else StorageFailed()) from exc


def _error(function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Exception | None:
    """Returns what a call raises."""
    try:
        function(*args, **kwargs)
    except (StorageFull, StorageFailed) as exc:
        return exc
    return None


def encode(ticket: Ticket) -> bytes:
    """Returns the journal's text for a ticket."""
    rest = ticket.at_rest()
    return json.dumps({"version": VERSION, "ticket": {name: getattr(rest, name) for name in _TYPES}}).encode()


def decode(content: bytes, ticket_id: str) -> Ticket:
    """Returns the ticket `ticket_id` of its journal file. Raises DamagedEntry."""
    try:
        entry = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise DamagedEntry("it is not JSON") from exc
    if not isinstance(entry, dict) or entry.get("version") != VERSION:
        raise DamagedEntry(f"it is not of version {VERSION}")
    raw = entry.get("ticket")
    if not isinstance(raw, dict):
        raise DamagedEntry("it has no ticket")
    values = {f.name: _value(f.name, raw) for f in dataclasses.fields(Ticket) if f.name in raw}
    if values.get("id") != ticket_id or not TICKET_ID.fullmatch(ticket_id):
        raise DamagedEntry("its ticket has another id than its name says")
    if "signal_finish_url" not in values:
        raise DamagedEntry("its ticket has no signal_finish_url")
    return Ticket(**values)


def _value(name: str, raw: dict[str, Any]) -> Any:
    """Returns the field `name` as its type says. Raises DamagedEntry."""
    value, kind = raw[name], _TYPES[name]
    if kind is State and value in list(State):
        return State(value)
    if kind is float and type(value) in (int, float) and -_MAX_TIME_S < value < _MAX_TIME_S:
        return float(value)
    if kind == int | None and (value is None or type(value) is int):
        return value
    if type(value) is not kind or kind is float:
        raise DamagedEntry(f"its {name} is {value!r}"[:200])
    return value
