"""Group commit: one thread writes all items that wait, with one sync for all of them.

After each system call, a thread of the pool competes with the event loop for the interpreter. Ten threads
that do so at once cost twice the CPU time of one. So one thread works at a time, and what arrives meanwhile
is its next group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from incoming.runtime.base import Lock, Runtime

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Pending(Generic[T]):
    """An item, and the caller that waits for `done_lock` until it is committed."""

    item: T
    done_lock: Lock
    error: BaseException | None = None


class GroupCommit(Generic[T]):
    """Calls `write` in the pool with groups of items. Each item has the error of its group."""

    def __init__(self, runtime: Runtime, write: Callable[[Sequence[T]], None]) -> None:
        self._runtime = runtime
        self._write = write
        self._waiting: list[_Pending[T]] = []
        self._is_writing = False

    def commit(self, item: T) -> None:
        """Returns when the item is written. Raises the error of its group.

        A task of its own writes, so an item is written even if its caller is killed while it waits.
        """
        pending = _Pending(item, self._runtime.semaphore(1))
        pending.done_lock.__enter__()
        self._waiting.append(pending)
        if not self._is_writing:
            self._is_writing = True
            self._runtime.spawn(self._write_all)
        pending.done_lock.__enter__()  # waits until `_write_group` releases it
        if pending.error:
            raise pending.error

    def _write_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            self._write_group(group)
        self._is_writing = False

    def _write_group(self, group: list[_Pending[T]]) -> None:
        error: BaseException | None = None
        try:
            self._runtime.in_pool(self._write, [pending.item for pending in group])
        except BaseException as exc:  # whatever it is, every caller has to be woken
            error = exc
        for pending in group:
            pending.error = error
            pending.done_lock.__exit__(None, None, None)
