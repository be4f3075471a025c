"""A small file that comes as one chunk is created, written and synced in one call, and never lost before."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from incoming.core.errors import IncomingError, StorageFailed, TakenOver
from incoming.storage.local import small_file
from incoming.storage.local.small_file import SmallFileWriter
from incoming.storage.local.storage import LocalStorage
from tests.storage.local.conftest import TICKET_ID
from tests.support.fakes import FakeRuntime

CONTENT = bytes(range(256)) * 10
HALF = len(CONTENT) // 2
News = list[StorageFailed | TakenOver | None]


@pytest.fixture
def news() -> News:
    """What the writer has told by itself."""
    return []


@pytest.fixture
def writer(storage: LocalStorage, news: News) -> SmallFileWriter:
    return storage.small_files.open(TICKET_ID, len(CONTENT), on_durable=news.append)


def offsets(writer: SmallFileWriter) -> tuple[int, int]:
    """Returns how much was taken, and how much of it survives a kill."""
    return writer.taken_bytes, writer.durable_offset


def file_of(storage: LocalStorage) -> Path:
    return Path(storage.location(TICKET_ID))


def test_one_call_of_a_thread_creates_writes_and_syncs_the_file(
    writer: SmallFileWriter, storage: LocalStorage, runtime: FakeRuntime
) -> None:
    runtime.pool_calls.clear()
    writer.write(memoryview(bytearray(CONTENT)))
    assert offsets(writer) == (len(CONTENT), 0)
    assert not file_of(storage).exists()
    writer.finish()
    writer.close()
    assert runtime.pool_calls == ["_store_and_sync"]
    assert file_of(storage).read_bytes() == CONTENT


def test_it_holds_a_copy_of_the_chunk(writer: SmallFileWriter, storage: LocalStorage) -> None:
    chunk = bytearray(CONTENT)
    writer.write(memoryview(chunk))
    chunk[:] = bytes(len(chunk))
    writer.finish()
    assert file_of(storage).read_bytes() == CONTENT


@pytest.mark.parametrize("how", [SmallFileWriter.flush, SmallFileWriter.close])
def test_what_it_holds_is_stored_when_somebody_asks_for_it(
    writer: SmallFileWriter, storage: LocalStorage, how: Callable[[SmallFileWriter], None]
) -> None:
    writer.write(memoryview(CONTENT))
    how(writer)
    assert offsets(writer) == (len(CONTENT), len(CONTENT))
    assert file_of(storage).read_bytes() == CONTENT
    writer.finish() if how is SmallFileWriter.flush else writer.close()
    assert file_of(storage).read_bytes() == CONTENT


def test_what_nobody_finishes_is_stored_within_moments(
    writer: SmallFileWriter, storage: LocalStorage, runtime: FakeRuntime, news: News
) -> None:
    writer.write(memoryview(CONTENT))
    runtime.advance(small_file.HELD_S)
    assert file_of(storage).read_bytes() == CONTENT
    assert (offsets(writer), news) == ((len(CONTENT), len(CONTENT)), [None])
    writer.finish()
    assert file_of(storage).read_bytes() == CONTENT


def test_a_finished_file_is_not_written_again(
    writer: SmallFileWriter, storage: LocalStorage, runtime: FakeRuntime, news: News
) -> None:
    writer.write(memoryview(CONTENT))
    writer.finish()
    file_of(storage).unlink()
    runtime.advance(1.0)
    writer.close()
    assert not file_of(storage).exists()
    assert news == []


def test_a_file_that_comes_in_several_chunks_is_stored_chunk_by_chunk(
    writer: SmallFileWriter, storage: LocalStorage
) -> None:
    for number, chunk in enumerate((CONTENT[:HALF], CONTENT[HALF:]), 1):
        writer.write(memoryview(chunk))
        assert offsets(writer) == (number * HALF, number * HALF)
        assert file_of(storage).read_bytes() == CONTENT[: number * HALF]
    writer.finish()
    assert file_of(storage).read_bytes() == CONTENT


def test_what_it_holds_is_discarded_by_a_fence(writer: SmallFileWriter, storage: LocalStorage) -> None:
    writer.write(memoryview(CONTENT))
    writer.fence("token")
    assert offsets(writer) == (0, 0)
    writer.write(memoryview(CONTENT[::-1]))
    writer.finish()
    assert file_of(storage).read_bytes() == CONTENT[::-1]


def test_it_can_be_cut_off_and_written_again(writer: SmallFileWriter, storage: LocalStorage) -> None:
    writer.write(memoryview(CONTENT))
    writer.truncate(HALF)
    assert offsets(writer) == (HALF, HALF)
    writer.write(memoryview(CONTENT[HALF:]))
    writer.finish()
    assert file_of(storage).read_bytes() == CONTENT


def test_an_aborted_file_is_not_created(
    writer: SmallFileWriter, storage: LocalStorage, runtime: FakeRuntime
) -> None:
    writer.write(memoryview(CONTENT))
    writer.abort()
    writer.close()
    runtime.advance(1.0)
    assert not file_of(storage).exists()
    with pytest.raises(StorageFailed):
        writer.write(memoryview(CONTENT))


@pytest.mark.parametrize("failing", ["pwrite", "fdatasync"])
@pytest.mark.parametrize("then", ["finish", "close"])
def test_a_file_that_could_not_be_finished_is_whole_when_the_disk_is_back(
    writer: SmallFileWriter, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, failing: str, then: str
) -> None:
    pwrite = os.pwrite

    def fail(fd: int, *args: object) -> int:
        pwrite(fd, b"torn", 0)
        raise OSError(errno.ENOSPC, "full")

    writer.write(memoryview(CONTENT))
    with monkeypatch.context() as broken:
        broken.setattr(os, failing, fail)
        for _ in range(2):
            with pytest.raises(IncomingError):
                writer.finish()
    assert writer.taken_bytes == len(CONTENT)
    getattr(writer, then)()
    assert file_of(storage).read_bytes() == CONTENT


def test_a_disk_that_refuses_a_held_file_is_reported(
    writer: SmallFileWriter, storage: LocalStorage, runtime: FakeRuntime, news: News
) -> None:
    writer.write(memoryview(CONTENT))
    data = file_of(storage).parent.parent
    data.rename(data.with_name("away"))
    runtime.advance(small_file.HELD_S)
    assert [type(one) for one in news] == [StorageFailed]
    with pytest.raises(StorageFailed):
        writer.flush()
    data.with_name("away").rename(data)
    writer.finish()
    assert file_of(storage).read_bytes() == CONTENT


@pytest.mark.parametrize("is_created", [False, True])
def test_a_file_may_come_as_one_chunk_after_others_have_asked_for_it(
    writer: SmallFileWriter, storage: LocalStorage, is_created: bool
) -> None:
    writer.flush()
    if is_created:
        writer.truncate(0)
    assert file_of(storage).exists() == is_created
    writer.write(memoryview(CONTENT))
    assert writer.taken_bytes == len(CONTENT)
    writer.finish()
    assert file_of(storage).read_bytes() == CONTENT
