"""The fair scheduler: who may work, who waits in the queue, and when the event loop runs."""

from __future__ import annotations

import time
from itertools import pairwise

import gevent
import pytest

from incoming.runtime.fair_scheduler import CONTENTION_WINDOW, TIME_SLICE_S, FairScheduler

DEADLINE_S = 60.0


def use_up_the_slice() -> None:
    """Keeps the processor, and the event loop with it."""
    began_s = time.monotonic()
    while time.monotonic() - began_s <= TIME_SLICE_S:
        pass


def test_a_greenlet_does_not_wait_while_the_time_slice_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incoming.runtime.fair_scheduler.TIME_SLICE_S", 60.0)
    scheduler, ran = FairScheduler(), list[str]()
    scheduler.yield_if_due()  # the first slice begins
    gevent.spawn(ran.append, "another")
    scheduler.yield_if_due()
    assert ran == []


def test_a_greenlet_waits_once_its_time_slice_is_over() -> None:
    scheduler, ran = FairScheduler(), list[str]()
    gevent.spawn(ran.append, "another")
    use_up_the_slice()
    scheduler.yield_if_due()
    assert ran == ["another"]


def test_greenlets_with_work_alternate_and_the_loop_runs_between_them() -> None:
    scheduler = FairScheduler()
    events: list[str] = []

    def work(name: str) -> None:
        for _ in range(3):
            use_up_the_slice()
            scheduler.yield_if_due()
            events.append(name)

    workers = [gevent.spawn(work, name) for name in "abc"]
    passes = gevent.get_hub().loop.check()
    passes.start(lambda: events.append("|"))
    gevent.joinall(workers, timeout=DEADLINE_S, raise_error=True)
    passes.stop()
    order = [event for event in events if event != "|"]
    assert sorted(order[:3]) == sorted(order[3:6]) == sorted(order[6:]) == ["a", "b", "c"]
    worked = events[: -len(workers) - 1]  # after its last slice no greenlet works
    assert all("|" in pair for pair in pairwise(worked)), f"two in a row have worked in one pass: {events}"


@pytest.mark.parametrize("slice_s", [TIME_SLICE_S, 60.0], ids=["a slice for each piece", "one slice for all"])
def test_greenlets_that_yield_after_each_quantum_and_queue_first_until_then_do_equal_work(
    monkeypatch: pytest.MonkeyPatch, slice_s: float
) -> None:
    monkeypatch.setattr("incoming.runtime.fair_scheduler.TIME_SLICE_S", slice_s)
    scheduler, worked = FairScheduler(), list[str]()

    def work(name: str) -> None:
        for _ in range(3):
            scheduler.yield_to_queue()
            for _ in range(4):
                scheduler.yield_if_due(first=True)
                worked.append(name)
                use_up_the_slice()

    workers = [gevent.spawn(work, name) for name in "abc"]
    gevent.joinall(workers, timeout=DEADLINE_S, raise_error=True)
    quanta = ["".join(worked[at : at + 4]) for at in range(0, len(worked), 4)]
    rounds = [sorted(quanta[at : at + 3]) for at in (0, 3, 6)]
    assert rounds == [["aaaa", "bbbb", "cccc"]] * 3


def test_a_yield_to_an_empty_queue_returns_at_once() -> None:
    scheduler, ran = FairScheduler(), list[str]()
    gevent.spawn(ran.append, "another")
    scheduler.yield_to_queue()
    assert ran == []


def test_there_is_contention_while_most_yields_find_others_in_the_queue() -> None:
    scheduler, seen = FairScheduler(), list[bool]()

    def work() -> None:
        for _ in range(CONTENTION_WINDOW):
            use_up_the_slice()
            scheduler.yield_if_due()
            scheduler.yield_to_queue()
        seen.append(scheduler.is_contended())

    gevent.spawn(work).get(timeout=DEADLINE_S)
    workers = [gevent.spawn(work) for _ in "ab"]
    gevent.joinall(workers, timeout=DEADLINE_S, raise_error=True)
    gevent.spawn(work).get(timeout=DEADLINE_S)
    assert seen == [False, True, True, False], "one alone, two at once, and one alone again"


def test_a_greenlet_that_is_killed_in_the_queue_does_not_block_it() -> None:
    scheduler, ran = FairScheduler(), list[str]()

    def work(name: str) -> None:
        scheduler.yield_if_due()
        ran.append(name)

    use_up_the_slice()
    killed, other = gevent.spawn(work, "killed"), gevent.spawn(work, "other")
    gevent.spawn(killed.kill, block=False)
    gevent.joinall([killed, other], timeout=DEADLINE_S, raise_error=True)
    assert ran == ["other"]
