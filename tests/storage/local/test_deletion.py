"""Large files go at once, and their space in steps, unless somebody else still has them."""

from __future__ import annotations

import mmap
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from incoming.runtime.filesystem import mount_id, mounts
from incoming.storage.local import deletion
from incoming.storage.local.deletion import STEP_BYTES, Deletion, discards
from incoming.storage.local.storage import LocalStorage
from tests.storage.local.conftest import NOBODY, TICKET_ID, needs_root
from tests.support.fakes import FakeRuntime

SIZE_BYTES: Final = 3 * STEP_BYTES + 1000
MOUNTS: Final = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,resuid=65534
28 27 254:16 / /srv/my\\040files rw,noatime shared:3 - xfs /dev/vdb rw,attr2,nodiscard
29 27 0:33 / /tmp rw
30 27 8:1 / /with-discard rw - ext4 /dev/discard rw
"""


@pytest.fixture
def storage(tmp_path: Path, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> LocalStorage:
    """One on a disk that is told what is free."""
    monkeypatch.setattr(deletion, "discards", lambda mounts, number: True)
    return LocalStorage(tmp_path / "data", 0, runtime)


def stored(storage: LocalStorage, size_bytes: int = SIZE_BYTES, ticket_id: str = TICKET_ID) -> Path:
    """Returns a file with the same byte all over, which takes space on the disk."""
    writer = storage.open(ticket_id, size_bytes)
    writer.write(memoryview(b"7" * size_bytes))
    writer.close()
    return Path(storage.location(ticket_id))


def steps(runtime: FakeRuntime) -> int:
    return runtime.pool_calls.count("_truncate")


def is_open(file: Path) -> bool:
    """Returns whether this process has the file open, whatever its name is now."""
    opened = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return any(str(place).startswith(str(file)) for place in opened)


def test_the_name_goes_at_once_and_the_space_step_by_step(
    storage: LocalStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes_bytes: list[int] = []
    cut = Deletion._truncate

    def watched_cut(self: Deletion, fd: int, size_bytes: int) -> None:
        cut(self, fd, size_bytes)
        sizes_bytes.append(os.fstat(fd).st_blocks * 512 // STEP_BYTES)

    monkeypatch.setattr(Deletion, "_truncate", watched_cut)
    file = stored(storage)
    with runtime.held("watched_cut"):
        storage.delete(TICKET_ID)
        assert not file.parent.exists()
        runtime.settle()
        assert is_open(file)
    assert sizes_bytes == [2, 1, 0]
    assert not is_open(file)


def test_what_never_was_on_the_disk_is_not_written_to_be_removed(
    storage: LocalStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    stored(storage)
    for name in ("fsync", "fdatasync"):
        sync = getattr(os, name)

        def watched_sync(fd: int, sync: Callable[[int], None] = sync) -> None:
            synced.append(stat.S_ISDIR(os.fstat(fd).st_mode))
            sync(fd)

        monkeypatch.setattr(os, name, watched_sync)
    storage.delete(TICKET_ID)
    runtime.settle()
    assert synced == [True] * 3, "the directory, whose commit takes what was freed with it"


def test_a_small_file_is_deleted_in_one_step(storage: LocalStorage, runtime: FakeRuntime) -> None:
    stored(storage, STEP_BYTES)
    storage.delete(TICKET_ID)
    runtime.settle()
    assert steps(runtime) == 0


def test_disks_that_are_told_nothing_have_no_steps(
    tmp_path: Path, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "discards", lambda mounts, number: False)
    storage = LocalStorage(tmp_path / "data", 0, runtime)
    file = stored(storage)
    storage.delete(TICKET_ID)
    runtime.settle()
    assert not file.exists() and steps(runtime) == 0


def reading(file: Path) -> Callable[[], bytes]:
    opened = file.open("rb")
    return opened.read


def mapped(file: Path) -> Callable[[], bytes]:
    with file.open("rb") as opened:
        pages = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)
    return lambda: pages[:]


def linked(file: Path) -> Callable[[], bytes]:
    other = file.parent.parent / "the app's"
    os.link(file, other)
    return other.read_bytes


@pytest.mark.parametrize("keep", [reading, mapped, linked])
def test_who_has_the_file_otherwise_keeps_all_of_it(
    storage: LocalStorage, runtime: FakeRuntime, keep: Callable[[Path], Callable[[], bytes]]
) -> None:
    file = stored(storage)
    read = keep(file)
    storage.delete(TICKET_ID)
    runtime.settle()
    assert not file.exists()
    assert read() == b"7" * SIZE_BYTES
    assert steps(runtime) == 0


def test_where_there_are_no_leases_nothing_is_cut(
    storage: LocalStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_leases(fd: int, command: int, argument: int) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("incoming.storage.local.deletion.fcntl.fcntl", no_leases)
    file = stored(storage)
    storage.delete(TICKET_ID)
    runtime.settle()
    assert not file.exists() and steps(runtime) == 0


@needs_root
def test_a_file_of_others_for_which_there_is_no_lease_is_removed_all_the_same(
    runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "discards", lambda mounts, number: True)
    with tempfile.TemporaryDirectory() as folder:
        storage = LocalStorage(Path(folder) / "data", 0, runtime)
        file = stored(storage)
        for place in (folder, file.parent.parent, file.parent, file):
            Path(place).chmod(0o777)
        os.seteuid(NOBODY)
        try:
            storage.delete(TICKET_ID)
            runtime.settle()
        finally:
            os.seteuid(0)
        assert not file.exists() and steps(runtime) == 0


def test_a_disk_that_fails_in_the_middle_causes_no_error_for_clients(
    storage: LocalStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Deletion, "_truncate", fails)
    for number in range(2):
        stored(storage, ticket_id=f"{TICKET_ID}-{number}")
        storage.delete(f"{TICKET_ID}-{number}")
    runtime.settle()
    assert runtime.pool_calls.count("fails") == 2, "each is tried and given up"
    assert runtime.pool_calls.count("close") == 2


def test_one_is_given_back_after_the_other_and_what_comes_beyond_that_at_once(
    storage: LocalStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "MAX_WAITING_FILES", 2)
    with runtime.held("_truncate"):
        for number in range(5):
            file = stored(storage, ticket_id=f"{TICKET_ID}-{number}")
            storage.delete(f"{TICKET_ID}-{number}")
            assert not file.exists()
            runtime.settle()
        assert steps(runtime) == 1
    assert steps(runtime) == 3 * 3, "one that was at it, and two that waited"


@pytest.mark.parametrize(
    ("number", "told"), [("27", True), *((number, False) for number in ("28", "29", "30", "2", ""))]
)
def test_the_mounts_say_whether_a_disk_is_told_what_is_free(number: str, told: bool) -> None:
    assert discards(MOUNTS, number) is told


def test_this_machines_list_of_mounts_can_be_read(tmp_path: Path) -> None:
    assert discards(mounts(), mount_id(tmp_path)) in (True, False)
    assert mounts().count(" - ") > 3
