"""Buffers are aligned, reused, and not hoarded."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from incoming.protocol.flow_control import INITIAL_CHUNK_BYTES
from incoming.websocket.buffers import Buffers
from tests.support.data import MIB


def address(buffer: memoryview) -> int:
    return int(np.frombuffer(buffer, np.uint8).ctypes.data)


def test_a_buffer_begins_on_a_page_and_has_its_size() -> None:
    buffer = Buffers(100_000).borrow()
    assert len(buffer) == 100_000
    assert address(buffer) % mmap.PAGESIZE == 0


@pytest.mark.parametrize("lead_bytes", [1, 16, mmap.PAGESIZE])
def test_what_comes_behind_a_lead_begins_on_a_page(lead_bytes: int) -> None:
    buffer = Buffers(100_000).borrow(lead_bytes)
    assert len(buffer) == 100_000
    assert address(buffer[lead_bytes:]) % mmap.PAGESIZE == 0


def test_a_buffer_that_was_given_back_is_used_again() -> None:
    buffers = Buffers(4096)
    buffer = buffers.borrow()
    buffers.give_back(buffer, 4096)
    assert buffers.borrow(16).obj is buffer.obj


def test_two_borrowers_have_two_buffers() -> None:
    buffers = Buffers(4096)
    first, second = buffers.borrow(), buffers.borrow()
    first[0], second[0] = 1, 2
    assert (first[0], second[0]) == (1, 2)


def kept_of(buffers: Buffers, count: int, used_bytes: int) -> int:
    """Borrows so many at once, writes to them and gives them back; returns how many of them are kept."""
    borrowed = [buffers.borrow() for _ in range(count)]
    for buffer in borrowed:
        buffer[:used_bytes] = bytes(used_bytes)
        buffers.give_back(buffer, used_bytes)
    again = [buffers.borrow() for _ in range(count)]
    for buffer in again:
        buffers.give_back(buffer, 0)
    return sum(any(buffer.obj is known.obj for known in borrowed) for buffer in again)


def test_as_many_buffers_are_kept_as_fit_into_the_memory_for_them() -> None:
    assert kept_of(Buffers(4 * MIB, 8 * MIB), 20, used_bytes=2 * MIB) == 3  # and a page for each
    assert kept_of(Buffers(4 * MIB, 8 * MIB), 20, used_bytes=MIB) == 7


def test_buffers_with_nothing_in_them_are_not_hoarded_either() -> None:
    assert kept_of(Buffers(4 * MIB, 8 * MIB), 20, used_bytes=10) == 8 * MIB // INITIAL_CHUNK_BYTES


def test_all_buffers_of_many_small_chunks_are_kept_after_few_had_large_ones() -> None:
    buffers = Buffers(4 * MIB, 8 * MIB)
    assert kept_of(buffers, 2, used_bytes=4 * MIB - mmap.PAGESIZE) == 2
    assert kept_of(buffers, 10, used_bytes=MIB // 2) == 10


def test_what_a_kept_buffer_no_longer_needs_goes_back_to_the_system() -> None:
    buffers = Buffers(4 * MIB, 8 * MIB)
    first, second, third = (buffers.borrow() for _ in range(3))
    for buffer in (first, second, third):
        buffer[:] = b"x" * len(buffer)
    buffers.give_back(first, 4 * MIB - mmap.PAGESIZE)
    buffers.give_back(second, 3 * MIB)
    buffers.give_back(third, 2 * MIB)
    assert [buffer[3 * MIB] for buffer in (first, second, third)] == [0, ord("x"), 0]


def test_it_is_known_how_many_buffers_are_lent() -> None:
    buffers = Buffers(4096)
    first, _ = buffers.borrow(), buffers.borrow()
    assert buffers.lent == 2
    buffers.give_back(first, 0)
    assert buffers.lent == 1
