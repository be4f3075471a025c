"""Compaction: a long log is rewritten in small steps, while records are still appended to it.

First the latest records of the long log go into a new file, then the records that were appended
meanwhile, until few are left. During the last step nobody may append: it copies these few records and
installs the new file. A process that dies before that leaves the long log, which has everything; after it,
the new log has everything.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from incoming.registry.append_log import AppendLog
from incoming.registry.entries import apply_entries
from incoming.registry.records import RecordReader

RECORDS_A_STEP: Final = 250
"""How much a step reads or writes: about a millisecond in which the event loop may have to wait."""
STEPS_A_SYNC: Final = 8
"""A sync of a large file delays other syncs, those of the log too. So there are many small ones."""
FEW_BYTES: Final = 64 * 1024
"""How much may be left for the last step."""
MAX_ROUNDS: Final = 4
"""How often to copy what was appended meanwhile. If records come faster than they are copied, more rounds do
not help."""


class Compaction:
    """The rewriting of a log. Every method blocks on the disk and raises OSError."""

    def __init__(self, current: AppendLog) -> None:
        """`current` has to stay open; if it does not, `discard` has to follow."""
        self._log = current
        self._reader = RecordReader()
        self._read_bytes = 0
        self._unreadable_blocks = current.unreadable_blocks
        self._new_file = current.new_file()
        self._work = self._stages()

    def step(self) -> bool:
        """Does a part of the work. Returns whether there is more to do before `finish`."""
        return next(self._work, False)

    def finish(self) -> None:
        """Copies the records that are left, and installs the new file. Nobody may append meanwhile."""
        rest = list(self._new_payloads())
        if rest:
            self._new_file.appender.append(rest, sync=False)  # `install` syncs it
        self._log.install(self._new_file)

    def discard(self) -> None:
        """Deletes what was written."""
        self._new_file.discard()

    def _stages(self) -> Iterator[bool]:
        appender = self._new_file.appender
        latest: dict[str, bytes] = {}
        for payloads in _batches(self._new_payloads()):
            apply_entries(latest, payloads)
            yield True
        for number, payloads in enumerate(_batches(latest.values()), 1):
            appender.add(payloads)
            if not number % STEPS_A_SYNC:
                self._new_file.sync()
            yield True
        latest.clear()
        appender.add_space()
        self._new_file.sync()
        yield True
        for _ in range(MAX_ROUNDS):
            if self._log.end_bytes - self._read_bytes <= FEW_BYTES:
                break
            for payloads in _batches(self._new_payloads()):
                appender.append(payloads, sync=True)
                yield True

    def _new_payloads(self) -> Iterator[bytes]:
        """Yields what was appended since the last call."""
        end_bytes = self._log.end_bytes
        yield from self._log.payloads_between(self._read_bytes, end_bytes, self._reader)
        self._read_bytes = end_bytes
        unreadable_blocks = self._log.unreadable_blocks - self._unreadable_blocks
        if self._reader.lost or self._reader.is_torn or unreadable_blocks:
            raise OSError(errno.EIO, "The journal was damaged while the server ran")


def _batches(payloads: Iterable[bytes]) -> Iterator[list[bytes]]:
    remaining = iter(payloads)
    while batch := list(islice(remaining, RECORDS_A_STEP)):
        yield batch
