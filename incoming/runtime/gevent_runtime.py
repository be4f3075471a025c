"""The runtime on gevent: a clock, greenlets, locks, a thread pool and time limits.

The service gets a `Runtime` from the composition root and never names gevent itself; tests pass one whose
time they control.
"""

from __future__ import annotations

import random
import resource
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, cast

import gevent
import gevent.event
import gevent.hub
import gevent.lock
import gevent.monkey
import gevent.threadpool

from incoming.runtime.base import AddressInfo, Lock, P, Signal, T, Task
from incoming.runtime.fair_scheduler import yield_if_due
from incoming.runtime.keyed_locks import KeyedLocks
from incoming.runtime.threaded_sender import ThreadedSender

close_descriptor: Final[Callable[[int], None]] = gevent.monkey.get_original("os", "close")
"""os.close for a descriptor that no event loop has waited for. gevent's own makes two system calls before it
closes, and in a thread of the pool each of them competes with the event loop for the interpreter."""
thread_lock: Final[Callable[[], AbstractContextManager[bool]]] = gevent.monkey.get_original(
    "_thread", "allocate_lock"
)
"""Makes a lock for threads of the pool. It blocks its thread, so the event loop must not wait for one."""


def is_patched() -> bool:
    """Returns whether gevent has patched this process. If not, one greenlet that waits blocks all others."""
    return bool(gevent.monkey.is_module_patched("socket"))


def _result_or_error(
    function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]
) -> tuple[T | None, BaseException | None]:
    """Returns result or error. gevent prints a traceback for each error that leaves a pooled function."""
    try:
        return function(*args, **kwargs), None
    except BaseException as exc:
        return None, exc


TICK_S: Final = 1.0
"""How often ServiceClock.tick has to be called."""
POOL_THREADS: Final = 10
"""Enough that a few slow disk operations do not delay the others; each waits for the disk anyway."""
RESOLVER_THREADS: Final = 64
"""How many names may be resolved at once. A name whose servers are dead takes a thread for half a minute."""


class GeventRuntime:
    """The runtime of production. gevent has to patch the process before anything else is imported."""

    def __init__(self) -> None:
        self._pool = gevent.threadpool.ThreadPool(POOL_THREADS)
        self._resolvers = gevent.threadpool.ThreadPool(RESOLVER_THREADS)
        self._sender = ThreadedSender()
        self._resolver_locks = KeyedLocks[str](self.lock)
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

    def yield_if_due(self, first: bool = False) -> None:
        """See Runtime."""
        yield_if_due(first)

    def lock(self) -> Lock:
        """See Runtime."""
        lock: Lock = gevent.lock.RLock()
        return lock

    def semaphore(self, places: int) -> Lock:
        """See Runtime."""
        semaphore: Lock = gevent.lock.BoundedSemaphore(places)
        return semaphore

    def signal(self) -> Signal:
        """See Runtime."""
        signal: Signal = gevent.event.Event()
        return signal

    def in_pool(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See Runtime."""
        result, error = self._pool.apply(_result_or_error, (function, args, kwargs))
        if error is not None:
            raise error
        return cast(T, result)

    def send_all(self, sock: socket.socket, views: Sequence[memoryview], stall_limit_s: float) -> None:
        """See Runtime."""
        self._sender.send_all(sock, views, stall_limit_s)

    def thread_waits(self) -> int:
        """See Runtime. It takes 1 µs."""
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw

    def resolve(self, host: str, port: int) -> Sequence[AddressInfo]:
        """See Runtime. A name takes one thread at a time, however many callers wait for it."""
        with self._resolver_locks.of(host):
            query = (host, port, 0, socket.SOCK_STREAM)
            result, error = self._resolvers.apply(_result_or_error, (self._getaddrinfo, query, {}))
        if error is not None:
            raise error
        return cast(Sequence[AddressInfo], result)

    def time_limit(self, duration_s: float, error: Exception) -> AbstractContextManager[object]:
        """See Runtime. Inside, no library takes the end of the time for an error of its own."""
        return _time_limit(duration_s, error)

    def jitter(self) -> float:
        """See Runtime."""
        return random.random()


@contextmanager
def _time_limit(duration_s: float, error: Exception) -> Iterator[None]:
    limit = gevent.Timeout.start_new(duration_s)  # which is no Exception
    try:
        yield
    except gevent.Timeout as exc:
        if exc is not limit:
            raise
        raise error from None
    finally:
        limit.close()
