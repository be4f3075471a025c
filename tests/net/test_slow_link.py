"""A slow link: no more than half a second of data is queued, so whatever the user does is heard at once."""

from __future__ import annotations

import time

import pytest

from tests.net.conftest import FULL, Stage
from tests.net.link import LinkSettings
from tests.net.report import tell_upload
from tests.support.data import MIB
from tests.support.waiting import wait_until

SLOW = LinkSettings(2e6, delay_s=0.025)
FASTER = LinkSettings(20e6, delay_s=0.025)
FASTER_AND_FAR = LinkSettings(20e6, delay_s=0.4)
QUEUE_MAX_S = 0.5
HEARD_WITHIN_S = 1.0 if FULL else 3.0
"""In the ordinary run, other tests share two cores with the link. A full buffer would take longer."""
ADAPTED_AFTER_S = 6.0
MEASURED_S = 40.0 if FULL else 6.0
FILLED = 0.9 if FULL else 0.8


def queued_s(bytes_ahead: int, link: LinkSettings) -> float:
    """How long the link takes for what is ahead of the acknowledgements, beyond its own round trip."""
    return bytes_ahead / link.payload_bytes_per_s - link.rtt_s


@pytest.fixture
def slow(stage: Stage) -> Stage:
    """A stage with a slow link, and an upload on its way that takes minutes."""
    stage.network.become(SLOW)
    return stage


def test_a_slow_link_is_filled_with_half_a_second_of_data_at_most(slow: Stage) -> None:
    began_s = time.monotonic()
    slow.page.upload(slow.file(64 * MIB), slow.ticket())
    slow.page.wait_until_s(MEASURED_S)
    points = slow.page.points()
    tell_upload("2 Mbit/s", points, slow.network.samples("up", began_s, time.monotonic()))
    assert max(queued_s(point.bytes_ahead, SLOW) for point in points) <= QUEUE_MAX_S
    assert slow.page.transfer().bytes_per_s(2, MEASURED_S) >= FILLED * SLOW.payload_bytes_per_s


def test_a_cancel_over_a_slow_link_is_confirmed_within_a_second(slow: Stage) -> None:
    slow.page.upload(slow.file(64 * MIB), slow.ticket())
    slow.page.wait_until_s(3)
    slow.page.do("mark('asked'); uploader.cancel()")
    assert slow.page.event("oncancelled") - slow.page.event("asked") <= HEARD_WITHIN_S


def test_a_pause_over_a_slow_link_frees_it_within_a_second_and_ends_as_quickly(slow: Stage) -> None:
    ticket_id = slow.ticket()
    slow.page.upload(slow.file(64 * MIB), ticket_id)
    slow.page.wait_until_s(3)
    asked_s = time.monotonic()
    slow.page.do("uploader.pause()")
    assert slow.page.do("return uploader.paused")
    wait_until(lambda: slow.state(ticket_id) == "paused", "the server hears of the pause")
    assert time.monotonic() - asked_s <= HEARD_WITHIN_S
    stored_bytes = slow.stored_bytes(ticket_id)
    asked_s = time.monotonic()
    slow.page.do("uploader.pause('unpause')")
    slow.page.wait_for(f"uploader.bytes_acked > {stored_bytes}")
    assert time.monotonic() - asked_s <= HEARD_WITHIN_S


@pytest.mark.skipif(not FULL, reason="INCOMING_TEST_NET=full runs this")
def test_a_link_that_becomes_slow_has_little_queued_again_and_one_that_recovers_is_filled(
    stage: Stage,
) -> None:
    began_s = time.monotonic()
    stage.network.become(FASTER)
    stage.page.upload(stage.file(256 * MIB), stage.ticket())
    stage.page.wait_until_s(10)
    stage.network.become(SLOW)
    stage.page.wait_until_s(25)
    stage.network.become(FASTER)
    stage.page.wait_until_s(40)
    points = stage.page.points()
    tell_upload("20, 2, 20 Mbit/s", points, stage.network.samples("up", began_s, time.monotonic()))
    slowed = [point.bytes_ahead for point in points if 10 + ADAPTED_AFTER_S < point.at_s < 25]
    assert max(queued_s(bytes_ahead, SLOW) for bytes_ahead in slowed) <= QUEUE_MAX_S
    recovered = stage.page.transfer().bytes_per_s(25 + ADAPTED_AFTER_S, 40)
    assert recovered >= 0.9 * FASTER.payload_bytes_per_s


@pytest.mark.skipif(not FULL, reason="INCOMING_TEST_NET=full runs this")
def test_a_way_that_has_become_longer_does_not_starve_the_upload(stage: Stage) -> None:
    began_s = time.monotonic()
    stage.network.become(FASTER)
    stage.page.upload(stage.file(256 * MIB), stage.ticket())
    stage.page.wait_until_s(6)
    stage.network.become(FASTER_AND_FAR)
    stage.page.wait_until_s(40)
    points = stage.page.points()
    tell_upload("50, then 800 ms", points, stage.network.samples("up", began_s, time.monotonic()))
    assert (
        stage.page.transfer().bytes_per_s(30, 40) >= 0.2 * FASTER.payload_bytes_per_s
    )  # a window for 50 ms: 0.02
