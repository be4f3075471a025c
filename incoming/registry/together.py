"""Many small jobs for the disk, done together by one thread, while the disk is quick.

A thread of the pool waits for its turn beside the event loop after each system call, and ten that do so at
once cost twice the CPU of one. So one works at a time, and whoever comes meanwhile is in its next group, for
which a directory is synced once. Where the disk is slow, waiting for it is what takes long, and several can
do that: then each job gets a thread, up to `SLOW_THREADS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from incoming.runtime import Lock, Runtime

T = TypeVar("T")
SLOW_S: Final = 0.005
"""A job that takes longer than this, on the average of its group, has waited for the disk."""
SLOW_THREADS: Final = 8


@dataclass(slots=True, eq=False)
class _Job(Generic[T]):
    """Something to be done, and somebody who waits until `undone` can be had."""

    item: T
    undone: Lock
    error: BaseException | None = None


class Together(Generic[T]):
    """Has `work` do things in the pool. It returns what went wrong with each of them."""

    def __init__(self, runtime: Runtime, work: Callable[[Sequence[T]], Sequence[Exception | None]]) -> None:
        self._runtime = runtime
        self._work = work
        self._waiting: list[_Job[T]] = []
        self._threads = 0
        self._is_slow = False

    def do(self, item: T) -> None:
        """Returns when it is done. Raises what went wrong with it.

        The work is a task of its own: whoever is killed while it waits leaves it to be done.
        """
        job = _Job(item, self._runtime.semaphore(1))
        job.undone.__enter__()
        self._waiting.append(job)
        if self._threads < (SLOW_THREADS if self._is_slow else 1):
            self._threads += 1
            self._runtime.spawn(self._do_all)
        job.undone.__enter__()  # once more: until `_do` lets go of it
        if job.error:
            raise job.error

    def _do_all(self) -> None:
        while self._waiting and (self._is_slow or self._threads == 1):
            size = 1 if self._is_slow else len(self._waiting)
            group, self._waiting = self._waiting[:size], self._waiting[size:]
            self._do(group)
        self._threads -= 1

    def _do(self, group: list[_Job[T]]) -> None:
        began_s = self._runtime.now_s()
        errors: Sequence[BaseException | None]
        try:
            errors = self._runtime.in_pool(self._work, [job.item for job in group])
        except BaseException as exc:  # whatever it is, nobody is left waiting
            errors = [exc] * len(group)
        self._is_slow = self._runtime.now_s() - began_s > SLOW_S * len(group)
        for job, error in zip(group, errors, strict=True):
            job.error = error
            job.undone.__exit__(None, None, None)
