"""The congestion window on simulated links."""

from __future__ import annotations

from collections import deque

import pytest

from incoming.client.protocol.window import INITIAL_WINDOW_BYTES, MIN_CHUNK_BYTES, CongestionWindow

MIB = 1024 * 1024


def run(
    window: CongestionWindow, bytes_per_s: float, delay_s: float, for_s: float, now_s: float = 0.0
) -> float:
    """Sends over a link of this speed and delay as much as the window admits; returns bytes a second."""
    in_flight: deque[tuple[float, int, float, int]] = deque()  # stored at, bytes, sent at, ahead
    free_s, ahead, sent, began_s = now_s, 0, 0, now_s
    while now_s < began_s + for_s:
        while window.admits(ahead, ahead, size := window.chunk_bytes):
            ahead, sent = ahead + size, sent + size
            free_s = max(free_s, now_s) + size / bytes_per_s
            in_flight.append((free_s + delay_s, size, now_s, ahead))
        now_s, size, sent_s, was_ahead = in_flight.popleft()
        ahead -= size
        window.taken(was_ahead, sent_s, now_s)
    return sent / for_s


@pytest.mark.parametrize(
    ("bytes_per_s", "delay_s"), [(125e6, 0.1), (125e6, 0.001), (250e3, 0.05), (2e6, 0.3), (1e9, 0.0002)]
)
def test_a_link_is_filled_without_a_long_queue(bytes_per_s: float, delay_s: float) -> None:
    window = CongestionWindow(4 * MIB, 64 * MIB)
    run(window, bytes_per_s, delay_s, 5)
    assert run(window, bytes_per_s, delay_s, 10, 5) > 0.9 * bytes_per_s
    queued_s = window.size_bytes / bytes_per_s - delay_s
    assert queued_s < 0.8, "a cancel is heard at once"


def test_a_chunk_is_a_quarter_of_the_window_at_most_and_a_power_of_two() -> None:
    window = CongestionWindow(4 * MIB, 64 * MIB)
    assert window.chunk_bytes == INITIAL_WINDOW_BYTES // 4
    run(window, 1e9, 0.0002, 5)
    assert window.chunk_bytes == 4 * MIB


@pytest.mark.parametrize("max_window_bytes", [4096, 9000, 100_000])
def test_the_servers_limits_are_kept(max_window_bytes: int) -> None:
    window = CongestionWindow(50_000, max_window_bytes)
    run(window, 1e9, 0.0001, 1)
    assert window.size_bytes <= max_window_bytes
    assert window.chunk_bytes <= min(50_000, max_window_bytes)
    assert not window.admits(max_window_bytes - 10, max_window_bytes - 10, 11)
    assert not window.admits(0, max_window_bytes - 10, 11), "what is taken counts until it is stored"
    assert window.admits(0, 0, window.chunk_bytes)


def test_a_slow_link_gets_small_chunks() -> None:
    window = CongestionWindow(4 * MIB, 64 * MIB)
    run(window, 5_000, 0.5, 60)
    assert window.chunk_bytes == MIN_CHUNK_BYTES


def test_a_link_that_becomes_slower_is_not_flooded_for_long() -> None:
    window = CongestionWindow(4 * MIB, 64 * MIB)
    run(window, 50e6, 0.05, 5)
    run(window, 1e6, 0.05, 30, 5)
    assert window.size_bytes < 1e6, "less than a second of what the link carries now"


def test_the_server_may_change_the_chunk_size() -> None:
    window = CongestionWindow(MIB // 2, 64 * MIB)
    run(window, 1e9, 0.0002, 5)
    assert window.chunk_bytes == MIB // 2
    for allowed in (4 * MIB, MIB, 50_000):
        window.set_limits(allowed)
        assert window.chunk_bytes == allowed


def test_the_server_may_narrow_the_window_for_a_while_and_never_widen_it() -> None:
    window = CongestionWindow(MIB, 16 * MIB)
    run(window, 1e9, 0.0002, 30)
    for allowed, most in ((4 * MIB, 4 * MIB), (0, 16 * MIB), (64 * MIB, 16 * MIB)):
        window.set_limits(MIB, allowed)
        for in_flight_bytes in (0, most - MIB):
            assert window.admits(in_flight_bytes, most - MIB, MIB)
            assert not window.admits(in_flight_bytes, most - MIB + 1, MIB)
