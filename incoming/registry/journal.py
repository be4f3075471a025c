"""The journal: the tickets on the disk. It is written at each change of state, and survives a power cut.

`DIRECTORY/log` is an append log with an entry for each change (`entries`), secrets included, so the directory
has the mode 0700. Each start reads the log and replaces it by one with the latest entries. A kill leaves the
old log or the new one. Damaged and missing records are reported, and the old log is kept in `damaged/`.
Tickets whose entries are intact are not affected.

A process that stops cleanly appends a mark as the last record, and sets a flag in the clock file. With the
blank block at the end of the log (`append_log`), that tells whether the end of the log is the one that was
written.

Every method blocks on the disk: callers on the event loop use the pool.
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
from incoming.core.ticket import Ticket, short_id
from incoming.registry.append_log import AppendLog, sync_directory
from incoming.registry.clock import ClockFile, ClockState, boot_id
from incoming.registry.compaction import Compaction
from incoming.registry.entries import CLEAN_STOP, apply_entries, decode_all, latest_entries
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
        """Creates the directory if there is none. Raises OSError.

        `check_owner` raises StorageFailed if the storage may belong to another process by now. Then nothing
        is written any more.
        """
        directory.mkdir(parents=True, exist_ok=True)
        set_folder_mode(directory, MODE)
        self._directory = directory.resolve()
        self._damaged_dir = self._directory / "damaged"
        self._fsync = fsync
        self._check_owner = check_owner
        self._log = AppendLog(self._directory / LOG_FILE, fsync)
        self._clock = ClockFile(self._directory / CLOCK_FILE)
        self._known_damage = 0
        self._compaction: Compaction | None = None
        self._append_lock = thread_lock()
        """Held during an append, and while another log replaces this one."""
        self._compaction_lock = thread_lock()
        """Held during work on `_compaction`. It is taken after `_append_lock`, never before it."""
        self._closed = False

    def load(self) -> list[Ticket]:
        """Returns every ticket, and begins a new log with them. Raises OSError if nothing can be read."""
        self._log.remove_unfinished()  # first: it may be what fills the disk
        clock = self._clock.read()
        old = OldEntries(self._directory, self._damaged_dir)
        is_missing = not self._log.exists()
        latest = old.entries()
        if clock is None and self._clock.exists():
            log.warning(NO_CLOCK, {"clock": self._directory / CLOCK_FILE})
        if is_missing and not latest and self._clock.exists():
            log.error(MISSING, {"log": self._directory / LOG_FILE})
        apply_entries(latest, self._log.payloads())
        found, damaged = decode_all(latest)
        for ticket_id, why in damaged.items():
            about = {"ticket": short_id(ticket_id), "error": why}
            log.error("journal entry %(ticket)s is damaged: %(error)s", about)
            del latest[ticket_id]
        self._known_damage = self._log.damage
        if not is_missing:
            self._report(len(damaged), stopped=clock is not None and clock.stopped)
        try:
            if clock and clock.stopped:
                self._clock.write(dataclasses.replace(clock, stopped=False), sync=self._fsync)
            self._log.replace(latest.values())
            old.delete()
        except OSError as exc:
            log.error("the journal can't be written: %(error)s", {"error": exc})
        return found

    def append(self, entries: Sequence[bytes]) -> None:
        """Appends entries (`entries.ticket_entry`, `entries.tombstone`). When it returns, they are durable.

        After an error they do not count, unless the process dies before it has written anything else.
        """
        with disk_errors, self._append_lock:
            self._check_may_write()
            if not self._log.is_open:
                self._rebuild_log()
            self._log.append(entries)

    def check(self) -> None:
        """Raises StorageFull, StorageFailed if the next entry could not be stored.

        After a failure this rebuilds the log if that works by now. Else nothing would try it before the next
        ticket is issued.
        """
        with disk_errors:
            with self._append_lock:
                self._check_may_write()
                if not self._log.is_open:
                    self._rebuild_log()
                self._log.check_not_replaced()
                has_space = self._log.has_space
            try:
                try_to_write(self._directory)
            except OSError as exc:
                if exc.errno not in DISK_FULL or not has_space:
                    raise

    def _check_may_write(self) -> None:
        if self._closed:
            raise StorageFailed
        self._check_owner()

    @property
    def has_room(self) -> bool:
        """Whether entries can be appended without the space that is kept for a full disk."""
        return self._log.has_spare_space

    def _rebuild_log(self) -> None:
        """Writes a new log at once, after a failure: until then nothing can be appended."""
        with self._compaction_lock:
            self._discard_compaction()
            self._log.check_not_replaced()  # a missing log is not replaced by an empty one
            latest = latest_entries(self._log.payloads())
            if self._log.damage > self._known_damage:
                raise OSError(errno.EIO, "The journal was damaged while the server ran")
            self._log.replace(latest.values())

    # --- compaction ----------------------------------------------------------------------------------

    @property
    def needs_compaction(self) -> bool:
        """Whether the log has grown so much that `compact` should be called."""
        return self._log.is_open and self._log.needs_compaction

    def compact(self) -> bool:
        """Does one step of writing a log with only the latest entries. Returns whether more steps follow.

        Entries may be appended between the steps and during them. An error is logged, and compaction is
        needed again when the log has grown by as much again.
        """
        try:
            with self._compaction_lock:
                if self._compaction is None and not self.needs_compaction:
                    return False
                self._compaction = self._compaction or Compaction(self._log)
                if self._compaction.step():
                    return True
            with self._append_lock, self._compaction_lock:
                if self._compaction and self._log.is_open:
                    self._check_may_write()
                    self._log.check_not_replaced()
                    self._compaction.finish()
                    self._compaction = None
        except (OSError, StorageFailed) as exc:
            log.warning("the journal could not be compacted: %(error)s", {"error": exc})
            with self._compaction_lock:
                self._discard_compaction()
                self._log.postpone_compaction()
        return False

    def _discard_compaction(self) -> None:
        if self._compaction:
            self._compaction.discard()
            self._compaction = None

    # --- the end -------------------------------------------------------------------------------------

    def close(self, ran_s: float) -> None:
        """Marks the log as whole, and writes the clock. Nothing is written after that.

        Raises StorageFull, StorageFailed. Then the next start can't tell this stop from a kill.
        """
        with disk_errors, self._append_lock, self._compaction_lock:
            self._check_may_write()
            self._closed = True
            self._discard_compaction()
            marked = self._log.is_open
            if marked:
                self._log.append([CLEAN_STOP])
            self._log.close()
            self._write_clock(ran_s, stopped=marked)

    def _report(self, damaged: int, *, stopped: bool) -> None:
        """Logs what is wrong with the log that was read, and keeps it.

        `damaged` is the number of intact records without a valid ticket.
        """
        records, blocks = self._log.lost_records + damaged, self._log.unreadable_blocks
        if records + blocks:
            log.error(DAMAGED, {"lines": records, "blocks": blocks, "place": self._set_aside()})
        elif self._log.is_truncated:
            log.error(CUT_OFF, {"place": self._set_aside()})
        elif stopped and self._log.last_payload != CLEAN_STOP:
            log.error(NOT_AS_LEFT, {"place": self._set_aside()})
        elif self._log.is_torn:
            log.warning(TORN, {"place": self._set_aside()})

    def _set_aside(self) -> object:
        """Gives the log a second name in `damaged/`, where people can look at it. Returns that name."""
        try:
            self._damaged_dir.mkdir(mode=0o700, exist_ok=True)
            places = (self._damaged_dir / f"log-{number}" for number in itertools.count(1))
            place = next(place for place in places if not place.exists())
            place.hardlink_to(self._directory / LOG_FILE)
        except OSError as exc:
            return f"nowhere: {exc}"
        return place

    # --- the clock -----------------------------------------------------------------------------------

    def write_clock(self, ran_s: float) -> None:
        """Stores how many seconds the service has run, and the id of the machine's boot."""
        with disk_errors, self._append_lock:
            self._check_may_write()
            self._write_clock(ran_s, stopped=False)

    def _write_clock(self, ran_s: float, *, stopped: bool) -> None:
        self._clock.write(ClockState(ran_s, boot_id(), stopped), sync=self._fsync)
        if self._fsync:
            sync_directory(self._directory)

    def read_clock(self) -> float:
        """Returns how many seconds the service had run; 0 if that is not known."""
        clock = self._clock.read()
        return clock.ran_s if clock else 0.0

    def is_same_boot(self) -> bool:
        """Returns whether the machine has surely not rebooted since `write_clock`: there was no power cut."""
        clock = self._clock.read()
        return clock is not None and clock.is_of_this_boot


def read(directory: Path) -> list[Ticket]:
    """Returns the tickets of a journal. Its server may be running, and write. Raises OSError."""
    file = directory / LOG_FILE
    file.stat()  # AppendLog takes a missing log for an empty one; here it is a mistake
    found, _ = decode_all(latest_entries(AppendLog(file, fsync=False).payloads()))
    return found
