"""The more of them there are, the less is each asked for."""

from __future__ import annotations

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
)

LIMITS = Limits(1024, 4, max_chunk_bytes=4 << 20, max_window_bytes=64 << 20)


@pytest.mark.parametrize(
    ("in_flight", "chunk_mib"), [(0, 128), (1, 128), (32, 4), (33, 2), (64, 2), (256, 0.5), (10_000, 0.5)]
)
def test_the_more_chunks_are_arriving_the_smaller_they_may_be(in_flight: int, chunk_mib: float) -> None:
    assert chunk_limit_bytes(in_flight) == chunk_mib * 1024 * 1024


@pytest.mark.parametrize(("in_flight", "chunk_mib"), [(1, 4), (64, 2), (1000, 0.5)])
def test_who_has_the_server_for_itself_may_fill_a_long_line(in_flight: int, chunk_mib: float) -> None:
    assert LIMITS.send_limits(in_flight, is_busy=False) == SendLimits(int(chunk_mib * 1024 * 1024), 64 << 20)


@pytest.mark.parametrize(("in_flight", "chunk_bytes"), [(2, BUSY_CHUNK_BYTES), (1000, 512 << 10)])
def test_who_has_to_wait_for_its_turn_has_less_on_its_way(in_flight: int, chunk_bytes: int) -> None:
    assert LIMITS.send_limits(in_flight, is_busy=True) == SendLimits(chunk_bytes, BUSY_WINDOW_BYTES)


@pytest.mark.parametrize("is_busy", [True, False])
def test_what_the_settings_and_the_ticket_allow_is_never_passed(is_busy: bool) -> None:
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
def test_the_more_idle_connections_there_are_the_more_seldom_is_one_asked(
    connections: int, pong_after_s: float, ping_after_s: float
) -> None:
    assert idle_keepalive(5.0, connections) == KeepaliveIntervals(pong_after_s, ping_after_s)


def test_who_may_be_silent_for_long_anyway_may_be_so_when_idle() -> None:
    assert idle_keepalive(300.0, 10) == idle_keepalive(300.0, 10**6) == KeepaliveIntervals(300.0, 300.0)


@pytest.mark.parametrize("connections", [1, 150, 250, 300, 500, 1350, 2250, 10_000, 1_000_000])
def test_an_idle_client_hears_from_us_before_it_would_ask(connections: int) -> None:
    asks_after_s = Limits(1024, 4).for_connections(connections).idle_silence_s / 2
    assert 1.2 * idle_keepalive(5.0, connections).pong_after_s < asks_after_s <= 60


SMALL_BYTES = MANY_CHUNKS * 1024


def test_a_small_file_of_version_1_is_sent_as_the_settings_say() -> None:
    limits = Limits(1024, 8)
    assert limits.for_length(SMALL_BYTES - 1) == limits.for_length(0) == limits


def test_what_is_on_its_way_is_the_same_for_a_large_file_of_version_1() -> None:
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


def test_bytes_that_came_at_once_buy_a_message_no_time_for_a_drip() -> None:
    deadline_s = message_deadline_s(100.0 + MESSAGE_STALL_TIMEOUT_S, 100.0, 4 * 1024 * 1024)
    assert deadline_s == 100.0 + MESSAGE_STALL_TIMEOUT_S
    for now_s in range(104, 130, 4):  # a byte each four seconds
        deadline_s = message_deadline_s(deadline_s, now_s, 1)
    assert deadline_s < 100.0 + MESSAGE_STALL_TIMEOUT_S + 1


def test_a_message_that_comes_as_fast_as_the_slowest_may_goes_on_for_ever() -> None:
    deadline_s = 100.0 + MESSAGE_STALL_TIMEOUT_S
    for now_s in range(101, 10_000):
        assert now_s < deadline_s
        deadline_s = message_deadline_s(deadline_s, now_s, MIN_MESSAGE_BYTES_PER_S)
