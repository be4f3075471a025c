"""One lock for each key, and none that nobody uses."""

from __future__ import annotations

import gc

import gevent

from incoming.runtime.keyed_locks import KeyedLocks
from tests.support.fakes import FakeRuntime


def test_callers_with_the_same_key_take_turns_and_others_do_not_wait() -> None:
    runtime = FakeRuntime()
    locks = KeyedLocks[str](runtime.lock)
    order: list[str] = []

    def work(key: str, name: str) -> None:
        with locks.of(key):
            order.append(f"{name} begins")
            runtime.sleep(1.0)
            order.append(f"{name} ends")

    for key, name in (("a", "first"), ("a", "second"), ("b", "other")):
        runtime.spawn(work, key, name)
    runtime.advance(3.0)
    assert order[:2] == ["first begins", "other begins"]
    assert order[2:] == ["first ends", "second begins", "other ends", "second ends"]


def test_a_lock_stays_the_same_while_somebody_waits_for_it() -> None:
    runtime = FakeRuntime()
    locks = KeyedLocks[tuple[str, int]](lambda: runtime.semaphore(1))
    held = locks.of(("host", 1))
    held.__enter__()
    waiting = gevent.spawn(locks.of(("host", 1)).__enter__)
    runtime.settle()
    gc.collect()
    assert locks.of(("host", 1)) is held
    assert not waiting.ready()
    held.__exit__(None, None, None)
    gevent.joinall([waiting], timeout=60, raise_error=True)


def test_a_lock_that_nobody_uses_takes_no_memory() -> None:
    locks = KeyedLocks[str](FakeRuntime().lock)
    with locks.of("upload"):
        assert len(locks._locks) == 1
    gc.collect()
    assert len(locks._locks) == 0
