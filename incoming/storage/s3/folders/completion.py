"""The end of a folder in S3: the store shows what it has, and the list of the files is stored last.

Nothing is handed over before that list is stored. So all of this may take long, and may be repeated.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from incoming.core.checkpoints import START, Checkpoint
from incoming.core.checksum import checksum
from incoming.core.errors import StorageFailed
from incoming.core.folder_list import line
from incoming.storage.s3.folders.context import FolderContext
from incoming.storage.s3.folders.objects import NewObject
from incoming.storage.s3.folders.plan import FolderPlan
from incoming.storage.s3.memory_budget import SEGMENT_BYTES
from incoming.storage.s3.metadata.folder_states import FolderState, StoredPiece
from incoming.storage.s3.metadata.manifest import Manifest, extended
from incoming.storage.s3.part_buffer import PartBody
from incoming.storage.s3.store.client import ListedObject, S3Error, s3_errors
from incoming.storage.s3.store.completion import etag_of_parts
from incoming.storage.s3.store.same_parts import etags_of_same_parts

LIST: Final = ".manifest"


def list_key(folder_key: str) -> str:
    """Returns the key of the list of a folder's files, which is next to the folder."""
    return f"{folder_key}{LIST}"


def whole_file(pieces: Sequence[StoredPiece]) -> Checkpoint:
    """Returns the length and the CRC-32C of a file that has these pieces."""
    if len(pieces) == 1:
        return Checkpoint(pieces[0].size_bytes, pieces[0].crc32c)
    whole = START
    for piece in pieces:
        whole = extended(whole, piece.crc32c, piece.size_bytes)
    return whole


def _etag(pieces: Sequence[StoredPiece]) -> str | None:
    """Returns the ETag of a file that has these pieces; None where it can't be known."""
    return pieces[0].etag if len(pieces) == 1 else etag_of_parts([piece.etag for piece in pieces])


class FolderCompletion:
    """The end of one folder. Methods raise StorageFailed."""

    def __init__(self, ticket_id: str, shared: FolderContext, check: Callable[[], object]) -> None:
        """`check` is called often during long work. It raises why that is not wanted any more."""
        self._ticket_id = ticket_id
        self._context = shared.writers
        self._runtime = shared.writers.runtime
        self._objects = shared.objects
        self._check = check

    def first_wrong(self, plan: FolderPlan, state: FolderState, pieces: Sequence[StoredPiece]) -> int:
        """Returns the number of the first piece that the store does not have as it was sent; 0 if none.

        It asks for lists, with a thousand objects each. What looks wrong there is looked at alone. Objects of
        the upload that belong to no file of the folder are deleted.
        """
        listed: dict[str, ListedObject] = {}

        def take(item: ListedObject) -> None:
            self._check()
            listed[item.key] = item
            self._runtime.yield_if_due()

        self._objects.list_below(f"{state.key}/", take)
        for index, entry, stored in plan.with_pieces(pieces):
            self._runtime.yield_if_due()
            if stored is None:
                continue
            item = listed.pop(plan.keys[index], None)
            self._check()
            if item and item.size_bytes == entry.size_bytes and item.etag == _etag(stored):
                continue
            if not self._objects.has(plan.keys[index], self._ticket_id, whole_file(stored)):
                return plan.first(index)
        for key in listed:
            self._objects.delete_own(key, self._ticket_id)
        return 0

    def hash_files(self, plan: FolderPlan, pieces: list[StoredPiece]) -> None:
        """Reads the files whose SHA-256 is not known: other processes have sent parts of them."""
        for index, entry, stored in plan.with_pieces(pieces):
            if stored and not stored[-1].sha256:
                sha256 = self._sha256(plan.keys[index], entry.size_bytes)
                pieces[plan.last(index) - 1] = replace(stored[-1], sha256=sha256)

    def _sha256(self, key: str, size_bytes: int) -> str:
        digest = hashlib.sha256()

        def take(data: memoryview) -> None:
            self._check()
            self._runtime.in_pool(digest.update, data)

        def read() -> None:
            nonlocal digest
            digest = hashlib.sha256()
            self._context.client.read(key, 0, size_bytes, take)

        with s3_errors():
            self._context.retries.run(read)
        return digest.hexdigest()

    def put_list(
        self, plan: FolderPlan, state: FolderState, pieces: Sequence[StoredPiece],
        check_claim: Callable[[], object], is_wanted: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Stores the list of the files, unless it is there."""
        content = memoryview(self._runtime.in_pool(_list, plan, state, pieces))
        segments = [content[at : at + SEGMENT_BYTES] for at in range(0, len(content), SEGMENT_BYTES)]
        new_body = partial(PartBody, segments, len(content), self._runtime.yield_if_due)
        whole = Checkpoint(len(content), checksum(content))
        new = NewObject(list_key(state.key), self._ticket_id, whole, new_body, is_shared=True)
        self._objects.put(new, check_claim, is_wanted)

    def etags_of_same_parts(self, file: Manifest) -> list[str]:
        """Returns the ETags that the parts of a file have in the store, up to the first other one."""
        client = self._context.client
        with s3_errors():
            listed = self._context.retries.run(lambda: client.list_parts(file.key, file.upload_id))
        return etags_of_same_parts(file.parts, listed)

    def delete_leftovers(self, state: FolderState) -> None:
        """Deletes remainders and multipart uploads that are left, also those of killed processes."""
        client, run = self._context.client, self._context.retries.run
        with contextlib.suppress(S3Error, StorageFailed):
            for key in run(lambda: client.keys(self._context.address.remainders(self._ticket_id))):
                if key != state.head_key:
                    run(partial(client.delete, key))
            if state.key == self._context.address.object_key(self._ticket_id):
                for key, upload_id in run(lambda: client.uploads_below(f"{state.key}/")):
                    run(partial(client.abort, key, upload_id))


def _list(plan: FolderPlan, state: FolderState, pieces: Sequence[StoredPiece]) -> bytes:
    lines: list[bytes] = []
    for index, entry, stored in plan.with_pieces(pieces):
        key = plan.keys[index]
        path = key[len(state.key) + 1 :]
        if stored is None:
            lines.append(line(entry, path))
            continue
        sha256 = bytes.fromhex(stored[-1].sha256)
        lines.append(line(entry, path, whole_file(stored).crc32c, sha256, key=key))
    return b"".join(lines)
