"""Every storage keeps the promises of the seam."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from incoming.runtime.redis_connection import RedisConnection
from incoming.storage import Storage
from incoming.storage.local.folders import current_file
from incoming.storage.local.storage import DiskFacts, LocalStorage
from incoming.storage.s3.metadata.redis_metadata import metadata_in_redis
from tests.storage.contract import CONTENT, OTHER, TICKET, Place, StorageContract, finished
from tests.storage.parts_contract import PartsContract
from tests.support.fakes import FakeRuntime
from tests.support.folder_place import FolderDirectory
from tests.support.piece_storage import PieceStorage
from tests.support.s3_folder_place import FolderBucketPlace, S3FolderAsFile
from tests.support.s3_place import BUCKET, BucketPlace, notes_file
from tests.support.s3_server import S3Server
from tests.support.slow_storage import SlowStorage, SlowStore

RESERVE_BYTES = 1 << 20


class Directory:
    """A directory of this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._runtime = FakeRuntime()

    def storage(self) -> Storage:
        """See contract.Place."""
        return LocalStorage(self._directory, RESERVE_BYTES, self._runtime, DiskFacts(boot_id="the first"))

    def settle(self) -> None:
        """See contract.Place."""
        self._runtime.settle()


class Pieces:
    """A store of whole pieces."""

    def __init__(self) -> None:
        self._files: dict[str, bytearray] = {}
        self._runtime = FakeRuntime()

    def storage(self) -> Storage:
        """See contract.Place."""
        return PieceStorage(self._runtime, self._files)

    def settle(self) -> None:
        """See contract.Place."""
        self._runtime.settle()


class Slow:
    """A slow store, which several processes share."""

    def __init__(self) -> None:
        self._runtime = FakeRuntime()
        self._store = SlowStore(self._runtime, put_s=0.0, piece_bytes=64)

    def storage(self) -> Storage:
        """See contract.Place. What the process before has sent arrives first."""
        self._runtime.settle()
        return SlowStorage(self._store)

    def settle(self) -> None:
        """See contract.Place."""
        self._runtime.settle()


class TestLocalStorage(StorageContract):
    """A directory of this machine."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """A directory of the test."""
        return Directory(tmp_path / "data")


class TestLocalParts(PartsContract):
    """Parts in a directory of this machine."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """A directory of the test."""
        return Directory(tmp_path / "data")


class TestLocalFolders(StorageContract):
    """Folders in a directory of this machine."""

    @pytest.fixture(params=["small files", "large files"])
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Place:
        """A directory of the test."""
        if request.param == "large files":
            monkeypatch.setattr(current_file, "LARGE_BYTES", 60)
        return FolderDirectory(tmp_path / "data", FakeRuntime())

    def test_a_file_that_was_not_taken_is_there_and_a_clean_up_leaves_it(self, storage: Storage) -> None:
        finished(storage)
        assert storage.pickup
        assert not storage.pickup.is_taken(TICKET)
        storage.pickup.clean_up(TICKET)
        storage.pickup.clean_up(OTHER)
        place = Path(storage.location(TICKET))
        assert (place / "a/b/file 2").read_bytes() == CONTENT[1:100]
        assert {file.name for file in place.parent.iterdir()} == {TICKET, f"{TICKET}.manifest"}


class TestPieceStorage(StorageContract):
    """A store of whole pieces, without any capability."""

    @pytest.fixture
    def place(self) -> Place:
        """An empty store."""
        return Pieces()


class TestS3Storage(StorageContract):
    """A bucket of a real S3 server, and the manifests in a file."""

    @pytest.fixture
    def place(self, s3_server: S3Server, tmp_path: Path) -> Iterator[Place]:
        """A prefix of its own."""
        place = BucketPlace(s3_server.place(BUCKET), notes_file(tmp_path))
        yield place
        place.runtime.kill()


class TestS3StorageWithRedis(StorageContract):
    """The same with the manifests in Redis."""

    @pytest.fixture
    def place(self, s3_server: S3Server, redis: RedisConnection) -> Iterator[Place]:
        """A prefix of its own."""
        place = BucketPlace(s3_server.place(BUCKET), lambda runtime: metadata_in_redis(redis, runtime))
        yield place
        place.runtime.kill()


class TestS3Folders(StorageContract):
    """Folders in a bucket of a real S3 server, and the notes in Redis."""

    @pytest.fixture
    def place(self, s3_server: S3Server, redis: RedisConnection) -> Iterator[FolderBucketPlace]:
        """A prefix of its own."""
        place = BucketPlace(s3_server.place(BUCKET), lambda runtime: metadata_in_redis(redis, runtime))
        yield FolderBucketPlace(place)
        place.runtime.kill()

    def test_a_file_that_was_not_taken_is_there_and_a_clean_up_leaves_it(self, storage: Storage) -> None:
        finished(storage)
        assert isinstance(storage, S3FolderAsFile)
        assert storage.pickup
        assert not storage.pickup.is_taken(TICKET)
        before = storage.objects_of(TICKET)
        storage.pickup.clean_up(TICKET)
        storage.pickup.clean_up(OTHER)
        assert (before["a/b/file 2"], before["the end"]) == (99, 0)
        assert before[".manifest"] > 0
        assert storage.objects_of(TICKET) == before


class TestSlowStorage(StorageContract):
    """A slow store whose unfinished files can't be read."""

    @pytest.fixture
    def place(self) -> Place:
        """An empty store."""
        return Slow()
