"""BufferPool are aligned, reused, and not hoarded."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from incoming.runtime.buffer_pool import MIN_BYTES, BufferPool
from tests.support.data import MIB


def address(buffer: memoryview) -> int:
    return int(np.frombuffer(buffer, np.uint8).ctypes.data)


def test_a_buffer_begins_on_a_page_and_has_its_size() -> None:
    buffer = BufferPool(100_000).acquire()
    assert len(buffer) == 100_000
    assert address(buffer) % mmap.PAGESIZE == 0


@pytest.mark.parametrize("header_bytes", [1, 16, mmap.PAGESIZE])
def test_what_follows_a_header_begins_on_a_page(header_bytes: int) -> None:
    buffer = BufferPool(100_000).acquire(header_bytes)
    assert len(buffer) == 100_000
    assert address(buffer[header_bytes:]) % mmap.PAGESIZE == 0


def test_a_released_buffer_is_reused() -> None:
    buffers = BufferPool(4096)
    buffer = buffers.acquire()
    buffers.release(buffer, 4096)
    assert buffers.acquire(16).obj is buffer.obj


def test_two_acquired_buffers_share_no_memory() -> None:
    buffers = BufferPool(4096)
    first, second = buffers.acquire(), buffers.acquire()
    first[0], second[0] = 1, 2
    assert (first[0], second[0]) == (1, 2)


def kept_of(buffers: BufferPool, count: int, used_bytes: int) -> int:
    """Acquires so many at once, writes to them and releases them; returns how many of them are kept."""
    acquired = [buffers.acquire() for _ in range(count)]
    for buffer in acquired:
        buffer[:used_bytes] = bytes(used_bytes)
        buffers.release(buffer, used_bytes)
    again = [buffers.acquire() for _ in range(count)]
    for buffer in again:
        buffers.release(buffer, 0)
    return sum(any(buffer.obj is known.obj for known in acquired) for buffer in again)


def test_as_many_spare_buffers_are_kept_as_fit_into_their_memory() -> None:
    assert kept_of(BufferPool(4 * MIB, 8 * MIB), 20, used_bytes=2 * MIB) == 3  # and a page for each
    assert kept_of(BufferPool(4 * MIB, 8 * MIB), 20, used_bytes=MIB) == 7


def test_small_buffers_are_limited_in_number_too() -> None:
    assert kept_of(BufferPool(4 * MIB, 8 * MIB), 20, used_bytes=10) == 8 * MIB // MIN_BYTES


def test_buffers_of_many_small_chunks_are_kept_after_a_few_large_ones() -> None:
    buffers = BufferPool(4 * MIB, 8 * MIB)
    assert kept_of(buffers, 2, used_bytes=4 * MIB - mmap.PAGESIZE) == 2
    assert kept_of(buffers, 10, used_bytes=MIB // 2) == 10


def test_pages_that_a_spare_buffer_does_not_need_are_freed() -> None:
    buffers = BufferPool(4 * MIB, 8 * MIB)
    first, second, third = (buffers.acquire() for _ in range(3))
    for buffer in (first, second, third):
        buffer[:] = b"x" * len(buffer)
    buffers.release(first, 4 * MIB - mmap.PAGESIZE)
    buffers.release(second, 3 * MIB)
    buffers.release(third, 2 * MIB)
    assert [buffer[3 * MIB] for buffer in (first, second, third)] == [0, ord("x"), 0]


def test_the_pool_counts_the_buffers_in_use() -> None:
    buffers = BufferPool(4096)
    first, _ = buffers.acquire(), buffers.acquire()
    assert buffers.in_use == 2
    buffers.release(first, 0)
    assert buffers.in_use == 1
