"""Space that was freed, and does not count as free yet."""

from __future__ import annotations

import os
from pathlib import Path

import gevent
import pytest

from incoming.core.errors import StorageFailed
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.storage.local.directory import NoOtherOwner, UploadDirectory
from incoming.storage.local.free_space import LocalFreeSpace
from incoming.storage.local.posix import syncfs
from tests.support.fakes import FakeRuntime


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The folders whose file systems were synced, by inode number."""
    synced: list[int] = []

    def syncing(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        syncfs(fd)

    monkeypatch.setattr("incoming.storage.local.free_space.syncfs", syncing)
    return synced


def space_in(path: Path, runtime: FakeRuntime | GeventRuntime, frees_later: bool = True) -> LocalFreeSpace:
    """Returns the free space of an empty directory."""
    return LocalFreeSpace(UploadDirectory(path, NoOtherOwner()), 0, runtime, frees_later)


def test_a_file_system_that_frees_at_once_is_not_synced(
    tmp_path: Path, runtime: FakeRuntime, syncs: list[int]
) -> None:
    assert not space_in(tmp_path, runtime, frees_later=False).reclaim()
    assert syncs == []


def test_each_that_asks_gets_a_sync_that_began_after_it_asked(
    tmp_path: Path, syncs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incoming.storage.local.free_space.RECLAIM_INTERVAL_S", 0.2)
    runtime = GeventRuntime()
    space = space_in(tmp_path, runtime)
    before_s = runtime.now_s()
    for number in range(1, 4):
        assert space.reclaim()
        assert syncs == [tmp_path.stat().st_ino] * number
    assert runtime.now_s() - before_s >= 2 * 0.2, "not more often"


def test_all_that_ask_meanwhile_share_one_sync(tmp_path: Path, syncs: list[int]) -> None:
    space = space_in(tmp_path, GeventRuntime())
    space.reclaim()
    asking = [gevent.spawn(space.reclaim) for _ in range(20)]
    gevent.joinall(asking, raise_error=True)
    assert [one.value for one in asking] == [True] * 20
    assert len(syncs) == 2


def test_a_sync_that_fails_is_an_error_of_the_storage(
    tmp_path: Path, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("incoming.storage.local.free_space.syncfs", fails)
    with pytest.raises(StorageFailed):
        space_in(tmp_path, runtime).reclaim()
