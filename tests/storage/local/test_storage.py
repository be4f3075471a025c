"""The directory of the uploads: who may do what there, what is never followed, what is never removed."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest

from incoming.core.errors import StorageFailed, StorageFull
from incoming.storage.local import posix
from incoming.storage.local.posix import STEP_BYTES
from incoming.storage.local.reading import READ_BYTES
from incoming.storage.local.storage import LocalStorage
from incoming.storage.local.writer import SHORT_SYNC_BYTES, LocalWriter
from tests.storage.local.conftest import NOBODY, TICKET_ID, Mount, needs_root
from tests.support.fakes import FakeRuntime

TOO_LONG = "x" * 300
"""No filesystem takes such a name: a disk that refuses, for root too."""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def store(storage: LocalStorage, content: bytes = b"content") -> Path:
    writer = storage.open(TICKET_ID, len(content))
    writer.write(memoryview(content))
    writer.close()
    return Path(storage.location(TICKET_ID))


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# --- paths and modes -----------------------------------------------------------------------------


def test_a_file_has_a_folder_of_its_own_and_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: FakeRuntime
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = LocalStorage(Path("relative/data"), 0, runtime)
    assert storage.location(TICKET_ID) == str(tmp_path / "relative" / "data" / TICKET_ID / TICKET_ID)
    assert store(storage).read_bytes() == b"content"


def test_the_path_stays_the_same_when_the_process_changes_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: FakeRuntime
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = LocalStorage(Path("data"), 0, runtime)
    path = storage.location(TICKET_ID)
    monkeypatch.chdir("/")
    assert storage.location(TICKET_ID) == path


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
def test_an_app_of_the_same_group_can_move_the_file_whatever_the_umask(
    tmp_path: Path, runtime: FakeRuntime, mask: int
) -> None:
    with umask(mask):
        file = store(LocalStorage(tmp_path / "data", 0, runtime))
    assert [mode(path) for path in (file, file.parent, file.parent.parent)] == [0o660, 0o2770, 0o2770]


def test_a_file_that_is_opened_again_gets_its_mode_back(storage: LocalStorage) -> None:
    file = store(storage)
    file.chmod(0o600)
    storage.open(TICKET_ID, 7)
    assert mode(file) == 0o660


def test_a_folder_whose_making_was_cut_off_gets_its_mode_the_next_time(storage: LocalStorage) -> None:
    folder = Path(storage.location(TICKET_ID)).parent
    folder.mkdir(mode=0o700)  # killed between mkdir and chmod
    store(storage)
    assert mode(folder) == 0o2770


# --- what is there -------------------------------------------------------------------------------


def test_the_length_of_a_file_is_what_is_stored(storage: LocalStorage) -> None:
    store(storage, b"12345")
    assert storage.size(TICKET_ID) == 5


def test_nothing_is_stored_of_a_file_that_is_not_there(storage: LocalStorage) -> None:
    assert storage.size(TICKET_ID) is None
    folder = Path(storage.location(TICKET_ID)).parent
    folder.write_text("a file where a folder should be")
    assert storage.size(TICKET_ID) is None


def test_free_bytes_are_those_that_are_left_to_us(mount: Mount, runtime: FakeRuntime) -> None:
    storage = LocalStorage(mount("tmpfs", "size=1m") / "data", 0, runtime)
    assert 1_000_000 < storage.free_space.free_bytes() <= 1 << 20
    store(storage, bytes(500_000))
    assert 500_000 < storage.free_space.free_bytes() < 600_000


def test_a_disk_that_refuses_is_reported_without_its_words(storage: LocalStorage, tmp_path: Path) -> None:
    for ask in (storage.size, storage.delete, storage.pickup.clean_up, lambda name: storage.open(name, 1)):
        with pytest.raises(StorageFailed) as refused:
            ask(TOO_LONG)
        assert str(tmp_path) not in str(refused.value)
        assert isinstance(refused.value.__cause__, OSError), "the log has the details"
    (tmp_path / "data").rmdir()
    with pytest.raises(StorageFailed):
        storage.free_space.free_bytes()


def test_a_disk_that_can_be_written_passes_the_check_and_keeps_nothing_of_it(
    storage: LocalStorage, runtime: FakeRuntime, tmp_path: Path
) -> None:
    storage.check()
    assert runtime.pool_calls == ["_check"]
    assert list((tmp_path / "data").iterdir()) == []


def test_a_full_disk_and_a_missing_one_do_not_pass_the_check(mount: Mount, runtime: FakeRuntime) -> None:
    place = mount("tmpfs", "size=64k")
    storage = LocalStorage(place / "data", 0, runtime)
    (place / "filler").write_bytes(bytes(64 * 1024))
    with pytest.raises(StorageFull):
        storage.check()
    (place / "data").rmdir()
    with pytest.raises(StorageFailed):
        storage.check()


# --- reading back --------------------------------------------------------------------------------


def read(storage: LocalStorage, start: int, end: int) -> list[bytes]:
    pieces: list[bytes] = []
    storage.read(TICKET_ID, start, end, lambda piece: pieces.append(bytes(piece)))
    return pieces


@pytest.mark.parametrize(("start", "end"), [(0, 10), (0, 1), (3, 7), (9, 10)])
def test_any_part_of_a_file_can_be_read_back(storage: LocalStorage, start: int, end: int) -> None:
    store(storage, b"0123456789")
    assert read(storage, start, end) == [b"0123456789"[start:end]]


def test_a_large_part_comes_in_pieces_one_after_the_other(storage: LocalStorage) -> None:
    content = os.urandom(2 * READ_BYTES + 99)
    store(storage, content)
    pieces = read(storage, 1, 2 * READ_BYTES + 5)
    assert [len(piece) for piece in pieces] == [READ_BYTES, READ_BYTES, 4]
    assert b"".join(pieces) == content[1 : 2 * READ_BYTES + 5]


@pytest.mark.parametrize("stored", [b"", b"01234"])
def test_a_file_that_is_shorter_than_it_should_be_is_said(storage: LocalStorage, stored: bytes) -> None:
    store(storage, stored)
    with pytest.raises(StorageFailed):
        read(storage, 0, 6)


def test_a_file_that_is_gone_can_not_be_read_back(storage: LocalStorage) -> None:
    with pytest.raises(StorageFailed):
        read(storage, 0, 1)


# --- planted links -------------------------------------------------------------------------------


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that belongs to somebody else."""
    file = tmp_path / "elsewhere" / TICKET_ID
    file.parent.mkdir()
    file.write_bytes(b"not yours")
    return file


def test_a_planted_link_to_a_file_is_not_followed(storage: LocalStorage, victim: Path) -> None:
    planted = Path(storage.location(TICKET_ID))
    planted.parent.mkdir()
    planted.symlink_to(victim)
    with pytest.raises(StorageFailed):
        storage.open(TICKET_ID, 100)
    with pytest.raises(StorageFailed):
        storage.ownership.give_to(TICKET_ID, os.geteuid())
    with pytest.raises(StorageFailed):
        read(storage, 0, 1)
    storage.delete(TICKET_ID)
    assert not planted.is_symlink()
    assert victim.read_bytes() == b"not yours"


def test_a_planted_link_to_a_folder_is_not_followed(storage: LocalStorage, victim: Path) -> None:
    Path(storage.location(TICKET_ID)).parent.symlink_to(victim.parent)
    with pytest.raises(StorageFailed):
        storage.open(TICKET_ID, 100)
    storage.delete(TICKET_ID)
    storage.pickup.clean_up(TICKET_ID)
    assert victim.read_bytes() == b"not yours"


# --- removing ------------------------------------------------------------------------------------


def test_removing_takes_the_file_and_its_folder_away(storage: LocalStorage) -> None:
    file = store(storage)
    storage.delete(TICKET_ID)
    assert not file.parent.exists()


def test_removing_what_is_gone_is_fine(storage: LocalStorage) -> None:
    storage.delete(TICKET_ID)
    store(storage).unlink()  # the app has moved it away
    storage.delete(TICKET_ID)
    assert not Path(storage.location(TICKET_ID)).parent.exists()


def test_files_of_others_are_not_deleted(storage: LocalStorage, tmp_path: Path) -> None:
    beside = store(storage).with_name("notes.txt")
    beside.write_text("the app's own")
    storage.delete(TICKET_ID)
    storage.pickup.clean_up(TICKET_ID)
    assert beside.read_text() == "the app's own"
    assert not Path(storage.location(TICKET_ID)).exists()
    stray = tmp_path / "data" / "stray"
    stray.write_text("where a folder should be")
    storage.delete("stray")
    storage.pickup.clean_up("stray")
    assert stray.exists()


def test_cleaning_up_a_folder_keeps_its_file(storage: LocalStorage) -> None:
    file = store(storage)
    storage.pickup.clean_up(TICKET_ID)
    assert file.read_bytes() == b"content"


def test_tidying_takes_an_empty_folder_away_and_one_that_is_gone_is_fine(storage: LocalStorage) -> None:
    file = store(storage)
    file.unlink()
    storage.pickup.clean_up(TICKET_ID)
    assert not file.parent.exists()
    storage.pickup.clean_up(TICKET_ID)


# --- giving away ---------------------------------------------------------------------------------


def test_a_file_can_be_given_to_the_user_of_the_server(storage: LocalStorage) -> None:
    store(storage)
    assert storage.ownership.can_give_to(os.geteuid())
    storage.ownership.give_to(TICKET_ID, os.geteuid())


@needs_root
def test_root_gives_a_file_to_another_user(storage: LocalStorage) -> None:
    file = store(storage)
    assert storage.ownership.can_give_to(NOBODY)
    storage.ownership.give_to(TICKET_ID, NOBODY)
    assert file.stat().st_uid == NOBODY
    assert file.stat().st_gid == os.getegid()
    assert mode(file) == 0o660


@needs_root
def test_others_can_not_give_files_away(runtime: FakeRuntime) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        os.seteuid(NOBODY)
        try:
            storage = LocalStorage(Path(folder) / "data", 0, runtime)
            store(storage)
            assert not storage.ownership.can_give_to(0)
            with pytest.raises(StorageFailed):
                storage.ownership.give_to(TICKET_ID, 0)
        finally:
            os.seteuid(0)


def test_a_number_that_no_user_can_have_is_refused(storage: LocalStorage) -> None:
    assert not storage.ownership.can_give_to(2**40)


def test_trying_whether_files_can_be_given_away_leaves_no_file(storage: LocalStorage, tmp_path: Path) -> None:
    storage.ownership.can_give_to(os.geteuid())
    storage.ownership.can_give_to(2**40)
    assert list((tmp_path / "data").iterdir()) == []


def test_what_may_wait_for_a_disk_is_done_in_the_pool(storage: LocalStorage, runtime: FakeRuntime) -> None:
    writer = storage.open(TICKET_ID, 1 << 20)
    writer.write(memoryview(b"1"))
    runtime.settle()
    writer.close()
    store(storage)
    storage.ownership.can_give_to(os.geteuid())
    storage.ownership.give_to(TICKET_ID, os.geteuid())
    read(storage, 0, 1)
    storage.delete(TICKET_ID)
    storage.pickup.clean_up(TICKET_ID)
    opened = ["_open", "_timed", "fallocate", "_trim_and_close"]
    stored = ["_open", "_timed", "_trim_and_close"]  # a disk that nobody knows may be slow
    expected = [*opened, *stored, "can_give_to", "give", "_read", "_delete", "_delete_folder"]
    assert runtime.pool_calls == expected


@pytest.mark.parametrize(("size_bytes", "at_once"), [(SHORT_SYNC_BYTES + 1, 1), (1000, 10)])
def test_large_files_are_synced_in_turn_and_small_ones_at_once(
    storage: LocalStorage, runtime: FakeRuntime, size_bytes: int, at_once: int
) -> None:
    content = memoryview(bytes(size_bytes))
    writers = [storage.open(f"{TICKET_ID}-{number}", size_bytes) for number in range(10)]
    for writer in writers:
        writer.write(content)
    runtime.settle()
    runtime.pool_calls.clear()
    with runtime.held("write_out", "_sync"):
        syncing = [gevent.spawn(writer.finish) for writer in writers]
        runtime.settle()
        assert len(runtime.pool_calls) == at_once
    gevent.joinall(syncing, raise_error=True)
    assert runtime.pool_calls.count("_sync") == len(writers)


def test_a_file_that_is_being_synced_lets_others_have_their_turn(
    storage: LocalStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of many gigabytes does not keep those of a few megabytes waiting."""
    monkeypatch.setattr(posix, "TURN_S", 0)
    monkeypatch.setattr(posix, "FLUSH_S", -1)  # a slow disk, whose steps do not grow
    large, other = storage.open(TICKET_ID, 3 * STEP_BYTES), storage.open(f"{TICKET_ID}-2", STEP_BYTES)
    large.write(memoryview(bytes(3 * STEP_BYTES)))
    other.write(memoryview(bytes(STEP_BYTES)))
    runtime.settle()
    runtime.pool_calls.clear()
    ended: list[str] = []

    def sync(writer: LocalWriter, name: str) -> None:
        writer.finish()
        ended.append(name)

    with runtime.held("write_out"):
        first = gevent.spawn(sync, large, "large")
        runtime.settle()
        second = gevent.spawn(sync, other, "other")
        runtime.settle()
    gevent.joinall([first, second], raise_error=True)
    assert ended == ["other", "large"]
    assert runtime.pool_calls.count("write_out") == 3 + 1


# --- another folder in the place of the directory -------------------------------------------------------


def test_where_another_folder_is_in_its_place_nothing_is_stored_removed_or_taken_for_missing(
    storage: LocalStorage, tmp_path: Path
) -> None:
    """An unmounted disk leaves the empty folder that it was mounted on."""
    store(storage)
    (tmp_path / "data").rename(tmp_path / "away")
    (tmp_path / "data").mkdir()
    for ask in (
        storage.check,
        lambda: storage.open(TICKET_ID, 7),
        lambda: storage.size(TICKET_ID),
        lambda: storage.delete(TICKET_ID),
    ):
        with pytest.raises(StorageFailed) as refused:
            ask()
        assert "in its place" in str(refused.value.__cause__)
    assert list((tmp_path / "data").iterdir()) == []
    (tmp_path / "data").rmdir()
    (tmp_path / "away").rename(tmp_path / "data")
    storage.check()
    assert storage.size(TICKET_ID) == 7


def test_a_disk_without_two_inodes_does_not_pass_the_check(mount: Mount, runtime: FakeRuntime) -> None:
    place = mount("tmpfs", "size=1m,nr_inodes=6")
    storage = LocalStorage(place / "data", 0, runtime)
    storage.check()
    left = os.statvfs(place).f_favail
    for number in range(left - 1):
        (place / f"filler-{number}").touch()
    with pytest.raises(StorageFull):
        storage.check()
    (place / "filler-0").unlink()
    storage.check()
