"""Sends the bytes of one file to S3, in the parts of a multipart upload: see `stream_writer`.

A part counts once the manifest has it and all parts before it. A file that fits into one part needs no
multipart upload: one call stores it when it is complete.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from incoming.core.checkpoints import START, Checkpoint
from incoming.core.errors import BytesLost, StorageFailed, TakenOver
from incoming.storage import OnDurable
from incoming.storage.s3.metadata.manifest import Manifest, Remainder, StoredPart, extended
from incoming.storage.s3.part_buffer import PartBody
from incoming.storage.s3.store.client import S3Error, s3_errors
from incoming.storage.s3.store.completion import PartsDiffer, UploadGone
from incoming.storage.s3.store.same_parts import etags_of_same_parts
from incoming.storage.s3.stream_writer import FullPiece, StreamWriter, WriterContext

log = logging.getLogger(__name__)


class S3Writer(StreamWriter):
    """See storage.Writer."""

    def __init__(
        self, ticket_id: str, manifest: Manifest, length_bytes: int | None, context: WriterContext,
        on_durable: OnDurable = lambda _: None,
    ) -> None:  # fmt: skip
        super().__init__(ticket_id, length_bytes, context, on_durable)
        self._manifests = context.metadata.manifests
        self._lost_creation = False
        """Whether a multipart upload may have been begun that nobody knows of."""
        self._stored_parts = START
        """The checkpoint of the parts in the manifest."""
        self._adopt(manifest)

    @property
    def upload_id(self) -> str:
        """The multipart upload; empty before its first part is sent."""
        return self._manifest.upload_id

    @property
    def manifest(self) -> Manifest:
        """What is noted. After `fence`, nobody else changes it."""
        return self._manifest

    # --- what is noted ------------------------------------------------------------------------------------

    @property
    def _remainder(self) -> Remainder | None:
        return self._manifest.remainder

    @property
    def _noted_count(self) -> int:
        return len(self._manifest.parts)

    @property
    def _noted_bytes(self) -> int:
        remainder = self._manifest.remainder
        return self._stored_parts.end_bytes + (remainder.size_bytes if remainder else 0)

    @property
    def _is_complete(self) -> bool:
        return self._manifest.is_complete

    @property
    def _is_in_parts(self) -> bool:
        return bool(self._manifest.upload_id or self._full)

    def _capacity_bytes(self, number: int) -> int:
        return self._manifest.plan.size_bytes(number)

    def _adopt(self, manifest: Manifest) -> None:
        """Begins where this manifest ends."""
        self._manifest = manifest
        self._stored_parts = START
        for part in manifest.parts:
            self._stored_parts = extended(self._stored_parts, part.crc32c, part.size_bytes)
        self._adopt_end(len(manifest.parts) + 1, manifest.remainder)

    def _adopt_fenced(self) -> None:
        manifest = self._manifests.fence(self._ticket_id, self._token)
        if manifest is None:
            raise StorageFailed
        self._adopt(manifest)

    def _note(self, pieces: Sequence[FullPiece]) -> None:
        stored = tuple(_stored(piece) for piece in pieces)
        self._change(lambda: self._manifests.add(self._ticket_id, self._token, stored, None))
        self._manifest = replace(self._manifest, parts=(*self._manifest.parts, *stored), remainder=None)
        for new in stored:
            self._stored_parts = extended(self._stored_parts, new.crc32c, new.size_bytes)

    def _set_remainder(self, remainder: Remainder) -> None:
        self._change(lambda: self._manifests.add(self._ticket_id, self._token, (), remainder))
        self._manifest = replace(self._manifest, remainder=remainder)

    def _lose_remainder(self) -> None:
        self._lose(replace(self._manifest, remainder=None))

    # --- parts --------------------------------------------------------------------------------------------

    def _take(self, chunk: memoryview, crc32c: int | None) -> None:
        while chunk:
            count = self._buffer.append(chunk, crc32c)
            chunk, crc32c = chunk[count:], None
            self.taken_bytes += count
            if self._buffer.is_full or (self.taken_bytes == self._length_bytes and self._is_in_parts):
                self._send_buffer()

    def _put_piece(self, piece: FullPiece) -> str:
        number, size_bytes = piece.buffer.number, piece.extent.size_bytes
        with s3_errors():
            self._fill(piece.buffer)
            with piece.buffer.lent(size_bytes) as segments:

                def put() -> str:
                    body = PartBody(segments, size_bytes, self._runtime.yield_if_due)
                    key = self._manifest.key
                    return self._context.client.put_part(key, upload_id, number, body, piece.extent.crc32c)

                while True:
                    upload_id = self._upload_id()
                    try:
                        return self._retries.run(put)
                    except S3Error as exc:
                        if exc.code != "NoSuchUpload":
                            raise
                    self._upload_is_gone(upload_id)

    def _upload_id(self) -> str:
        """Returns the id of the multipart upload; begins it before its first part."""
        client, key = self._context.client, self._manifest.key
        with self._upload_lock:
            if self._manifest.upload_id:
                return self._manifest.upload_id
            upload_id = self._retries.run(lambda: self._create(key))
            with self._metadata_lock:
                begun = replace(self._manifest, upload_id=upload_id)
                try:
                    self._change(lambda: self._manifests.replace(self._ticket_id, self._token, begun))
                except TakenOver:
                    with contextlib.suppress(S3Error):
                        client.abort(key, upload_id)
                    raise
                self._manifest = begun
            return upload_id

    def _create(self, key: str) -> str:
        try:
            return self._context.client.create(key, self._ticket_id)
        except S3Error as exc:
            self._lost_creation = self._lost_creation or not exc.status
            raise

    def _upload_is_gone(self, upload_id: str) -> None:
        """The store has ended the multipart upload. Raises BytesLost if parts of it were durable."""
        with self._metadata_lock:
            if self._manifest.upload_id == upload_id:
                log.error("upload %(ticket)s: the store has discarded its parts", {"ticket": self._ticket_id})
                self._lose(replace(self._manifest, upload_id="", parts=(), remainder=None))

    def _lose(self, manifest: Manifest) -> None:
        """Only this is left of what was durable. Raises BytesLost if that is less.

        The caller has the manifest's lock.
        """
        was_bytes = self._manifest.size_bytes
        self._change(lambda: self._manifests.replace(self._ticket_id, self._token, manifest))
        self._manifest = manifest
        if manifest.size_bytes < was_bytes:
            raise BytesLost

    # --- the end ------------------------------------------------------------------------------------------

    def _make_whole(self, generation: int) -> None:
        is_in_parts = self._is_in_parts
        whole = self._complete(generation) if is_in_parts else self._put_whole(generation)
        self._set_complete(whole, generation)

    def _complete(self, generation: int) -> Manifest:
        """Makes the object of all parts. Returns the manifest of it. Raises TakenOver if it was fenced."""
        if self._buffer.size_bytes:
            self._send_buffer()
        self._store_all()
        self._check_generation(generation)
        manifest = self._manifest
        try:
            self._make_object(manifest, generation)
        except UploadGone:
            self._check_generation(generation)
            self._upload_is_gone(manifest.upload_id)
            raise StorageFailed from None
        except PartsDiffer:
            self._check_generation(generation)
            self._compare_parts()
            manifest = self._manifest
            self._make_object(manifest, generation)
        return replace(manifest, is_complete=True)

    def _make_object(self, manifest: Manifest, generation: int) -> None:
        is_wanted = self._still(generation)
        self._context.completion.complete(self._ticket_id, manifest, is_wanted)

    def _put_whole(self, generation: int) -> Manifest:
        """Stores a file that fits into one part with one call. Returns the manifest of it."""
        manifest, buffer, extent = self._manifest, self._buffer, self._buffer.extent
        with s3_errors():
            self._fill(buffer)
        self._check_generation(generation)

        whole = Checkpoint(extent.size_bytes, extent.crc32c)
        with buffer.lent(extent.size_bytes) as segments:

            def body() -> PartBody:
                return PartBody(segments, extent.size_bytes, self._runtime.yield_if_due)

            is_wanted = self._still(generation)
            self._context.completion.put(self._ticket_id, manifest.key, body, whole, is_wanted)
        parts = (StoredPart(1, "", *extent),) if extent.size_bytes else ()
        return replace(manifest, parts=parts, remainder=None, is_complete=True)

    def _set_complete(self, whole: Manifest, generation: int) -> None:
        with self._metadata_lock:
            self._check_generation(generation)
            had_rest = self._manifest.remainder
            if self._manifest.parts == whole.parts:
                self._change(lambda: self._manifests.set_complete(self._ticket_id, self._token))
            else:
                self._change(lambda: self._manifests.replace(self._ticket_id, self._token, whole))
            self._manifest = whole
            self.durable_offset = self.accounted_bytes = self.taken_bytes
        if whole.upload_id or had_rest or self._remainder_count:
            self._runtime.spawn(self._delete_leftovers)

    def _compare_parts(self) -> None:
        """Keeps what the store has as the manifest says. Raises BytesLost if that is less.

        Somebody has stored a part again: with other bytes, or with the same and another ETag (SSE-KMS).
        """
        key, upload_id = self._manifest.key, self._manifest.upload_id
        with self._metadata_lock, s3_errors():
            listed = self._retries.run(lambda: self._context.client.list_parts(key, upload_id))
            etags = etags_of_same_parts(self._manifest.parts, listed)
            same = tuple(
                replace(part, etag=etag) for part, etag in zip(self._manifest.parts, etags, strict=False)
            )
            if same == self._manifest.parts:
                raise StorageFailed  # nothing differs that can be repaired
            log.error(
                "upload %(ticket)s: the store has %(count)d of its parts as they were sent",
                {"ticket": self._ticket_id, "count": len(same)},
            )
            self._lose(replace(self._manifest, parts=same, remainder=None))

    def _delete_leftovers(self) -> None:
        """Deletes what is left: all remainders, also those of processes that were killed."""
        client, key, run = self._context.client, self._manifest.key, self._retries.run
        with contextlib.suppress(S3Error, StorageFailed):
            for remainder_key in run(lambda: client.keys(self._context.address.remainders(self._ticket_id))):
                run(partial(client.delete, remainder_key))
            if self._lost_creation or key == self._context.address.object_key(self._ticket_id):
                for upload_id in run(lambda: client.uploads(key)):
                    run(partial(client.abort, key, upload_id))  # a killed process may have begun it

    def _cut(self, length_bytes: int) -> None:
        """Discards durable bytes. Nothing else is under way."""
        manifest = self._manifest
        if manifest.is_complete:
            self._retries.run(lambda: self._context.client.delete(manifest.key))
            new = replace(manifest, upload_id="", parts=(), remainder=None, is_complete=False)
        else:
            new = manifest.cut(*self._left_of(length_bytes))
        count, remainder = len(new.parts), new.remainder
        with self._metadata_lock:
            if manifest.is_complete:
                self._change(lambda: self._manifests.replace(self._ticket_id, self._token, new))
            else:
                self._change(lambda: self._manifests.cut(self._ticket_id, self._token, count, remainder))
            self._adopt(new)
        if manifest.remainder and not remainder:
            self._runtime.spawn(self._delete_quietly, manifest.remainder.key)

    def _left_of(self, length_bytes: int) -> tuple[int, Remainder | None]:
        """Returns how many parts, and what of the remainder, is left of the first `length_bytes`."""
        count, end = 0, 0
        for part in self._manifest.parts:
            if end + part.size_bytes > length_bytes:
                return count, None
            count, end = count + 1, end + part.size_bytes
        remainder = self._manifest.remainder
        if remainder is None or end == length_bytes:
            return count, None
        self._fill(self._buffer)
        extent = self._buffer.measure(length_bytes - end)
        return count, Remainder(remainder.key, remainder.number, *extent)


def _stored(piece: FullPiece) -> StoredPart:
    return StoredPart(piece.buffer.number, piece.etag or "", *piece.extent)
