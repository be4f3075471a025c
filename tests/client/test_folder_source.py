"""A folder as one stream: it is read in any order, and what changes in it is noticed and named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.client.folder import FolderSource
from incoming.client.folder_walk import list_folder
from incoming.client.read_ahead import BATCH_BYTES, SMALL_BYTES
from incoming.client.source import FileChanged, FileUnreadable
from incoming.core.folder_manifest import encode_head
from tests.support.waiting import wait_until

SIZES_BYTES = (0, 0, 1, 10, 5_000, 30_000, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1, 2 * BATCH_BYTES + 3)


def make(folder: Path, sizes: list[int], seed: int = 1) -> None:
    """Makes a folder with files of these sizes."""
    random = Random(seed)
    for number, size in enumerate(sizes):
        path = folder / f"f{number // 7:03}" / f"{number:03}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.randbytes(size))


@contextmanager
def source_of(folder: Path) -> Iterator[FolderSource]:
    source = FolderSource(list_folder(folder))
    yield source
    source.close()


def stream_of(folder: Path) -> bytes:
    listed = list_folder(folder)
    files = (path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    return encode_head(listed.entries) + b"".join(files)


def read(source: FolderSource, start: int, end: int) -> bytes:
    place = bytearray(end - start)
    source.read_into(memoryview(place), start)
    return bytes(place)


@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.sampled_from(SIZES_BYTES), max_size=30),
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 3_000_000), st.booleans()), max_size=12),
)
def test_the_stream_is_the_head_and_all_files_wherever_it_is_read(
    tmp_path: Path, sizes: list[int], jumps: list[tuple[float, int, bool]]
) -> None:
    folder = tmp_path / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    make(folder, sizes)
    stream = stream_of(folder)
    with source_of(folder) as source:
        assert source.file.length_bytes == len(stream)
        at = other = 0
        for where, size_bytes, jumps_away in jumps:
            if jumps_away:  # and comes back later, as the checksum of what was sent earlier does
                other = int(where * len(stream))
                end = min(other + size_bytes, len(stream))
                assert read(source, other, end) == stream[other:end]
            end = min(at + size_bytes, len(stream))
            assert read(source, at, end) == stream[at:end]
            at = end
        assert read(source, at, len(stream)) == stream[at:]
        source.check()


def become_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "grows": (lambda path: path.write_bytes(path.read_bytes() + b"x"), FileChanged, "has changed"),
    "shrinks": (lambda path: os.truncate(path, path.stat().st_size - 1), FileChanged, "has changed"),
    "is edited": (lambda path: path.write_bytes(bytes(path.stat().st_size)), FileChanged, "has changed"),
    "is removed": (lambda path: path.unlink(), FileChanged, "is gone"),
    "becomes a link": (become_link, FileChanged, "is gone"),
    "becomes a folder": (become_folder, FileUnreadable, "can't be read"),
}


@pytest.mark.parametrize("size_bytes", [100, SMALL_BYTES + 100])
@pytest.mark.parametrize(("change", "error", "words"), CHANGES.values(), ids=CHANGES)
def test_a_file_that_changes_is_named_and_all_others_can_be_read(
    tmp_path: Path, size_bytes: int, change: Callable[[Path], object], error: type[Exception], words: str
) -> None:
    make(tmp_path, [size_bytes] * 5)
    path = tmp_path / "f000" / "002"
    os.utime(path, ns=(0, 1_000_000_000))
    stream = stream_of(tmp_path)
    with source_of(tmp_path) as source:
        change(path)
        start, end = source.manifest.range_of(2)
        with pytest.raises(error, match=words) as failed:
            read(source, 0, len(stream))
        assert str(path) in str(failed.value)
        assert failed.value.entry == 2  # type: ignore[attr-defined]
        assert read(source, 0, start) == stream[:start]
        source.leave_out(frozenset({2}))
        without = stream[:start] + bytes(end - start) + stream[end:]
        assert read(source, start - 10, len(stream)) == without[start - 10 :]
        assert read(source, 0, len(stream)) == without
        source.check()


def test_a_link_on_the_way_is_not_followed(tmp_path: Path) -> None:
    make(tmp_path / "folder", [100] * 3)
    with source_of(tmp_path / "folder") as source:
        (tmp_path / "folder" / "f000").rename(tmp_path / "elsewhere")
        (tmp_path / "folder" / "f000").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(FileChanged, match="f000/000 is gone"):
            read(source, 0, source.file.length_bytes)


def test_a_drive_that_is_gone_is_waited_for_and_no_file_of_it_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    make(folder, [100] * 3)
    stream = stream_of(folder)
    with source_of(folder) as source:
        folder.rename(tmp_path / "away")
        shutil.copytree(tmp_path / "away" / "f000", folder / "other")
        with pytest.raises(FileUnreadable, match="folder can't be read at the moment") as failed:
            source.open()
            read(source, 0, len(stream))
        assert failed.value.entry is None
        shutil.rmtree(folder)
        with pytest.raises(FileUnreadable, match="can't be read"):
            source.open()
        (tmp_path / "away").rename(folder)
        source.open()
        assert read(source, 0, len(stream)) == stream


def test_what_changes_after_it_was_read_is_named_at_the_end(tmp_path: Path) -> None:
    make(tmp_path, [100] * 3)
    with source_of(tmp_path) as source:
        read(source, 0, source.file.length_bytes)
        (tmp_path / "f000" / "000").unlink()
        source.check()
        (tmp_path / "f000" / "001").write_bytes(b"!")
        with pytest.raises(FileChanged, match="f000/001 has changed since"):
            source.check()


def target(fd: str) -> str:
    """Returns what a descriptor of this process is open on."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115
    except OSError:
        return ""  # it was closed meanwhile


def test_all_descriptors_are_closed(tmp_path: Path) -> None:
    def is_open() -> bool:
        fds = os.listdir("/proc/self/fd")  # noqa: PTH208
        return any(str(tmp_path) in target(fd) for fd in fds)

    make(tmp_path, [10, SMALL_BYTES + 1, 10])
    for _ in range(3):
        with source_of(tmp_path) as source:
            read(source, 0, source.file.length_bytes)
            source.open()
            read(source, 0, source.file.length_bytes)
            assert is_open()
    wait_until(lambda: not is_open(), "the threads have ended")
