"""Sends the bytes of one upload to S3, piece by piece, while they come in, and says how many are stored.

- Chunks fill the piece that is open. A full piece is sent by a greenlet of its own, several at a time. It
  counts once it and all pieces before it are noted.
- What is left of the open piece becomes an object of its own, the remainder: at a flush, when the client
  sends nothing and has unacknowledged bytes, and when the oldest of those is old. So no client waits for an
  acknowledgement for long, however slow it is, and a pause costs nothing.
- The next writer begins with the checksum of the remainder, and reads its bytes only when it needs them.
- No remainder is ever overwritten, whatever claim or process has written it: each has a random name.

A subclass says what a piece is, where it goes and where it is noted: `writer` for files, and `folders/writer`
for folders.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from incoming.core.errors import BytesLost, IncomingError, StorageFailed, TakenOver
from incoming.core.ticket import short_id
from incoming.runtime.base import Runtime, Task
from incoming.storage import OnDurable
from incoming.storage.s3.flush_timer import FlushTimer
from incoming.storage.s3.keys import BucketAddress
from incoming.storage.s3.memory_budget import MemoryBudget
from incoming.storage.s3.metadata.manifest import Remainder
from incoming.storage.s3.metadata.upload_metadata import UploadMetadata
from incoming.storage.s3.part_buffer import NOTHING, Extent, PartBody, PartBuffer
from incoming.storage.s3.store.client import S3Client, S3Error, s3_errors
from incoming.storage.s3.store.completion import Completion
from incoming.storage.s3.store.retrying import Retries

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.05
MEMORY_KEPT_S: Final = 5.0
"""After this time without new bytes, the open piece leaves the memory: the remainder has it."""
CLOSE_LIMIT_S: Final = 10.0
"""How long `close` tries to store what is left."""
REMAINDER_LOST: Final = (
    "upload %(ticket)s: the object with its last bytes is missing in S3, or has other bytes. The client "
    "sends these bytes again"
)
_WAIT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class WriterContext:
    """What the writers of one storage share."""

    client: S3Client
    metadata: UploadMetadata
    memory: MemoryBudget
    retries: Retries
    completion: Completion
    runtime: Runtime
    address: BucketAddress
    parallel: int
    """How many large pieces of one upload are sent at a time."""


@dataclass(slots=True, eq=False)
class FullPiece:
    """A piece that is on its way to the store, or waits for those before it."""

    buffer: PartBuffer
    extent: Extent
    etag: str | None = None
    """None until the store has answered."""
    task: Task | None = None
    counted_bytes: int = 0
    """How much of the memory budget it takes."""
    is_running: bool = False
    """Whether the task has begun. It releases the memory, also when it is killed."""
    after_crc32c: int = 0
    """Of the whole stream up to its end, where somebody needs that."""
    sha256: str = ""
    """Of the file that ends with it, if that is known."""


class StreamWriter(ABC):
    """See storage.Writer."""

    def __init__(
        self, ticket_id: str, length_bytes: int | None, context: WriterContext, on_durable: OnDurable
    ) -> None:
        self._ticket_id = ticket_id
        self._length_bytes = length_bytes
        self._context = context
        self._on_durable = on_durable
        self._runtime = context.runtime
        self._retries = context.retries
        self._metadata_lock = self._runtime.lock()
        """Its holder changes what is noted, here and in its store."""
        self._remainder_lock = self._runtime.lock()
        self._changed = self._runtime.signal()
        self._token = ""
        self._name = secrets.token_hex(8)
        self._remainder_count = 0
        self._noting_remainder = ""
        """The newest remainder that may be noted: the answer of what keeps the metadata may be lost."""
        self._is_open = True
        self._failure: IncomingError | None = None
        self._full: dict[int, FullPiece] = {}
        """By number, in order; none of them is noted."""
        self._idle: list[FullPiece] = []
        """Those that have to be sent again."""
        self._unsent_count = self._unsent_bytes = 0
        """The pieces that the store has not confirmed yet."""
        self._holds_back = False
        """Whether the bytes that were taken since `begin_unchecked` may not become durable."""
        self._upload_lock = self._runtime.lock()
        self._finish_lock = self._runtime.lock()
        """Its holder makes the whole. A newer claim may wait for it, and not for the upload's lock."""
        self._is_finishing = False
        self._given_up_bytes = -1
        """The `taken_bytes` of a flush that failed. `close` does not try it again."""
        self._attempt = 0
        """Counts the failures that were raised. What was begun before one does not fail again."""
        self._generation = 0
        """Counts how often everything that was not durable was discarded."""
        self._flush_timer = FlushTimer()
        self._watcher: Task | None = None
        self.taken_bytes = self.durable_offset = self.accounted_bytes = 0
        self._buffer = PartBuffer(0, 0, context.memory)

    # --- what a subclass says -----------------------------------------------------------------------------

    @property
    @abstractmethod
    def _remainder(self) -> Remainder | None:
        """The remainder that is noted."""

    @property
    @abstractmethod
    def _noted_count(self) -> int:
        """How many pieces are noted: the first ones."""

    @property
    @abstractmethod
    def _noted_bytes(self) -> int:
        """How many bytes are noted, the remainder included."""

    @property
    @abstractmethod
    def _is_complete(self) -> bool:
        """Whether it is noted that the whole is there, under its name."""

    @abstractmethod
    def _capacity_bytes(self, number: int) -> int:
        """Returns how many bytes a piece has when it is full."""

    @abstractmethod
    def _take(self, chunk: memoryview, crc32c: int | None) -> None:
        """Puts a chunk into the open piece and the next ones, and sends the full ones."""

    @abstractmethod
    def _put_piece(self, piece: FullPiece) -> str:
        """Sends a piece, which is repeated, and returns its ETag."""

    @abstractmethod
    def _note(self, pieces: Sequence[FullPiece]) -> None:
        """Notes these pieces, and that there is no remainder. The caller has the lock of the metadata."""

    @abstractmethod
    def _set_remainder(self, remainder: Remainder) -> None:
        """Notes another remainder. The caller has the lock of the metadata."""

    @abstractmethod
    def _lose_remainder(self) -> None:
        """The store has lost the remainder. Raises BytesLost. The caller has the lock of the metadata."""

    @abstractmethod
    def _adopt_fenced(self) -> None:
        """Begins where the metadata ends by now. Nothing else is under way."""

    @abstractmethod
    def _make_whole(self, generation: int) -> None:
        """Makes the object or objects that the app gets. Raises TakenOver if the writer was fenced."""

    @abstractmethod
    def _cut(self, length_bytes: int) -> None:
        """Discards durable bytes. Nothing else is under way."""

    # --- the promises of storage.Writer -------------------------------------------------------------------

    def write(self, chunk: memoryview, crc32c: int | None = None) -> None:
        """See storage.Writer. Waits only for a caller that has not called `wait_for_capacity`."""
        self._check()
        self._wait_while_too_full(1)
        self._take(chunk, crc32c)
        self.accounted_bytes = self.taken_bytes
        self._flush_timer.came(self._runtime.now_s())
        if self._watcher is None:
            self._watcher = self._runtime.spawn(self._watch, self._generation)

    def wait_for_capacity(self) -> None:
        """See storage.Writer."""
        generation = self._generation
        with contextlib.suppress(TakenOver):
            self._wait_while_too_full(0, lambda: self._generation == generation)

    def flush(self) -> None:
        """See storage.Writer."""
        self._check()
        if self._holds_back:
            return
        try:
            self._store_all()
        except StorageFailed:
            self._given_up_bytes = self.taken_bytes
            raise

    def begin_unchecked(self) -> None:
        """See storage.Writer."""
        self.flush()
        self._holds_back = True

    def accept_unchecked(self) -> None:
        """See storage.Writer."""
        self._check()
        self._holds_back = False
        self._store_all()

    def truncate(self, length_bytes: int) -> None:
        """See storage.Writer. A piece that is stored already may be discarded as a whole."""
        self._check()
        self._rewind()
        if length_bytes < self.durable_offset:
            with s3_errors():
                self._cut(length_bytes)

    def fence(self, token: str) -> None:
        """See storage.Writer."""
        self._token = token
        self._failure = None
        if self._is_open:
            self._rewind()

    def finish(self) -> None:
        """See storage.Writer. What the app gets is there, with its name, when this returns."""
        if self._is_finished:
            return
        self._check()
        if self._holds_back:
            raise StorageFailed
        generation = self._generation
        with self._finish_lock:
            if self._is_finished:
                return  # somebody else was faster
            self._check_generation(generation)
            self._is_finishing = True
            try:
                if not self._is_complete:
                    self._make_whole(generation)
            except BytesLost:
                if generation == self._generation:
                    self._rewind()
                raise
            finally:
                self._is_finishing = False
            self._end()

    @property
    def is_open(self) -> bool:
        """Whether it may still store bytes: neither finished, aborted nor closed."""
        return self._is_open

    @property
    def _is_finished(self) -> bool:
        return self._is_complete and not self._is_open

    def abort(self) -> None:
        """See storage.Writer. When this returns, an object that was being made is complete, or not there."""
        self._end()
        with self._finish_lock:
            pass  # so that `Storage.delete`, which follows, finds it

    def close(self) -> None:
        """See storage.Writer. It tries for CLOSE_LIMIT_S at most."""
        if not self._is_open:
            return
        is_lost = isinstance(self._failure, BytesLost | TakenOver)
        try:
            is_given_up = self._given_up_bytes == self.taken_bytes
            if is_given_up and self.durable_offset < self.taken_bytes:
                raise StorageFailed
            if not self._holds_back and not is_lost and self.durable_offset < self.taken_bytes:
                self._failure = None
                with self._runtime.time_limit(CLOSE_LIMIT_S, StorageFailed()):
                    self._store_all()
        finally:
            self._end()

    # --- room ---------------------------------------------------------------------------------------------

    def _wait_while_too_full(self, more: int, is_wanted: Callable[[], bool] = lambda: True) -> None:
        memory = self._context.memory
        while self._is_open and is_wanted():
            self._raise_failure()
            self._restart()
            if self._is_too_full(more):
                self._wait()
            elif not memory.has_room(self._buffer.capacity_bytes):
                memory.wait()
            else:
                return

    def _is_too_full(self, more: int) -> bool:
        """Returns whether enough is on its way. `more`: how many more large pieces than usual are allowed."""
        return self._unsent_count >= self._context.parallel + more

    def _wait(self) -> None:
        self._changed.clear()
        self._changed.wait(_WAIT_S)

    # --- what is durable ----------------------------------------------------------------------------------

    def _adopt_end(self, number: int, remainder: Remainder | None) -> None:
        """Begins with the piece of this number, of which the remainder has the beginning."""
        known = (
            Extent(remainder.size_bytes, remainder.crc32c, remainder.head_crc32c) if remainder else NOTHING
        )
        # What is known of the upload may have been discarded, too, and with it how large the piece is.
        is_same = (self._buffer.number, self._buffer.capacity_bytes) == (number, self._capacity_bytes(number))
        if is_same and self._buffer.missing_bytes == 0 and self._has_begin(known):
            self._buffer.cut(known)
        else:
            self._buffer.release()
            self._buffer = self._new_buffer(number, known)
        self.taken_bytes = self.accounted_bytes = self.durable_offset = self._noted_bytes

    def _has_begin(self, known: Extent) -> bool:
        """Returns whether the open piece has these first bytes in memory."""
        if self._buffer.size_bytes < known.size_bytes:
            return False
        return self._buffer.measure(known.size_bytes) == known

    def _new_buffer(self, number: int, begin: Extent = NOTHING) -> PartBuffer:
        return PartBuffer(number, self._capacity_bytes(number), self._context.memory, begin)

    def _moved(self) -> None:
        """The metadata has changed: tells how far the upload is."""
        before = self.durable_offset
        self.durable_offset = self._noted_bytes
        self._changed.set()
        if self.durable_offset != before:
            if self.durable_offset == self.taken_bytes:
                self._flush_timer.acknowledged(self._runtime.now_s())
            self._on_durable(None)

    def _change(self, change: Callable[[], None]) -> None:
        """Changes the metadata. What keeps it may be unavailable for a while. The caller has its lock."""
        generation = self._generation
        self._retries.run_change(change, lambda: self._is_open and self._generation == generation)

    def _rewind(self) -> None:
        """Discards all that is not durable, and begins where the metadata ends by now."""
        self._generation += 1
        with self._metadata_lock:  # no change of the metadata is under way
            self._drop_full_pieces()
            self._holds_back = False
            self._adopt_fenced()
            self._flush_timer.restart()
            self._changed.set()

    def _drop_full_pieces(self) -> None:
        for piece in self._full.values():
            if piece.task:
                piece.task.kill(block=False)
            if not piece.is_running:
                self._release(piece)
        self._full.clear()
        self._idle.clear()
        self._unsent_count = self._unsent_bytes = 0
        watcher, self._watcher = self._watcher, None
        if watcher:
            watcher.kill(block=False)

    def _release(self, piece: FullPiece) -> None:
        piece.buffer.release()
        if piece.counted_bytes:
            self._context.memory.give_back(piece.counted_bytes)
            piece.counted_bytes = 0

    def _end(self) -> None:
        """Stops all sending."""
        self._is_open = False
        self._generation += 1
        with self._metadata_lock:  # no change of the metadata is under way
            self._drop_full_pieces()
        self._buffer.release()
        self._changed.set()

    def _check(self) -> None:
        """Raises the error of a greenlet that has failed. The caller has the upload's lock."""
        if not self._is_open:
            raise StorageFailed
        if isinstance(self._failure, BytesLost):
            self._rewind()
            raise BytesLost
        self._raise_failure()

    def _raise_failure(self) -> None:
        """Raises the error of a greenlet that has failed. After StorageFailed the next call tries again."""
        failure = self._failure
        if failure:
            if not isinstance(failure, BytesLost | TakenOver):
                self._failure = None
                self._attempt += 1
            raise failure

    def _failed(self, error: IncomingError, generation: int, attempt: int) -> None:
        """A greenlet has given up: the next call of the writer raises why."""
        is_news = attempt == self._attempt or isinstance(error, BytesLost | TakenOver)
        if generation == self._generation and is_news and self._failure is None:
            self._failure = error
            self._on_durable(error if isinstance(error, StorageFailed | TakenOver) else StorageFailed())

    def _succeeded(self) -> None:
        """The store works again: what it has failed with before is over."""
        if isinstance(self._failure, StorageFailed):
            self._failure = None

    def _check_generation(self, generation: int) -> None:
        """Raises TakenOver if what was not durable then has been discarded since."""
        if generation != self._generation:
            raise TakenOver if self._is_open else StorageFailed

    def _still(self, generation: int) -> Callable[[], bool]:
        """Returns what tells whether nobody has fenced, or closed, this writer since."""
        return lambda: self._generation == generation

    # --- full pieces --------------------------------------------------------------------------------------

    def _send_buffer(self) -> None:
        """The open piece is complete: sends it, and opens the next one."""
        buffer = self._buffer
        piece = self._full[buffer.number] = FullPiece(buffer, buffer.extent)
        self._unsent_count += 1
        self._unsent_bytes += buffer.size_bytes
        self._buffer = self._new_buffer(buffer.number + 1)
        self._start(piece)

    def _start(self, piece: FullPiece) -> None:
        if not piece.counted_bytes:
            piece.counted_bytes = piece.buffer.capacity_bytes
            self._context.memory.take(piece.counted_bytes)
        piece.task = self._runtime.spawn(self._store_piece, piece, self._generation)

    def _restart(self) -> None:
        """Sends the pieces again that could not be stored."""
        idle, self._idle = self._idle, []
        for piece in idle:
            self._start(piece)

    def _store_piece(self, piece: FullPiece, generation: int) -> None:
        """Runs in a greenlet of its own, which may be killed."""
        piece.is_running, attempt = True, self._attempt
        try:
            piece.etag = self._put_piece(piece)
            if generation == self._generation:
                self._unsent_count -= 1
                self._unsent_bytes -= piece.extent.size_bytes
            self._release(piece)
            self._succeeded()
            self._changed.set()
            self._was_put(generation)
        except IncomingError as exc:
            self._failed(exc, generation, attempt)
        finally:
            piece.is_running, piece.task = False, None
            if self._full.get(piece.buffer.number) is not piece:
                self._release(piece)  # nobody sends it again
            elif piece.etag is None:
                self._idle.append(piece)
            self._changed.set()

    def _was_put(self, generation: int) -> None:
        """The store has one more piece."""
        self._note_pieces(generation)

    def _note_pieces(self, generation: int) -> None:
        """Notes the pieces that are stored, and have no gap before them."""
        with self._metadata_lock:
            ready: list[FullPiece] = []
            for piece in self._full.values():
                if piece.etag is None or piece.buffer.number != self._noted_count + 1 + len(ready):
                    break
                ready.append(piece)
            if not ready or self._holds_back or generation != self._generation:
                return
            before = self._remainder
            self._note(ready)
            for piece in ready:
                del self._full[piece.buffer.number]
            self._moved()
        if before:
            self._runtime.spawn(self._delete_quietly, before.key)

    # --- the remainder ------------------------------------------------------------------------------------

    def _store_all(self) -> None:
        """Returns when everything that was taken is durable."""
        while self._full or self.durable_offset < self.taken_bytes:
            if self._holds_back:
                return  # what has come since `begin_unchecked` waits for `accept_unchecked`
            before = self.durable_offset
            self._store_full_pieces()
            self._store_remainder()
            if not self._is_open:
                raise StorageFailed
            if self.durable_offset == before:
                self._wait()  # somebody else is about to note what was stored

    def _store_full_pieces(self) -> None:
        """Returns when all full pieces are durable."""
        while self._full and not self._holds_back:
            self._raise_failure()
            self._restart()
            self._note_pieces(self._generation)
            if self._full:
                self._wait()
            if not self._is_open:
                raise StorageFailed

    def _store_remainder(self) -> None:
        """Stores what the open piece has as an object of its own. All pieces before it are durable."""
        generation = self._generation
        with self._remainder_lock, s3_errors():
            buffer, extent = self._buffer, self._buffer.extent
            if generation != self._generation or self._full or self._holds_back or self._is_stored(extent):
                return
            self._fill(buffer)
            remainder = self._put_remainder(buffer, extent, self._still(generation))
            try:
                unused = self._note_remainder(remainder, generation)
            except BaseException as exc:  # also when this greenlet is killed
                if self._is_unused(remainder.key, exc):
                    self._runtime.spawn(self._delete_quietly, remainder.key)
                raise
        if unused:
            self._runtime.spawn(self._delete_quietly, unused)

    def _put_remainder(self, buffer: PartBuffer, extent: Extent, is_wanted: Callable[[], bool]) -> Remainder:
        """Puts the first bytes of a piece into an object with a new name."""
        key = self._new_key()

        def put() -> None:
            body = PartBody(segments, extent.size_bytes, self._runtime.yield_if_due)
            self._context.client.put(key, body, extent.crc32c, self._ticket_id)

        try:
            with buffer.lent(extent.size_bytes) as segments:
                self._retries.run(put, is_wanted)
        except BaseException:  # also when this greenlet is killed: the store may have it already
            self._runtime.spawn(self._delete_quietly, key)
            raise
        return Remainder(key, buffer.number, *extent)

    def _new_key(self) -> str:
        """Returns a key that nobody else uses, for what is only there until the upload is complete."""
        self._remainder_count += 1
        return f"{self._context.address.remainders(self._ticket_id)}{self._name}-{self._remainder_count}"

    def _is_unused(self, remainder_key: str, error: BaseException) -> bool:
        """Returns whether a remainder that could not be noted is not needed, whatever the metadata says.

        The upload may be over, and then nobody else looks for its remainders any more.
        """
        return isinstance(error, TakenOver) or remainder_key != self._noting_remainder

    def _is_stored(self, extent: Extent) -> bool:
        remainder = self._remainder
        return extent.size_bytes <= (remainder.size_bytes if remainder else 0)

    def _note_remainder(self, remainder: Remainder, generation: int) -> str | None:
        """Notes the remainder. Returns the key of an object that nobody needs any more."""
        with self._metadata_lock:
            if generation != self._generation or remainder.number != self._noted_count + 1:
                return remainder.key  # the whole piece was faster
            self._noting_remainder = remainder.key
            before = self._remainder
            self._set_remainder(remainder)
            self._moved()
            return before.key if before else None

    def _fill(self, buffer: PartBuffer) -> None:
        """Reads the beginning of a piece that is in the remainder only, and compares its checksum.

        Raises TakenOver if the piece was discarded meanwhile. The next claim may have deleted that remainder.
        """
        generation = self._generation
        with self._remainder_lock:
            self._check_generation(generation)
            remainder = self._remainder
            if not buffer.missing_bytes:
                return
            if (
                remainder is None
                or remainder.number != buffer.number
                or remainder.size_bytes < buffer.missing_bytes
            ):
                raise StorageFailed
            known = Extent(remainder.size_bytes, remainder.crc32c, remainder.head_crc32c)
            if self._is_filled(buffer, remainder.key, known, generation):
                return
        with self._metadata_lock:
            self._check_generation(generation)
            log.error(REMAINDER_LOST, {"ticket": short_id(self._ticket_id)})
            self._lose_remainder()

    def _is_filled(self, buffer: PartBuffer, key: str, known: Extent, generation: int) -> bool:
        """Reads what a piece lacks. Returns False if the object is not there, or has other bytes."""
        missing_bytes = buffer.missing_bytes

        def read() -> None:
            at = 0

            def take(data: memoryview) -> None:
                nonlocal at
                self._check_generation(generation)
                buffer.fill(at, data)
                at += len(data)

            self._context.client.read(key, 0, missing_bytes, take)

        is_there = True
        try:
            self._retries.run(read)
        except S3Error as exc:
            if not exc.is_missing:
                raise
            is_there = False
        self._check_generation(generation)
        if is_there and buffer.measure(missing_bytes) == known:
            buffer.filled()
            return True
        return False

    def _watch(self, generation: int) -> None:
        """Has the remainder stored when the client waits for it. An idle upload takes no memory."""
        try:
            while generation == self._generation:
                self._runtime.sleep(LOOK_EVERY_S)
                if generation != self._generation:
                    return
                now_s = self._runtime.now_s()
                is_due = self._flush_timer.is_due(self.taken_bytes, self.durable_offset, now_s)
                if self.durable_offset < self.taken_bytes:
                    self._restart()
                    if is_due and not self._full and not self._is_finishing:
                        self._try_to_store_remainder(generation)
                elif self._flush_timer.idle_s(now_s) >= MEMORY_KEPT_S or not self._buffer.has_memory:
                    if self._is_stored(self._buffer.extent):
                        self._buffer.drop()
                    return
        except IncomingError as exc:
            self._failed(exc, generation, self._attempt)
        finally:
            if generation == self._generation:
                self._watcher = None

    def _try_to_store_remainder(self, generation: int) -> None:
        attempt = self._attempt
        try:
            self._store_remainder()
        except StorageFailed as exc:
            self._failed(exc, generation, attempt)  # the next look tries again
        else:
            self._succeeded()

    def _delete_quietly(self, key: str) -> None:
        with contextlib.suppress(S3Error):
            self._context.client.delete(key)
