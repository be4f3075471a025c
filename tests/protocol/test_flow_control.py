"""Flow control and keepalive: the more clients there are, the less each may send, and the rarer are pings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from incoming.protocol.flow_control import (
    BUSY_CHUNK_BYTES,
    BUSY_WINDOW_BYTES,
    MANY_CHUNKS,
    MESSAGE_STALL_TIMEOUT_S,
    MIN_MESSAGE_BYTES_PER_S,
    KeepaliveIntervals,
    Limits,
    SendLimits,
    chunk_limit_bytes,
    idle_keepalive,
    message_deadline_s,
    piece_limit_bytes,
)

MIB = 1024 * 1024
LIMITS = Limits(1024, 4, max_chunk_bytes=4 << 20, max_window_bytes=64 << 20)


@pytest.mark.parametrize(
    ("in_flight", "chunk_mib"), [(0, 128), (1, 128), (32, 4), (33, 2), (64, 2), (256, 0.5), (10_000, 0.5)]
)
def test_the_more_chunks_are_in_flight_the_smaller_they_are(in_flight: int, chunk_mib: float) -> None:
    assert chunk_limit_bytes(in_flight) == chunk_mib * 1024 * 1024


@pytest.mark.parametrize(
    ("buffer_bytes", "in_flight", "is_contended", "piece_bytes"),
    [
        (4 * MIB + 20, 1, False, 4 * MIB),
        (4 * MIB + 20, 64, False, 2 * MIB),
        (4 * MIB + 20, 2, True, MIB),
        (100_000, 1, False, 65536),
        (4096, 1000, True, 4096),
    ],
)
def test_the_pieces_of_bodies_fit_into_their_buffers_and_together_into_memory(
    buffer_bytes: int, in_flight: int, is_contended: bool, piece_bytes: int
) -> None:
    assert piece_limit_bytes(buffer_bytes, in_flight, is_contended) == piece_bytes


@pytest.mark.parametrize(("in_flight", "chunk_mib"), [(1, 4), (64, 2), (1000, 0.5)])
def test_a_client_of_an_idle_server_gets_a_large_window(in_flight: int, chunk_mib: float) -> None:
    assert LIMITS.send_limits(in_flight, is_busy=False) == SendLimits(int(chunk_mib * 1024 * 1024), 64 << 20)


@pytest.mark.parametrize(("in_flight", "chunk_bytes"), [(2, BUSY_CHUNK_BYTES), (1000, 512 << 10)])
def test_a_client_of_a_busy_server_gets_a_small_window(in_flight: int, chunk_bytes: int) -> None:
    assert LIMITS.send_limits(in_flight, is_busy=True) == SendLimits(chunk_bytes, BUSY_WINDOW_BYTES)


def test_a_window_is_never_smaller_than_what_the_storage_has_on_its_way() -> None:
    limits = replace(LIMITS, min_window_bytes=40 * MIB)
    assert limits.send_limits(2, is_busy=True).window_bytes == 40 * MIB
    assert limits.send_limits(2, is_busy=False).window_bytes == 64 * MIB


@pytest.mark.parametrize("is_busy", [True, False])
def test_the_limits_of_settings_and_ticket_are_never_exceeded(is_busy: bool) -> None:
    slow = LIMITS.for_rate(1000)
    assert (
        slow.initial_send_limits()
        == slow.send_limits(1, is_busy)
        == SendLimits(slow.max_chunk_bytes, slow.max_window_bytes)
    )


@pytest.mark.parametrize(
    ("connections", "pong_after_s", "ping_after_s"),
    [
        *((1, 5, 5), (150, 5, 5), (300, 10, 10), (1350, 45, 45)),
        *((6000, 45, 200), (10_000, 45, 300), (1_000_000, 45, 300)),
    ],
)
def test_the_more_idle_connections_there_are_the_rarer_are_pings(
    connections: int, pong_after_s: float, ping_after_s: float
) -> None:
    assert idle_keepalive(5.0, connections) == KeepaliveIntervals(pong_after_s, ping_after_s)


def test_a_long_silence_timeout_also_holds_for_idle_connections() -> None:
    assert idle_keepalive(300.0, 10) == idle_keepalive(300.0, 10**6) == KeepaliveIntervals(300.0, 300.0)


@pytest.mark.parametrize("connections", [1, 150, 250, 300, 500, 1350, 2250, 10_000, 1_000_000])
def test_an_idle_client_gets_a_pong_before_it_would_ping(connections: int) -> None:
    asks_after_s = Limits(1024, 4).for_connections(connections).idle_silence_s / 2
    assert 1.2 * idle_keepalive(5.0, connections).pong_after_s < asks_after_s <= 60


SMALL_BYTES = MANY_CHUNKS * 1024


def test_a_small_file_of_version_1_is_sent_as_the_settings_say() -> None:
    limits = Limits(1024, 8)
    assert limits.for_length(SMALL_BYTES - 1) == limits.for_length(0) == limits


def test_a_large_file_of_version_1_has_as_many_bytes_in_flight() -> None:
    assert Limits(1024, 8).for_length(SMALL_BYTES) == Limits(2048, 4)


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(Limits(1024, 1), id="one at a time"),
        pytest.param(Limits(1024, 3), id="two at a time, which would become one"),
        pytest.param(Limits(1024, 8, max_chunk_bytes=2047), id="no send_limits for larger ones"),
    ],
)
def test_a_large_file_of_version_1_is_sent_like_small_ones(limits: Limits) -> None:
    assert limits.for_length(1 << 40) == limits


def test_a_burst_does_not_extend_the_deadline_of_a_slow_message() -> None:
    deadline_s = message_deadline_s(100.0 + MESSAGE_STALL_TIMEOUT_S, 100.0, 4 * 1024 * 1024)
    assert deadline_s == 100.0 + MESSAGE_STALL_TIMEOUT_S
    for now_s in range(104, 130, 4):  # a byte each four seconds
        deadline_s = message_deadline_s(deadline_s, now_s, 1)
    assert deadline_s < 100.0 + MESSAGE_STALL_TIMEOUT_S + 1


def test_a_message_at_the_minimum_rate_never_times_out() -> None:
    deadline_s = 100.0 + MESSAGE_STALL_TIMEOUT_S
    for now_s in range(101, 10_000):
        assert now_s < deadline_s
        deadline_s = message_deadline_s(deadline_s, now_s, MIN_MESSAGE_BYTES_PER_S)
