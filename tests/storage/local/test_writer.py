"""How bytes get into a file: offset, reserve, slow disks, full disks."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from incoming.core.errors import StorageFailed, StorageFull
from incoming.runtime.fair_scheduler import TIME_SLICE_S
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.storage.local import posix
from incoming.storage.local.posix import allocated_bytes
from incoming.storage.local.storage import DiskFacts, LocalStorage
from incoming.storage.local.write_path import FAST_SLICES, WritePath
from incoming.storage.local.writer import BEHIND_BYTES, SLICE_BYTES, LocalWriter
from tests.storage.local.conftest import RESERVE_BYTES, TICKET_ID, Mount
from tests.support.fakes import FakeRuntime, largest_file

LENGTH_BYTES = 16 << 20
KIB = 1024
BLOCK_BYTES = 512
"""The unit of st_blocks (stat(2)), whatever the filesystem's own blocks are."""


def used_bytes(storage: LocalStorage) -> int:
    return Path(storage.location(TICKET_ID)).stat().st_blocks * BLOCK_BYTES


def content(storage: LocalStorage) -> bytes:
    return Path(storage.location(TICKET_ID)).read_bytes()


@pytest.fixture
def writer(storage: LocalStorage, runtime: FakeRuntime) -> LocalWriter:
    opened = storage.open(TICKET_ID, LENGTH_BYTES)
    runtime.settle()
    return opened


# --- the offset --------------------------------------------------------------------------------


def test_a_new_file_begins_at_zero(writer: LocalWriter, storage: LocalStorage) -> None:
    assert writer.taken_bytes == 0
    assert storage.size(TICKET_ID) == 0


def test_chunks_are_appended_one_after_the_other(writer: LocalWriter, storage: LocalStorage) -> None:
    for chunk in (b"first ", b"second ", b"third"):
        writer.write(memoryview(chunk))
    assert content(storage) == b"first second third"
    assert writer.taken_bytes == 18


def test_the_offset_is_read_off_the_disk(writer: LocalWriter, storage: LocalStorage) -> None:
    writer.write(memoryview(b"12345"))
    writer.close()
    with Path(storage.location(TICKET_ID)).open("ab") as file:
        file.write(b"67")
    again = storage.open(TICKET_ID, LENGTH_BYTES)
    assert again.taken_bytes == 7
    again.write(memoryview(b"89"))
    assert content(storage) == b"123456789"


def test_a_large_chunk_lets_others_run_between_its_slices(
    writer: LocalWriter, runtime: FakeRuntime, storage: LocalStorage
) -> None:
    for _ in range(FAST_SLICES):  # from here on the pool is not needed
        writer.write(memoryview(b"s"))
    seen: list[int | None] = []
    runtime.spawn(lambda: seen.append(storage.size(TICKET_ID)))
    chunk = os.urandom(2 * SLICE_BYTES + 1)
    writer.write(memoryview(chunk))
    assert seen == [FAST_SLICES + SLICE_BYTES]
    assert content(storage) == FAST_SLICES * b"s" + chunk


def test_the_offset_moves_when_the_whole_chunk_is_in_the_file(
    writer: LocalWriter, runtime: FakeRuntime
) -> None:
    seen: list[int] = []
    runtime.spawn(lambda: seen.append(writer.taken_bytes))
    writer.write(memoryview(bytes(2 * SLICE_BYTES)))
    assert seen == [0]
    assert writer.taken_bytes == 2 * SLICE_BYTES


def test_what_is_discarded_is_gone_and_the_file_starts_again(
    writer: LocalWriter, storage: LocalStorage, runtime: FakeRuntime
) -> None:
    writer.write(memoryview(bytes(2 * RESERVE_BYTES)))
    runtime.settle()
    writer.truncate(0)
    assert (writer.taken_bytes, writer.accounted_bytes, storage.size(TICKET_ID)) == (0, 0, 0)
    assert used_bytes(storage) == 0, "what was reserved too"
    assert "_truncate" in runtime.pool_calls
    writer.write(memoryview(b"anew"))
    assert content(storage) == b"anew"


def test_a_chunk_is_written_to_its_end_before_another_one_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incoming.storage.local.write_path.FAST_SLICES", 0)
    monkeypatch.setattr("incoming.storage.local.write_path.SLOW_WRITE_S", 60.0)
    storage = LocalStorage(tmp_path / "data", 0, GeventRuntime())
    writers = [storage.open(f"{TICKET_ID}-{number}", LENGTH_BYTES) for number in range(2)]
    order: list[int] = []
    write = WritePath.write

    def watched_write(disk: WritePath, fd: int, part: memoryview, position: int) -> int:
        order.append(fd)
        time.sleep(2 * TIME_SLICE_S)
        return write(disk, fd, part, position)

    monkeypatch.setattr(WritePath, "write", watched_write)
    chunk = memoryview(bytes(4 * SLICE_BYTES))
    writing = [gevent.spawn(writer.write, chunk) for writer in writers]
    gevent.joinall(writing, timeout=60, raise_error=True)
    first, second = order[:2]
    assert order[2:] in ([second] * 3 + [first] * 3, [first] * 3 + [second] * 3), order


# --- the reserve ---------------------------------------------------------------------------------


def test_space_is_reserved_ahead_and_the_length_stays(
    writer: LocalWriter, storage: LocalStorage, runtime: FakeRuntime
) -> None:
    writer.write(memoryview(b"1"))
    runtime.settle()
    assert writer.accounted_bytes == 1 + RESERVE_BYTES
    assert used_bytes(storage) >= RESERVE_BYTES
    assert storage.size(TICKET_ID) == 1


def test_nothing_is_reserved_before_the_first_byte(writer: LocalWriter, storage: LocalStorage) -> None:
    assert writer.accounted_bytes == 0
    assert used_bytes(storage) < 64 * KIB


def test_what_is_reserved_is_told_at_once(storage: LocalStorage, runtime: FakeRuntime) -> None:
    told: list[int] = []
    writer = storage.open(TICKET_ID, LENGTH_BYTES, told.append)
    writer.write(memoryview(b"1"))
    runtime.settle()
    assert told == [1 + RESERVE_BYTES]


def test_no_more_is_reserved_than_the_file_has(storage: LocalStorage, runtime: FakeRuntime) -> None:
    writer = storage.open(TICKET_ID, 600 * KIB)
    writer.write(memoryview(b"1"))
    runtime.settle()
    assert writer.accounted_bytes == 600 * KIB


def test_nothing_is_reserved_for_what_one_write_takes(storage: LocalStorage, runtime: FakeRuntime) -> None:
    writer = storage.open(TICKET_ID, SLICE_BYTES + 1)
    writer.write(memoryview(b"1"))
    runtime.settle()
    assert writer.accounted_bytes == 1


def test_at_least_half_of_the_reserve_is_kept_ahead(writer: LocalWriter, runtime: FakeRuntime) -> None:
    for _ in range(40):
        writer.write(memoryview(bytes(100 * KIB)))
        runtime.settle()
        assert writer.accounted_bytes - writer.taken_bytes >= RESERVE_BYTES // 2
    assert runtime.pool_calls.count("fallocate") <= 40 * 100 * KIB // (RESERVE_BYTES // 2) + 1


def test_the_writer_does_not_wait_for_a_reservation(
    writer: LocalWriter, runtime: FakeRuntime, storage: LocalStorage
) -> None:
    with runtime.held("fallocate"):
        for _ in range(20):
            writer.write(memoryview(bytes(100 * KIB)))
            runtime.settle()
        assert writer.taken_bytes == writer.accounted_bytes == 2000 * KIB
        assert runtime.pool_calls.count("fallocate") == 1, "the one that is under way"
    assert storage.size(TICKET_ID) == 2000 * KIB


def test_closing_gives_back_what_was_reserved(writer: LocalWriter, storage: LocalStorage) -> None:
    writer.write(memoryview(b"content"))
    writer.close()
    assert used_bytes(storage) < 64 * KIB
    assert content(storage) == b"content"


def test_closing_waits_for_a_reservation_that_is_under_way(
    writer: LocalWriter, runtime: FakeRuntime, storage: LocalStorage
) -> None:
    with runtime.held("fallocate"):
        writer.write(memoryview(bytes(600 * KIB)))
        runtime.settle()
        runtime.spawn(writer.close)
    assert used_bytes(storage) < 700 * KIB
    assert storage.size(TICKET_ID) == 600 * KIB


def test_a_reservation_that_comes_after_the_close_reserves_nothing(
    storage: LocalStorage, runtime: FakeRuntime
) -> None:
    writer = storage.open(TICKET_ID, LENGTH_BYTES)
    writer.close()  # before the reservation had a chance to run
    runtime.settle()
    assert used_bytes(storage) < 64 * KIB


def test_closing_again_does_nothing(writer: LocalWriter, runtime: FakeRuntime) -> None:
    writer.close()
    calls = len(runtime.pool_calls)
    writer.close()
    assert len(runtime.pool_calls) == calls


def test_a_filesystem_that_can_not_reserve_stores_all_the_same(mount: Mount, runtime: FakeRuntime) -> None:
    storage = LocalStorage(mount("ramfs", "mode=755") / "data", RESERVE_BYTES, runtime)
    writer = storage.open(TICKET_ID, LENGTH_BYTES)
    for _ in range(3):
        runtime.settle()
        writer.write(memoryview(b"content"))
    assert content(storage) == 3 * b"content"
    assert runtime.pool_calls.count("fallocate") == 1, "it is asked once"


# --- what a killed writer leaves -------------------------------------------------------------------


def killed(storage: LocalStorage, runtime: FakeRuntime, stored_bytes: int) -> None:
    """Leaves the file as a writer does that was killed: what it had reserved stays allocated."""
    writer = storage.open(TICKET_ID, LENGTH_BYTES)
    writer.write(memoryview(b"x" * stored_bytes))
    runtime.settle()
    assert used_bytes(storage) >= RESERVE_BYTES
    os.close(writer._fd)
    writer._fd = -1


@pytest.mark.parametrize("stored_bytes", [1, 4096, 300 * KIB])
def test_what_a_killed_writer_had_reserved_is_given_back(
    storage: LocalStorage, runtime: FakeRuntime, stored_bytes: int
) -> None:
    killed(storage, runtime, stored_bytes)
    assert storage.free_space.accounted_bytes(TICKET_ID) == stored_bytes
    assert content(storage) == b"x" * stored_bytes
    assert used_bytes(storage) < stored_bytes + 64 * KIB


def test_what_can_not_be_given_back_counts_as_used(
    storage: LocalStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems ignore a truncation to the same length, and a disk may refuse one."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "no")

    killed(storage, runtime, 100 * KIB)
    monkeypatch.setattr(os, "ftruncate", refuse)
    assert storage.free_space.accounted_bytes(TICKET_ID) == 100 * KIB + RESERVE_BYTES
    assert storage.open(TICKET_ID, LENGTH_BYTES).accounted_bytes == 100 * KIB + RESERVE_BYTES
    assert content(storage) == b"x" * 100 * KIB


def test_what_is_not_there_has_nothing_to_give_back(storage: LocalStorage) -> None:
    assert storage.free_space.accounted_bytes(TICKET_ID) == 0


def test_a_file_that_nothing_is_reserved_for_is_only_looked_at(
    storage: LocalStorage, runtime: FakeRuntime
) -> None:
    writer = storage.open(TICKET_ID, LENGTH_BYTES)
    writer.write(memoryview(b"content"))
    writer.close()
    runtime.pool_calls.clear()
    assert storage.free_space.accounted_bytes(TICKET_ID) == 7
    assert runtime.pool_calls == []


@pytest.mark.parametrize(
    ("size_bytes", "blocks", "allocated"),
    [
        (10_000, 24, 10_000),  # the last block is not full
        (10_000, 0, 10_000),  # not counted yet, or in the inode
        (10_000, 8, 10_000),  # compressed, or with holes
        (0, 0, 0),
        (1, 1024, 512 * KIB),  # reserved ahead
        (1 << 20, 8192, (1 << 20) + 2 * RESERVE_BYTES),  # four copies of everything
    ],
)
def test_what_the_disk_counts_as_used_is_neither_less_than_the_length_nor_far_beyond_it(
    size_bytes: int, blocks: int, allocated: int
) -> None:
    status = os.stat_result((0,) * 6 + (size_bytes,) + (0,) * 3, {"st_blocks": blocks})
    assert allocated_bytes(status, 2 * RESERVE_BYTES) == allocated


# --- full disks ----------------------------------------------------------------------------------


def test_a_full_disk_is_reported_and_the_offset_stays(writer: LocalWriter, storage: LocalStorage) -> None:
    writer.write(memoryview(bytes(60 * KIB)))
    with largest_file(100 * KIB), pytest.raises(StorageFull):
        writer.write(memoryview(bytes(60 * KIB)))
    assert writer.taken_bytes == 60 * KIB
    writer.write(memoryview(b"x" * 60 * KIB))
    assert content(storage)[60 * KIB :] == b"x" * 60 * KIB


def test_what_a_failed_chunk_left_behind_is_gone_after_the_close(
    storage: LocalStorage, runtime: FakeRuntime
) -> None:
    writer = storage.open(TICKET_ID, LENGTH_BYTES)
    with largest_file(100 * KIB):
        runtime.settle()
        writer.write(memoryview(bytes(60 * KIB)))
        with pytest.raises(StorageFull):
            writer.write(memoryview(bytes(60 * KIB)))
        assert storage.size(TICKET_ID) == 100 * KIB
        writer.close()
    assert storage.size(TICKET_ID) == 60 * KIB


def test_the_last_room_of_a_disk_is_used_though_the_whole_reserve_is_not_to_be_had(
    storage: LocalStorage, runtime: FakeRuntime
) -> None:
    with largest_file(RESERVE_BYTES // 2):
        writer = storage.open(TICKET_ID, LENGTH_BYTES)
        for _ in range(8):
            runtime.settle()
            writer.write(memoryview(bytes(64 * KIB)))
        assert writer.taken_bytes == RESERVE_BYTES // 2
        with pytest.raises(StorageFull):
            writer.write(memoryview(b"x"))


def test_a_disk_that_is_really_full_is_reported(mount: Mount, runtime: FakeRuntime) -> None:
    storage = LocalStorage(mount("tmpfs", "size=1m") / "data", RESERVE_BYTES, runtime)
    writer = storage.open(TICKET_ID, LENGTH_BYTES)
    chunk = os.urandom(64 * KIB)
    with pytest.raises(StorageFull):
        for _ in range(17):
            runtime.settle()
            writer.write(memoryview(chunk))
    assert writer.taken_bytes >= 14 * 64 * KIB
    writer.close()
    assert storage.size(TICKET_ID) == writer.taken_bytes


# --- syncing, and after the end ------------------------------------------------------------------


def test_syncing_waits_for_the_disk_in_the_pool(writer: LocalWriter, runtime: FakeRuntime) -> None:
    writer.write(memoryview(b"content"))
    synced: list[bool] = []

    def sync() -> None:
        writer.finish()
        synced.append(True)

    with runtime.held("_sync"):
        runtime.spawn(sync)
        runtime.settle()
        assert not synced
    assert synced


def test_a_closed_file_can_not_be_discarded(writer: LocalWriter, storage: LocalStorage) -> None:
    writer.write(memoryview(b"content"))
    writer.close()
    with pytest.raises(StorageFailed):
        writer.truncate(0)
    assert content(storage) == b"content"


def test_a_closed_file_takes_nothing(writer: LocalWriter) -> None:
    writer.close()
    with pytest.raises(StorageFailed):
        writer.write(memoryview(b"late"))


# --- the disk works while bytes come in -----------------------------------------------------------------


def written_out(monkeypatch: pytest.MonkeyPatch, answer: int = 0) -> list[tuple[int, int]]:
    """Returns the ranges that the disk is made to write from now on, as they come."""
    ranges: list[tuple[int, int]] = []

    def sync_file_range(fd: int, start: int, size_bytes: int, flags: int) -> int:
        os.fstat(fd)  # it is open
        if flags == 2:
            ranges.append((start, start + size_bytes))
        return answer

    monkeypatch.setattr(posix, "sync_file_range", sync_file_range)
    return ranges


def test_what_is_stored_is_written_out_while_more_comes_in_and_the_end_has_only_the_rest_to_write(
    storage: LocalStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = written_out(monkeypatch)
    writer = storage.open(TICKET_ID, 3 * BEHIND_BYTES)
    writer.write(memoryview(bytes(BEHIND_BYTES - 1)))
    runtime.settle()
    assert not ranges
    writer.write(memoryview(bytes(BEHIND_BYTES)))
    runtime.settle()
    behind = ranges[-1][1]
    assert BEHIND_BYTES < behind <= 2 * BEHIND_BYTES - 1
    writer.finish()
    assert ranges[-1][1] == 2 * BEHIND_BYTES - 1
    starts, ends = zip(*ranges, strict=True)
    assert starts == (0, *ends[:-1]), "each byte once"


def test_nothing_is_written_out_ahead_where_nothing_is_synced(
    tmp_path: Path, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = written_out(monkeypatch)
    storage = LocalStorage(tmp_path / "data", 0, runtime, DiskFacts(syncs=False))
    storage.open(TICKET_ID, None).write(memoryview(bytes(2 * BEHIND_BYTES)))
    runtime.settle()
    assert not ranges


def test_files_take_turns_while_they_come_in(
    storage: LocalStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk never has more than the steps of one file to write."""
    written_out(monkeypatch)
    writers = [storage.open(f"{TICKET_ID}-{number}", None) for number in range(5)]
    with runtime.held("write_out"):
        for writer in writers:
            writer.write(memoryview(bytes(BEHIND_BYTES)))
        runtime.settle()
        assert runtime.pool_calls.count("write_out") == 1
    runtime.settle()
    assert runtime.pool_calls.count("write_out") == len(writers)


@pytest.mark.parametrize(
    ("end", "call"),
    [
        (LocalWriter.close, "_trim_and_close"),
        (LocalWriter.abort, "_close"),
        (lambda writer: writer.truncate(5), "_truncate"),
        (LocalWriter.finish, "_sync"),
    ],
    ids=["close", "abort", "truncate", "finish"],
)
def test_a_file_that_is_being_written_out_is_not_closed_under_the_disk(
    storage: LocalStorage,
    runtime: FakeRuntime,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[LocalWriter], None],
    call: str,
) -> None:
    written_out(monkeypatch)
    writer = storage.open(TICKET_ID, None)
    with runtime.held("write_out"):
        writer.write(memoryview(bytes(BEHIND_BYTES)))
        runtime.settle()
        ending = gevent.spawn(end, writer)
        runtime.settle()
        assert call not in runtime.pool_calls
    ending.get(timeout=60)
    assert call in runtime.pool_calls


def test_what_comes_after_a_cut_is_written_out_again(
    storage: LocalStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = written_out(monkeypatch)
    writer = storage.open(TICKET_ID, None)
    writer.write(memoryview(bytes(BEHIND_BYTES)))
    runtime.settle()
    writer.truncate(4096)
    ranges.clear()
    writer.write(memoryview(bytes(BEHIND_BYTES)))
    runtime.settle()
    assert ranges[0][0] == 4096
    assert ranges[-1][1] == 4096 + BEHIND_BYTES


def test_what_the_disk_refuses_while_bytes_come_in_is_written_again_at_the_end_and_may_fail_there(
    storage: LocalStorage, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux tells an error once: the sync at the end would not hear of it."""
    written_out(monkeypatch, errno.EIO)
    writer = storage.open(TICKET_ID, None)
    for _ in range(2):
        writer.write(memoryview(os.urandom(BEHIND_BYTES)))
        runtime.settle()
    assert runtime.pool_calls.count("write_out") == 1, "once refused, all is written at the end"
    expected = content(storage)
    written: list[int] = []
    real_pwrite, real_sync = os.pwrite, os.fdatasync

    def pwrite(fd: int, data: bytes, position: int) -> int:
        written.append(position)
        return real_pwrite(fd, data, position)

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "fdatasync", lambda _: os.close(-1))
    with pytest.raises(StorageFailed):
        writer.finish()
    assert written == list(range(0, 2 * BEHIND_BYTES, posix.REWRITE_BYTES))
    written.clear()
    monkeypatch.setattr(os, "fdatasync", real_sync)
    writer.finish()
    assert written == list(range(0, 2 * BEHIND_BYTES, posix.REWRITE_BYTES))
    assert content(storage) == expected
