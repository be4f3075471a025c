"""What gevent gives, and the clock of the service."""

from __future__ import annotations

import contextlib
import threading
import time

import gevent
import gevent.event
import gevent.socket
import pytest

from incoming.runtime.base import MAX_TICK_S, ServiceClock
from incoming.runtime.gevent_runtime import TICK_S, GeventRuntime
from tests.runtime.test_fair_scheduler import use_up_the_slice
from tests.support.fakes import FakeRuntime

DEADLINE_S = 60.0
SHORT_S = 0.05


class TooSlow(Exception):
    pass


@pytest.fixture
def runtime() -> GeventRuntime:
    return GeventRuntime()


# --- the real runtime ------------------------------------------------------------------------------


def test_the_time_is_the_monotonic_one(runtime: GeventRuntime) -> None:
    before_s = time.monotonic()
    assert before_s <= runtime.now_s() <= time.monotonic()


def test_a_task_runs_beside_its_caller(runtime: GeventRuntime) -> None:
    done = gevent.event.AsyncResult()
    runtime.spawn(done.set, 42)
    assert not done.ready()
    assert done.get(timeout=DEADLINE_S) == 42


def test_a_later_task_runs_after_its_delay(runtime: GeventRuntime) -> None:
    loop = gevent.get_hub().loop  # by whose clock timers run: it stands still while a greenlet computes
    began_s = loop.now()
    done = gevent.event.AsyncResult()
    runtime.spawn_later(SHORT_S, done.set, "x")
    assert done.get(timeout=DEADLINE_S) == "x"
    assert loop.now() - began_s >= SHORT_S * 0.9


def test_a_killed_task_does_not_run(runtime: GeventRuntime) -> None:
    ran: list[int] = []
    task = runtime.spawn_later(0.0, ran.append, 1)
    task.kill(block=False)
    task.kill(block=False)
    runtime.sleep(0.01)
    assert ran == []


def test_a_sleep_and_a_yield_let_others_run(runtime: GeventRuntime) -> None:
    ran: list[str] = []
    runtime.spawn(ran.append, "during the sleep")
    runtime.sleep(0)
    assert ran == ["during the sleep"]
    runtime.spawn(ran.append, "during the yield")
    use_up_the_slice()
    runtime.yield_if_due()
    assert ran[1:] == ["during the yield"]


def test_a_yield_serves_a_greenlet_with_data_waiting(runtime: GeventRuntime) -> None:
    ours, theirs = gevent.socket.socketpair()
    got: list[bytes] = []
    runtime.spawn(lambda: got.append(ours.recv(10)))
    runtime.sleep(0)
    theirs.sendall(b"data")
    for _ in range(2):  # one pass sees the data, the next one has woken the reader
        use_up_the_slice()
        runtime.yield_if_due()
    assert got == [b"data"]
    ours.close()
    theirs.close()


def test_a_lock_is_waited_for_and_its_holder_may_take_it_again(runtime: GeventRuntime) -> None:
    lock = runtime.lock()
    order: list[str] = []

    def other() -> None:
        with lock:
            order.append("other")

    with lock, lock:
        task = gevent.spawn(other)
        runtime.sleep(0)
        order.append("holder")
    task.join(DEADLINE_S)
    assert order == ["holder", "other"]


def test_the_pool_is_another_thread_and_others_run_meanwhile(runtime: GeventRuntime) -> None:
    seen = threading.Event()
    runtime.spawn(seen.set)  # runs on the loop, while the pool's thread waits for it
    assert runtime.in_pool(seen.wait, timeout=DEADLINE_S)
    assert runtime.in_pool(threading.get_ident) != threading.get_ident()


def test_an_error_in_the_pool_is_raised_in_the_caller_and_not_printed(
    runtime: GeventRuntime, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        runtime.in_pool(int, "x")
    runtime.sleep(0)
    assert capsys.readouterr().err == ""


def test_a_time_limit_interrupts_its_block(runtime: GeventRuntime) -> None:
    with pytest.raises(TooSlow), runtime.time_limit(0.01, TooSlow()):
        runtime.sleep(DEADLINE_S)
    with runtime.time_limit(0.01, TooSlow()):
        pass
    runtime.sleep(0.02)


def test_nothing_inside_takes_the_end_of_a_time_limit_for_an_error_of_its_own(runtime: GeventRuntime) -> None:
    """As botocore takes any error, to which it gives another name, and a call is repeated."""
    with pytest.raises(TooSlow), runtime.time_limit(0.01, TooSlow()):
        with contextlib.suppress(Exception):
            runtime.sleep(DEADLINE_S)
        pytest.fail("it continues")


def test_the_outer_one_of_two_time_limits_ends_both(runtime: GeventRuntime) -> None:
    with (
        pytest.raises(TooSlow),
        runtime.time_limit(0.01, TooSlow()),
        runtime.time_limit(DEADLINE_S, ValueError()),
    ):
        runtime.sleep(DEADLINE_S)


def test_jitter_is_from_0_to_1_and_varies(runtime: GeventRuntime) -> None:
    numbers = [runtime.jitter() for _ in range(100)]
    assert all(0 <= number <= 1 for number in numbers)
    assert len(set(numbers)) > 90


# --- the service's clock -----------------------------------------------------------------------------


def test_the_clock_of_a_new_service_begins_at_zero() -> None:
    runtime = FakeRuntime(now_s=12345.0)
    clock = ServiceClock(runtime.now_s)
    assert clock.now_s() == 0.0
    runtime.advance(5)
    assert clock.now_s() == 5.0


def test_the_clock_stands_still_while_the_service_is_down() -> None:
    clock = ServiceClock(FakeRuntime(now_s=7.0).now_s, ran_before_s=100.0)
    assert clock.now_s() == 100.0


def test_a_gap_between_two_ticks_counts_as_the_longest_tick_only() -> None:
    runtime = FakeRuntime(now_s=0.0)
    clock = ServiceClock(runtime.now_s)
    assert clock.tick() == 0.0
    runtime.advance(TICK_S)
    assert clock.tick() == 0.0
    runtime.advance(3600)
    assert clock.now_s() == TICK_S + MAX_TICK_S, "whoever looks first sees it, not only the tick"
    runtime.advance(3600)
    assert clock.now_s() == TICK_S + MAX_TICK_S
    assert clock.tick() == 7200 - MAX_TICK_S
    assert clock.tick() == 0.0, "it is told once"
    runtime.advance(TICK_S)
    assert clock.now_s() == 2 * TICK_S + MAX_TICK_S


def test_ticks_that_are_a_little_late_lose_no_time() -> None:
    runtime = FakeRuntime(now_s=0.0)
    clock = ServiceClock(runtime.now_s)
    for _ in range(100):
        assert clock.tick() == 0.0
        runtime.advance(MAX_TICK_S)
    assert clock.now_s() == 100 * MAX_TICK_S


def test_a_clock_that_is_not_ticked_follows_the_monotonic_one() -> None:
    runtime = FakeRuntime(now_s=0.0)
    clock = ServiceClock(runtime.now_s)
    runtime.advance(3600)
    assert clock.now_s() == 3600


def test_a_clock_that_is_behind_is_set_forward_and_never_back() -> None:
    runtime = FakeRuntime(now_s=7.0)
    clock = ServiceClock(runtime.now_s, ran_before_s=100.0)
    clock.at_least(50.0)
    assert clock.now_s() == 100.0
    clock.at_least(150.0)
    assert clock.now_s() == 150.0
    runtime.advance(1)
    assert clock.now_s() == 151.0


# --- the fake one, which other tests stand on ----------------------------------------------------------


def test_fake_sleepers_wake_in_the_order_of_their_times() -> None:
    runtime = FakeRuntime(now_s=0.0)
    woken: list[tuple[str, float]] = []

    def sleeper(name: str, duration_s: float) -> None:
        runtime.sleep(duration_s)
        woken.append((name, runtime.now_s()))

    for name, duration_s in (("c", 3.0), ("a", 1.0), ("b", 1.0)):
        runtime.spawn(sleeper, name, duration_s)
    runtime.advance(2.0)
    assert woken == [("a", 1.0), ("b", 1.0)]
    assert runtime.now_s() == 2.0


def test_an_error_in_a_fake_task_fails_the_test() -> None:
    runtime = FakeRuntime()
    runtime.spawn(int, "x")
    with pytest.raises(ValueError, match="invalid literal"):
        runtime.settle()


def test_fake_pool_calls_are_held_as_long_as_the_test_wants() -> None:
    runtime = FakeRuntime()
    done: list[int] = []

    def work() -> None:
        done.append(1)

    with runtime.held("work"):
        runtime.spawn(runtime.in_pool, work)
        runtime.settle()
        assert not done
    assert done
    assert runtime.pool_calls == ["work"]


# --- looking names up --------------------------------------------------------------------------------


class SlowNames:
    """A resolver that hangs until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let_go = threading.Event()

    def __call__(self, host: str, *_: object) -> list[str]:
        self.asked.append(host)
        assert self.let_go.wait(DEADLINE_S)
        return [host]


def test_a_name_resolves_to_addresses(runtime: GeventRuntime) -> None:
    assert "127.0.0.1" in [place[4][0] for place in runtime.resolve("localhost", 80)]
    with pytest.raises(OSError, match=r".+"):
        runtime.resolve("app.invalid", 80)


def test_a_name_that_hangs_blocks_no_other_and_takes_one_thread(runtime: GeventRuntime) -> None:
    names = SlowNames()
    runtime._getaddrinfo = names
    waiting = [gevent.spawn(runtime.resolve, "dead.example.org", 80) for _ in range(20)]
    other = gevent.spawn(runtime.resolve, "other.example.org", 80)
    deadline_s = time.monotonic() + DEADLINE_S
    while len(names.asked) < 2 and time.monotonic() < deadline_s:
        gevent.sleep(0.01)
    assert sorted(names.asked) == ["dead.example.org", "other.example.org"]
    names.let_go.set()
    gevent.joinall([*waiting, other], timeout=DEADLINE_S)
    assert len(names.asked) == 21
