"""When the remainder of a part is stored: soon for those who wait, and seldom for those who are slow."""

from __future__ import annotations

import itertools

from incoming.storage.s3.flush_timer import IDLE_S, MAX_WAIT_S, SLOW_S, WAITING_S, FlushTimer

TICK_S = 0.05


def remainders(timer: FlushTimer, comes_at_s: list[float], until_s: float) -> list[float]:
    """Returns when the remainder is stored of an upload to which a byte comes at each of these times."""
    found, taken, durable, now_s = [], 0, 0, 0.0
    while now_s < until_s:
        while comes_at_s and comes_at_s[0] <= now_s:
            timer.came(comes_at_s.pop(0))
            taken += 1
        if taken > durable and timer.is_due(taken, durable, now_s):
            durable = taken
            found.append(now_s)
            timer.acknowledged(now_s)
        now_s = round(now_s + TICK_S, 6)
    return found


def test_the_first_pause_ends_after_a_fifth_of_a_second() -> None:
    (first,) = remainders(FlushTimer(), [0.0, 0.0], 3.0)
    assert IDLE_S <= first <= IDLE_S + TICK_S


def test_who_sends_a_window_after_each_acknowledgement_is_answered_quickly() -> None:
    timer = FlushTimer()
    now_s = 0.0
    for turn in range(5):
        waited_s = 0.0
        for _ in range(4):
            timer.came(now_s)
        taken = 4 * (turn + 1)
        while not timer.is_due(taken, taken - 4, now_s + waited_s):
            waited_s += TICK_S / 10
        now_s += waited_s + 0.03
        timer.acknowledged(now_s)
        now_s += 0.05  # a round trip
        assert waited_s <= (IDLE_S if turn == 0 else WAITING_S) + TICK_S
    timer.restart()
    assert timer.limit_s == IDLE_S


def test_who_sends_a_piece_now_and_then_costs_a_call_every_few_seconds_only() -> None:
    comes_at_s = [0.6 * number for number in range(100)]
    assert len(remainders(FlushTimer(), comes_at_s, 60.0)) <= 2 * 60 / MAX_WAIT_S


def test_who_pauses_after_sending_slowly_is_answered_within_a_second() -> None:
    comes_at_s = [0.6 * number for number in range(20)]
    assert remainders(FlushTimer(), comes_at_s, 20.0)[-1] <= 0.6 * 19 + SLOW_S + TICK_S


def test_no_byte_waits_longer_than_five_seconds() -> None:
    comes_at_s = [0.03 * number for number in range(1000)]
    found = remainders(FlushTimer(), list(comes_at_s), 40.0)
    assert found[0] <= MAX_WAIT_S + TICK_S
    gaps = [later - before for before, later in itertools.pairwise(found)]
    assert max(gaps) <= MAX_WAIT_S + 2 * TICK_S
