"""The tickets on the disk, kept at each change of state: they survive a kill, and a power cut.

`DIRECTORY/log` has a line for each change (`entries`), secrets included, so the directory is 0700. Each start
reads it, and begins a new one with what counts; a kill leaves the old one or the new one. What is damaged is
reported and kept in `damaged/`, and stops nobody else.

Every method here blocks on the disk: callers on the event loop go through the pool.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from incoming.errors import StorageFailed, StorageFull
from incoming.filesystem import set_folder_mode
from incoming.registry.entries import last_lines, tickets
from incoming.registry.log import Log, sync_directory
from incoming.registry.old_entries import OldEntries
from incoming.runtime import close_descriptor
from incoming.ticket import Ticket

LOG_FILE: Final = "log"
MODE: Final = 0o700
_CLOCK_FILE: Final = "clock"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""Another one each time that the machine starts."""
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}

log = logging.getLogger(__name__)


class Journal:
    """The journal of one server. Errors of the disk are StorageFull or StorageFailed."""

    def __init__(self, directory: Path, fsync: bool) -> None:
        """Creates the directory when there is none. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        set_folder_mode(directory, MODE)
        self._directory = directory.resolve()
        self._shelf = self._directory / "damaged"
        self._fsync = fsync
        self._log = Log(self._directory / LOG_FILE, fsync)
        self._known_damage = 0

    def load(self) -> list[Ticket]:
        """Returns every ticket, and begins a new log with them. Raises OSError if it can't be read at all."""
        old = OldEntries(self._directory, self._shelf)
        last = old.lines() | last_lines(self._log.texts())
        found, unknown = tickets(last)
        for ticket_id, why in unknown.items():
            about = {"ticket": ticket_id[:8], "error": why}
            log.error("journal entry %(ticket)s is damaged: %(error)s", about)
            del last[ticket_id]
        if self._log.damage or unknown:
            self._set_aside(self._log.lost_lines + len(unknown))
            self._known_damage = self._log.damage
        try:
            self._log.replace(last.values())
            old.remove()
        except OSError as exc:
            log.error("the journal can't be written: %(error)s", {"error": exc})
        return found

    def append(self, lines: Sequence[bytes]) -> None:
        """Adds lines (`entries.written`, `entries.forgotten`); when it returns, they survive.

        After an error they do not, unless the process dies before it has written anything else.
        """
        with _disk_errors():
            if self._log.is_open and self._log.is_long:
                self._shorten()
            if not self._log.is_open:
                self._begin_anew()
            self._log.append(lines)

    def _begin_anew(self) -> None:
        self._log.check_place()  # where it is gone, no empty one takes its place
        last = last_lines(self._log.texts())
        if self._log.damage > self._known_damage:
            raise OSError(errno.EIO, "The journal was damaged while the server ran")
        self._log.replace(last.values())

    def _shorten(self) -> None:
        try:
            self._begin_anew()
        except OSError as exc:
            log.warning("the journal can't be made shorter: %(error)s", {"error": exc})
            self._log.bear_with_length()

    def _set_aside(self, lines: int) -> None:
        """Keeps the damaged log beside the one that follows it, for people to look at."""
        about: dict[str, object] = {"lines": lines, "blocks": self._log.unreadable_blocks}
        try:
            self._shelf.mkdir(mode=0o700, exist_ok=True)
            places = (self._shelf / f"log-{number}" for number in itertools.count(1))
            about["place"] = place = next(place for place in places if not place.exists())
            place.hardlink_to(self._directory / LOG_FILE)
        except OSError as exc:
            about["place"] = f"nowhere: {exc}"
        log.error(
            "the journal is damaged: lines that are missing or not as they were written: %(lines)s, blocks "
            "that can't be read: %(blocks)s. What stood before them counts. It is set aside: %(place)s",
            about,
        )

    # --- the clock -----------------------------------------------------------------------------------

    def write_clock(self, ran_s: float) -> None:
        """Keeps how many seconds the service has run, and that it was since the machine's last start."""
        target = self._directory / _CLOCK_FILE
        beside = target.with_suffix(".tmp")
        with _disk_errors():
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(fd, json.dumps({"ran_s": ran_s, "boot": _boot_id()}).encode(), 0)
                if self._fsync:
                    os.fdatasync(fd)
            finally:
                close_descriptor(fd)
            beside.replace(target)
            if self._fsync:
                sync_directory(self._directory)

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


def read(directory: Path) -> list[Ticket]:
    """Returns what a journal says, which its server may be writing to meanwhile. Raises OSError."""
    file = directory / LOG_FILE
    file.stat()  # a log that is not there yet is empty; a journal that is not there is a mistake
    found, _ = tickets(last_lines(Log(file, fsync=False).texts()))
    return found


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
