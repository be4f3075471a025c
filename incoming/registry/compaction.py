"""A shorter log is written in small steps, while lines are still appended to the long one.

First what counts of the long log goes into a file beside it, then the lines that were appended meanwhile,
until few are left. Only the last step needs that nobody appends: it copies these few lines and puts the file
in the place of the log. A process that dies before that leaves the long log, which has everything; so has
the new one after it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from incoming.registry.entries import note
from incoming.registry.lines import Reader
from incoming.registry.log import Log

LINES_A_STEP: Final = 250
"""What a step reads or writes: about a millisecond in which the event loop may have to wait."""
STEPS_A_SYNC: Final = 8
"""A sync of a large file holds up other syncs, those of the log too. So there are many small ones."""
FEW_BYTES: Final = 64 * 1024
"""What may be left for the last step."""
MOST_ROUNDS: Final = 4
"""How often to copy what was appended meanwhile. While lines come faster than they are copied, more would not
help."""


class Rewriting:
    """The next log, on its way. Every method blocks on the disk, and raises OSError."""

    def __init__(self, current: Log) -> None:
        """`current` is open and stays open; else this has to be abandoned."""
        self._log = current
        self._reader = Reader()
        self._read_bytes = 0
        self._unreadable_blocks = current.unreadable_blocks
        self._successor = current.successor()
        self._work = self._steps()

    def step(self) -> bool:
        """Does a part of the work. Returns whether there is more before `finish`."""
        return next(self._work, False)

    def finish(self) -> None:
        """Copies what is left, and lets the new file take the log's place. Nobody may append meanwhile."""
        rest = list(self._new_texts())
        if rest:
            self._successor.tail.append(rest, sync=False)  # `adopt` syncs it
        self._log.adopt(self._successor)

    def abandon(self) -> None:
        """Removes what was written."""
        self._successor.abandon()

    def _steps(self) -> Iterator[bool]:
        tail = self._successor.tail
        last: dict[str, bytes] = {}
        for texts in _batches(self._new_texts()):
            note(last, texts)
            yield True
        for number, texts in enumerate(_batches(last.values()), 1):
            tail.add(texts)
            if not number % STEPS_A_SYNC:
                self._successor.sync()
            yield True
        last.clear()
        tail.make_room()
        self._successor.sync()
        yield True
        for _ in range(MOST_ROUNDS):
            if self._log.end_bytes - self._read_bytes <= FEW_BYTES:
                break
            for texts in _batches(self._new_texts()):
                tail.append(texts, sync=True)
                yield True

    def _new_texts(self) -> Iterator[bytes]:
        """Yields what was appended since this was last asked."""
        end_bytes = self._log.end_bytes
        yield from self._log.texts_between(self._read_bytes, end_bytes, self._reader)
        self._read_bytes = end_bytes
        unreadable_blocks = self._log.unreadable_blocks - self._unreadable_blocks
        if self._reader.lost or self._reader.is_torn or unreadable_blocks:
            raise OSError(errno.EIO, "The journal was damaged while the server ran")


def _batches(texts: Iterable[bytes]) -> Iterator[list[bytes]]:
    remaining = iter(texts)
    while batch := list(islice(remaining, LINES_A_STEP)):
        yield batch
