"""A lock for each key: for each upload, host or address. A lock that nobody uses takes no memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from incoming.runtime.base import Lock

K = TypeVar("K", bound=Hashable)


class KeyedLocks(Generic[K]):
    """Locks by key: `with locks.of(key)`. All callers with the same key get the same lock."""

    def __init__(self, new_lock: Callable[[], Lock]) -> None:
        """`new_lock` makes the lock of a key: `runtime.lock`, or a semaphore for several holders."""
        self._new_lock = new_lock
        self._locks: WeakValueDictionary[K, Lock] = WeakValueDictionary()

    def of(self, key: K) -> Lock:
        """Returns the lock of this key. It lives as long as somebody uses it."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = self._new_lock()
        return lock
