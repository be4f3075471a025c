"""The tickets on the disk, kept at each change of state: they survive a kill, and a power cut.

`DIRECTORY/log` has a line for each change (`entries`), secrets included, so the directory is 0700. Each start
reads it, and begins a new one with what counts; a kill leaves the old one or the new one. What is damaged or
missing is reported, the log is kept in `damaged/`, and the other tickets are not affected.

A process that ends by itself leaves a mark as the last line, and says so in the clock file. Together with the
blank block at the end of a log (`log`), that tells whether the end of the log is the one that was written.

Every method here blocks on the disk: callers on the event loop go through the pool.
"""

from __future__ import annotations

import dataclasses
import errno
import itertools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from incoming.core.errors import StorageFailed
from incoming.core.ticket import Ticket
from incoming.registry.clock import ClockFile, Kept, boot_id
from incoming.registry.compaction import Rewriting
from incoming.registry.entries import STOPPED, last_lines, note, tickets
from incoming.registry.log import Log, sync_directory
from incoming.registry.migration import OldEntries
from incoming.runtime.filesystem import DISK_FULL, disk_errors, set_folder_mode, try_to_write
from incoming.runtime.gevent_runtime import thread_lock

LOG_FILE: Final = "log"
MODE: Final = 0o700
CLOCK_FILE: Final = "clock"

DAMAGED: Final = (
    "the journal is damaged: %(lines)s lines are missing or corrupt, %(blocks)s blocks "
    "can't be read. The older lines count. The log is set aside: %(place)s"
)
CUT_OFF: Final = (
    "the end of the journal's log is missing, and uploads that are recorded only there "
    "are unknown. The rest counts, and nothing in data/ is removed. The log is set aside: %(place)s"
)
NOT_AS_LEFT: Final = (
    "the journal has changed since the last process stopped: it is an older copy, or its last lines "
    "were lost. Its lines count, and nothing in data/ is removed. The log is set aside: %(place)s"
)
TORN: Final = (
    "the last line of the journal is incomplete. If the server was killed or the power failed while it wrote "
    "that line, the change was not acknowledged. If not, the line was damaged, and its upload is as it "
    "was before or unknown. The log is set aside: %(place)s"
)
MISSING: Final = (
    "the journal has no log, although a server ran here before: no earlier upload is known. Nothing in data/ "
    "is removed. If there is a copy of the log, stop the server and put it back: %(log)s"
)
NO_CLOCK: Final = (
    "the service time can't be read from %(clock)s: the newest time of a ticket is "
    "used instead. Tickets may expire later than they should, but never earlier"
)

log = logging.getLogger(__name__)


class Journal:
    """The journal of one server. Errors of the disk are StorageFull or StorageFailed."""

    def __init__(self, directory: Path, fsync: bool, check_owner: Callable[[], None] = lambda: None) -> None:
        """Creates the directory when there is none. Raises OSError.

        `check_owner` raises StorageFailed once the storage may be another process's: nothing is written then.
        """
        directory.mkdir(parents=True, exist_ok=True)
        set_folder_mode(directory, MODE)
        self._directory = directory.resolve()
        self._shelf = self._directory / "damaged"
        self._fsync = fsync
        self._check_owner = check_owner
        self._log = Log(self._directory / LOG_FILE, fsync)
        self._clock = ClockFile(self._directory / CLOCK_FILE)
        self._known_damage = 0
        self._rewriting: Rewriting | None = None
        self._turn = thread_lock()
        """Held by who appends, and while another log takes the place of this one."""
        self._step = thread_lock()
        """Held by who works on `_rewriting`; taken after `_turn`, never before it."""
        self._closed = False

    def load(self) -> list[Ticket]:
        """Returns every ticket, and begins a new log with them. Raises OSError if it can't be read at all."""
        kept = self._clock.read()
        old = OldEntries(self._directory, self._shelf)
        is_missing = not self._log.exists()
        last = old.lines()
        if kept is None and self._clock.exists():
            log.warning(NO_CLOCK, {"clock": self._directory / CLOCK_FILE})
        if is_missing and not last and self._clock.exists():
            log.error(MISSING, {"log": self._directory / LOG_FILE})
        note(last, self._log.texts())
        found, unknown = tickets(last)
        for ticket_id, why in unknown.items():
            about = {"ticket": ticket_id[:8], "error": why}
            log.error("journal entry %(ticket)s is damaged: %(error)s", about)
            del last[ticket_id]
        self._known_damage = self._log.damage
        if not is_missing:
            self._report(len(unknown), stopped=kept is not None and kept.stopped)
        try:
            if kept and kept.stopped:
                self._clock.write(dataclasses.replace(kept, stopped=False), sync=self._fsync)
            self._log.replace(last.values())
            old.remove()
        except OSError as exc:
            log.error("the journal can't be written: %(error)s", {"error": exc})
        return found

    def append(self, lines: Sequence[bytes]) -> None:
        """Adds lines (`entries.written`, `entries.forgotten`); when it returns, they survive.

        After an error they do not, unless the process dies before it has written anything else.
        """
        with disk_errors, self._turn:
            self._check_may_write()
            if not self._log.is_open:
                self._begin_anew()
            self._log.append(lines)

    def check(self) -> None:
        """Raises StorageFull, StorageFailed where the next line could not be kept.

        After a failure the log is begun anew, if that works by now: else nobody would try before a ticket is
        asked for.
        """
        with disk_errors:
            with self._turn:
                self._check_may_write()
                if not self._log.is_open:
                    self._begin_anew()
                self._log.check_place()
                has_room = self._log.has_room
            try:
                try_to_write(self._directory)
            except OSError as exc:
                if exc.errno not in DISK_FULL or not has_room:
                    raise

    def _check_may_write(self) -> None:
        if self._closed:
            raise StorageFailed
        self._check_owner()

    @property
    def has_room(self) -> bool:
        """Whether lines can be appended without the room that is kept for a full disk."""
        return self._log.has_spare_room

    def _begin_anew(self) -> None:
        """Writes a new log at once, after a failure: until then nothing can be appended."""
        with self._step:
            self._abandon_rewriting()
            self._log.check_place()  # where it is gone, no empty one takes its place
            last = last_lines(self._log.texts())
            if self._log.damage > self._known_damage:
                raise OSError(errno.EIO, "The journal was damaged while the server ran")
            self._log.replace(last.values())

    # --- a shorter log -------------------------------------------------------------------------------

    @property
    def is_long(self) -> bool:
        """Whether the log has grown by so much that `shorten` should be called."""
        return self._log.is_open and self._log.is_long

    def shorten(self) -> bool:
        """Does a step of writing a log with only what counts. Returns whether more are to come.

        Lines may be appended between the steps and beside them. What goes wrong is logged, and tried again
        once the log has grown by as much again.
        """
        try:
            with self._step:
                if self._rewriting is None and not self.is_long:
                    return False
                self._rewriting = self._rewriting or Rewriting(self._log)
                if self._rewriting.step():
                    return True
            with self._turn, self._step:
                if self._rewriting and self._log.is_open:
                    self._check_may_write()
                    self._log.check_place()
                    self._rewriting.finish()
                    self._rewriting = None
        except (OSError, StorageFailed) as exc:
            log.warning("the journal could not be compacted: %(error)s", {"error": exc})
            with self._step:
                self._abandon_rewriting()
                self._log.bear_with_length()
        return False

    def _abandon_rewriting(self) -> None:
        if self._rewriting:
            self._rewriting.abandon()
            self._rewriting = None

    # --- the end -------------------------------------------------------------------------------------

    def close(self, ran_s: float) -> None:
        """Marks the log as whole, and keeps the clock. Nothing is written after that.

        Raises StorageFull, StorageFailed; then the next start can't tell this end from a kill.
        """
        with disk_errors, self._turn, self._step:
            self._check_may_write()
            self._closed = True
            self._abandon_rewriting()
            marked = self._log.is_open
            if marked:
                self._log.append([STOPPED])
            self._log.close()
            self._write_clock(ran_s, stopped=marked)

    def _report(self, unknown: int, *, stopped: bool) -> None:
        """Says what is wrong with the log that was read, and sets it aside."""
        lines, blocks = self._log.lost_lines + unknown, self._log.unreadable_blocks
        if lines + blocks:
            log.error(DAMAGED, {"lines": lines, "blocks": blocks, "place": self._set_aside()})
        elif self._log.is_cut_off:
            log.error(CUT_OFF, {"place": self._set_aside()})
        elif stopped and self._log.last_text != STOPPED:
            log.error(NOT_AS_LEFT, {"place": self._set_aside()})
        elif self._log.is_torn:
            log.warning(TORN, {"place": self._set_aside()})

    def _set_aside(self) -> object:
        """Keeps the log beside the one that follows it, for people to look at. Returns where."""
        try:
            self._shelf.mkdir(mode=0o700, exist_ok=True)
            places = (self._shelf / f"log-{number}" for number in itertools.count(1))
            place = next(place for place in places if not place.exists())
            place.hardlink_to(self._directory / LOG_FILE)
        except OSError as exc:
            return f"nowhere: {exc}"
        return place

    # --- the clock -----------------------------------------------------------------------------------

    def write_clock(self, ran_s: float) -> None:
        """Keeps how many seconds the service has run, and that it was since the machine's last start."""
        with disk_errors, self._turn:
            self._check_may_write()
            self._write_clock(ran_s, stopped=False)

    def _write_clock(self, ran_s: float, *, stopped: bool) -> None:
        self._clock.write(Kept(ran_s, boot_id(), stopped), sync=self._fsync)
        if self._fsync:
            sync_directory(self._directory)

    def read_clock(self) -> float:
        """Returns how many seconds the service had run; 0 when nothing is known."""
        kept = self._clock.read()
        return kept.ran_s if kept else 0.0

    def machine_has_run_on(self) -> bool:
        """Returns whether the machine has surely not been off since `write_clock`: no power cut."""
        kept = self._clock.read()
        return kept is not None and kept.since_this_boot


def read(directory: Path) -> list[Ticket]:
    """Returns what a journal says, which its server may be writing to meanwhile. Raises OSError."""
    file = directory / LOG_FILE
    file.stat()  # a log that is not there yet is empty; a journal that is not there is a mistake
    found, _ = tickets(last_lines(Log(file, fsync=False).texts()))
    return found
