"""A folder whose server is killed before any of the calls that change the disk, or whose power is cut.

INCOMING_TEST_POINT_KILLS has it killed before each call, INCOMING_TEST_CUTS says how often its power is cut.
Whatever happens: no acknowledged byte is lost, what is stored is the beginning of the stream, and when its
client has sent the rest, the folder is the one that it has.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.errors import BytesLost, StorageFailed
from incoming.storage import FolderWriter
from incoming.storage.local import posix
from incoming.storage.local.folders import current_file
from incoming.storage.local.folders import files as folder_files
from incoming.storage.local.folders import sync as folder_sync
from incoming.storage.local.folders.storage import LocalFolderStorage
from incoming.storage.local.storage import DiskFacts, LocalStorage
from tests.storage.local.conftest import TICKET_ID
from tests.support.dying_process import DyingProcess
from tests.support.fakes import FakeRuntime
from tests.support.faultpoints import Trace
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
    stream_of,
    times_at,
    tree_of,
)
from tests.support.powercut import Disk, read_trace

TREE: Final = tree_of(
    *(("a", 10), ("e1", 0), ("d/b", 40), ("d/n/", 0), ("d/c", 1), ("e2", 0), ("large", 70), ("d/x", 5)),
    *(("z/e", 0), ("z/", 0)),
)
STREAM: Final = stream_of(TREE)
HEAD_BYTES: Final = len(head_of(TREE))
SEED: Final = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
STRIDE: Final = 1 if "INCOMING_TEST_POINT_KILLS" in os.environ else 7
"""A kill before each call takes a minute; else it is before each seventh one, beginning anywhere."""
CUTS: Final = int(os.environ.get("INCOMING_TEST_CUTS", "8"))
LARGE_BYTES: Final = 60


@pytest.fixture(autouse=True)
def a_large_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file of the folder is written apart from the others."""
    monkeypatch.setattr(current_file, "LARGE_BYTES", LARGE_BYTES)


def folders_in(directory: Path, boot_id: str = "the first", syncs: bool = True) -> LocalFolderStorage:
    """Returns the storage of a new process."""
    return LocalStorage(directory / "data", 0, FakeRuntime(), DiskFacts(boot_id=boot_id, syncs=syncs)).folders


def read(folders: LocalFolderStorage, size_bytes: int) -> bytes:
    """Returns the beginning of the stream that is stored."""
    found = bytearray()
    folders.read(TICKET_ID, 0, size_bytes, found.extend)
    return bytes(found)


class Upload:
    """A client that sends its folder, and remembers what was acknowledged."""

    def __init__(self, stream: bytes = STREAM) -> None:
        self.stream = stream
        self.acknowledged_bytes = 0
        self.left_out: set[int] = set()
        self.is_finished = False

    def send(self, folders: LocalFolderStorage, chunk_bytes: int = 23) -> FolderWriter:
        """Sends what is missing, chunk by chunk."""
        writer = folders.open(TICKET_ID, len(self.stream))
        writer.want_sha256()
        while writer.taken_bytes < len(self.stream):
            start = writer.taken_bytes
            writer.write(memoryview(self.stream)[start : start + chunk_bytes])
            self.acknowledged_bytes = writer.durable_offset
        return writer

    def finish(self, writer: FolderWriter) -> None:
        """Has all of it handed over."""
        writer.finish()
        self.is_finished = True


def whole(upload: Upload, folders: LocalFolderStorage) -> None:
    """An upload without any event."""
    upload.finish(upload.send(folders))


def with_a_pause(upload: Upload, folders: LocalFolderStorage) -> None:
    """Its client disconnects in the middle of a file, and comes back."""
    writer = folders.open(TICKET_ID, len(STREAM))
    send(writer, STREAM[: HEAD_BYTES + 90])
    upload.acknowledged_bytes = writer.durable_offset
    writer.close()
    whole(upload, folders)


def with_cuts(upload: Upload, folders: LocalFolderStorage) -> None:
    """Bytes turn out to be wrong, and are discarded."""
    writer = upload.send(folders)
    for length_bytes in (HEAD_BYTES + 80, HEAD_BYTES + 10, HEAD_BYTES, 40):
        upload.acknowledged_bytes = length_bytes
        writer.truncate(length_bytes)
        assert writer.taken_bytes == length_bytes
        send(writer, STREAM)
    upload.finish(writer)


def with_files_left_out(upload: Upload, folders: LocalFolderStorage) -> None:
    """Some files can't be read any more: the first one, an empty one, one in the middle, and the last one."""
    writer = folders.open(TICKET_ID, len(STREAM))
    writer.want_sha256()
    for index, at in ((0, 3), (1, 10), (2, 30), (6, 51), (7, 126)):
        send(writer, upload.stream[: HEAD_BYTES + at])
        upload.acknowledged_bytes = writer.durable_offset
        start, end = ends_of(TREE, index)
        upload.left_out.add(index)
        upload.acknowledged_bytes = min(upload.acknowledged_bytes, HEAD_BYTES + start)
        writer.leave_out(index)
        upload.acknowledged_bytes = HEAD_BYTES + end
        upload.stream = upload.stream[: HEAD_BYTES + start] + bytes(end - start) + STREAM[HEAD_BYTES + end :]
    upload.finish(upload_rest(writer, upload))


def upload_rest(writer: FolderWriter, upload: Upload) -> FolderWriter:
    """Sends what is missing."""
    send(writer, upload.stream)
    return writer


def ends_of(tree: Tree, index: int) -> tuple[int, int]:
    """Returns where a file begins and ends behind the head."""
    sizes = [entry.size_bytes for entry in entries_of(tree)]
    return sum(sizes[:index]), sum(sizes[: index + 1])


ERRANDS: Final = (whole, with_a_pause, with_cuts, with_files_left_out)


@pytest.mark.parametrize(
    ("errand", "syncs"),
    [(whole, True), (whole, False), (with_a_pause, True), (with_cuts, True), (with_files_left_out, True)],
)
def test_a_kill_before_any_call_loses_nothing_and_the_folder_arrives(
    tmp_path: Path, errand: Callable[[Upload, LocalFolderStorage], None], syncs: bool
) -> None:
    number, was_killed = SEED % STRIDE, True
    while was_killed:
        directory, upload = tmp_path / str(number), Upload()
        process = DyingProcess(number)
        with process.runs():
            errand(upload, folders_in(directory, syncs=syncs))
        was_killed = process.is_dead
        resumed(upload, folders_in(directory))
        number += STRIDE
    assert number > 40, "the calls were counted"


def resumed(upload: Upload, folders: LocalFolderStorage) -> None:
    """Checks what a process has left, and has the client send the rest."""
    size_bytes = folders.size(TICKET_ID)
    if size_bytes is None:
        assert not upload.acknowledged_bytes
    else:
        assert upload.acknowledged_bytes <= size_bytes <= len(STREAM)
        kept = [index for index in upload.left_out if index not in folders.left_out(TICKET_ID)]
        assert len(kept) <= 1, "only the one that was being left out"
        stream = with_zeros(folders.left_out(TICKET_ID))
        assert read(folders, size_bytes) == stream[:size_bytes]
    writer = folders.open(TICKET_ID, len(STREAM))
    assert writer.taken_bytes == (size_bytes or 0)
    writer.want_sha256()
    stream = with_zeros(writer.left_out)
    send(writer, stream)
    writer.finish()
    check_arrived(folders, writer.left_out)


def with_zeros(left_out: tuple[int, ...]) -> bytes:
    """Returns the stream of a folder in which these files are left out."""
    stream = bytearray(STREAM)
    for index in left_out:
        start, end = ends_of(TREE, index)
        stream[HEAD_BYTES + start : HEAD_BYTES + end] = bytes(end - start)
    return bytes(stream)


def check_arrived(folders: LocalFolderStorage, left_out: tuple[int, ...] = ()) -> None:
    """Checks that the folder is on the disk as its client has it."""
    place = Path(folders.location(TICKET_ID))
    there = {path: data for index, (path, data) in enumerate(TREE.items()) if index not in left_out}
    folders_of_missing = {
        f"{path.rpartition('/')[0]}/": b"" for path in set(TREE) - set(there) if "/" in path
    }
    assert found_at(place) == expected(there | folders_of_missing)
    times = dict(zip(TREE, range(len(TREE)), strict=True))
    assert times_at(place, there) == [MODIFIED_MS + times[path] for path in there]
    lines = list_of(TREE)
    for index in left_out:
        lines[index] = {k: v for k, v in lines[index].items() if k not in ("crc32c", "sha256")}
        lines[index]["left_out"] = True
    assert list_at(place) == lines
    assert read(folders, len(STREAM)) == with_zeros(left_out)


# --- power cuts ------------------------------------------------------------------------------------------


def record(directory: Path, errand: Callable[[Upload, LocalFolderStorage], None]) -> list[tuple[int, Upload]]:
    """Runs an errand, with all that it asks of the disk written down.

    Returns how many lines were written before each acknowledgement, with what the client knew then.
    """
    trace = Trace(str(directory / "trace"))
    known: list[tuple[int, Upload]] = []
    with pytest.MonkeyPatch.context() as patch:
        notes: dict[str, Any] = {
            "pwrite": trace.wrote, "ftruncate": trace.truncated, "replace": trace.renamed,
            "unlink": trace.unlinked, "mkdir": trace.made, "rmdir": trace.removed,
        }  # fmt: skip
        for name, note in notes.items():
            patch.setattr(os, name, _noted(getattr(os, name), note))
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, trace.synced(getattr(os, name)))
        patch.setattr(posix, "syncfs", trace.synced_all(posix.syncfs))
        real_open = os.open

        def opened(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            fd = real_open(path, flags, *args, **kwargs)
            if flags & os.O_CREAT:
                trace.opened(fd, path, flags, *args, **kwargs)
            return fd

        patch.setattr(os, "open", opened)
        upload = Watched(lambda: known.append((trace.lines, snapshot(upload))))
        errand(upload, folders_in(directory))
        upload.tell()
    return known


def _noted(call: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        note(result, *args, **kwargs)
        return result

    return called


class Watched(Upload):
    """An upload that tells each time that it knows more."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self.tell = tell

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "is_finished" and value:
            self.tell()


def snapshot(upload: Upload) -> Upload:
    """Returns what a client knows now."""
    copy = Upload(upload.stream)
    copy.left_out, copy.is_finished = set(upload.left_out), upload.is_finished
    return copy


@pytest.mark.parametrize("errand", ERRANDS)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_power_cut_takes_nothing_of_a_finished_folder_and_any_other_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errand: Callable[[Upload, LocalFolderStorage], None],
    at_once: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(folder_sync, "FEW_FILES", 0)
    monkeypatch.setattr(folder_sync, "syncs_at_once", lambda _: at_once)
    monkeypatch.setattr("incoming.storage.local.folders.storage.syncs_at_once", lambda _: at_once)
    (tmp_path / "data").mkdir()
    print(f"INCOMING_TEST_SEED={SEED}")
    known = record(tmp_path, errand)
    lines, chance = read_trace(tmp_path / "trace"), random.Random(SEED)
    finished_at = next(number for number, upload in known if upload.is_finished)
    cuts = [chance.randrange(len(lines) + 1) for _ in range(CUTS)] + [finished_at, len(lines)]
    for number, cut in enumerate(cuts):
        place = tmp_path / f"cut-{number}"
        place.mkdir()
        Disk(tmp_path / "data", lines[:cut], random.Random(SEED + number)).rebuild(place / "data")
        folders = folders_in(place, "the next")
        upload = known[-1][1] if cut >= finished_at else Upload()
        after_a_cut(folders, upload, cut >= finished_at, f"{SEED=} {cut=}")


def after_a_cut(folders: LocalFolderStorage, upload: Upload, is_finished: bool, about: str) -> None:
    """Checks what a power cut has left, and has the client send the rest."""
    if is_finished:
        assert folders.size(TICKET_ID) == len(STREAM), about
        left_out = folders.left_out(TICKET_ID)
        assert set(left_out) == upload.left_out, about
        place = Path(folders.location(TICKET_ID))
        there = {path: data for index, (path, data) in enumerate(TREE.items()) if index not in left_out}
        assert {path: (place / path).read_bytes() for path in there if not path.endswith("/")} == {
            path: data for path, data in there.items() if not path.endswith("/")
        }, about
        assert len(list_at(place)) == len(TREE), about
        return
    size_bytes = folders.size(TICKET_ID) or 0
    stored = read(folders, size_bytes) if size_bytes else b""
    stream = with_zeros(folders.left_out(TICKET_ID))
    right_bytes = next((at for at in range(size_bytes) if stored[at] != stream[at]), size_bytes)
    writer = folders.open(TICKET_ID, len(STREAM))
    assert writer.taken_bytes == size_bytes, about
    if right_bytes < size_bytes:
        writer.truncate(right_bytes)  # as the service does, which has checksums of what was acknowledged
    writer.want_sha256()
    send(writer, with_zeros(writer.left_out))
    writer.finish()
    check_arrived(folders, writer.left_out)


LOST, HALF, KEPT = 0.0, 0.5, 1.0


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("errand", [whole, with_files_left_out])
def test_whatever_a_power_cut_takes_of_a_complete_folder_its_size_is_where_its_client_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errand: Callable[[Upload, LocalFolderStorage], None]
) -> None:
    monkeypatch.setattr(posix, "syncfs", lambda _: None)
    errand(Upload(), folders_in(tmp_path, syncs=False))
    takes = product((LOST, KEPT), (LOST, HALF, KEPT), (LOST, HALF, KEPT), (LOST, KEPT))
    for number, kept in enumerate(takes):
        directory = tmp_path / f"cut-{number}"
        shutil.copytree(tmp_path / "data", directory / "data")
        folders = folders_in(directory, "the next")
        take(Path(folders.location(TICKET_ID)), *kept)
        after_a_cut(folders, Upload(), False, f"{kept=}")


def take(place: Path, tree: float, *beside: float) -> None:
    """Leaves so much of a folder's tree, and of the files beside it: the head, the log, the list."""
    if tree == LOST:
        shutil.rmtree(place)
    for suffix, kept in zip(("head", "sums", "manifest"), beside, strict=True):
        file = place.with_name(f"{place.name}.{suffix}")
        os.truncate(file, int(file.stat().st_size * kept))
        if kept == LOST:
            file.unlink()


# --- the sync ----------------------------------------------------------------------------------------------


def arrived(folders: LocalFolderStorage) -> FolderWriter:
    """Returns the writer of a folder that has all its bytes."""
    writer = folders.open(TICKET_ID, len(STREAM))
    writer.want_sha256()
    send(writer, STREAM)
    return writer


@pytest.fixture
def many_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of these tests counts as one of many files, on a disk that is synced at once."""
    monkeypatch.setattr(folder_sync, "FEW_FILES", 0)
    monkeypatch.setattr("incoming.storage.local.folders.storage.syncs_at_once", lambda _: True)


def failing(times: int) -> Callable[[int], None]:
    """Returns a syncfs that fails for a while."""
    left = [times]

    def syncfs(_: int) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(5, "somebody's data is lost")

    return syncfs


@pytest.mark.usefixtures("many_files")
def test_one_sync_is_enough_for_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(posix, "syncfs", calls.append)
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("a file was synced"))
    folders = folders_in(tmp_path)
    arrived(folders).finish()
    assert len(calls) == 1
    check_arrived(folders)


@pytest.mark.usefixtures("many_files")
def test_after_a_failed_sync_each_file_is_written_again_and_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders, synced, written = folders_in(tmp_path), set(), set()
    writer = arrived(folders)
    real_sync, real_write = os.fsync, os.pwrite

    def fsync(fd: int) -> None:
        synced.add(Path(f"/proc/self/fd/{fd}").readlink().name)
        real_sync(fd)

    def pwrite(fd: int, data: Any, position: int) -> int:
        written.add(Path(f"/proc/self/fd/{fd}").readlink().name)
        return real_write(fd, data, position)

    monkeypatch.setattr(posix, "syncfs", failing(1))
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "pwrite", pwrite)
    writer.finish()
    names = {path.rpartition("/")[2] for path in TREE if not path.endswith("/")}
    assert names | {"data", "d", "n", "z", TICKET_ID} == synced
    assert names - {"e1", "e2", "e"} <= written
    check_arrived(folders)


@pytest.mark.usefixtures("many_files")
def test_others_that_were_under_way_when_a_sync_failed_trust_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders, other, later = folders_in(tmp_path), "7f0d2c55-90a4-4d1b-8a3b-55bb2b2cb1aa", "later"
    writer = arrived(folders)
    second = folders.open(other, len(STREAM))
    send(second, STREAM[:-1])
    second.close()
    monkeypatch.setattr(posix, "syncfs", failing(1))
    writer.finish()
    calls: list[int] = []
    monkeypatch.setattr(posix, "syncfs", calls.append)
    second = folders.open(other, len(STREAM))
    send(second, STREAM)
    second.finish()
    assert not calls
    third = folders.open(later, len(STREAM))
    send(third, STREAM)
    third.finish()
    assert len(calls) == 1, "all of it was written after that failure"


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("lost", ["d/b", "large"])
def test_bytes_that_the_disk_has_lost_are_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    folders = folders_in(tmp_path)
    writer = arrived(folders)
    monkeypatch.setattr(posix, "syncfs", failing(1))
    file = Path(folders.location(TICKET_ID)) / lost
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(BytesLost):
        writer.finish()
    start = HEAD_BYTES + ends_of(TREE, list(TREE).index(lost))[0]
    assert writer.taken_bytes == writer.durable_offset == folders.size(TICKET_ID) == start
    send(writer, STREAM)
    writer.finish()
    check_arrived(folders)


@pytest.mark.usefixtures("many_files")
def test_a_finish_that_fails_may_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = folders_in(tmp_path)
    writer = arrived(folders)
    with monkeypatch.context() as broken:
        broken.setattr(posix, "syncfs", failing(1))
        broken.setattr(os, "fsync", failing(1))
        with pytest.raises(StorageFailed):
            writer.finish()
    writer.finish()
    writer.finish()
    check_arrived(folders)


def test_a_large_file_that_the_disk_has_refused_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders, written = folders_in(tmp_path), set()
    writer = arrived(folders)
    with monkeypatch.context() as broken:
        broken.setattr(posix, "sync_file_range", lambda *_: 5)
        with pytest.raises(StorageFailed):
            writer.finish()
    real_write = os.pwrite

    def pwrite(fd: int, data: Any, position: int) -> int:
        written.add(Path(f"/proc/self/fd/{fd}").readlink().name)
        return real_write(fd, data, position)

    monkeypatch.setattr(os, "pwrite", pwrite)
    writer.finish()
    assert {"a", "large"} <= written
    check_arrived(folders)


@pytest.mark.usefixtures("many_files")
def test_a_file_that_the_disk_refuses_while_more_come_is_written_again_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_file, "LARGE_BYTES", 1000)
    monkeypatch.setattr(folder_files, "MEDIUM_BYTES", 50)
    monkeypatch.setattr(folder_files, "LEFT_TO_SYNC_BYTES", 12)
    asked: list[int] = []

    def refused(fd: int, *_: int) -> int:
        asked.append(int(Path(f"/proc/self/fd/{fd}").stat().st_size))
        return 5

    folders = folders_in(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(posix, "sync_file_range", refused)
        writer = arrived(folders)
    assert asked == [40, 70, 5], "a is left to the sync, and c is, too"
    monkeypatch.setattr(posix, "syncfs", lambda _: pytest.fail("it would tell nothing"))
    writer.finish()
    check_arrived(folders)


@pytest.mark.usefixtures("many_files")
def test_a_file_system_without_write_behind_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_files, "MEDIUM_BYTES", 0)
    monkeypatch.setattr(posix, "sync_file_range", lambda *_: errno.ENOSYS)
    calls: list[int] = []
    monkeypatch.setattr(posix, "syncfs", calls.append)
    arrived(folders_in(tmp_path)).finish()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("release", "known"),
    [("6.18.44-fc", True), ("5.8", True), ("5.7.19-generic", False), ("4.18.0", False), ("odd", False)],
)
def test_an_old_kernel_does_not_tell_what_a_sync_of_all_has_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, known: bool
) -> None:
    monkeypatch.setattr("platform.release", lambda: release)
    monkeypatch.setattr(folder_sync, "mounted", lambda *_: ("ext4", []))
    assert folder_sync.syncs_at_once(tmp_path) is known


@pytest.mark.parametrize(
    ("kind", "known"), [("ext4", True), ("fuse.sshfs", False), ("nfs4", False), ("", False)]
)
def test_an_unknown_file_system_gets_a_sync_for_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, known: bool
) -> None:
    monkeypatch.setattr("platform.release", lambda: "6.1.0")
    monkeypatch.setattr(folder_sync, "mounted", lambda *_: (kind, []))
    assert folder_sync.syncs_at_once(tmp_path) is known


# --- random folders --------------------------------------------------------------------------------

NAME: Final = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs", "Cc"]), max_size=6)
PATHS: Final = st.lists(NAME.filter(lambda name: name not in ("", ".", "..")), min_size=1, max_size=4)
STEPS: Final = st.lists(st.tuples(st.sampled_from("wwwwckrt"), st.integers(1, 120)), max_size=12)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Returns a folder with a few files, some of them empty or large, and some empty folders."""
    tree: Tree = {}
    taken: set[str] = set()
    for names in draw(st.lists(PATHS, max_size=8)):
        path = "/".join(names)
        above = {"/".join(names[:depth]) for depth in range(1, len(names))}
        if path[1:2] == ":" or path in taken or above & set(tree) or f"{path}/" in tree:
            continue
        taken |= {path, *above}
        tree[f"{path}/" if draw(st.integers(0, 4)) == 0 else path] = b""
    for seed, path in enumerate(tree):
        if not path.endswith("/"):
            tree[path] = content(draw(st.sampled_from([0, 0, 1, 30, 90])), seed)
    return {path: data for path, data in tree.items() if not (path.endswith("/") and is_parent(path, tree))}


def is_parent(path: str, tree: Tree) -> bool:
    """Returns whether a folder has other entries in it."""
    return any(one != path and one.startswith(path) for one in tree)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(tree=trees(), steps=STEPS)
def test_whatever_the_folder_and_whatever_happens_it_arrives_as_it_was(
    tmp_path: Path, tree: Tree, steps: list[tuple[str, int]]
) -> None:
    stream, folders = stream_of(tree), folders_in(tmp_path)
    folders.delete(TICKET_ID)
    writer = folders.open(TICKET_ID, len(stream))
    for step, number in steps:
        taken_bytes = writer.taken_bytes
        if step == "w" and taken_bytes < len(stream):
            writer.write(memoryview(stream)[taken_bytes : taken_bytes + number])
        elif step == "t":
            writer.truncate(max(taken_bytes - number, 0))
        elif step in "ckr":
            if step == "c":
                writer.close()
            folders = folders_in(tmp_path, f"boot {number}" if step == "r" else "the first")
            writer = folders.open(TICKET_ID, len(stream))
            assert writer.taken_bytes == taken_bytes
        assert folders.size(TICKET_ID) == writer.taken_bytes
    assert read(folders, writer.taken_bytes) == stream[: writer.taken_bytes]
    writer.want_sha256()
    send(writer, stream)
    writer.finish()
    place = Path(folders.location(TICKET_ID))
    assert found_at(place) == dict(sorted(tree.items()))
    assert list_at(place) == list_of(tree)
