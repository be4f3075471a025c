"""`S3Storage`: opens, reads and deletes the files of uploads in a bucket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from incoming.core.checkpoints import START, Checkpoint
from incoming.core.errors import BadParameter, StorageFailed, UploadTooLarge
from incoming.core.folder_manifest import USUAL_BOUNDS, Bounds
from incoming.core.stats import StoreFigures, Transfers
from incoming.core.storage_kinds import S3
from incoming.core.units import MIB
from incoming.runtime.base import Runtime
from incoming.storage import OnDurable, Sample
from incoming.storage.s3.folders.context import FolderContext
from incoming.storage.s3.folders.storage import S3FolderStorage
from incoming.storage.s3.keys import BucketAddress
from incoming.storage.s3.memory_budget import MemoryBudget
from incoming.storage.s3.metadata.manifest import Manifest, Manifests
from incoming.storage.s3.metadata.upload_metadata import UploadMetadata
from incoming.storage.s3.objects import S3Objects
from incoming.storage.s3.part_plan import PartPlan, plan_for
from incoming.storage.s3.store.aborting import abort_upload
from incoming.storage.s3.store.client import S3Client, s3_errors
from incoming.storage.s3.store.completion import Completion
from incoming.storage.s3.store.retrying import LIMIT_S, Retries
from incoming.storage.s3.store.stored_objects import StoredObjects
from incoming.storage.s3.stream_writer import WriterContext
from incoming.storage.s3.writer import S3Writer

_UNKNOWN_LENGTH: Final = "must be known: the store needs equal parts, and the length tells their size"
_TOO_LONG: Final = "is more than an object of S3 can have"


@dataclass(frozen=True, slots=True)
class S3Options:
    """How uploads are sent, and what apps may have of them."""

    part_bytes: int = 8 * MIB
    """The size of a part, as long as 10,000 of them are enough."""
    parallel: int = 4
    """How many parts of one upload are sent at a time."""
    memory_bytes: int = 256 * MIB
    """For parts that are full, of all uploads of the process."""
    equal_parts: bool = False
    """Whether the store wants all parts but the last to have one size, as R2 does."""
    retry_for_s: float = LIMIT_S
    """How long a call is repeated while the store does not answer."""
    destination_prefixes: Sequence[str] = ()
    """An app may name a key for its object below one of these."""
    url_lifetime_s: float = 3600.0
    """How long the URL of an object is valid."""
    folder_bounds: Bounds = USUAL_BOUNDS
    """How large the manifest of a folder may be."""


USUAL: Final = S3Options()


class S3Storage:
    """See storage.Storage. Its calls have to be made in greenlets, and not in threads of the pool."""

    ownership = recovery = free_space = inventory = parts = small_files = None
    name = S3
    survives_power_cuts = keeps_unchecked_apart = stores_later = True

    def __init__(
        self, client: S3Client, metadata: UploadMetadata, address: BucketAddress, runtime: Runtime,
        options: S3Options = USUAL,
    ) -> None:  # fmt: skip
        self._client = client
        self._manifests = manifests = metadata.manifests
        self._address = address
        self._options = options
        self._runtime = runtime
        self.calls = client.stats
        """What the calls to the store have cost, for the metrics."""
        self.retries = Retries(runtime, options.retry_for_s)
        self._stored = StoredObjects(client, self.retries)
        self.memory = MemoryBudget(options.memory_bytes, runtime)
        self.window_bytes = options.part_bytes * (options.parallel + 1)
        self._writers: WeakValueDictionary[str, S3Writer] = WeakValueDictionary()
        """The newest of each upload."""
        self.checksums = S3Checksums(manifests, self._writers)
        self.objects = S3Objects(
            client, self._stored, address, options.destination_prefixes, options.url_lifetime_s
        )
        self.pickup = self
        self._context = WriterContext(
            client,
            metadata,
            self.memory,
            self.retries,
            Completion(client, self.retries),
            runtime,
            address,
            options.parallel,
        )
        folders = FolderContext(self._context, options.folder_bounds)
        self.folders = S3FolderStorage(folders, self.objects, options.part_bytes, self.window_bytes)

    def location(self, ticket_id: str, destination: str = "") -> str:
        """See storage.Storage. It is `s3://BUCKET/KEY`."""
        return f"s3://{self._address.bucket}/{destination or self._address.object_key(ticket_id)}"

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None,
        on_durable: OnDurable = lambda _: None, destination: str = "",
    ) -> S3Writer:  # fmt: skip
        """See storage.Storage. Asks only for the manifest: the store hears of the upload with its first part.

        Raises BadParameter for a length that no object can have, or that has to be known and is not;
        UploadTooLarge if the upload was begun with parts that are too small for it.
        """
        manifest = self._manifests.read(ticket_id)
        if manifest is None:
            key = destination or self._address.object_key(ticket_id)
            manifest = self._manifests.begin(ticket_id, Manifest(key, self._plan(length_bytes)))
        if length_bytes is not None and length_bytes > manifest.plan.max_bytes:
            raise UploadTooLarge(length_bytes, manifest.plan.max_bytes)
        writer = S3Writer(ticket_id, manifest, length_bytes, self._context, on_durable)
        self._writers[ticket_id] = writer
        return writer

    def _plan(self, length_bytes: int | None) -> PartPlan:
        if length_bytes is None and self._options.equal_parts:
            raise BadParameter("length", _UNKNOWN_LENGTH)
        try:
            return plan_for(length_bytes, self._options.part_bytes)
        except ValueError as exc:
            raise BadParameter("length", _TOO_LONG) from exc

    def size(self, ticket_id: str) -> int | None:
        """See storage.Storage."""
        manifest = self._manifests.read(ticket_id)
        return None if manifest is None else manifest.size_bytes

    def sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        """See storage.Storage."""
        return self._manifests.sizes(ticket_ids)

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """See storage.Storage. Only a file that is complete can be read, in greenlets."""
        at, key = start, self._readable(ticket_id, end)

        def counted(data: memoryview) -> None:
            nonlocal at
            at += len(data)
            take(data)

        with s3_errors():
            if at < end:
                self.retries.run(lambda: self._client.read(key, at, end, counted))

    def _readable(self, ticket_id: str, end: int) -> str:
        """Returns the key of an object that has bytes up to `end`. Raises StorageFailed if there is none."""
        manifest = self._manifests.read(ticket_id)
        if manifest is None:  # after `clean_up` only the object is left
            key = self._address.object_key(ticket_id)
            found = self._stored.head(key)
            if found and found.ticket_id == ticket_id and end <= found.size_bytes:
                return key
        elif manifest.is_complete and end <= manifest.size_bytes:
            return manifest.key
        raise StorageFailed

    def delete(self, ticket_id: str, destination: str = "") -> None:
        """See storage.Storage. An object of somebody else is left alone."""
        manifest, own_key = self._manifests.read(ticket_id), self._address.object_key(ticket_id)
        key = manifest.key if manifest else destination or own_key
        with s3_errors():
            if manifest and manifest.upload_id and not manifest.is_complete:
                abort_upload(self._client, self.retries, key, manifest.upload_id)
            if key == own_key:
                self._abort_unknown(key)
        self._stored.delete_own(key, ticket_id)
        self.clean_up(ticket_id)

    def _abort_unknown(self, key: str) -> None:
        """Ends what a process has begun that was killed before it could note that.

        Others may share a key that an app has named, so this is for keys of the server's own.
        """
        for upload_id in self.retries.run(lambda: self._client.uploads(key)):
            abort_upload(self._client, self.retries, key, upload_id)

    def is_taken(self, ticket_id: str) -> bool:
        """See storage.Pickup. Its app has deleted the object, or has put another one in its place."""
        manifest = self._manifests.read(ticket_id)
        if manifest is None or not manifest.is_complete:
            return False
        return not self._stored.is_there(manifest.key, ticket_id)

    def may_be_taken(self, ticket_id: str) -> bool:
        """See storage.Pickup. No power cut takes an object."""
        return self.is_taken(ticket_id)

    def clean_up(self, ticket_id: str) -> None:
        """See storage.Pickup. Deletes the remainders and the manifest."""
        self._stored.delete_below(self._address.remainders(ticket_id))
        self._manifests.forget(ticket_id)

    def figures(self) -> StoreFigures:
        """Returns how the store answers, and what is sent to it."""
        stats, buffered_bytes = self._client.stats, self.memory.buffered_bytes
        sending = Transfers(stats.parts_in_flight, buffered_bytes, stats.sent_bytes, self.retries.count)
        return StoreFigures(self.name, stats.latency, stats.failures, stats.is_away, sending)

    def check(self) -> None:
        """See storage.Storage. Asks the store for the bucket, once."""
        with s3_errors():
            self._client.check()


class S3Checksums:
    """See storage.KnownChecksums. The writer of an upload knows its manifest; for others it is read."""

    def __init__(self, manifests: Manifests, writers: Mapping[str, S3Writer]) -> None:
        self._manifests = manifests
        self._writers = writers

    def stored(self, ticket_id: str) -> Checkpoint:
        """See KnownChecksums."""
        manifest = self._manifest(ticket_id)
        return manifest.checkpoint if manifest else START

    def samples(self, ticket_id: str) -> Sequence[Sample]:
        """See KnownChecksums."""
        manifest = self._manifest(ticket_id)
        return manifest.samples if manifest else ()

    def _manifest(self, ticket_id: str) -> Manifest | None:
        writer = self._writers.get(ticket_id)
        return writer.manifest if writer and writer.is_open else self._manifests.read(ticket_id)
