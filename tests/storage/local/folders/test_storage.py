"""A folder as one upload in a directory: its files, times and digests, and what a hostile one can't do."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, Final

import pytest

from incoming.core.errors import BadFolder, BadParameter, StorageFailed, StorageFull, StorageLost
from incoming.core.folder_manifest import Bounds, Entry, encode_head
from incoming.core.folder_names import NameRules
from incoming.storage.local.folders import current_file
from incoming.storage.local.folders import deletion as folder_deletion
from incoming.storage.local.folders import disk as folder_disk
from incoming.storage.local.folders.storage import LocalFolderStorage
from incoming.storage.local.storage import DiskFacts, LocalStorage
from tests.storage.local.conftest import NOBODY, TICKET_ID, needs_root
from tests.support.fakes import FakeRuntime
from tests.support.folder_trees import (
    MODIFIED_MS,
    Tree,
    content,
    entries_of,
    expected,
    found_at,
    head_of,
    list_at,
    list_of,
    send,
    store,
    stream_of,
    times_at,
    tree_of,
)

TREE: Final = tree_of(
    ("a.txt", 10),
    ("empty", 0),
    ("deep/er/b", 250),
    ("none/", 0),
    ("deep/c", 1),
    ("deep/", 0),
    ("ü/名前", 500),
)
HEAD_BYTES: Final = len(head_of(TREE))


@pytest.fixture
def folders(storage: LocalStorage) -> LocalFolderStorage:
    """The storage of folders."""
    return storage.folders


def again(tmp_path: Path, boot_id: str = "") -> LocalFolderStorage:
    """Returns the storage of the next process."""
    return LocalStorage(tmp_path / "data", 0, FakeRuntime(), DiskFacts(boot_id=boot_id)).folders


def read(folders: LocalFolderStorage) -> bytes:
    """Returns the whole stream that is stored."""
    found = bytearray()
    folders.read(TICKET_ID, 0, folders.size(TICKET_ID) or 0, found.extend)
    return bytes(found)


# --- what is on the disk -------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_bytes", [1, 7, 100, 100_000])
@pytest.mark.parametrize("large_bytes", [current_file.LARGE_BYTES, 200])
def test_a_folder_arrives_with_its_bytes_times_and_digests(
    folders: LocalFolderStorage, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int, large_bytes: int
) -> None:
    monkeypatch.setattr(current_file, "LARGE_BYTES", large_bytes)
    place = store(folders, TICKET_ID, TREE, chunk_bytes)
    assert found_at(place) == expected(TREE)
    assert times_at(place, TREE) == [MODIFIED_MS + number for number in range(len(TREE))]
    assert list_at(place) == list_of(TREE)
    arrival = folders.arrival(TICKET_ID)
    assert arrival == (5, f"{place}.manifest", 761, 0)
    assert read(folders) == stream_of(TREE)


def test_modes_let_an_app_of_the_group_move_the_folder_and_change_it(folders: LocalFolderStorage) -> None:
    before = os.umask(0o077)
    try:
        place = store(folders, TICKET_ID, TREE)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(one.stat().st_mode) for one in place.rglob("*") if one.is_dir()}
    assert modes | {stat.S_IMODE(place.stat().st_mode)} == {0o2770}
    assert {stat.S_IMODE(one.stat().st_mode) for one in place.rglob("*") if one.is_file()} == {0o660}
    assert stat.S_IMODE(place.with_name(f"{place.name}.manifest").stat().st_mode) == 0o660


@pytest.mark.parametrize("tree", [{}, {"a/": b""}, {"a": b"", "b/c": b"", "d/": b""}])
def test_a_folder_without_a_byte_arrives(folders: LocalFolderStorage, tree: Tree) -> None:
    place = store(folders, TICKET_ID, tree)
    assert place.is_dir()
    assert found_at(place) == expected(tree)
    assert list_at(place) == list_of(tree)


def test_names_that_were_changed_are_told(folders: LocalFolderStorage) -> None:
    place = store(folders, TICKET_ID, {"a\nb": b"1", "x\\y/": b"", "kept": b"22"})
    assert found_at(place) == {"a_b": b"1", "kept": b"22", "x_y/": b""}
    told = [(one["path"], one.get("sent_path")) for one in list_at(place)]
    assert told == [("a_b", "a\nb"), ("x_y/", "x\\y/"), ("kept", None)]


def test_names_get_numbers_where_the_disk_takes_them_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_disk, "_rules_in", lambda *_: NameRules(folds=True))
    folders = again(tmp_path)
    stream = stream_of({"a": b"1", "A": b"22"})
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[:-1])
    writer.close()
    monkeypatch.undo()
    writer = again(tmp_path).open(TICKET_ID, len(stream))  # another disk now, the same names
    send(writer, stream)
    writer.finish()
    assert found_at(Path(folders.location(TICKET_ID))) == {"a": b"1", "A (2)": b"22"}


def test_this_disk_keeps_case_and_unicode_form(folders: LocalFolderStorage) -> None:
    tree = {"a": b"1", "A": b"2", "é": b"3", "e\u0301": b"4", "É/x": b"5"}
    assert found_at(store(folders, TICKET_ID, tree)) == dict(sorted(tree.items()))


def test_without_a_sync_the_list_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "data", 0, FakeRuntime(), DiskFacts(syncs=False))
    stream = stream_of(TREE)
    writer = storage.folders.open(TICKET_ID, len(stream))
    writer.want_sha256()
    send(writer, stream)
    writer.close()
    arrival = again(tmp_path).arrival(TICKET_ID)
    assert arrival == (5, f"{storage.folders.location(TICKET_ID)}.manifest", 761, 0)
    place = Path(storage.folders.location(TICKET_ID))
    assert found_at(place) == expected(TREE)
    assert list_at(place) == list_of(TREE)


def test_a_flush_of_a_whole_folder_makes_it_complete_where_nothing_is_synced(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "data", 0, FakeRuntime(), DiskFacts(syncs=False))
    stream = stream_of(TREE)
    writer = storage.folders.open(TICKET_ID, len(stream))
    send(writer, stream)
    writer.flush()
    assert found_at(Path(storage.folders.location(TICKET_ID))) == expected(TREE)


def test_an_unfinished_folder_has_no_list_to_hand_over(folders: LocalFolderStorage) -> None:
    writer = folders.open(TICKET_ID, len(stream_of(TREE)))
    send(writer, stream_of(TREE)[:-1])
    with pytest.raises(StorageFailed):
        folders.arrival(TICKET_ID)
    with pytest.raises(StorageFailed):
        writer.finish()


# --- the head ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        ({"../x": b"1"}, "leads_elsewhere"),
        ({"/x": b"1"}, "absolute_path"),
        ({"a": b"1", "a/b": b"2"}, "file_and_folder"),
        ({"a\0": b"1"}, "nul_character"),
    ],
)
def test_a_name_that_is_refused_leaves_no_file_and_tells_the_reason(
    folders: LocalFolderStorage, tmp_path: Path, tree: Tree, reason: str
) -> None:
    stream = stream_of(tree)
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[:40])
    for _ in range(2):
        with pytest.raises(BadFolder) as refused:
            writer.write(memoryview(stream)[40:])
        assert refused.value.reason == reason
        assert writer.taken_bytes == 40
    assert not list(Path(folders.location(TICKET_ID)).iterdir())
    writer.close()
    assert folders.size(TICKET_ID) == 40
    assert again(tmp_path).size(TICKET_ID) == 40


@pytest.mark.parametrize("wrong_by", [-1, 1, -770])
def test_a_folder_of_another_length_than_its_upload_is_refused(
    folders: LocalFolderStorage, wrong_by: int
) -> None:
    writer = folders.open(TICKET_ID, len(stream_of(TREE)) + wrong_by)
    with pytest.raises(BadFolder) as refused:
        writer.write(memoryview(stream_of(TREE)))
    assert refused.value.reason == "wrong_length"
    assert not list(Path(folders.location(TICKET_ID)).iterdir())


@pytest.mark.parametrize("taken_bytes", [32, 40, 700, len(stream_of(TREE))])
def test_a_length_that_is_told_late_has_to_be_that_of_the_list(
    folders: LocalFolderStorage, taken_bytes: int
) -> None:
    stream = stream_of(TREE)
    writer = folders.open(TICKET_ID, None)
    writer.write(memoryview(stream[:taken_bytes]))
    with pytest.raises(BadFolder) as refused:
        writer.set_length(taken_bytes if taken_bytes < len(stream) else taken_bytes + 1)
    assert refused.value.reason == "wrong_length"
    writer.set_length(len(stream))
    writer.write(memoryview(stream[taken_bytes:]))
    writer.finish()
    assert folders.size(TICKET_ID) == len(stream)


def test_more_bytes_than_the_manifest_says_are_refused_where_the_length_is_unknown(
    folders: LocalFolderStorage,
) -> None:
    writer = folders.open(TICKET_ID, None)
    send(writer, stream_of(TREE))
    with pytest.raises(BadFolder):
        writer.write(memoryview(b"?"))
    writer.finish()
    assert found_at(Path(folders.location(TICKET_ID))) == expected(TREE)


def test_a_manifest_that_is_too_large_is_refused_after_32_bytes(tmp_path: Path) -> None:
    facts = DiskFacts(folder_bounds=Bounds(max_entries=1))
    folders = LocalStorage(tmp_path / "data", 0, FakeRuntime(), facts).folders
    writer = folders.open(TICKET_ID, None)
    with pytest.raises(BadFolder) as refused:
        writer.write(memoryview(head_of({"a": b"", "b": b""}))[:32])
    assert refused.value.reason == "too_many_entries"


def test_a_folder_that_has_no_room_is_refused_before_its_first_file(
    folders: LocalFolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstatvfs

    def nearly_full(fd: int) -> os.statvfs_result:
        found = list(real(fd))
        found[4] = 10  # f_bavail
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "fstatvfs", nearly_full)
    tree = tree_of(*((f"{number}", 1) for number in range(11)))
    writer = folders.open(TICKET_ID, None)
    with pytest.raises(StorageFull):
        writer.write(memoryview(stream_of(tree)))
    assert not list(Path(folders.location(TICKET_ID)).iterdir())
    monkeypatch.undo()
    send(writer, stream_of(tree))
    writer.finish()


# --- room ---------------------------------------------------------------------------------------------


def test_small_files_to_come_are_counted_with_whole_blocks(folders: LocalFolderStorage) -> None:
    tree = tree_of(("a", 1), ("b", 4096), ("c", 5000), ("d/", 0))
    stream, head_bytes = stream_of(tree), len(head_of(tree))
    told: list[int] = []
    writer = folders.open(TICKET_ID, len(stream), told.append)
    rounding_bytes = 4095 + 0 + 3192 + 4096
    writer.write(memoryview(stream)[:head_bytes])
    assert told == [writer.accounted_bytes] == [head_bytes - rounding_bytes]
    assert len(stream) - writer.accounted_bytes == 4 * 4096 + 2 * 4096 - 4096 + 1 - 1
    assert folders.free_space.accounted_bytes(TICKET_ID) == writer.accounted_bytes
    writer.write(memoryview(stream)[head_bytes : head_bytes + 1])
    assert writer.accounted_bytes == head_bytes + 1 - rounding_bytes + 4095
    assert folders.free_space.accounted_bytes(TICKET_ID) == writer.accounted_bytes
    send(writer, stream)
    assert writer.accounted_bytes == len(stream)


# --- leaving out ---------------------------------------------------------------------------------------


def test_a_file_that_is_left_out_counts_as_zeros_and_is_told(
    folders: LocalFolderStorage, tmp_path: Path
) -> None:
    stream, place = stream_of(TREE), Path(folders.location(TICKET_ID))
    writer = folders.open(TICKET_ID, len(stream))
    writer.want_sha256()
    send(writer, stream[: HEAD_BYTES + 10 + 100])  # a.txt, and 100 bytes of deep/er/b
    writer.leave_out(2)
    assert (writer.taken_bytes, writer.left_out) == (HEAD_BYTES + 10 + 250, (2,))
    assert not (place / "deep/er/b").exists()
    zeroed = stream[: HEAD_BYTES + 10] + bytes(250) + stream[HEAD_BYTES + 260 :]
    assert read(folders) == zeroed[: HEAD_BYTES + 260]
    after = again(tmp_path)
    assert (after.size(TICKET_ID), after.left_out(TICKET_ID)) == (HEAD_BYTES + 260, (2,))
    writer = after.open(TICKET_ID, len(stream))
    writer.want_sha256()
    send(writer, zeroed)
    writer.finish()
    left = {path: data for path, data in TREE.items() if path != "deep/er/b"}
    assert found_at(place) == expected(left | {"deep/er/": b""})
    assert read(after) == zeroed
    about = list_of(TREE)
    about[2] = {"path": "deep/er/b", "size": 250, "modified_ms": MODIFIED_MS + 2, "left_out": True}
    assert list_at(place) == about
    assert after.arrival(TICKET_ID) == (4, f"{place}.manifest", 511, 1)


@pytest.mark.parametrize("at", ["start", "end", "empty"])
def test_a_file_may_be_left_out_before_its_first_byte_and_after_its_last(
    folders: LocalFolderStorage, at: str
) -> None:
    stream, place = stream_of(TREE), Path(folders.location(TICKET_ID))
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[: HEAD_BYTES + (260 if at == "end" else 10)])
    index = 1 if at == "empty" else 2
    for _ in range(2):
        writer.leave_out(index)
    assert writer.taken_bytes == HEAD_BYTES + (10 if at == "empty" else 260)
    send(writer, stream)
    writer.finish()
    missing = "empty" if at == "empty" else "deep/er/b"
    left = {path: data for path, data in TREE.items() if path != missing}
    assert found_at(place) == expected(left | {"deep/er/": b""})
    assert folders.arrival(TICKET_ID).left_out == 1


@pytest.mark.parametrize("index", [-1, 0, 3, 4, 6, 7])
def test_only_the_file_that_is_due_can_be_left_out(folders: LocalFolderStorage, index: int) -> None:
    stream = stream_of(TREE)
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[: HEAD_BYTES + 10 + 100])
    with pytest.raises(BadParameter):
        writer.leave_out(index)
    send(writer, stream)
    writer.finish()
    assert found_at(Path(folders.location(TICKET_ID))) == expected(TREE)


def test_nothing_can_be_left_out_before_the_head_is_complete(folders: LocalFolderStorage) -> None:
    writer = folders.open(TICKET_ID, None)
    send(writer, head_of(TREE)[:-1])
    with pytest.raises((BadParameter, StorageFailed)):
        writer.leave_out(0)


@pytest.mark.parametrize("cut_at", [HEAD_BYTES + 10, HEAD_BYTES + 11, HEAD_BYTES + 259])
def test_a_cut_into_what_is_left_out_brings_the_file_back(folders: LocalFolderStorage, cut_at: int) -> None:
    stream = stream_of(TREE)
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[: HEAD_BYTES + 20])
    writer.leave_out(2)
    send(writer, stream[: HEAD_BYTES + 300])
    writer.truncate(cut_at)
    assert (writer.taken_bytes, writer.left_out) == (HEAD_BYTES + 10, ())
    send(writer, stream)
    writer.finish()
    assert found_at(Path(folders.location(TICKET_ID))) == expected(TREE)


def test_a_cut_behind_what_is_left_out_keeps_that(folders: LocalFolderStorage) -> None:
    stream = stream_of(TREE)
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[: HEAD_BYTES + 20])
    writer.leave_out(2)
    send(writer, stream[: HEAD_BYTES + 300])
    writer.truncate(HEAD_BYTES + 260)
    assert (writer.taken_bytes, writer.left_out) == (HEAD_BYTES + 260, (2,))


# --- cuts, and what other processes leave -----------------------------------------------------------------


@pytest.mark.parametrize("cut_at", range(0, len(stream_of(TREE)), 37))
def test_after_any_cut_the_folder_is_what_its_client_sends_then(
    folders: LocalFolderStorage, tmp_path: Path, cut_at: int
) -> None:
    stream = stream_of(TREE)
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream)
    writer.truncate(cut_at)
    assert writer.taken_bytes == folders.size(TICKET_ID) == cut_at
    assert read(folders) == stream[:cut_at]
    other = {path: content(len(data), 99) for path, data in TREE.items()}
    resent = stream[:cut_at] + stream_of(other)[cut_at:]
    writer.close()
    writer = again(tmp_path).open(TICKET_ID, len(stream))
    writer.want_sha256()
    send(writer, resent)
    writer.finish()
    place, at = Path(folders.location(TICKET_ID)), HEAD_BYTES
    for line, (path, data) in zip(list_at(place), TREE.items(), strict=True):
        if not path.endswith("/"):
            kept = resent[at : at + len(data)]
            assert (place / path).read_bytes() == kept
            assert line == list_of({path: kept})[0] | {"modified_ms": line["modified_ms"]}
        at += len(data)


def test_a_log_with_a_damaged_record_is_read_up_to_there(folders: LocalFolderStorage, tmp_path: Path) -> None:
    stream, place = stream_of(TREE), Path(folders.location(TICKET_ID))
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[:-1])
    writer.close()
    log = place.with_name(f"{TICKET_ID}.sums")
    damaged = bytearray(log.read_bytes())
    damaged[3 * 48] ^= 1
    log.write_bytes(damaged)
    writer = again(tmp_path).open(TICKET_ID, len(stream))
    writer.want_sha256()
    send(writer, stream)
    writer.finish()
    assert list_at(place) == list_of(TREE)


def test_after_a_reboot_every_file_is_looked_at_and_empty_ones_are_made_again(
    folders: LocalFolderStorage, tmp_path: Path
) -> None:
    stream, place = stream_of(TREE), Path(folders.location(TICKET_ID))
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[:-1])
    writer.close()
    (place / "empty").unlink()
    with (place / "deep/er/b").open("r+b") as file:
        file.truncate(33)
    after = again(tmp_path, "the next")
    assert after.size(TICKET_ID) == HEAD_BYTES + 10 + 33
    writer = after.open(TICKET_ID, len(stream))
    assert writer.taken_bytes == HEAD_BYTES + 10 + 33
    writer.want_sha256()
    send(writer, stream)
    writer.finish()
    assert found_at(place) == expected(TREE)
    assert list_at(place) == list_of(TREE)


def test_a_hole_in_a_file_is_where_a_power_cut_has_taken_bytes(
    folders: LocalFolderStorage, tmp_path: Path
) -> None:
    tree = tree_of(("a", 5000), ("b", 20_000), ("c", 100))
    stream, place = stream_of(tree), Path(folders.location(TICKET_ID))
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream)
    writer.close()
    with (place / "b").open("r+b") as file:
        file.truncate(4096)
        file.truncate(20_000)
    after = again(tmp_path, "the next")
    assert after.recovery
    assert after.recovery.discard_lost(TICKET_ID) == 20_000 - 4096 + 100
    assert after.size(TICKET_ID) == len(head_of(tree)) + 5000 + 4096
    assert read(after) == stream[: len(head_of(tree)) + 5000 + 4096]


def test_a_lost_head_is_what_the_upload_begins_with_again(
    folders: LocalFolderStorage, tmp_path: Path
) -> None:
    stream, place = stream_of(TREE), Path(folders.location(TICKET_ID))
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[:-1])
    writer.close()
    place.with_name(f"{TICKET_ID}.head").write_bytes(stream[:50] + bytes(HEAD_BYTES - 50))
    after = again(tmp_path, "the next")
    assert after.size(TICKET_ID) == HEAD_BYTES
    writer = after.open(TICKET_ID, len(stream))
    writer.truncate(50)
    send(writer, stream)
    writer.finish()
    assert found_at(place) == expected(TREE)


# --- who else uses the folder -----------------------------------------------------------------------------


def test_the_app_takes_the_folder_with_one_rename_and_the_list_goes_then(
    folders: LocalFolderStorage, tmp_path: Path
) -> None:
    place = store(folders, TICKET_ID, TREE)
    arrival = folders.arrival(TICKET_ID)
    assert not folders.is_taken(TICKET_ID)
    assert not folders.may_be_taken(TICKET_ID)
    place.rename(tmp_path / "taken")
    assert folders.is_taken(TICKET_ID)
    assert folders.may_be_taken(TICKET_ID)
    assert folders.size(TICKET_ID) == HEAD_BYTES
    assert folders.arrival(TICKET_ID) == arrival
    assert not place.exists()
    folders.clean_up(TICKET_ID)
    assert not place.parent.exists()
    assert found_at(tmp_path / "taken") == expected(TREE)
    with pytest.raises(StorageFailed):
        folders.arrival(TICKET_ID)
    assert not place.parent.exists()


def test_a_link_in_the_place_of_the_folder_is_not_the_folder(
    folders: LocalFolderStorage, tmp_path: Path
) -> None:
    place, outside = store(folders, TICKET_ID, TREE), tmp_path / "outside"
    place.rename(outside)
    place.symlink_to(outside)
    assert folders.is_taken(TICKET_ID)
    folders.delete(TICKET_ID)
    assert not place.parent.exists()
    assert found_at(outside) == expected(TREE)


class LostDirectory:
    """The owner of a directory that another process can have."""

    is_lost = False

    def check(self) -> None:
        """See Owner."""
        if self.is_lost:
            raise StorageLost

    def glance(self) -> None:
        """See Owner."""
        self.check()


@pytest.mark.parametrize("taken_bytes", [0, HEAD_BYTES, HEAD_BYTES + 20])
def test_nothing_is_acknowledged_or_deleted_once_another_process_can_own_the_directory(
    tmp_path: Path, taken_bytes: int
) -> None:
    owner = LostDirectory()
    folders = LocalStorage(tmp_path / "data", 0, FakeRuntime(), owner=owner).folders
    stream = stream_of(TREE)
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[:taken_bytes])
    owner.is_lost = True
    for refused in (
        lambda: writer.write(memoryview(stream)[taken_bytes : taken_bytes + 5]),
        lambda: writer.truncate(0),
        lambda: folders.delete(TICKET_ID),
        lambda: folders.clean_up(TICKET_ID),
        lambda: folders.open(TICKET_ID, len(stream)),
    ):
        with pytest.raises(StorageLost):
            refused()
    assert writer.taken_bytes == taken_bytes
    assert (folders.size(TICKET_ID) or 0) >= taken_bytes


def test_a_deletion_follows_no_link_and_takes_whatever_the_app_has_put_there(
    folders: LocalFolderStorage, storage: LocalStorage, tmp_path: Path
) -> None:
    place = store(folders, TICKET_ID, TREE)
    outside = tmp_path / "outside"
    (outside / "inner").mkdir(parents=True)
    (outside / "precious").write_bytes(b"1")
    (place / "link").symlink_to(outside)
    (place / "deep/er/link").symlink_to(outside / "precious")
    os.link(outside / "precious", place / "deep/second name")
    os.mkfifo(place / "fifo")
    (place / "own/.deleted-0/.deleted-1/.deleted-2").mkdir(parents=True)
    (place / ".deleted-0").write_bytes(b"")
    (place / ".deleted-1/x").mkdir(parents=True)
    storage.delete(TICKET_ID)
    assert not place.parent.exists()
    assert [one.name for one in sorted(outside.iterdir())] == ["inner", "precious"]
    assert (outside / "precious").read_bytes() == b"1"


def test_a_large_folder_is_gone_at_once_and_deleted_in_the_background(
    folders: LocalFolderStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_deletion, "AT_ONCE", 3)
    place = store(folders, TICKET_ID, TREE)
    folders.delete(TICKET_ID)
    assert folders.size(TICKET_ID) is None
    assert [one.name for one in place.parent.iterdir()] == [f"{TICKET_ID}.deleted-0"]
    runtime.settle()
    assert not place.parent.exists()


def test_the_next_process_deletes_what_a_kill_has_left_of_a_folder(
    folders: LocalFolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = store(folders, TICKET_ID, TREE)
    with monkeypatch.context() as few:
        few.setattr(folder_deletion, "AT_ONCE", 1)
        folders.delete(TICKET_ID)
    (place.parent / f"{TICKET_ID}.deleted-1").mkdir()
    again(tmp_path).delete(TICKET_ID)
    assert not place.parent.exists()


def test_a_folder_that_is_uploaded_again_while_the_old_one_is_deleted_stays(
    folders: LocalFolderStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_deletion, "AT_ONCE", 1)
    place = store(folders, TICKET_ID, TREE)
    folders.delete(TICKET_ID)
    store(folders, TICKET_ID, TREE)
    runtime.settle()
    assert {one.name for one in place.parent.iterdir()} == {
        TICKET_ID, *(f"{TICKET_ID}.{suffix}" for suffix in ("head", "sums", "manifest"))
    }  # fmt: skip
    assert found_at(place) == expected(TREE)


def test_a_tree_that_is_deeper_than_a_process_may_open_is_deleted(folders: LocalFolderStorage) -> None:
    place = store(folders, TICKET_ID, TREE)
    fd = os.open(place, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    folders.delete(TICKET_ID)
    assert not place.parent.exists()


@pytest.mark.parametrize("where", ["", "deep", "deep/er"])
def test_no_file_is_written_through_a_link_in_the_place_of_a_folder(
    folders: LocalFolderStorage, tmp_path: Path, where: str
) -> None:
    stream, place, outside = stream_of(TREE), Path(folders.location(TICKET_ID)), tmp_path / "outside"
    outside.mkdir()
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[: HEAD_BYTES + 5])
    writer.close()
    if where:
        (place / where).parent.mkdir(parents=True, exist_ok=True)
        (place / where).symlink_to(outside)
    else:
        place.rename(tmp_path / "moved")
        place.symlink_to(outside)
    with pytest.raises(StorageFailed):
        send(folders.open(TICKET_ID, len(stream)), stream)
    assert not list(outside.iterdir())


@pytest.mark.parametrize("planted", ["file", "link", "fifo", "folder"])
def test_what_is_in_the_place_of_a_file_is_never_written_to(
    folders: LocalFolderStorage, tmp_path: Path, planted: str
) -> None:
    stream, place, outside = stream_of(TREE), Path(folders.location(TICKET_ID)), tmp_path / "outside"
    outside.write_bytes(b"precious")
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[: HEAD_BYTES + 5])
    file = place / "deep/c"
    file.parent.mkdir(parents=True)
    if planted == "file":
        file.write_bytes(b"theirs")
    elif planted == "link":
        file.symlink_to(outside)
    elif planted == "fifo":
        os.mkfifo(file)
    else:
        file.mkdir()
    with pytest.raises(StorageFailed):
        send(writer, stream)
    assert outside.read_bytes() == b"precious"
    assert planted != "file" or file.read_bytes() == b"theirs"
    file.rmdir() if planted == "folder" else file.unlink()
    send(writer, stream)
    writer.finish()
    assert found_at(place) == expected(TREE)


@needs_root
def test_every_file_and_folder_and_the_list_belong_to_the_user(folders: LocalFolderStorage) -> None:
    place = store(folders, TICKET_ID, TREE)
    assert folders.ownership.can_give_to(NOBODY)
    folders.ownership.give_to(TICKET_ID, NOBODY)
    own = [place.parent, place, place.with_name(f"{TICKET_ID}.manifest"), *place.rglob("*")]
    assert {one.stat().st_uid for one in own} == {NOBODY}
    folders.ownership.give_to(TICKET_ID, NOBODY)
    folders.delete(TICKET_ID)
    assert not place.parent.exists()


@needs_root
@pytest.mark.parametrize("planted", ["link", "second name", "fifo"])
def test_nothing_of_somebody_else_is_given_away(
    folders: LocalFolderStorage, tmp_path: Path, planted: str
) -> None:
    place, outside = store(folders, TICKET_ID, TREE), tmp_path / "outside"
    outside.write_bytes(b"precious")
    file = place / "deep/er/planted"
    {
        "link": lambda: file.symlink_to(outside), "second name": lambda: os.link(outside, file),
        "fifo": lambda: os.mkfifo(file),
    }[planted]()  # fmt: skip
    with pytest.raises(StorageFailed):
        folders.ownership.give_to(TICKET_ID, NOBODY)
    assert outside.stat().st_uid == os.geteuid()
    assert place.parent.stat().st_uid == os.geteuid(), "so the user can't enter"


# --- a disk that fails --------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["pwrite", "open", "mkdir", "utime"])
@pytest.mark.parametrize("large_bytes", [current_file.LARGE_BYTES, 200])
def test_after_an_error_the_same_chunk_is_stored_again(
    folders: LocalFolderStorage, monkeypatch: pytest.MonkeyPatch, call: str, large_bytes: int
) -> None:
    monkeypatch.setattr(current_file, "LARGE_BYTES", large_bytes)
    stream, place = stream_of(TREE), Path(folders.location(TICKET_ID))
    real = getattr(os, call)
    number = 0
    while True:
        folders.delete(TICKET_ID)
        writer = folders.open(TICKET_ID, len(stream))
        send(writer, stream[: HEAD_BYTES + 5])
        calls = 0

        def full(*args: Any, at: int = number, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at + 1:
                raise OSError(errno.ENOSPC, "full")
            return real(*args, **kwargs)

        monkeypatch.setattr(os, call, full)
        try:
            writer.write(memoryview(stream)[HEAD_BYTES + 5 :])
        except StorageFull:
            assert writer.taken_bytes == HEAD_BYTES + 5
            writer.write(memoryview(stream)[HEAD_BYTES + 5 :])
        monkeypatch.setattr(os, call, real)
        writer.finish()
        assert found_at(place) == expected(TREE)
        if calls <= number:
            break
        number += 1
    assert number > 1, "the call was reached"


def test_a_closed_writer_leaves_what_it_has_acknowledged_after_an_error(
    folders: LocalFolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = stream_of(TREE)
    writer = folders.open(TICKET_ID, len(stream))
    send(writer, stream[: HEAD_BYTES + 5])

    def fails(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as broken:
        broken.setattr(os, "utime", fails)
        with pytest.raises(StorageFailed):
            writer.write(memoryview(stream)[HEAD_BYTES + 5 :])
    writer.close()
    assert folders.size(TICKET_ID) == HEAD_BYTES + 5
    with pytest.raises(StorageFailed):
        writer.write(memoryview(b"1"))


def test_a_manifest_of_many_entries_does_not_stay_in_memory_twice(
    folders: LocalFolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_disk, "MAX_CACHED_ENTRIES", 15)
    heads = {f"{number}": encode_head([Entry(f"{one}") for one in range(10)]) for number in range(3)}
    for ticket_id, head in heads.items():
        writer = folders.open(ticket_id, len(head))
        writer.write(memoryview(head))
        writer.close()
        assert folders.manifest_of(ticket_id) is folders.manifest_of(ticket_id)
    assert len(folders._disk._cache) == 1
    for ticket_id in heads:
        found = folders.manifest_of(ticket_id)
        assert found
        assert found.files == 10


def test_entries_of_tests_have_times() -> None:
    assert [one.modified_ms for one in entries_of({"a": b"", "b/": b""})] == [MODIFIED_MS, MODIFIED_MS + 1]
