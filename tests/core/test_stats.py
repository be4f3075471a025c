"""What is counted, how late the loop was, and how fast bytes come in: numbers only."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from incoming.core.lifecycle import (
    Cancel,
    Claim,
    Complete,
    Confirm,
    Event,
    Expire,
    Refuse,
    Release,
    Retry,
    State,
)
from incoming.core.stats import (
    CALL_BUCKETS_S,
    FORGET_AFTER_S,
    HISTORY_S,
    LAG_BUCKETS_S,
    RECENT_S,
    Counters,
    Lag,
    Recent,
    Speeds,
    SpeedsElsewhere,
    StoreFigures,
)
from incoming.core.ticket import FILE, Ticket

MIB = 1024 * 1024


def counted(*events: Event, dest_type: str = FILE) -> Counters:
    """Returns what is counted when this happens to a new ticket."""
    counters, ticket = Counters(), Ticket("id", "http://app.example.org/", dest_type=dest_type)
    for event in events:
        changed = ticket.apply(event, 1.0)
        counters.changed(ticket, event, changed)
        ticket = changed
    return counters


CLAIM = Claim(10, "a.txt")


def test_claims_are_counted_by_what_they_find() -> None:
    counters = counted(CLAIM, CLAIM, Release(), CLAIM, Complete(), CLAIM, CLAIM)
    assert counters.claims == {"first": 1, "takeover": 1, "resume": 1, "watch": 2}


@pytest.mark.parametrize(("dest_type", "folders"), [("file", 0), ("folder", 1)])
def test_folders_are_counted_when_they_arrive_and_not_when_they_are_handed_over_again(
    dest_type: str, folders: int
) -> None:
    events = (CLAIM, Complete(), Refuse("no"), Retry(), Confirm())
    assert counted(*events, dest_type=dest_type).folders_arrived == folders


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([CLAIM, Complete(), Confirm(), Confirm()], State.FINISHED),
        ([CLAIM, Complete(), Refuse("no")], State.FAILED),
        ([Cancel("no more")], State.CANCELLED),
        ([Expire("idle")], State.EXPIRED),
    ],
)
def test_an_end_is_counted_once(events: list[Event], outcome: State) -> None:
    assert counted(*events).ended == {outcome: 1}


def test_a_handover_that_failed_and_was_tried_again_counts_for_both_ends() -> None:
    counters = counted(CLAIM, Complete(), Refuse("no"), Retry(), Confirm())
    assert counters.ended == {State.FAILED: 1, State.FINISHED: 1}


# --- the loop ------------------------------------------------------------------------------------


def test_lags_are_counted_in_buckets_that_add_up() -> None:
    lag = Lag()
    for lag_s in (0.0, 0.001, 0.002, 0.3, 7.0):
        lag.add(lag_s)
    buckets = dict(lag.buckets())
    assert list(buckets) == [*LAG_BUCKETS_S, math.inf]
    assert (buckets[0.001], buckets[0.0025], buckets[0.25], buckets[0.5]) == (2, 3, 3, 4)
    assert (buckets[2.5], buckets[math.inf]) == (4, 5)
    assert lag.sum_s == pytest.approx(7.303)


# --- speeds --------------------------------------------------------------------------------------


def run(speeds: Speeds, seconds: int, bytes_per_s: int, start_s: int = 0, offset_bytes: int = 0) -> int:
    """Samples one upload that is this fast, once a second; returns its offset at the end."""
    for second in range(start_s, start_s + seconds):
        speeds.sample(float(second), offset_bytes, {"a": offset_bytes})
        offset_bytes += bytes_per_s
    return offset_bytes - bytes_per_s


def test_a_steady_upload_has_its_speed_from_the_second_look_on() -> None:
    speeds = Speeds()
    run(speeds, 1, 5 * MIB)
    assert speeds.of("a") == 0
    speeds.sample(1.0, 5 * MIB, {"a": 5 * MIB})
    assert speeds.of("a") == speeds.bytes_per_s == 5 * MIB


def test_a_speed_follows_within_seconds_and_does_not_jump() -> None:
    speeds = Speeds()
    offset_bytes = run(speeds, 20, 1000)
    speeds.sample(20.0, offset_bytes + 9000, {"a": offset_bytes + 9000})
    assert 1000 < speeds.of("a") < 5000
    run(speeds, 15, 9000, 21, offset_bytes + 18000)
    assert speeds.of("a") == pytest.approx(9000, rel=0.02)


def test_an_upload_that_stands_still_slows_down_to_nothing() -> None:
    speeds = Speeds()
    offset_bytes = run(speeds, 10, 1000)
    run(speeds, 40, 0, 10, offset_bytes)
    assert speeds.of("a") == 0


def test_bytes_that_are_thrown_away_are_no_speed() -> None:
    speeds = Speeds()
    run(speeds, 5, 1000)
    speeds.sample(5.0, 4000, {"a": 0})
    assert 0 <= speeds.of("a") < 1000
    speeds.sample(6.0, 5000, {"a": 1000})
    assert speeds.of("a") <= 1000


def test_an_upload_that_is_not_mentioned_stands_still_and_is_forgotten_when_its_speed_has_faded() -> None:
    speeds = Speeds()
    run(speeds, 5, 1000)
    speeds.sample(5.0, 5000, {})
    assert 0 < speeds.of("a") < 1000
    for second in range(6, 60):
        speeds.sample(float(second), 5000, {})
    assert speeds.of("a") == 0
    speeds.sample(60.0, 6000, {"a": 100_000})
    assert speeds.of("a") == 0, "nobody knows how long that took"


def test_the_history_has_a_value_for_each_second_and_no_more_than_it_keeps() -> None:
    speeds = Speeds()
    assert speeds.history(3) == [0, 0, 0]
    run(speeds, 4, 1000)
    assert speeds.history(5) == [0, 0, 1000, 1000, 1000]
    assert speeds.history(0) == []
    run(speeds, HISTORY_S + 50, 7, 4, 3000)
    assert len(speeds.history(HISTORY_S)) == HISTORY_S


def test_a_loop_that_stood_still_leaves_no_gap_in_the_history() -> None:
    speeds = Speeds()
    speeds.sample(0.0, 0, {})
    speeds.sample(4.0, 400, {})
    assert speeds.history(5) == [0, 100, 100, 100, 100]


def test_two_looks_at_the_same_moment_do_no_harm() -> None:
    speeds = Speeds()
    speeds.sample(1.0, 0, {"a": 0})
    speeds.sample(1.0, 100, {"a": 100})
    speeds.sample(2.0, 200, {"a": 200})
    assert speeds.of("a") > 0


# --- stores and other processes --------------------------------------------------------------------------


def test_what_other_processes_store_is_in_the_history() -> None:
    speeds = Speeds()
    speeds.sample(0.0, 0, {})
    speeds.sample(1.0, 1000, {}, others_bytes_per_s=500)
    assert (speeds.bytes_per_s, speeds.history(1)) == (1000, [1500])


def test_the_last_minute_of_a_store_is_told() -> None:
    latency, failures, recent = Lag(CALL_BUCKETS_S), Counter[str](), Recent()
    figures = StoreFigures("redis", latency, failures, is_away=False)
    assert (recent.mean_s, recent.failures) == (None, 0)
    recent.look(figures, 0.0)
    assert (recent.mean_s, recent.failures) == (None, 0)
    latency.add(0.001)
    latency.add(0.003)
    failures["TimeoutError"] += 1
    recent.look(figures, 5.0)
    assert recent.mean_s == pytest.approx(0.002)
    assert recent.failures == 1
    recent.look(figures, RECENT_S + 10.0)
    assert (recent.mean_s, recent.failures) == (None, 0)


def test_a_speed_elsewhere_comes_from_what_is_seen() -> None:
    seen = SpeedsElsewhere()
    assert (seen.of("id"), seen.moved_at_s("id")) == (0, None)
    for second in range(6):
        seen.look({"id": second * 1000}, float(second))
    assert 800 <= seen.of("id") <= 1000
    assert seen.moved_at_s("id") == 5.0
    seen.look({"id": 5000}, 20.0)
    assert seen.of("id") < 50
    assert seen.moved_at_s("id") == 5.0
    seen.look({}, 20.0 + FORGET_AFTER_S + 1.0)
    assert seen.moved_at_s("id") is None
