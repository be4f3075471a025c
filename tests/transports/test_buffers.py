"""Buffers are aligned, reused, and not hoarded."""

from __future__ import annotations

import mmap

import numpy as np

from incoming.transports.buffers import MAX_SPARE_BUFFERS, Buffers


def test_a_buffer_begins_on_a_page_and_has_its_size() -> None:
    buffer = Buffers(100_000).borrow()
    assert len(buffer) == 100_000
    assert np.frombuffer(buffer, np.uint8).ctypes.data % mmap.PAGESIZE == 0


def test_a_buffer_that_was_given_back_is_used_again() -> None:
    buffers = Buffers(4096)
    buffer = buffers.borrow()
    buffers.give_back(buffer)
    assert buffers.borrow() is buffer


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
    assert {id(buffer) for buffer in again} & {id(borrowed[-1])} == set()
    assert sum(any(buffer is known for known in borrowed) for buffer in again) == MAX_SPARE_BUFFERS
