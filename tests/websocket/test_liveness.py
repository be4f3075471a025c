"""When a silent peer is pinged and when it is given up, as a table of times."""

from __future__ import annotations

import pytest

from incoming.protocol.flow_control import KeepaliveIntervals
from incoming.websocket.liveness import Check, Liveness

ALLOWED = KeepaliveIntervals(pong_after_s=10.0, ping_after_s=25.0)


@pytest.fixture
def peer() -> Liveness:
    return Liveness(100.0)


def test_a_silent_peer_gets_pongs_then_a_ping_and_is_then_given_up(peer: Liveness) -> None:
    timeline = []
    check, now_s = Check.NOTHING, 100.0
    while check is not Check.GIVE_UP:
        now_s = peer.due_s(ALLOWED, None)
        check = peer.check(now_s, ALLOWED, None)
        timeline.append((now_s, check))
        peer.sent(check, now_s)
    assert timeline == [
        (110.0, Check.SEND_PONG),
        (120.0, Check.SEND_PONG),
        (125.0, Check.SEND_PING),
        (135.0, Check.GIVE_UP),
    ]


@pytest.mark.parametrize("now_s", [100.0, 109.9])
def test_nothing_is_due_before_its_time(peer: Liveness, now_s: float) -> None:
    assert peer.check(now_s, ALLOWED, None) is Check.NOTHING


def test_a_peer_that_answers_a_ping_starts_over(peer: Liveness) -> None:
    peer.sent(Check.SEND_PING, 125.0)
    assert peer.due_s(ALLOWED, None) == 135.0
    peer.received_s = 126.0
    assert peer.due_s(ALLOWED, None) == 136.0
    assert peer.check(136.0, ALLOWED, None) is Check.SEND_PONG


def test_a_peer_that_may_idle_no_longer_is_given_up_when_it_is_next_checked(peer: Liveness) -> None:
    peer.idle_until_s = 105.0
    assert peer.check(106.0, ALLOWED, None) is Check.NOTHING
    assert peer.check(110.0, ALLOWED, None) is Check.GIVE_UP


def test_a_peer_that_does_not_answer_a_close_is_given_up_at_the_deadline(peer: Liveness) -> None:
    assert peer.due_s(ALLOWED, 105.0) == 105.0
    assert peer.check(104.9, ALLOWED, 105.0) is Check.NOTHING
    assert peer.check(105.0, ALLOWED, 105.0) is Check.GIVE_UP
