"""The file that is sent: its size is not believed, and what changes is noticed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from incoming.client.file import FileSource
from incoming.client.source import FileChanged, FileUnreadable

CONTENT: Final = bytes(range(200)) * 50
REPORTS: Final = {
    "nothing": (0, "it has more"),
    "a byte": (1, "it has more"),
    "a byte less": (len(CONTENT) - 1, "it has more"),
    "half": (len(CONTENT) // 2, "it has more"),
    "a byte more": (len(CONTENT) + 1, "ends earlier"),
    "far more": (1 << 40, "ends earlier"),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


def report(monkeypatch: pytest.MonkeyPatch, size_bytes: int) -> None:
    """Has the system report another size, as FUSE and /proc do."""
    real: Callable[[int], os.stat_result] = os.fstat

    def fstat(fd: int) -> Any:
        fields = list(real(fd))
        fields[6] = size_bytes
        return os.stat_result(fields, {"st_mtime_ns": 5})

    monkeypatch.setattr(os, "fstat", fstat)


def whole(source: FileSource) -> bytes:
    content = bytearray(source.file.length_bytes)
    source.read_into(memoryview(content), 0)
    return bytes(content)


@pytest.mark.parametrize("size_bytes", [0, 1, 2, 4096])
def test_a_file_of_the_size_that_it_has_is_read(tmp_path: Path, size_bytes: int) -> None:
    (tmp_path / "file").write_bytes(CONTENT[:size_bytes])
    source = FileSource(tmp_path / "file")
    assert source.file.length_bytes == size_bytes
    assert whole(source) == CONTENT[:size_bytes]
    source.check()


@pytest.mark.parametrize(("size_bytes", "words"), REPORTS.values(), ids=REPORTS)
def test_a_size_that_is_not_true_is_noticed_before_anything_is_sent(
    file: Path, monkeypatch: pytest.MonkeyPatch, size_bytes: int, words: str
) -> None:
    report(monkeypatch, size_bytes)
    with pytest.raises(FileChanged) as spoiled:
        FileSource(file)
    assert f"{file} is reported as {size_bytes:,} bytes" in str(spoiled.value)
    assert words in str(spoiled.value)


def test_a_file_of_proc_that_has_text_and_no_size_is_not_sent() -> None:
    place = Path("/proc/self/limits")
    assert place.stat().st_size == 0
    with pytest.raises(FileChanged, match="reported as 0 bytes, but it has more"):
        FileSource(place)


CHANGES: Final[dict[str, Callable[[Path], object]]] = {
    "grows": lambda file: file.write_bytes(CONTENT + b"x"),
    "shrinks": lambda file: os.truncate(file, 100),
    "is emptied": lambda file: os.truncate(file, 0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_changes_is_noticed_whenever_it_is_looked_at(
    file: Path, change: Callable[[Path], object]
) -> None:
    source = FileSource(file)
    half = memoryview(bytearray(len(CONTENT) // 2))
    source.read_into(half, 0)
    change(file)
    with pytest.raises(FileChanged, match="has changed during the upload: it had 10,000 bytes"):
        source.read_into(half, len(half))
    with pytest.raises(FileChanged, match="has changed"):
        source.check()
    with pytest.raises(FileChanged, match="has changed"):
        source.open()


@pytest.mark.parametrize("grow_to", [len(CONTENT) + 1, 2 * len(CONTENT)])
def test_a_file_that_grows_while_its_size_stands_still_is_noticed_with_its_last_bytes(
    file: Path, monkeypatch: pytest.MonkeyPatch, grow_to: int
) -> None:
    """As where a network file system has the size in a cache."""
    report(monkeypatch, len(CONTENT))
    source = FileSource(file)
    first = memoryview(bytearray(1000))
    source.read_into(first, 0)
    os.truncate(file, grow_to)
    source.read_into(first, 1000)
    with pytest.raises(FileChanged, match="but it has more"):
        source.read_into(first, len(CONTENT) - 1000)


def test_a_file_that_shrinks_while_its_size_stands_still_is_noticed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(monkeypatch, len(CONTENT))
    source = FileSource(file)
    os.truncate(file, 1500)
    with pytest.raises(FileChanged, match="reported as 10,000 bytes, but it ends after 1,500"):
        source.read_into(memoryview(bytearray(1000)), 1000)
    with pytest.raises(FileChanged, match="ends earlier"):
        whole(source)


def test_a_file_that_can_be_opened_and_not_read_says_so() -> None:
    with pytest.raises(FileUnreadable, match="can't be read"):
        FileSource(Path("/proc/self/mem"))


def a_socket(path: Path) -> None:
    """Makes a socket that nobody listens on."""
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))


@pytest.mark.parametrize("make", [a_socket, os.mkfifo, Path.mkdir], ids=["a socket", "a pipe", "a folder"])
def test_what_is_not_a_regular_file_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "it")
    with pytest.raises(FileUnreadable, match=r"/it is not a regular file\.$"):
        FileSource(tmp_path / "it")
