"""Sends a folder to S3 while its stream comes in: see `stream_writer`, and `plan` for its pieces.

A small file is put whole into an object of its own, many at a time. A large one has a multipart upload, which
is completed as soon as all parts are stored. The head of the stream is an object that nobody overwrites, as
the remainder is. A piece counts once it and all pieces before it are noted. The list of the files comes last,
when the store has shown that it has everything else: see `completion`.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from incoming.core.checkpoints import Checkpoint
from incoming.core.checksum import checksum, combine, zeros_checksum
from incoming.core.errors import (
    BadFolder,
    BadParameter,
    BytesLost,
    IncomingError,
    StorageFailed,
    TakenOver,
)
from incoming.core.folder_manifest import HEADER_BYTES, check_begins, check_length, head_bytes
from incoming.core.hashes import HASHED_IN_POOL_BYTES
from incoming.core.ticket import short_id
from incoming.storage import OnDurable
from incoming.storage.s3.folders.completion import FolderCompletion, list_key
from incoming.storage.s3.folders.context import FolderContext, HeadLost
from incoming.storage.s3.folders.objects import NewObject, time_metadata
from incoming.storage.s3.folders.plan import HEAD_NUMBER, FolderPlan, Piece, read_plan
from incoming.storage.s3.metadata.folder_states import FolderState, StoredPiece
from incoming.storage.s3.metadata.manifest import HEAD_BYTES, Manifest, Remainder, StoredPart
from incoming.storage.s3.part_buffer import Extent, PartBody, PartBuffer
from incoming.storage.s3.store.client import S3Error, s3_errors
from incoming.storage.s3.store.completion import PartsDiffer, UploadGone
from incoming.storage.s3.stream_writer import FullPiece, StreamWriter

log = logging.getLogger(__name__)

NOTE_AFTER_S: Final = 0.02
"""Pieces that are stored within this time are noted together."""
QUEUED_PIECES: Final = 64
"""A client waits while this many pieces are not stored yet."""
HEAD_LOST: Final = (
    "upload %(ticket)s: the object with the list of its files is missing in S3, or has other bytes. The "
    "client sends the whole folder again"
)
PIECE_LOST: Final = (
    "upload %(ticket)s: a file of the folder, or a part of one, is missing in S3, or has other bytes. The "
    "client sends all bytes after the first %(size_bytes)d again"
)
_OTHER_LENGTH: Final = "The upload has another length than the files in its list"


class _RunningHash:
    """The SHA-256 of a large file, to which its parts are added in their order."""

    def __init__(self) -> None:
        self.next_part = 1
        self.digest = hashlib.sha256()


class S3FolderWriter(StreamWriter):
    """See storage.FolderWriter."""

    def __init__(
        self, ticket_id: str, state: FolderState, length_bytes: int | None, shared: FolderContext,
        on_durable: OnDurable = lambda _: None,
    ) -> None:  # fmt: skip
        super().__init__(ticket_id, length_bytes, shared.writers, on_durable)
        self._states = shared.writers.metadata.folders
        self._shared = shared
        self._finished_generation = 0
        """The generation in which the folder is completed."""
        self._completion = FolderCompletion(
            ticket_id,
            shared,
            lambda: self._check_generation(self._finished_generation),
        )
        self._call_slots = shared.call_slots()
        self._plan: FolderPlan | None = None
        """None until the head is complete."""
        self._pieces: list[StoredPiece] = []
        """All pieces that are noted."""
        self._head_key = ""
        self._head_bytes = 0
        """How long the head is; 0 while that is not known."""
        self._taken_crc = 0
        """The CRC-32C of everything that was taken."""
        self._wants_sha256 = state.wants_sha256
        self._hashes: dict[int, _RunningHash] = {}
        """Of the large files that have come from their first byte on, by the index of their entry."""
        self._completing: set[int] = set()
        """The large files whose object is being made."""
        self._note_is_due = False
        self._begins_anew = False
        """Whether pieces may be noted that are not there any more."""
        self._left_out: tuple[int, ...] = ()
        self._adopt(state)

    # --- what is noted ------------------------------------------------------------------------------------

    @property
    def _remainder(self) -> Remainder | None:
        return self._state.remainder

    @property
    def _noted_count(self) -> int:
        return self._state.count

    @property
    def _noted_bytes(self) -> int:
        return self._state.size_bytes

    @property
    def _is_complete(self) -> bool:
        return self._state.is_complete

    @property
    def left_out(self) -> tuple[int, ...]:
        """See storage.FolderWriter."""
        return self._left_out

    def want_sha256(self) -> None:
        """See storage.FolderWriter. It is noted with the first bytes."""
        self._wants_sha256 = True

    def set_length(self, length_bytes: int) -> None:
        """See storage.FolderWriter."""
        if self._plan:
            check_length(length_bytes, self._plan.manifest.length_bytes)
        elif length_bytes >= HEADER_BYTES:  # else it is not a folder at all
            check_length(length_bytes, max(self._head_bytes, self.taken_bytes + 1), at_least=True)
        self._length_bytes = length_bytes

    def _capacity_bytes(self, number: int) -> int:
        if number == HEAD_NUMBER:
            return self._head_bytes or HEADER_BYTES
        if self._plan is None or number > self._plan.count:
            return 0
        return self._plan.piece(number).size_bytes

    def _adopt(self, state: FolderState) -> None:
        """Begins where this state ends."""
        pieces, plan = self._pieces, self._plan
        known = (len(pieces), pieces[-1].after_crc32c if pieces else 0, self._head_key)
        if not state.count:
            pieces, plan = [], None
        elif plan is None or known != (state.count, state.crc32c, state.head_key):
            pieces = self._states.pieces(self._ticket_id)[: state.count]
            if len(pieces) < state.count:
                raise StorageFailed  # somebody has changed them meanwhile
            try:
                plan = self._shared.plan(state, pieces[0])
            except HeadLost:
                log.error(HEAD_LOST, {"ticket": short_id(self._ticket_id)})
                state, pieces, plan = FolderState(state.key, state.part_bytes), [], None
        self._begins_anew = not state.count
        self._state, self._pieces, self._plan = state, pieces, plan
        self._head_key, self._head_bytes = state.head_key, state.head_bytes
        self._taken_crc = state.checkpoint.crc32c
        self._wants_sha256 = self._wants_sha256 or state.wants_sha256
        self._left_out = plan.left_out(pieces) if plan and state.left_out else ()
        self._hashes.clear()
        self._adopt_end(state.count + 1, state.remainder)

    def _adopt_fenced(self) -> None:
        state = self._states.fence(self._ticket_id, self._token)
        if state is None:
            raise StorageFailed
        self._adopt(state)

    def _save(self, state: FolderState, new: Sequence[StoredPiece] = (), cuts: bool = False) -> None:
        """Changes what is noted. The caller has the lock of the metadata."""
        state = replace(state, wants_sha256=self._wants_sha256)
        change = self._states.replace if cuts or self._begins_anew else self._states.add
        self._change(lambda: change(self._ticket_id, self._token, state, new))
        if cuts:
            del self._pieces[state.count - len(new) :]
        self._pieces += new
        self._state, self._begins_anew = state, False

    def _check_claim(self) -> None:
        """Raises TakenOver if there is a newer claim."""
        with self._metadata_lock:
            self._save(self._state)

    def _note(self, pieces: Sequence[FullPiece]) -> None:
        new = [StoredPiece(*one.extent, one.after_crc32c, one.etag or "", one.sha256) for one in pieces]
        state = replace(
            self._state,
            count=self._state.count + len(new),
            end_bytes=self._state.end_bytes + sum(one.size_bytes for one in new),
            crc32c=new[-1].after_crc32c,
            head_key=self._head_key,
            head_bytes=self._head_bytes,
            remainder=None,
        )
        self._save(state, new)
        self._complete_large_files(state.count - len(new) + 1)

    def _set_remainder(self, remainder: Remainder) -> None:
        self._save(replace(self._state, remainder=remainder, head_bytes=self._head_bytes))

    def _lose_remainder(self) -> None:
        self._save(replace(self._state, remainder=None))
        raise BytesLost

    def _lose_from(self, number: int, index: int = -1) -> None:
        """The store has lost a piece, and maybe the multipart upload of an entry.

        Raises BytesLost if it was durable. The caller has the lock of the metadata.
        """
        was_bytes = self._state.size_bytes
        state = self._cut_state(min(number - 1, self._state.count))
        left = {of: upload_id for of, upload_id in state.uploads.items() if of != index}
        self._save(replace(state, uploads=left), cuts=True)
        log.error(PIECE_LOST, {"ticket": short_id(self._ticket_id), "size_bytes": state.size_bytes})
        if state.size_bytes < was_bytes:
            raise BytesLost

    def _cut_state(self, count: int, remainder: Remainder | None = None) -> FolderState:
        """Returns the state in which only the first `count` pieces are stored, and this remainder."""
        plan, state = self._plan, self._state
        if plan is None or not count:
            head = self._head_bytes if remainder and remainder.size_bytes >= HEADER_BYTES else 0
            return FolderState(state.key, state.part_bytes, remainder=remainder, head_bytes=head)
        return replace(
            state,
            count=count,
            end_bytes=plan.end(count),
            crc32c=self._pieces[count - 1].after_crc32c,
            remainder=remainder,
            uploads={
                index: upload_id for index, upload_id in state.uploads.items() if plan.first(index) <= count
            },
            left_out=len(plan.left_out(self._pieces[:count])) if state.left_out else 0,
            is_complete=False,
        )

    # --- the stream ---------------------------------------------------------------------------------------

    def _take(self, chunk: memoryview, crc32c: int | None) -> None:
        whole_bytes = len(chunk)
        while chunk:
            if self._plan is None:
                count = self._take_head(chunk)
            elif self._buffer.number > self._plan.count:
                raise BadFolder("wrong_length", _OTHER_LENGTH)
            else:
                count = self._append(chunk, crc32c if len(chunk) == whole_bytes else None)
            chunk = chunk[count:]
            self._send_due()
            self._runtime.yield_if_due()

    def _append(self, chunk: memoryview, crc32c: int | None) -> int:
        """Puts the beginning of a chunk into the open piece. Returns how many bytes that is."""
        count = self._buffer.append(chunk, crc32c)
        if crc32c is not None and count == len(chunk):
            self._taken_crc = combine(self._taken_crc, crc32c, count)
        else:
            self._taken_crc = checksum(chunk[:count], self._taken_crc)
        self.taken_bytes += count
        return count

    def _take_head(self, chunk: memoryview) -> int:
        """Takes bytes of the head. When it is complete, it is read first. Raises BadFolder."""
        if self._buffer.missing_bytes:
            with s3_errors():
                self._fill(self._buffer)
        missing = self._buffer.capacity_bytes - self._buffer.size_bytes
        if self._head_bytes and len(chunk) < missing:
            return self._append(chunk, None)  # nothing to read yet: a long head is not copied for each chunk

        begun = self._buffer.content()
        head = begun + bytes(chunk[:missing])
        if self._head_bytes:
            self._read_head(head)
        else:
            check_begins(head, self._length_bytes)
            if len(chunk) >= missing:
                self._read_header(begun, head)
        return self._append(chunk[:missing], None)

    def _read_header(self, begun: bytes, header: bytes) -> None:
        """Reads how long the head is, and makes room for it. `begun`: what the buffer has of it."""
        length_bytes = head_bytes(header, self._shared.bounds)
        check_length(self._length_bytes, length_bytes, at_least=True)
        if length_bytes == HEADER_BYTES:
            self._read_head(header)
        self._head_bytes = length_bytes
        self._buffer.release()
        self._buffer = self._new_buffer(HEAD_NUMBER)
        self._buffer.append(memoryview(begun))

    def _read_head(self, head: bytes) -> None:
        state = self._state
        plan = self._runtime.in_pool(read_plan, head, state.key, state.part_bytes, self._shared.bounds)
        check_length(self._length_bytes, plan.manifest.length_bytes)
        self._plan = plan

    def _send_due(self) -> None:
        """Sends the open piece if it is complete, and the empty files after it."""
        while self._plan and self._buffer.is_full and self._buffer.number <= self._plan.count:
            number = self._buffer.number
            self._send_buffer()
            self._full[number].after_crc32c = self._taken_crc

    def _is_too_full(self, more: int) -> bool:
        large = (self._context.parallel + more) * self._state.part_bytes
        return self._unsent_count >= QUEUED_PIECES or self._unsent_bytes >= large

    def _store_all(self) -> None:
        self._send_due()
        super()._store_all()

    def _was_put(self, generation: int) -> None:
        if not self._unsent_count:
            self._note_pieces(generation)
        elif not self._note_is_due:
            self._note_is_due = True
            self._runtime.spawn(self._note_soon, generation, self._attempt)

    def _note_soon(self, generation: int, attempt: int) -> None:
        try:
            self._runtime.sleep(NOTE_AFTER_S)
        finally:
            self._note_is_due = False
        try:
            self._note_pieces(generation)
        except IncomingError as exc:
            self._failed(exc, generation, attempt)

    # --- pieces -------------------------------------------------------------------------------------------

    @property
    def _known_plan(self) -> FolderPlan:
        if self._plan is None:
            raise StorageFailed
        return self._plan

    def _put_piece(self, piece: FullPiece) -> str:
        generation, buffer = self._generation, piece.buffer
        with self._call_slots, s3_errors():
            self._fill(buffer)
            if buffer.number == HEAD_NUMBER:
                self._head_key = self._put_remainder(buffer, piece.extent, self._still(generation)).key
                self._shared.keep(self._head_key, self._known_plan)
                return self._head_key
            what = self._known_plan.piece(buffer.number)
            with buffer.lent(piece.extent.size_bytes) as segments:
                if self._wants_sha256:
                    piece.sha256 = piece.sha256 or self._hashed(piece, what, segments)
                new_body = partial(PartBody, segments, piece.extent.size_bytes, self._runtime.yield_if_due)
                if what.part:
                    return self._put_part(what, new_body, piece.extent.crc32c)
                return self._put_file(what, new_body, piece.extent)

    def _put_file(self, what: Piece, new_body: Callable[[], PartBody], extent: Extent) -> str:
        plan, is_wanted = self._known_plan, self._still(self._generation)
        whole = Checkpoint(extent.size_bytes, extent.crc32c)
        modified_ms = plan.manifest.entries[what.entry].modified_ms
        is_shared = self._shared.is_shared(self._ticket_id, self._state)
        new = NewObject(plan.keys[what.entry], self._ticket_id, whole, new_body, modified_ms, is_shared)
        return self._shared.objects.put(new, self._check_claim, is_wanted)

    def _put_part(self, what: Piece, new_body: Callable[[], PartBody], crc32c: int) -> str:
        key = self._known_plan.keys[what.entry]
        while True:
            upload_id = self._upload_id(what.entry)
            put = partial(self._context.client.put_part, key, upload_id, what.part)
            try:
                return self._retries.run(partial(_put_new, put, new_body, crc32c))
            except S3Error as exc:
                if exc.code != "NoSuchUpload":
                    raise
            self._upload_is_gone(what.entry, upload_id)

    def _upload_id(self, index: int) -> str:
        """Returns the id of a file's multipart upload; begins it before its first part."""
        with self._upload_lock:
            if index in self._state.uploads:
                return self._state.uploads[index]
            plan = self._known_plan
            key, about = plan.keys[index], time_metadata(plan.manifest.entries[index].modified_ms)
            upload_id = self._retries.run(lambda: self._context.client.create(key, self._ticket_id, about))
            with self._metadata_lock:
                try:
                    self._save(replace(self._state, uploads={**self._state.uploads, index: upload_id}))
                except TakenOver:
                    self._abort_quietly(key, upload_id)
                    raise
            return upload_id

    def _upload_is_gone(self, index: int, upload_id: str) -> None:
        """The store has ended a multipart upload. Raises BytesLost if parts of it were durable."""
        with self._metadata_lock:
            if self._state.uploads.get(index) == upload_id:
                self._lose_from(self._known_plan.first(index), index)

    def _abort_quietly(self, key: str, upload_id: str) -> None:
        with contextlib.suppress(S3Error):
            self._context.client.abort(key, upload_id)

    def _hashed(self, piece: FullPiece, what: Piece, segments: Sequence[memoryview]) -> str:
        """Adds a piece to the SHA-256 of its file. Returns that if the file is complete, and it is known."""
        if what.part == 1:
            self._hashes.setdefault(what.entry, _RunningHash())
        running = self._hashes.get(what.entry) if what.part else _RunningHash()
        if running is None:
            return ""  # the file is read when it is complete
        part, generation = max(what.part, 1), self._generation
        while running.next_part < part:
            self._wait()
            self._check_generation(generation)
        if running.next_part == part:
            body = PartBody(segments, piece.extent.size_bytes, lambda: None)
            if piece.extent.size_bytes > HASHED_IN_POOL_BYTES:
                self._runtime.in_pool(_add, running, body)
            else:
                _add(running, body)
            running.next_part += 1
            self._changed.set()
        if piece.buffer.number < self._known_plan.last(what.entry):
            return ""
        self._hashes.pop(what.entry, None)
        return running.digest.hexdigest()

    # --- large files --------------------------------------------------------------------------------------

    def _complete_large_files(self, first: int) -> None:
        """Begins to make the objects of the large files that end with a noted piece, from this one on."""
        plan, generation = self._known_plan, self._generation
        for number in range(max(first, HEAD_NUMBER + 1), self._state.count + 1):
            what = plan.piece(number) if self._state.uploads else None
            if what and what.part and number == plan.last(what.entry) and what.entry in self._state.uploads:
                self._completing.add(what.entry)
                self._runtime.spawn(self._complete_quietly, what.entry, generation)

    def _complete_quietly(self, index: int, generation: int) -> None:
        """Makes the object of a file early. After an error `finish` does it."""
        try:
            with self._call_slots, contextlib.suppress(IncomingError, UploadGone, PartsDiffer):
                self._complete_large_file(index, generation)
        finally:
            self._completing.discard(index)
            self._changed.set()

    def _complete_large_file(self, index: int, generation: int) -> None:
        """Makes the object of a large file, all of whose parts are noted. Raises UploadGone, PartsDiffer."""
        upload_id = self._state.uploads.get(index)
        if upload_id is None or generation != self._generation:
            return
        file, is_wanted = self._file(index, upload_id), self._still(generation)
        self._context.completion.complete(self._ticket_id, file, is_wanted, self._check_claim)
        with self._metadata_lock:
            if generation == self._generation:
                left = {of: one for of, one in self._state.uploads.items() if of != index}
                self._state = replace(self._state, uploads=left)  # it is noted with the next piece

    def _file(self, index: int, upload_id: str) -> Manifest:
        """Returns the manifest of a large file."""
        plan = self._known_plan
        parts = plan.parts_of(index)
        assert parts
        first, last = plan.first(index), plan.last(index)
        stored = tuple(
            StoredPart(number, one.etag, one.size_bytes, one.crc32c, one.head_crc32c)
            for number, one in enumerate(self._pieces[first - 1 : last], 1)
        )
        return Manifest(plan.keys[index], parts, upload_id, stored)

    # --- leaving a file out -------------------------------------------------------------------------------

    def leave_out(self, index: int) -> None:
        """See storage.FolderWriter. The mark is noted first. Then the object is deleted, if there is one."""
        self._check()
        self._send_due()
        self._store_full_pieces()
        self._rewind_to_leave_out(index)

    def _rewind_to_leave_out(self, index: int) -> None:
        plan = self._plan
        if plan is None or not 0 <= index < len(plan.manifest.entries):
            raise BadParameter("index", "is not the number of a file that can be left out now")
        start, end = plan.manifest.range_of(index)
        if index in self._left_out and end == self.taken_bytes:
            return
        first, last = plan.first(index), plan.last(index)
        is_near = start <= self.taken_bytes <= end and self._noted_count >= first - 1
        if plan.manifest.entries[index].is_folder or not is_near:
            raise BadParameter("index", "is not the number of a file that can be left out now")
        self._rewind()
        with self._metadata_lock:
            upload_id = self._state.uploads.get(index, "")
            before, after = self._cut_state(first - 1), self._pieces[last:]
            zeros = _zeros(plan, range(first, last + 1), before.crc32c)
            crc = zeros[-1].after_crc32c
            zeros += [replace(one, after_crc32c=crc) for one in after]  # of empty files
            state = replace(
                before,
                count=before.count + len(zeros),
                end_bytes=end,
                crc32c=crc,
                left_out=len(plan.left_out([*self._pieces[: first - 1], *zeros])),
            )
            self._save(state, zeros, cuts=True)
            self._adopt(self._state)
        if upload_id:
            self._abort_quietly(plan.keys[index], upload_id)
        with contextlib.suppress(StorageFailed):  # what is left is deleted in the end
            self._shared.objects.delete_own(plan.keys[index], self._ticket_id)

    # --- truncation ---------------------------------------------------------------------------------------

    def _cut(self, length_bytes: int) -> None:
        plan, state = self._plan, self._state
        if state.is_complete:
            self._shared.objects.delete_own(list_key(state.key), self._ticket_id)
        count = plan.last_within(length_bytes, state.count) if plan else 0
        whole_bytes = plan.end(count) if plan else 0
        remainder: Remainder | None = None
        begun = plan.piece(count + 1) if plan and HEAD_NUMBER <= count < plan.count else None
        if plan and begun and self._goes_as_a_whole(plan, begun, count):
            count = plan.first(begun.entry) - 1
        elif length_bytes > whole_bytes:
            remainder = self._remainder_of(count + 1, length_bytes - whole_bytes)
        dropped = [one for one in state.uploads if plan and plan.first(one) > count]
        with self._metadata_lock:
            before = state.remainder
            self._save(self._cut_state(count, remainder), cuts=True)
            self._adopt(self._state)
        if before and (remainder is None or before.key != remainder.key):
            self._runtime.spawn(self._delete_quietly, before.key)
        for index in dropped:
            if plan:
                self._runtime.spawn(self._abort_quietly, plan.keys[index], state.uploads[index])

    def _goes_as_a_whole(self, plan: FolderPlan, begun: Piece, count: int) -> bool:
        """Returns whether nothing can stay of the file in whose range the cut is, or that ends there.

        Its object may be complete, and then no part can be replaced. Or it is left out.
        """
        first, last = plan.first(begun.entry), plan.last(begun.entry)
        noted = self._state.count
        is_left_out = begun.entry in self._left_out
        return (count >= first or (is_left_out and noted >= last)) and noted >= last

    def _remainder_of(self, number: int, size_bytes: int) -> Remainder | None:
        """Returns the remainder that has the first bytes of a piece; None where nobody has them any more."""
        plan, remainder = self._plan, self._state.remainder
        if number > self._state.count:  # they are in the remainder already
            if remainder is None:
                return None
            self._fill(self._buffer)
            return Remainder(remainder.key, remainder.number, *self._buffer.measure(size_bytes))
        stored = self._pieces[number - 1]
        if plan is None or (number > HEAD_NUMBER and (plan.piece(number).part or not stored.etag)):
            return None
        key = self._state.head_key if number == HEAD_NUMBER else plan.keys[plan.piece(number).entry]
        known = Extent(stored.size_bytes, stored.crc32c, stored.head_crc32c)
        buffer = PartBuffer(number, stored.size_bytes, self._context.memory, known)
        generation = self._generation
        try:
            if not self._is_filled(buffer, key, known, generation):
                return None
            return self._put_remainder(buffer, buffer.measure(size_bytes), self._still(generation))
        finally:
            buffer.release()

    # --- the end ------------------------------------------------------------------------------------------

    def _make_whole(self, generation: int) -> None:
        self._store_all()
        self._check_generation(generation)
        plan = self._plan
        if plan is None or self._state.count < plan.count:
            raise BadFolder("wrong_length", _OTHER_LENGTH)
        self._complete_left_files(plan, generation)
        self._check_generation(generation)
        self._finished_generation = generation
        wrong = self._completion.first_wrong(plan, self._state, self._pieces)
        self._check_generation(generation)
        if wrong:
            with self._metadata_lock:
                self._lose_from(wrong)
            raise StorageFailed
        if self._state.wants_sha256:
            self._completion.hash_files(plan, self._pieces)
        self._check_claim()
        is_wanted = self._still(generation)
        self._completion.put_list(plan, self._state, self._pieces, self._check_claim, is_wanted)
        with self._metadata_lock:
            self._check_generation(generation)
            files, files_bytes = plan.arrived(self._left_out)
            self._save(replace(self._state, is_complete=True, files=files, files_bytes=files_bytes))
            self.durable_offset = self.accounted_bytes = self.taken_bytes
        self._runtime.spawn(self._completion.delete_leftovers, self._state)

    def _complete_left_files(self, plan: FolderPlan, generation: int) -> None:
        """Makes the objects of all large files that are not made yet."""
        while self._completing:
            self._wait()
        for index in sorted(self._state.uploads):
            upload_id = self._state.uploads[index]
            try:
                try:
                    self._complete_large_file(index, generation)
                except PartsDiffer:
                    self._check_generation(generation)
                    self._keep_what_is_same(plan, index, upload_id)
                    self._complete_large_file(index, generation)
            except UploadGone:
                self._check_generation(generation)
                self._upload_is_gone(index, upload_id)
                raise StorageFailed from None
            except PartsDiffer:
                raise StorageFailed from None  # nothing differs that can be repaired

    def _keep_what_is_same(self, plan: FolderPlan, index: int, upload_id: str) -> None:
        """Keeps the parts of a file that the store has as they were sent. Raises BytesLost."""
        file = self._file(index, upload_id)
        etags = self._completion.etags_of_same_parts(file)
        first = plan.first(index)
        for number, etag in enumerate(etags, first):
            self._pieces[number - 1] = replace(self._pieces[number - 1], etag=etag)
        if len(etags) < len(file.parts):
            with self._metadata_lock:
                self._lose_from(first + len(etags))


def _zeros(plan: FolderPlan, numbers: Iterable[int], crc32c: int) -> list[StoredPiece]:
    """Returns what is noted of the pieces of a file that is left out. `crc32c`: of all bytes before."""
    found: list[StoredPiece] = []
    for number in numbers:
        size_bytes = plan.piece(number).size_bytes
        zeros_crc = zeros_checksum(size_bytes)
        crc32c = combine(crc32c, zeros_crc, size_bytes)
        head_crc = zeros_checksum(min(size_bytes, HEAD_BYTES))
        found.append(StoredPiece(size_bytes, zeros_crc, head_crc, crc32c))
    return found


def _put_new(put: Callable[[PartBody, int], str], new_body: Callable[[], PartBody], crc32c: int) -> str:
    return put(new_body(), crc32c)


def _add(running: _RunningHash, body: PartBody) -> None:
    while piece := body.read():
        running.digest.update(piece)
