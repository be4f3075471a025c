"""The runtime of a process that a test kills, which tests of the stores stand on: nothing of it continues."""

from __future__ import annotations

import threading

from tests.support.s3_place import KillableRuntime


def test_whoever_dies_starts_nobody_who_lives() -> None:
    runtime, ran = KillableRuntime(), list[str]()

    def starts_another_in_the_end() -> None:
        try:
            runtime.sleep(60.0)
        finally:
            runtime.spawn(ran.append, "started in the end")

    def works_on_until_its_turn_to_die() -> None:
        runtime.sleep(0)
        runtime.spawn(ran.append, "started before its turn")

    runtime.spawn(starts_another_in_the_end)
    runtime.settle()
    runtime.spawn(works_on_until_its_turn_to_die)
    runtime.kill()
    runtime.settle()
    assert (ran, runtime.is_busy) == ([], False)


def test_a_thread_of_the_pool_has_ended_when_the_process_is_dead() -> None:
    runtime, begun, ended = KillableRuntime(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        threading.Event().wait(0.05)
        ended.set()

    runtime.spawn(runtime.in_pool, work)
    while not begun.is_set():
        runtime.settle()
    runtime.kill()
    assert ended.is_set()
