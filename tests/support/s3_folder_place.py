"""The storage of folders in a bucket as a storage of files: see `folder_place`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from incoming.core.checkpoints import START, Checkpoint
from incoming.core.checksum import checksum, combine
from incoming.core.folder_manifest import encode_head
from incoming.storage import OnDurable, Sample, Storage
from incoming.storage.s3.folders.storage import S3FolderStorage
from tests.support.folder_place import FolderAsFile, ShiftedWriter
from tests.support.s3_place import BucketPlace


class S3FolderAsFile(FolderAsFile):
    """See storage.Storage. The head is durable when a file has been opened."""

    folders_below: S3FolderStorage

    def __init__(self, folders: S3FolderStorage, place: BucketPlace) -> None:
        super().__init__(folders)
        self._place = place
        self.checksums = ShiftedChecksums(self)  # type: ignore[assignment]

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None,
        on_durable: OnDurable = lambda _: None, destination: str = "",
    ) -> ShiftedWriter:  # fmt: skip
        """See storage.Storage."""
        writer = super().open(ticket_id, length_bytes, on_reserve, on_durable, destination)
        assert isinstance(writer, ShiftedWriter)
        if writer.durable_offset < 0:
            writer.below.flush()
        return writer

    def head(self, ticket_id: str) -> bytes:
        """Returns the head of a folder; nothing while it is not complete."""
        manifest = self.manifest(ticket_id)
        return encode_head(manifest.entries) if manifest else b""

    def objects_of(self, ticket_id: str) -> dict[str, int]:
        """Returns the size of each object of a folder, by its path, and of what is beside it."""
        key = self._place.address.object_key(ticket_id)
        found, _ = self._place.client.page(key)
        return {item.key.removeprefix(key).removeprefix("/"): item.size_bytes for item in found}


class ShiftedChecksums:
    """See storage.KnownChecksums. The bytes of the head do not count."""

    def __init__(self, folders: S3FolderAsFile) -> None:
        self._folders = folders
        self._below = folders.folders_below.checksums

    def stored(self, ticket_id: str) -> Checkpoint:
        """See KnownChecksums."""
        head = self._folders.head(ticket_id)
        if not head:
            return START
        end_bytes, crc = self._below.stored(ticket_id)
        behind_bytes = end_bytes - len(head)
        return Checkpoint(behind_bytes, crc ^ combine(checksum(head), 0, behind_bytes))

    def samples(self, ticket_id: str) -> Sequence[Sample]:
        """See KnownChecksums."""
        head_bytes = len(self._folders.head(ticket_id))
        return [
            Sample(start - head_bytes, end - head_bytes, crc)
            for start, end, crc in self._below.samples(ticket_id)
            if start >= head_bytes
        ]


class FolderBucketPlace:
    """A prefix of a bucket with folders in it, as a contract.Place."""

    def __init__(self, place: BucketPlace) -> None:
        self._place = place

    def storage(self) -> Storage:
        """See contract.Place."""
        return S3FolderAsFile(self._place.storage().folders, self._place)

    def settle(self) -> None:
        """See contract.Place."""
        self._place.settle()
