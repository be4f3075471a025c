"""One process owns a storage directory; the others are real processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from incoming.core.errors import StorageFailed, StorageInUse, StorageLost
from incoming.storage.local.dir_lock import LOCK_FILE, DirLock
from tests.support.server import ROOT
from tests.support.waiting import wait_until

OWNER = """
import sys
from pathlib import Path
from incoming.storage.local.dir_lock import DirLock
ownership = DirLock(Path(sys.argv[1]))
ownership.acquire()
print("mine", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that owns the directory until it ends."""
    command = [sys.executable, "-c", OWNER, str(tmp_path / "storage")]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "mine\n"
        yield process
        process.kill()


def somebody_waits_for_a_lock() -> bool:
    """Blocked lock requests have an arrow in /proc/locks, and here the thread's process id."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and f" {os.getpid()} " in line for line in lines)


def test_the_directory_is_made_and_only_we_can_touch_the_lock(tmp_path: Path) -> None:
    ownership = DirLock(tmp_path / "deep" / "storage")
    ownership.acquire()
    lock = tmp_path / "deep" / "storage" / LOCK_FILE
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    ownership.release()


def test_a_second_process_is_refused_with_the_name_of_the_directory(
    tmp_path: Path, owner: subprocess.Popen[str]
) -> None:
    with pytest.raises(StorageInUse) as refused:
        DirLock(tmp_path / "storage").acquire()
    assert str(tmp_path / "storage") in str(refused.value)


def test_a_killed_owner_owns_nothing(tmp_path: Path, owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait()
    ownership = DirLock(tmp_path / "storage")
    ownership.acquire()
    ownership.release()


def test_who_waits_gets_the_directory_when_the_owner_is_killed(
    tmp_path: Path, owner: subprocess.Popen[str]
) -> None:
    ownership = DirLock(tmp_path / "storage")
    waiting = threading.Thread(target=ownership.wait)
    waiting.start()
    wait_until(somebody_waits_for_a_lock, "the second process waits")
    owner.kill()
    waiting.join(20)
    assert not waiting.is_alive()
    with pytest.raises(StorageInUse):
        DirLock(tmp_path / "storage").acquire()
    ownership.release()


def test_who_gives_up_lets_the_next_one_have_it(tmp_path: Path) -> None:
    first, second = DirLock(tmp_path), DirLock(tmp_path)
    first.acquire()
    first.release()
    second.acquire()
    second.release()


# --- a lock that is not in its place any more ------------------------------------------------------


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[DirLock]:
    ownership = DirLock(tmp_path / "storage")
    ownership.acquire()
    ownership.check()
    yield ownership
    ownership.release()


def remove(lock: Path) -> None:
    lock.unlink()


def replace(lock: Path) -> None:
    lock.with_name("other").touch()
    lock.with_name("other").replace(lock)


def rename(lock: Path) -> None:
    lock.rename(lock.with_name("lock.old"))


def make_a_folder(lock: Path) -> None:
    lock.unlink()
    lock.mkdir()


SPOILERS = (remove, replace, rename, make_a_folder)


@pytest.mark.parametrize("spoil", SPOILERS)
def test_an_owner_notices_that_its_lock_was_removed_or_replaced_and_never_forgets_it(
    mine: DirLock, spoil: Callable[[Path], None]
) -> None:
    kept = mine.file.with_name("kept")
    kept.hardlink_to(mine.file)
    spoil(mine.file)
    with pytest.raises(StorageLost):
        mine.check()
    if mine.file.is_dir():
        mine.file.rmdir()
    kept.replace(mine.file)
    with pytest.raises(StorageLost):
        mine.check()  # another process may have come and gone meanwhile


def is_later_than(file: Path, status: os.stat_result) -> bool:
    """Returns whether the file system's clock has ticked since."""
    file.touch()
    return file.stat().st_ctime_ns > status.st_ctime_ns


@pytest.mark.parametrize("spoil", SPOILERS)
def test_an_owner_notices_at_a_glance_that_its_lock_was_removed_replaced_or_renamed(
    mine: DirLock, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    mine.glance()
    wait_until(lambda: is_later_than(tmp_path / "clock", mine.file.stat()), "the clock has ticked")
    spoil(mine.file)
    for _ in range(2):
        with pytest.raises(StorageLost):
            mine.glance()


def test_a_lock_that_was_changed_in_its_place_is_still_ours(
    mine: DirLock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.glance()
    wait_until(lambda: is_later_than(tmp_path / "clock", mine.file.stat()), "the clock has ticked")
    mine.file.touch()
    mine.file.with_name("kept").hardlink_to(mine.file)
    mine.file.chmod(0o640)
    mine.glance()
    monkeypatch.setattr(mine, "check", pytest.fail)
    mine.glance()  # it has looked once


def test_a_directory_that_is_away_for_a_while_is_not_lost(mine: DirLock, tmp_path: Path) -> None:
    directory, aside = tmp_path / "storage", tmp_path / "aside"
    directory.rename(aside)
    for is_empty in (False, True):  # moved away; unmounted, so that an empty one is there
        if is_empty:
            directory.mkdir()
        with pytest.raises(StorageFailed) as failed:
            mine.check()
        assert not isinstance(failed.value, StorageLost)
    directory.rmdir()
    aside.rename(directory)
    mine.check()


def test_a_lock_file_that_was_removed_before_it_was_taken_is_created_again(tmp_path: Path) -> None:
    late = DirLock(tmp_path)
    late.file.unlink()
    late.acquire()
    late.check()
    with pytest.raises(StorageInUse):
        DirLock(tmp_path).acquire()
    late.release()
