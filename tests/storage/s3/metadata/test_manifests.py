"""Manifests in a file: promises, and power cuts."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import gevent
import pytest

from incoming.core.errors import StorageFailed
from incoming.core.redis_keys import ticket_key
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import RedisConnection
from incoming.storage.s3.metadata.manifest import Manifest, Manifests
from incoming.storage.s3.metadata.redis_manifests import RedisManifests
from incoming.storage.s3.metadata.sqlite_file import SqliteFile
from incoming.storage.s3.metadata.sqlite_manifests import SqliteManifests
from tests.storage.s3.metadata.manifests_contract import (  # noqa: F401 - it is a test, too
    ID,
    NEW,
    PARTS,
    ManifestsContract,
    test_a_manifest_knows_the_checksum_of_everything_and_of_each_beginning,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the manifests are."""
    return tmp_path / "manifests.sqlite"


class TestFileManifests(ManifestsContract):
    """Manifests in a file of this machine."""

    @pytest.fixture
    def manifests(self, file: Path) -> Manifests:
        """A new file."""
        return SqliteManifests(SqliteFile(file, GeventRuntime()))


class TestRedisManifests(ManifestsContract):
    """Manifests in a Redis, in which each claim puts its token into the ticket."""

    @pytest.fixture
    def manifests(self, redis: RedisConnection) -> Manifests:
        """An empty Redis."""
        self.redis = redis
        return RedisManifests(redis)

    def claim(self, manifests: Manifests, token: str) -> Manifest | None:
        """See ManifestsContract."""
        self.redis.read("HSET", ticket_key(ID), "token", token)
        return super().claim(manifests, token)


def test_the_next_process_finds_what_the_one_before_has_stored(file: Path) -> None:
    sqlite = SqliteFile(file, GeventRuntime())
    first = SqliteManifests(sqlite)
    first.begin(ID, NEW)
    first.add(ID, "", PARTS, None)
    known = first.read(ID)
    assert SqliteManifests(SqliteFile(file, GeventRuntime())).read(ID) == known
    sqlite.close()


def test_every_change_is_synced(file: Path) -> None:
    sqlite = SqliteFile(file, GeventRuntime())
    for pragma, value in (("synchronous", 2), ("journal_mode", "wal")):
        assert sqlite.db.execute(f"pragma {pragma}").fetchone() == (value,)


def test_a_file_that_can_not_be_used_is_an_error_of_the_storage(file: Path) -> None:
    file.write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageFailed):
        SqliteManifests(SqliteFile(file, GeventRuntime()))


def test_a_greenlet_that_is_killed_while_it_waits_leaves_the_file_usable(file: Path) -> None:
    manifests = SqliteManifests(SqliteFile(file, GeventRuntime()))
    manifests.begin(ID, NEW)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("begin immediate")  # whoever changes something waits
    waiting = gevent.spawn(manifests.add, ID, "", PARTS, None)
    gevent.sleep(0.05)
    waiting.kill(block=False)
    other.execute("rollback")
    manifests.add(ID, "", PARTS[:1], None)
    found = manifests.read(ID)
    assert found
    assert found.parts in (PARTS[:1], PARTS)
