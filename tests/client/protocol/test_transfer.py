"""The transfer follows the server's limits, and what the server tells that it has taken."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import pytest

from incoming.client.protocol.stored_prefix import Segment
from incoming.client.protocol.transfer import LIMITS_VALID_S, Transfer

KIB = 1024
MIB = 1024 * KIB
MBIT = 125_000.0
"""Bytes a second."""


@dataclass
class Line:
    """A line to a server whose storage keeps parts, so long after their last byte has come."""

    bytes_per_s: float
    delay_s: float = 0.03
    part_bytes: int = 8 * MIB
    stored_after_s: float = 0.3
    tells_taken: bool = True
    max_in_flight_bytes: int = 0
    min_unstored_bytes: int = 0
    """In the second half of the time, whenever nothing more may be sent."""

    def carry(self, transfer: Transfer, for_s: float) -> None:
        """Sends as much as the transfer admits for so long."""
        news: list[tuple[float, int, int]] = []  # (when, taken up to, stored up to)
        free_s, now_s, taken, stored = 0.0, 0.0, 0, 0
        self.min_unstored_bytes = 1 << 60
        while now_s < for_s:
            while work := transfer.next_chunk(now_s):
                transfer.chunk_sent(work.segment, now_s)
                end = work.segment.end
                free_s = max(free_s, now_s) + (end - work.segment.start) / self.bytes_per_s
                part_end = end // self.part_bytes * self.part_bytes
                heapq.heappush(news, (free_s + self.delay_s, end, 0))
                heapq.heappush(news, (free_s + self.delay_s + self.stored_after_s, 0, part_end))
            self.max_in_flight_bytes = max(self.max_in_flight_bytes, transfer.sent_bytes - taken)
            if now_s > for_s / 2:
                unstored_bytes = transfer.sent_bytes - transfer.stored_bytes
                self.min_unstored_bytes = min(self.min_unstored_bytes, unstored_bytes)
            now_s, taken_now, stored_now = heapq.heappop(news)
            taken, stored = max(taken, taken_now), max(stored, stored_now)
            assert transfer.acknowledged(stored, now_s, taken if self.tells_taken and taken > stored else 0)
            assert transfer.stored_bytes == stored


def new_transfer() -> Transfer:
    transfer = Transfer(1 << 40, 0)
    transfer.start_connection(0, 4 * MIB, 64 * MIB)
    return transfer


def test_a_fast_line_keeps_the_parts_of_a_slow_storage_full() -> None:
    line, transfer = Line(800 * MBIT), new_transfer()
    line.carry(transfer, 10)
    assert transfer.stored_bytes > 0.9 * 10 * line.bytes_per_s
    assert line.min_unstored_bytes >= 40 * MIB, "four parts on their way and one that fills"


@pytest.mark.parametrize("stored_after_s", [0.3, 3.0])
@pytest.mark.parametrize("mbit", [1, 10])
def test_a_slow_line_has_no_more_in_flight_because_a_storage_is_slow(
    mbit: int, stored_after_s: float
) -> None:
    today = Line(mbit * MBIT, part_bytes=1, stored_after_s=0.0, tells_taken=False)
    today.carry(new_transfer(), 30)
    line, transfer = Line(mbit * MBIT, stored_after_s=stored_after_s), new_transfer()
    line.carry(transfer, 30)
    assert line.max_in_flight_bytes <= today.max_in_flight_bytes
    assert transfer.sent_bytes > 0.95 * 30 * line.bytes_per_s


def test_what_is_taken_and_not_stored_stays_within_the_limit_of_the_server() -> None:
    transfer = new_transfer()
    while work := transfer.next_chunk(1):
        transfer.chunk_sent(work.segment, 1)
        transfer.acknowledged(0, 1.001, transfer.sent_bytes)
        assert transfer.in_flight_since_s is None
    assert 60 * MIB < transfer.sent_bytes - transfer.stored_bytes <= 64 * MIB
    assert transfer.acknowledged(8 * MIB, 1.1, transfer.sent_bytes)
    assert transfer.next_chunk(1.1)


def test_a_server_that_tells_nothing_of_what_it_takes_is_followed_by_what_it_stores() -> None:
    line, transfer = Line(100 * MBIT, part_bytes=1, stored_after_s=0.0, tells_taken=False), new_transfer()
    line.carry(transfer, 10)
    assert transfer.taken_bytes == transfer.stored_bytes > 0.9 * 10 * line.bytes_per_s


def test_an_offset_of_taken_bytes_that_is_not_possible_counts_as_far_as_it_is() -> None:
    transfer = new_transfer()
    (work,) = filter(None, [transfer.next_chunk(1)])
    transfer.chunk_sent(work.segment, 1)
    assert transfer.acknowledged(100, 2, 1 << 50)
    assert (transfer.stored_bytes, transfer.taken_bytes) == (100, transfer.sent_bytes)
    assert transfer.acknowledged(200, 3, 50)
    assert (transfer.stored_bytes, transfer.taken_bytes) == (200, transfer.sent_bytes)


def test_when_bytes_are_sent_again_none_of_them_is_taken() -> None:
    transfer = new_transfer()
    while work := transfer.next_chunk(1):
        transfer.chunk_sent(work.segment, 1)
    transfer.acknowledged(0, 2, 30_000)
    assert transfer.go_back(30_000, 1, 2)
    assert transfer.taken_bytes == transfer.sent_bytes == 30_000
    transfer.start_connection(10_000, 4 * MIB, 64 * MIB)
    assert transfer.taken_bytes == transfer.sent_bytes == 10_000


def quick_transfer() -> Transfer:
    """Returns one whose window is large: a fast link, at the time 10."""
    transfer = Transfer(1 << 40, 0)
    transfer.start_connection(0, 512 * KIB, 64 * MIB)
    for number in range(1000):
        now_s = number / 100
        while work := transfer.next_chunk(now_s):
            transfer.chunk_sent(work.segment, now_s)
        transfer.acknowledged(transfer.sent_bytes, now_s + 0.001)
    return transfer


def next_chunk_bytes(transfer: Transfer, now_s: float) -> int:
    work = transfer.next_chunk(now_s)
    assert work
    return work.segment.end - work.segment.start


def test_a_chunk_is_as_large_as_the_last_acknowledgement_allows() -> None:
    transfer = quick_transfer()
    assert next_chunk_bytes(transfer, 10) == 512 * KIB
    for allowed in (4 * MIB, 2 * MIB, 64 * KIB):
        transfer.set_limits(allowed, 0, 10)
        assert next_chunk_bytes(transfer, 10) == allowed


def test_no_more_is_in_flight_than_the_last_acknowledgement_allows() -> None:
    transfer = quick_transfer()
    transfer.set_limits(MIB, 4 * MIB, 10)
    while work := transfer.next_chunk(10):
        transfer.chunk_sent(work.segment, 10)
    assert transfer.sent_bytes - transfer.stored_bytes == 4 * MIB
    transfer.set_limits(MIB, 5 * MIB, 10)
    assert next_chunk_bytes(transfer, 10) == MIB


def test_after_a_silence_the_window_is_that_of_the_connection() -> None:
    transfer = quick_transfer()
    transfer.set_limits(512 * KIB, 512 * KIB, 10)
    (work,) = filter(None, [transfer.next_chunk(10)])
    transfer.chunk_sent(work.segment, 10)
    assert not transfer.next_chunk(10 + LIMITS_VALID_S)
    assert next_chunk_bytes(transfer, 10.1 + LIMITS_VALID_S) == 512 * KIB


def test_after_a_silence_the_chunk_size_is_that_of_the_connection() -> None:
    transfer = quick_transfer()
    transfer.set_limits(4 * MIB, 0, 10)
    assert next_chunk_bytes(transfer, 10 + LIMITS_VALID_S) == 4 * MIB
    assert next_chunk_bytes(transfer, 10.1 + LIMITS_VALID_S) == 512 * KIB


def test_a_server_that_does_not_tell_it_changes_nothing() -> None:
    transfer = quick_transfer()
    transfer.set_limits(4 * MIB, 0, 10)
    transfer.set_limits(0, 0, 10)
    assert next_chunk_bytes(transfer, 10) == 4 * MIB


def test_limits_before_a_connection_opens_are_ignored() -> None:
    transfer = Transfer(1000, 0)
    transfer.set_limits(4 * MIB, 4 * MIB, 0)
    transfer.start_connection(0, 100, 1000)
    assert transfer.next_chunk(0) and transfer.next_chunk(0).segment == Segment(0, 100)  # type: ignore[union-attr]
