"""Buffers are aligned, reused, and not hoarded."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from incoming.transports.buffers import MAX_SPARE_BUFFERS, Buffers


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
    buffers.give_back(buffer)
    assert buffers.borrow(16).obj is buffer.obj


def test_two_borrowers_have_two_buffers() -> None:
    buffers = Buffers(4096)
    first, second = buffers.borrow(), buffers.borrow()
    first[0], second[0] = 1, 2
    assert (first[0], second[0]) == (1, 2)


def test_no_more_buffers_are_kept_than_make_sense() -> None:
    buffers = Buffers(4096)
    borrowed = [buffers.borrow() for _ in range(MAX_SPARE_BUFFERS + 1)]
    for buffer in borrowed:
        buffers.give_back(buffer)
    again = [buffers.borrow() for _ in range(MAX_SPARE_BUFFERS + 1)]
    kept = [buffer for buffer in again if any(buffer.obj is known.obj for known in borrowed)]
    assert len(kept) == MAX_SPARE_BUFFERS
    assert all(buffer.obj is not borrowed[-1].obj for buffer in kept)


def test_it_is_known_how_many_buffers_are_lent() -> None:
    buffers = Buffers(4096)
    first, _ = buffers.borrow(), buffers.borrow()
    assert buffers.lent == 2
    buffers.give_back(first)
    assert buffers.lent == 1
