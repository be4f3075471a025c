"""`S3FolderStorage`: opens, reads and deletes folders in a bucket, one object for each file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from incoming.core.checkpoints import START, Checkpoint
from incoming.core.errors import StorageFailed
from incoming.core.folder_arrival import FolderArrival
from incoming.core.folder_manifest import FolderManifest
from incoming.core.object_address import ObjectAddress
from incoming.core.storage_kinds import S3
from incoming.storage import OnDurable, Sample
from incoming.storage.s3.folders.completion import list_key
from incoming.storage.s3.folders.context import FolderContext, HeadLost
from incoming.storage.s3.folders.plan import FolderPlan
from incoming.storage.s3.folders.writer import S3FolderWriter
from incoming.storage.s3.metadata.folder_states import FolderState, FolderStates, StoredPiece
from incoming.storage.s3.metadata.manifest import HEAD_BYTES
from incoming.storage.s3.objects import S3Objects
from incoming.storage.s3.store.client import s3_errors

MAX_SAMPLES: Final = 1000
"""From how many ranges one can be chosen to check a client's file."""
_ZEROS: Final = memoryview(bytes(256 * 1024))


class S3FolderStorage:
    """See storage.FolderStorage. Its calls have to be made in greenlets, and not in threads of the pool."""

    ownership = recovery = free_space = inventory = parts = folders = small_files = None
    name = S3
    survives_power_cuts = keeps_unchecked_apart = stores_later = True

    def __init__(self, shared: FolderContext, objects: S3Objects, part_bytes: int, window_bytes: int) -> None:
        self.window_bytes = window_bytes
        self._states = shared.writers.metadata.folders
        self._address = shared.writers.address
        self._client = shared.writers.client
        self._retries = shared.writers.retries
        self._runtime = shared.writers.runtime
        self._part_bytes = part_bytes
        self._shared = shared
        self.checksums = S3FolderChecksums(self._states)
        self.objects = S3FolderObjects(objects, self.key)
        self.pickup = self

    def key(self, ticket_id: str, destination: str = "") -> str:
        """Returns what the keys of all files of a folder begin with, before a slash."""
        return destination or self._address.object_key(ticket_id)

    def location(self, ticket_id: str, destination: str = "") -> str:
        """See storage.Storage. It is `s3://BUCKET/KEY/`."""
        return f"s3://{self._address.bucket}/{self.key(ticket_id, destination)}/"

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None,
        on_durable: OnDurable = lambda _: None, destination: str = "",
    ) -> S3FolderWriter:  # fmt: skip
        """See storage.Storage. The store hears of the folder with its first piece."""
        state = self._states.read(ticket_id)
        if state is None:
            state = self._states.begin(ticket_id, self._nothing_of(ticket_id, destination))
        return S3FolderWriter(ticket_id, state, length_bytes, self._shared, on_durable)

    def _nothing_of(self, ticket_id: str, destination: str) -> FolderState:
        return FolderState(self.key(ticket_id, destination), self._part_bytes)

    def size(self, ticket_id: str) -> int | None:
        """See storage.Storage."""
        return self.sizes([ticket_id])[ticket_id]

    def sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        """See storage.Storage."""
        states = self._states.states(ticket_ids)
        return {ticket_id: state.size_bytes if state else None for ticket_id, state in states.items()}

    # --- the folder ---------------------------------------------------------------------------------------

    def left_out(self, ticket_id: str) -> tuple[int, ...]:
        """See storage.FolderStorage."""
        state = self._states.read(ticket_id)
        if state is None or not state.left_out:
            return ()
        pieces = self._states.pieces(ticket_id)
        return self._plan(state, pieces).left_out(pieces)

    def manifest_of(self, ticket_id: str) -> FolderManifest | None:
        """See storage.FolderStorage. It is read from the store, unless somebody in this process has it."""
        state = self._states.read(ticket_id)
        if state is None or not state.count:
            return None
        known = self._shared.known(state.head_key)
        return (known or self._plan(state, self._states.pieces(ticket_id))).manifest

    def _plan(self, state: FolderState, pieces: Sequence[StoredPiece]) -> FolderPlan:
        try:
            return self._shared.plan(state, pieces[0])
        except (HeadLost, IndexError) as exc:
            raise StorageFailed from exc

    def arrival(self, ticket_id: str, destination: str = "") -> FolderArrival:
        """See storage.FolderStorage. The URL of the list is made anew for each call."""
        state = self._states.read(ticket_id)
        if state is None or not state.is_complete:
            raise StorageFailed
        url = self.objects.address(ticket_id, destination).url
        return FolderArrival(state.files, url, state.files_bytes, state.left_out)

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """See storage.Storage. Only a folder that is complete can be read, in greenlets."""
        state = self._states.read(ticket_id)
        if state is None or not state.is_complete or end > state.size_bytes:
            raise StorageFailed
        pieces = self._states.pieces(ticket_id)
        plan, left_out = self._plan(state, pieces), {*self.left_out(ticket_id)}
        manifest = plan.manifest
        if start < min(end, manifest.head_bytes):
            self._read_object(state.head_key, start, min(end, manifest.head_bytes), take)
        at = max(start, manifest.head_bytes)
        while at < end:
            index = manifest.index_at(at)
            begin, after = manifest.range_of(index)
            to = min(end, after)
            if index in left_out:
                self._give_zeros(to - at, take)
            else:
                self._read_object(plan.keys[index], at - begin, to - begin, take)
            at = to

    def _read_object(self, key: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        at = start

        def counted(data: memoryview) -> None:
            nonlocal at
            at += len(data)
            take(data)

        with s3_errors():
            self._retries.run(lambda: self._client.read(key, at, end, counted))

    def _give_zeros(self, size_bytes: int, take: Callable[[memoryview], None]) -> None:
        while size_bytes:
            piece = _ZEROS[:size_bytes]
            take(piece)
            size_bytes -= len(piece)
            self._runtime.yield_if_due()

    # --- the end ------------------------------------------------------------------------------------------

    def is_taken(self, ticket_id: str) -> bool:
        """See storage.Pickup. Its app has deleted the list of the files, or has put another object there."""
        state = self._states.read(ticket_id)
        if state is None or not state.is_complete:
            return False
        return not self._shared.objects.is_there(list_key(state.key), ticket_id)

    def may_be_taken(self, ticket_id: str) -> bool:
        """See storage.Pickup. No power cut takes an object."""
        return self.is_taken(ticket_id)

    def clean_up(self, ticket_id: str) -> None:
        """See storage.Pickup. Deletes the head, the remainders and the metadata."""
        self._shared.objects.delete_below(self._address.remainders(ticket_id))
        self._states.forget(ticket_id)

    def delete(self, ticket_id: str, destination: str = "") -> None:
        """See storage.Storage. The list of the files goes first. Objects of somebody else are left alone."""
        state = self._states.read(ticket_id) or self._nothing_of(ticket_id, destination)
        objects, is_shared = self._shared.objects, self._shared.is_shared(ticket_id, state)
        objects.delete_own(list_key(state.key), ticket_id)
        with s3_errors():
            self._abort_uploads(ticket_id, state, is_shared)
        keys: list[str] = []
        objects.list_below(f"{state.key}/", lambda item: keys.append(item.key))
        if is_shared:
            for key in keys:
                objects.delete_own(key, ticket_id)
        else:
            objects.delete_all(keys)
        self.clean_up(ticket_id)

    def _abort_uploads(self, ticket_id: str, state: FolderState, is_shared: bool) -> None:
        client, retries = self._client, self._retries
        if not is_shared:  # a killed process may have begun one that nobody knows
            before: list[tuple[str, str]] = []
            while (found := retries.run(lambda: client.uploads_below(f"{state.key}/"))) != before:
                for key, upload_id in found:
                    self._shared.abort(key, upload_id)
                before = found
        elif state.uploads:
            plan = self._plan(state, self._states.pieces(ticket_id))
            for index, upload_id in state.uploads.items():
                self._shared.abort(plan.keys[index], upload_id)

    def check(self) -> None:
        """See storage.Storage. Asks the store for the bucket, once."""
        with s3_errors():
            self._client.check()


class S3FolderChecksums:
    """See storage.KnownChecksums."""

    def __init__(self, states: FolderStates) -> None:
        self._states = states

    def stored(self, ticket_id: str) -> Checkpoint:
        """See KnownChecksums. The range of a file that was left out counts as zeros."""
        state = self._states.read(ticket_id)
        return state.checkpoint if state else START

    def samples(self, ticket_id: str) -> Sequence[Sample]:
        """See KnownChecksums. The beginnings of MAX_SAMPLES pieces at most, and of the remainder."""
        state = self._states.read(ticket_id)
        if state is None:
            return ()
        found: list[Sample] = []
        start, step = 0, -(-max(state.count, 1) // MAX_SAMPLES)
        for number, piece in enumerate(self._states.pieces(ticket_id)[: state.count]):
            if number % step == 0 and piece.size_bytes and piece.etag:
                found.append(Sample(start, start + min(piece.size_bytes, HEAD_BYTES), piece.head_crc32c))
            start += piece.size_bytes
        if state.remainder:
            end = start + min(state.remainder.size_bytes, HEAD_BYTES)
            found.append(Sample(start, end, state.remainder.head_crc32c))
        return found


class S3FolderObjects:
    """See storage.Objects. The URL is that of the list of the files, which has the key of each."""

    def __init__(self, objects: S3Objects, key: Callable[[str, str], str]) -> None:
        """`key`: returns the key of a folder."""
        self._objects = objects
        self._key = key

    def check_destination(self, key: str) -> None:
        """See storage.Objects."""
        self._objects.check_destination(list_key(key))

    def address(self, ticket_id: str, destination: str = "") -> ObjectAddress:
        """See storage.Objects. The key is what the keys of all files begin with."""
        key = self._key(ticket_id, destination)
        address = self._objects.address(ticket_id, list_key(key))
        return ObjectAddress(address.bucket, f"{key}/", address.url)

    def is_there(self, ticket_id: str, destination: str = "") -> bool:
        """See storage.Objects. The list is made last."""
        return self._objects.is_there(ticket_id, list_key(self._key(ticket_id, destination)))
