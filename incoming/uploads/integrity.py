"""The digests of all files that are being uploaded, and whether a client has the file that it says.

A digest follows the writer: each chunk is added when it is stored; to a slow hash, such as SHA-256, in the
pool, while the next chunk comes in. After a restart it has to catch up, which it does beside the upload, in
the pool, block by block off the disk; it is only waited for at the very end.

Checkpoints need the checksum of what was acknowledged, which is kept apart. It starts from the ticket's
last one, so it is known long before a large file is read back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from incoming.core import file_digest
from incoming.core.checkpoints import Checkpoint, last, up_to
from incoming.core.checksum import RunningDigest, checksum, combine
from incoming.core.errors import IncomingError
from incoming.core.file_digest import FileDigest
from incoming.core.resume_check import RANDOM_SAMPLES, Ranges, ranges_to_compare
from incoming.core.ticket import Ticket
from incoming.runtime.base import Lock
from incoming.storage import Storage
from incoming.uploads.context import UploadContext

log = logging.getLogger(__name__)

Keep = Callable[[], Callable[[], None]]
"""Has a chunk stay in its buffer until what it returns is called."""
BLOCK_BYTES: Final = 8 * 1024 * 1024
"""How much a thread reads at a time: it takes some milliseconds, so others soon get a thread."""
SHORT_BYTES: Final = 64 * 1024
"""What SHA-256 digests in less time than it takes to have that done by a thread."""


def stored_checksum(storage: Storage, ticket_id: str, start: int, end: int) -> int:
    """Returns the CRC-32C of the stored bytes from `start` to `end`. Raises StorageFailed."""
    crc = 0

    def take(data: memoryview) -> None:
        nonlocal crc
        crc = checksum(data, crc)

    for block in range(start, end, BLOCK_BYTES):
        storage.read(ticket_id, block, min(block + BLOCK_BYTES, end), take)
    return crc


@dataclass(slots=True, eq=False)
class _File:
    """One upload's digest, which may be behind what is stored."""

    digest: RunningDigest
    lock: Lock
    """Its holder may add to the digest."""
    stored_bytes: int = 0
    queued_bytes: int = 0
    """Up to where bytes were added, or are in memory and wait for that."""
    acknowledged_crc: int = 0
    """The checksum of the stored bytes from `acknowledged_from` on, as they were acknowledged."""
    acknowledged_from: int = 0
    """0 once the checksum of all of them is known."""
    suspect: bool = False
    before: _Before | None = None
    """What was known in front of the unchecked bytes, while there are any."""


@dataclass(frozen=True, slots=True)
class _Before:
    """What was known of the first `stored_bytes` of a file; see _File."""

    stored_bytes: int
    digest: RunningDigest | None
    """None when it was behind what was stored."""
    acknowledged_crc: int
    acknowledged_from: int


class Integrity:
    """All digests of this process."""

    def __init__(self, context: UploadContext) -> None:
        self._runtime = context.runtime
        self._storage = context.storage
        self._files: dict[str, _File] = {}
        self._moved: set[str] = set()

    # --- following the writer ------------------------------------------------------------------------

    def begin(self, ticket: Ticket, stored_bytes: int) -> None:
        """The ticket's file has so many bytes, and more may come. Starts to catch up, beside the caller."""
        file = self._files.get(ticket.id)
        if file is None or file.stored_bytes > stored_bytes or not file.digest.has(*ticket.hashes):
            file = self._files[ticket.id] = self._new_file(RunningDigest(ticket.hashes))
        if file.stored_bytes < stored_bytes:  # by another process
            self._begin_behind_checkpoint(ticket, file, stored_bytes)
        if file.digest.position_bytes < stored_bytes:
            self._runtime.spawn(self._try_to_catch_up, ticket, file)

    def stored(self, ticket: Ticket, chunk: memoryview, crc: int | None, keep: Keep | None = None) -> None:
        """`chunk`, whose checksum is `crc` if that is known, was stored behind all others.

        With `keep` this may return before the digest has it; of one upload there is one such chunk.
        """
        if crc is None:
            crc = checksum(chunk)
        file = self._files[ticket.id]
        at = file.stored_bytes
        file.stored_bytes += len(chunk)
        file.acknowledged_crc = combine(file.acknowledged_crc, crc, len(chunk))
        self._moved.add(ticket.id)
        if max(file.digest.position_bytes, file.queued_bytes) != at:
            return  # `_catch_up` gets there
        if file.digest.is_fast:
            file.digest.add(chunk, crc)
            return
        file.queued_bytes = at + len(chunk)
        file.lock.__enter__()  # the chunk before this one has been added
        if keep and len(chunk) > SHORT_BYTES:
            self._runtime.spawn(self._add, file, at, (chunk, crc), keep())
        else:
            self._add(file, at, (chunk, crc))

    def _add(
        self, file: _File, at: int, added: tuple[memoryview, int | None],
        give_back: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """Adds a chunk to the digest. The caller has acquired `lock`, and this unlocks it."""
        try:
            if file.digest.position_bytes != at:
                return  # something before it is missing, and has to be read back
            if len(added[0]) > SHORT_BYTES:
                self._runtime.in_pool(file.digest.add, *added)
            else:
                file.digest.add(*added)
        finally:
            give_back()
            file.lock.__exit__(None, None, None)

    def is_known(self, ticket_id: str) -> bool:
        """Returns whether `whole` has nothing to read."""
        file = self._files.get(ticket_id)
        return file is not None and file.digest.position_bytes == file.stored_bytes

    def whole(self, ticket: Ticket) -> RunningDigest:
        """Returns the digest of all that is stored, when it is known. Raises StorageFailed."""
        file = self._files[ticket.id]
        self._catch_up(ticket, file)
        return file.digest

    def has_named_digest(self, ticket: Ticket) -> bool:
        """Returns whether a whole file has the digest that its client has named, if it has named one.

        The digest of the file is known: see `whole`.
        """
        named = file_digest.read(ticket.file_digest)
        if named is None or named.value is None:
            return True
        return named.value == self._files[ticket.id].digest.value(named.hash_name)

    def file_digest(self, ticket: Ticket) -> str:
        """Returns the digest of a whole file that its client wants, see `core.file_digest`; empty if none."""
        wanted = file_digest.read(ticket.file_digest)
        if wanted is None:
            return ""
        value = self._files[ticket.id].digest.value(wanted.hash_name)
        return FileDigest(wanted.hash_name, value).text

    def adopt(self, ticket: Ticket, whole: Checkpoint) -> None:
        """A whole file is stored that nobody has written here, and this is its checksum.

        It has to be read only if somebody wants another digest of it.
        """
        digest = RunningDigest(ticket.hashes)
        if digest.is_fast:
            digest.begin_at(*whole)
            self._files[ticket.id] = self._new_file(digest)

    def forget(self, ticket_id: str) -> None:
        """Drops what is known of a file: no more bytes will come, or all of them again."""
        self._files.pop(ticket_id, None)
        self._moved.discard(ticket_id)

    def _try_to_catch_up(self, ticket: Ticket, file: _File) -> None:
        try:
            self._catch_up(ticket, file)
        except IncomingError as exc:
            log.warning(
                "upload %(ticket)s: the file can't be read for its checksum, tried again later: %(error)s",
                ticket.for_log(error=exc),
            )

    def _catch_up(self, ticket: Ticket, file: _File) -> None:
        digest = file.digest
        with file.lock:
            while digest.position_bytes < file.stored_bytes and self._files.get(ticket.id) is file:
                end = min(digest.position_bytes + BLOCK_BYTES, file.stored_bytes)
                self._storage.read(ticket.id, digest.position_bytes, end, digest.add)
            if file.acknowledged_from and digest.position_bytes == file.stored_bytes:
                file.acknowledged_crc, file.acknowledged_from = digest.crc32c, 0

    def _new_file(self, digest: RunningDigest) -> _File:
        file = _File(digest, self._runtime.semaphore(1), digest.position_bytes)
        file.acknowledged_crc = digest.crc32c
        return file

    # --- checkpoints -----------------------------------------------------------------------------------

    def take_moved(self) -> set[str]:
        """Returns the ids of the uploads that have another checkpoint than when this was last asked."""
        moved = {ticket_id for ticket_id in self._moved if self.checkpoint(ticket_id)}
        self._moved -= moved
        return moved

    def checkpoint(self, ticket_id: str) -> Checkpoint | None:
        """Returns the checkpoint of all stored bytes that are not unchecked.

        None when there are none, or it is not known yet.
        """
        file = self._files.get(ticket_id)
        return _checkpoint(file.before or file) if file else None

    def unchecked_checkpoint(self, ticket_id: str) -> Checkpoint | None:
        """Returns the checkpoint of all stored bytes, for when the unchecked ones have agreed."""
        return _checkpoint(self._files[ticket_id])

    def _begin_behind_checkpoint(self, ticket: Ticket, file: _File, stored_bytes: int) -> None:
        """Continues the checksum from the ticket's last checkpoint, after which little is stored."""
        known = last(up_to(ticket.checkpoints, stored_bytes))
        file.stored_bytes = stored_bytes
        if known.end_bytes == stored_bytes:
            file.acknowledged_crc, file.acknowledged_from = known.crc32c, 0
            return
        file.acknowledged_crc, file.acknowledged_from = 0, stored_bytes
        if known.end_bytes:  # else `_catch_up` reads the same bytes
            self._runtime.spawn(self._read_behind, ticket, file, known)

    def _read_behind(self, ticket: Ticket, file: _File, known: Checkpoint) -> None:
        end = file.acknowledged_from
        if not end:
            return  # `_catch_up` was faster
        try:
            crc = stored_checksum(self._storage, ticket.id, known.end_bytes, end)
        except IncomingError:
            return  # `_catch_up` tries the same, and reports it
        if file.acknowledged_from == end:
            before = combine(known.crc32c, crc, end - known.end_bytes)
            after_bytes = file.stored_bytes - end
            file.acknowledged_crc = combine(before, file.acknowledged_crc, after_bytes)
            file.acknowledged_from = 0

    def agreeing_bytes(self, ticket: Ticket, stored_bytes: int) -> int:
        """Returns up to which of the ticket's checkpoints the stored bytes agree. Raises StorageFailed.

        Reads all of them; the digest need not do so again.
        """
        digest, agreeing_bytes = RunningDigest(ticket.hashes), 0
        for one in up_to(ticket.checkpoints, stored_bytes):
            self._read_up_to(ticket.id, digest, one.end_bytes)
            if digest.crc32c != one.crc32c:
                self._files.pop(ticket.id, None)
                return agreeing_bytes
            agreeing_bytes = one.end_bytes
        self._files[ticket.id] = self._new_file(digest)
        return agreeing_bytes

    def _read_up_to(self, ticket_id: str, digest: RunningDigest, end_bytes: int) -> None:
        while digest.position_bytes < end_bytes:
            end = min(digest.position_bytes + BLOCK_BYTES, end_bytes)
            self._storage.read(ticket_id, digest.position_bytes, end, digest.add)

    # --- unchecked bytes -------------------------------------------------------------------------------

    def begin_unchecked(self, ticket_id: str) -> None:
        """The bytes that are stored from now on may be discarded."""
        file = self._files[ticket_id]
        if file.queued_bytes > file.digest.position_bytes:
            with file.lock:
                pass  # a thread adds the last chunk
        is_whole = file.digest.position_bytes == file.stored_bytes
        file.before = _Before(
            file.stored_bytes,
            file.digest.copy() if is_whole else None,
            file.acknowledged_crc,
            file.acknowledged_from,
        )

    def accept_unchecked(self, ticket_id: str) -> None:
        """All stored bytes are right."""
        self._files[ticket_id].before = None

    def discard_unchecked(self, ticket: Ticket, stored_bytes: int) -> None:
        """Only the first `stored_bytes` are left. What was known of them need not be read again."""
        file = self._files.pop(ticket.id, None)
        if file is None:
            return
        before = file.before
        if before is None or before.stored_bytes != stored_bytes:
            self.begin(ticket, stored_bytes)
            return
        cut = self._new_file(before.digest or RunningDigest(ticket.hashes))
        if not before.acknowledged_from:
            cut.stored_bytes, cut.acknowledged_crc = before.stored_bytes, before.acknowledged_crc
        cut.suspect = file.suspect
        self._files[ticket.id] = cut
        self.begin(ticket, stored_bytes)

    # --- comparing -------------------------------------------------------------------------------------

    def ranges_to_compare(self, ticket: Ticket, stored_bytes: int, last_modified_ms: int) -> Ranges:
        """Returns the parts of the ticket's stored bytes that a client has to prove that it has."""
        file = self._files.get(ticket.id)
        same_time = last_modified_ms == ticket.last_modified_ms and not (file and file.suspect)
        chances = [self._runtime.jitter() for _ in range(RANDOM_SAMPLES)]
        return ranges_to_compare(stored_bytes, same_time, chances)

    def suspect(self, ticket_id: str) -> None:
        """The whole file does not agree: the next client has to prove everything."""
        self._files[ticket_id].suspect = True

    def trust(self, ticket_id: str) -> None:
        """Everything agrees after all."""
        self._files[ticket_id].suspect = False

    def is_suspect(self, ticket_id: str) -> bool:
        """Returns whether a comparison of everything is due."""
        file = self._files.get(ticket_id)
        return file is not None and file.suspect

    def checksums(self, ticket: Ticket, ranges: Ranges) -> tuple[int, ...]:
        """Returns the checksums of these parts of what is stored. Raises StorageFailed."""
        file = self._files[ticket.id]
        if len(ranges) == 1 and ranges[0] == (0, file.stored_bytes):
            return (self.whole(ticket).crc32c,)
        return tuple(stored_checksum(self._storage, ticket.id, start, end) for start, end in ranges)

    def is_same(self, ticket: Ticket, start: int, data: memoryview) -> bool:
        """Returns whether the stored bytes from `start` on are these. Raises StorageFailed."""
        position_bytes, is_same = 0, True

        def compare(stored: memoryview) -> None:
            nonlocal position_bytes, is_same
            part = data[position_bytes : position_bytes + len(stored)]
            position_bytes += len(stored)
            # numpy compares eight times as fast as `stored == part` does, and lets other threads run.
            is_same = is_same and np.array_equal(
                np.frombuffer(stored, np.uint8), np.frombuffer(part, np.uint8)
            )

        self._storage.read(ticket.id, start, start + len(data), compare)
        return is_same


def _checkpoint(known: _File | _Before) -> Checkpoint | None:
    if known.acknowledged_from or not known.stored_bytes:
        return None
    return Checkpoint(known.stored_bytes, known.acknowledged_crc)
