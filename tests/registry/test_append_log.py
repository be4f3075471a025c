"""A file of lines: what was appended is there, whatever fails; what was not is not."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

import pytest

from incoming.registry import append_log as log_module
from incoming.registry.append_log import (
    BLOCK_BYTES,
    BUFFER_BYTES,
    COMPACT_AFTER_BYTES,
    SPARE_BYTES,
    AppendLog,
)
from incoming.registry.records import encode_record

LINE: Final = b"a line"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(file: Path) -> AppendLog:
    log = AppendLog(file, fsync=True)
    log.replace([])
    return log


def texts(log: AppendLog) -> list[bytes]:
    return list(log.payloads())


def in_place_of(log: AppendLog, path: Path) -> None:
    """From now on the log writes to what stands there."""
    fd = os.open(path, os.O_RDWR if path.is_char_device() else os.O_RDONLY)
    os.dup2(fd, log._appender.fd)
    os.close(fd)


def start_bytes(file: Path, text: bytes) -> int:
    """Returns where the line begins that has this text."""
    content = file.read_bytes()
    return content.rindex(b"\n", 0, content.index(text)) + 1 if content.index(text) > 20 else 0


# --- appending -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fsync", [True, False])
def test_what_is_appended_is_there_for_the_next_process(file: Path, fsync: bool) -> None:
    log = AppendLog(file, fsync)
    log.replace([b"first", b"second"])
    log.append([b"third"])
    log.append([b"fourth", b"fifth"])
    assert texts(AppendLog(file, fsync)) == [b"first", b"second", b"third", b"fourth", b"fifth"]


def test_each_group_begins_on_a_block_of_its_own(log: AppendLog, file: Path) -> None:
    log.replace([b"before"])
    log.append([b"one", b"two"])
    log.append([b"x" * BLOCK_BYTES])
    log.append([b"end"])
    starts = [start_bytes(file, line) for line in (b"before", b"one", b"xx", b"end")]
    assert starts == [0, BLOCK_BYTES, 2 * BLOCK_BYTES, 4 * BLOCK_BYTES]


def test_a_group_that_fills_its_blocks_leaves_no_gap(log: AppendLog, file: Path) -> None:
    log.append([b"x" * (BLOCK_BYTES - len(encode_record(0, b"")))])
    log.append([LINE])
    assert start_bytes(file, LINE) == BLOCK_BYTES


def test_what_is_between_lines_and_behind_them_is_text_too(log: AppendLog, file: Path) -> None:
    log.append([LINE])
    text = file.read_bytes()
    assert text.split()[2:] == LINE.split()
    assert max(map(len, text.splitlines())) < BLOCK_BYTES


def test_groups_change_neither_the_length_of_the_file_nor_its_blocks(log: AppendLog, file: Path) -> None:
    before = file.stat()
    for _ in range(30):
        log.append([LINE])
    after = file.stat()
    assert (after.st_size, after.st_blocks) == (before.st_size, before.st_blocks)


def test_a_file_grows_in_large_steps_and_always_has_room(log: AppendLog, file: Path) -> None:
    sizes = set()
    for number in range(1000):
        log.append([LINE])
        sizes.add(file.stat().st_size)
        assert file.stat().st_size >= (number + 1) * BLOCK_BYTES + SPARE_BYTES
    assert len(sizes) < 8
    assert texts(log) == [LINE] * 1000


def test_a_group_may_be_larger_than_all_room(log: AppendLog) -> None:
    group = [b"%d" % number for number in range(200_000)]
    log.append(group)
    log.append([LINE])
    assert texts(log) == [*group, LINE]


def test_lines_that_span_the_pieces_of_a_read_are_whole(log: AppendLog) -> None:
    long = [bytes([65 + number]) * (BUFFER_BYTES - 3) for number in range(5)]
    log.replace(long)
    assert texts(log) == long


def test_where_there_is_no_file_there_are_no_lines(tmp_path: Path) -> None:
    assert list(AppendLog(tmp_path / "none", fsync=True).payloads()) == []


def test_no_other_user_can_read_the_log(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        AppendLog(tmp_path / "log", fsync=False).replace([])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


# --- a new file ------------------------------------------------------------------------------------


def test_a_new_log_has_its_first_entries_and_takes_more(log: AppendLog, file: Path) -> None:
    log.append([LINE] * 3)
    log.replace([b"what counts"])
    log.append([b"more"])
    assert texts(log) == [b"what counts", b"more"]
    assert [path.name for path in file.parent.iterdir()] == ["log"]


def test_a_file_is_long_when_it_has_grown_far_beyond_what_it_began_with(log: AppendLog) -> None:
    large = [b"x" * 1000] * 1024
    log.replace(large)
    while not log.needs_compaction:
        log.append(large)
    grown_bytes = log.end_bytes
    assert COMPACT_AFTER_BYTES < grown_bytes < COMPACT_AFTER_BYTES + 5 * len(large) * 1024
    log.postpone_compaction()
    assert not log.needs_compaction
    log.replace(large)
    assert not log.needs_compaction


def test_a_log_that_can_not_be_replaced_stays_in_use(log: AppendLog, file: Path) -> None:
    log.append([LINE])
    Path(f"{file}.new").symlink_to("/dev/full")  # the kernel's own full disk
    with pytest.raises(OSError, match="No space left"):
        log.replace([b"what counts"])
    assert [path.name for path in file.parent.iterdir()] == ["log"], "nothing is left that fills the disk"
    log.append([b"more"])
    assert texts(AppendLog(file, fsync=True)) == [LINE, b"more"]


# --- a disk that fails -----------------------------------------------------------------------------


@pytest.mark.parametrize("place", [Path("/dev/full"), Path("/")], ids=["full", "not writable"])
def test_after_a_failure_only_a_new_file_helps(log: AppendLog, place: Path) -> None:
    log.append([LINE])
    in_place_of(log, place)
    with pytest.raises(OSError, match=r"No space left|Bad file descriptor"):
        log.append([b"lost"])
    assert not log.is_open
    log.replace(texts(log))
    assert log.is_open


def test_what_failed_does_not_count_even_if_it_is_there(
    log: AppendLog, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([LINE])
    with monkeypatch.context() as failing:
        failing.setattr(os, "fdatasync", lambda _: os.fsync(1 << 30))
        with pytest.raises(OSError, match="Bad file descriptor"):
            log.append([b"not synced"])
    assert b"not synced" in file.read_bytes()
    assert texts(log) == [LINE]
    log.replace(texts(log))
    log.append([b"more"])
    assert texts(log) == [LINE, b"more"]


def test_a_new_file_does_not_count_until_its_name_is_synced(
    log: AppendLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([LINE])
    with monkeypatch.context() as failing:
        failing.setattr(log_module, "sync_directory", lambda _: os.fsync(1 << 30))
        with pytest.raises(OSError, match="Bad file descriptor"):
            log.replace([b"what counts"])
    assert not log.is_open
    assert texts(log) == [b"what counts"]


def test_where_the_disk_is_full_the_room_that_is_there_is_used(
    log: AppendLog, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write, end_bytes = os.pwrite, file.stat().st_size

    def pwrite(fd: int, content: bytes, position: int) -> int:
        if position + len(content) > end_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(fd, content, position)

    monkeypatch.setattr(os, "pwrite", pwrite)
    room = end_bytes // BLOCK_BYTES - 1
    for _ in range(room):
        log.append([LINE])
    with pytest.raises(OSError, match="No space left"):
        log.append([b"too much"])
    assert log.is_open, "nothing was written where others are"
    assert texts(log) == [LINE] * room
    assert not log.is_truncated, "the last block stays blank"
    monkeypatch.undo()
    log.append([b"more"])
    assert texts(log) == [LINE] * room + [b"more"]


def test_blocks_that_the_disk_does_not_give_are_counted_and_the_others_are_read(
    log: AppendLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_read = os.pread
    bad = 2 * BLOCK_BYTES

    def pread(fd: int, size_bytes: int, position: int) -> bytes:
        if position <= bad < position + size_bytes:
            raise OSError(errno.EIO, "Input/output error")
        return real_read(fd, size_bytes, position)

    for number in range(5):
        log.append([b"%d" % number])
    monkeypatch.setattr(os, "pread", pread)
    assert texts(log) == [b"0", b"1", b"3", b"4"]
    assert (log.unreadable_blocks, log.lost_records) == (1, 1)
    monkeypatch.undo()
    assert len(texts(log)) == 5
    assert (log.unreadable_blocks, log.lost_records) == (0, 0)


# --- the end ---------------------------------------------------------------------------------------


def blocks_with_text(file: Path) -> int:
    return -(-len(file.read_bytes().rstrip(b" \n")) // BLOCK_BYTES)


@pytest.mark.parametrize(
    "groups",
    [[], [[LINE]], [[LINE] * 100, [LINE]], [[b"x" * (BLOCK_BYTES - len(encode_record(0, b"")))]]],
    ids=["none", "one", "two", "one that fills its block"],
)
def test_a_log_is_known_to_be_cut_off_wherever_that_takes_text(
    log: AppendLog, file: Path, groups: list[list[bytes]]
) -> None:
    for group in groups:
        log.append(group)
    whole = file.read_bytes()
    first_blank_end = (blocks_with_text(file) + 1) * BLOCK_BYTES
    for cut_at in (*range(0, first_blank_end, 97), *range(0, first_blank_end, BLOCK_BYTES)):
        file.write_bytes(whole[:cut_at])
        texts(log)
        assert log.is_truncated, cut_at
    for cut_at in (first_blank_end, first_blank_end + 1, len(whole) - 1, len(whole)):
        file.write_bytes(whole[:cut_at])
        texts(log)
        assert not log.is_truncated, cut_at


def test_a_group_that_does_not_fit_in_front_of_the_last_block_is_not_written(
    log: AppendLog, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size_bytes = file.stat().st_size

    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(log_module, "_write_blank", no_room)
    overhead_bytes = len(encode_record(0, b""))
    with pytest.raises(OSError, match="No space left"):
        log.append([b"x" * (size_bytes - BLOCK_BYTES - overhead_bytes + 1)])
    log.append([b"x" * (size_bytes - BLOCK_BYTES - overhead_bytes)])
    texts(log)
    assert not log.is_truncated
