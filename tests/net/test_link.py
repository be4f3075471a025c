"""The link's arithmetic, with a clock of the test's own; no device is needed."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.net.link import Direction, LinkSettings

PACKET = bytes(1000)
LINK = LinkSettings(rate_bit_per_s=8e6, delay_s=0.1)  # a packet of 1000 bytes takes a millisecond
WIRELESS = LinkSettings(rate_bit_per_s=8e6, delay_s=0.1, jitter_s=0.02)
LATER_S = 1e6


def arrivals(direction: Direction) -> list[tuple[float, bytes]]:
    """Empties a direction; returns when each packet came, and what it was."""
    came = []
    while (at_s := direction.next_at_s) is not None:
        came += [(at_s, packet) for packet in direction.due(at_s)]
    return came


def arrival_times(link: LinkSettings, sent_at_s: list[float]) -> list[float]:
    """Sends a packet at each time, and returns when they arrive, in that order."""
    direction = Direction(link)
    for at_s in sent_at_s:
        direction.accept(PACKET, at_s)
    return [at_s for at_s, _ in arrivals(direction)]


def test_a_packet_arrives_a_delay_after_its_last_bit_has_left() -> None:
    assert arrival_times(LINK, [5.0]) == [pytest.approx(5.101)]


def test_packets_that_come_at_once_leave_one_after_another_at_the_rate() -> None:
    assert arrival_times(LINK, [5.0] * 3) == pytest.approx([5.101, 5.102, 5.103])


def test_a_link_that_was_idle_has_saved_nothing_up() -> None:
    assert arrival_times(LINK, [5.0, 9.0, 9.0]) == pytest.approx([5.101, 9.101, 9.102])


def test_nothing_arrives_before_its_time() -> None:
    direction = Direction(LINK)
    direction.accept(PACKET, 5.0)
    assert list(direction.due(5.1005)) == []
    assert list(direction.due(5.1015)) == [PACKET]
    assert list(direction.due(LATER_S)) == []


def test_a_full_queue_drops_what_comes_and_has_room_again_later() -> None:
    direction = Direction(LINK)  # a round trip carries 200 packets
    for _ in range(300):
        direction.accept(PACKET, 5.0)
    dropped = direction.sample.dropped
    assert dropped == pytest.approx(100, abs=1)
    assert direction.sample.queued_bytes == pytest.approx(LINK.queue_bytes, abs=len(PACKET))
    direction.accept(PACKET, 5.002)
    assert direction.sample.dropped == dropped
    assert len(arrivals(direction)) == 301 - dropped


def test_one_packet_in_a_hundred_is_lost_and_the_others_are_not_late() -> None:
    direction = Direction(LinkSettings(rate_bit_per_s=8e6, delay_s=0.1, loss=0.01))
    for number in range(20_000):
        direction.accept(number.to_bytes(4, "big") * 250, number * 0.001)
    came = arrivals(direction)
    assert 150 < direction.sample.lost < 250
    assert len(came) == 20_000 - direction.sample.lost
    for at_s, packet in came:
        assert at_s == pytest.approx(int.from_bytes(packet[:4], "big") * 0.001 + 0.101)


def test_jitter_delays_by_up_to_what_it_may_in_clumps_and_in_order() -> None:
    sent = [number * 0.001 for number in range(5000)]
    came = arrival_times(WIRELESS, sent)
    assert came == sorted(came)
    extra = [at_s - sent_s - 0.101 for at_s, sent_s in zip(came, sent, strict=True)]
    assert -1e-9 < min(extra) < 0.001
    assert 0.019 < max(extra) < 0.02 + 1e-9
    assert sum(later == at_s for at_s, later in itertools.pairwise(came)) > 500


def test_packets_overtake_each_other_where_that_is_asked_for() -> None:
    direction = Direction(LinkSettings(rate_bit_per_s=8e6, delay_s=0.1, jitter_s=0.02, reorder=True))
    sent = [number.to_bytes(4, "big") * 250 for number in range(100)]
    for number, packet in enumerate(sent):
        direction.accept(packet, number * 0.001)
    came = [packet for _, packet in arrivals(direction)]
    assert came != sent
    assert sorted(came) == sent


def test_another_rate_is_for_what_comes_after_the_change() -> None:
    direction = Direction(LINK)
    direction.accept(PACKET, 5.0)
    direction.become(LinkSettings(rate_bit_per_s=0.8e6, delay_s=0.2))
    direction.accept(PACKET, 5.0)
    assert [at_s for at_s, _ in arrivals(direction)] == pytest.approx([5.101, 5.211])


def test_a_sample_tells_what_happened_since_the_last_one() -> None:
    direction = Direction(LINK)
    direction.accept(PACKET, 5.0)
    assert list(direction.due(6.0)) == [PACKET]
    first, second = direction.take_sample(6.0), direction.take_sample(7.0)
    assert (first.at_s, first.carried_bytes, first.queued_bytes) == (6.0, 1000, 1000)
    assert (second.at_s, second.carried_bytes, second.queued_bytes) == (7.0, 0, 0)


sizes_and_gaps = st.lists(st.tuples(st.integers(1, 1500), st.floats(0, 0.01)), min_size=1, max_size=200)


@given(sizes_and_gaps, st.sampled_from([LINK, WIRELESS]))
def test_whatever_is_sent_arrives_once_in_order_and_never_faster_than_the_link(
    packets: list[tuple[int, float]], link: LinkSettings
) -> None:
    direction = Direction(link)
    now_s = 0.0
    sent = []
    for serial, (size_bytes, gap_s) in enumerate(packets):
        now_s += gap_s
        sent.append(serial.to_bytes(4, "big") + bytes(size_bytes))
        direction.accept(sent[-1], now_s)
    came = arrivals(direction)
    assert [packet for _, packet in came] == sent
    out_s = 0.0
    for at_s, packet in came:
        out_s += len(packet) / link.bytes_per_s
        assert at_s >= out_s + link.delay_s - 1e-9
