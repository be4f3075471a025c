"""Many small jobs for the disk, done together by one thread.

A thread of the pool waits for its turn beside the event loop after each system call, and ten that do so at
once cost twice the CPU of one. So one works at a time, and whoever comes meanwhile is in its next group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from incoming.runtime.base import Lock, Runtime

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Job(Generic[T]):
    """Something to be done, and somebody who waits until `undone` can be had."""

    item: T
    undone: Lock
    error: BaseException | None = None


class GroupCommit(Generic[T]):
    """Has `work` do things in the pool; what goes wrong with a group goes wrong with each of it."""

    def __init__(self, runtime: Runtime, work: Callable[[Sequence[T]], None]) -> None:
        self._runtime = runtime
        self._work = work
        self._waiting: list[_Job[T]] = []
        self._works = False

    def do(self, item: T) -> None:
        """Returns when it is done. Raises what went wrong with it.

        The work is a task of its own: whoever is killed while it waits leaves it to be done.
        """
        job = _Job(item, self._runtime.semaphore(1))
        job.undone.__enter__()
        self._waiting.append(job)
        if not self._works:
            self._works = True
            self._runtime.spawn(self._do_all)
        job.undone.__enter__()  # once more: until `_do` lets go of it
        if job.error:
            raise job.error

    def _do_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            self._do(group)
        self._works = False

    def _do(self, group: list[_Job[T]]) -> None:
        error: BaseException | None = None
        try:
            self._runtime.in_pool(self._work, [job.item for job in group])
        except BaseException as exc:  # whatever it is, nobody is left waiting
            error = exc
        for job in group:
            job.error = error
            job.undone.__exit__(None, None, None)
