"""The transfer follows the server's limits."""

from __future__ import annotations

from incoming.client.protocol.stored_prefix import Segment
from incoming.client.protocol.transfer import LIMITS_VALID_S, Transfer

KIB = 1024
MIB = 1024 * KIB


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
