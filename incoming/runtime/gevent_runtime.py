"""What gevent gives the house: a clock, greenlets, locks, a thread pool and time limits.

The service gets a `Runtime` handed down from the command line and never names gevent itself; tests hand down
one whose time they move. `ServiceClock` is the time that the service lives by: it runs on the monotonic clock
and stands still while the server is down, so neither an outage nor a clock jump lets a ticket expire.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, cast
from weakref import WeakValueDictionary

import gevent
import gevent.event
import gevent.hub
import gevent.lock
import gevent.monkey
import gevent.threadpool

from incoming.runtime.base import Lock, P, Place, T, Task
from incoming.runtime.fair_scheduler import breathe

real_poll: Final[Callable[[], Any]] = gevent.monkey.get_original("select", "poll")
"""select.poll as it was before gevent's patches: it does not switch to other greenlets."""









close_descriptor: Final[Callable[[int], None]] = gevent.monkey.get_original("os", "close")
"""os.close for what no event loop has waited for. gevent's own asks the system two things before it closes,
and for each of these a thread of the pool waits for its turn beside the event loop."""
thread_lock: Final[Callable[[], AbstractContextManager[bool]]] = gevent.monkey.get_original(
    "_thread", "allocate_lock"
)
"""Makes a lock for threads of the pool: one that waits stops its thread, so it is not for the event loop."""


def is_patched() -> bool:
    """Returns whether gevent has patched this process: else one greenlet that waits stops all others."""
    return bool(gevent.monkey.is_module_patched("socket"))
















def _caught(
    function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]
) -> tuple[T | None, BaseException | None]:
    """Returns result or error: gevent prints a traceback for each error that leaves a pool's function."""
    try:
        return function(*args, **kwargs), None
    except BaseException as exc:
        return None, exc


POOL_THREADS = 10
"""Enough that a few slow disk operations do not hold up the others; each waits for the disk anyway."""
LOOK_UP_THREADS = 64
"""How many names may be looked up at once: a name whose servers are dead takes a thread for half a minute."""


class GeventRuntime:
    """The real one. The process has to be monkey-patched before anything else is imported."""

    def __init__(self) -> None:
        self._pool = gevent.threadpool.ThreadPool(POOL_THREADS)
        self._look_ups = gevent.threadpool.ThreadPool(LOOK_UP_THREADS)
        self._look_up_turns: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        self._getaddrinfo = gevent.monkey.get_original("socket", "getaddrinfo")

    def now_s(self) -> float:
        """See Runtime."""
        return time.monotonic()

    def spawn(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Task:
        """See Runtime."""
        task: Task = gevent.spawn(function, *args, **kwargs)
        return task

    def spawn_later(self, delay_s: float, function: Callable[..., object], *args: object) -> Task:
        """See Runtime."""
        task: Task = gevent.spawn_later(delay_s, function, *args)
        return task

    def sleep(self, duration_s: float) -> None:
        """See Runtime."""
        gevent.sleep(duration_s)

    def breathe(self, comes_first: bool = False) -> None:
        """See Runtime."""
        breathe(comes_first)

    def lock(self) -> Lock:
        """See Runtime."""
        lock: Lock = gevent.lock.RLock()
        return lock

    def semaphore(self, places: int) -> Lock:
        """See Runtime."""
        semaphore: Lock = gevent.lock.BoundedSemaphore(places)
        return semaphore

    def in_pool(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See Runtime."""
        result, error = self._pool.apply(_caught, (function, args, kwargs))
        if error is not None:
            raise error
        return cast(T, result)

    def look_up(self, host: str, port: int) -> Sequence[Place]:
        """See Runtime. A name takes one thread at a time, however many wait for it."""
        turn = self._look_up_turns.get(host)
        if turn is None:
            turn = self._look_up_turns[host] = self.lock()
        with turn:
            asked = (host, port, 0, socket.SOCK_STREAM)
            result, error = self._look_ups.apply(_caught, (self._getaddrinfo, asked, {}))
        if error is not None:
            raise error
        return cast(Sequence[Place], result)

    def time_limit(self, duration_s: float, error: Exception) -> AbstractContextManager[object]:
        """See Runtime."""
        limit: AbstractContextManager[object] = gevent.Timeout(duration_s, error)
        return limit

    def jitter(self) -> float:
        """See Runtime."""
        return random.random()


TICK_S: Final = 1.0
"""How often the service's clock has to be ticked."""


