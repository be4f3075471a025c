"""The interfaces between the service and its process, and the service's own clock."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]
"""One address of a host name, as socket.getaddrinfo returns it."""


class Lock(Protocol):
    """A lock or a semaphore that suspends the greenlet that waits for it."""

    def __enter__(self) -> Any: ...
    def __exit__(self, *exc_info: object) -> Any: ...


class Task(Protocol):
    """Something that was started and can be stopped."""

    def kill(self, block: bool = ...) -> None:
        """Stops the task; does nothing when it has ended."""


class Signal(Protocol):
    """Something that a greenlet waits for, and another one sets."""

    def set(self) -> None:
        """Sets the signal: wakes every waiter. Until `clear`, `wait` returns at once."""

    def clear(self) -> None:
        """Clears the signal: `wait` waits again."""

    def wait(self, timeout_s: float) -> None:
        """Returns when the signal is set, after `timeout_s` at the latest."""


class Runtime(Protocol):
    """What the service needs from its process."""

    def now_s(self) -> float:
        """Returns the monotonic time in seconds."""

    def spawn(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Task:
        """Runs `function` concurrently."""

    def spawn_later(self, delay_s: float, function: Callable[..., object], *args: object) -> Task:
        """Runs `function` after a delay."""

    def sleep(self, duration_s: float) -> None:
        """Suspends the caller for this time."""

    def yield_if_due(self, first: bool = False) -> None:
        """Lets others run once the time slice is over. Call it often during long work.

        With `first` the caller continues before others with long work, but after everything else.
        """

    def lock(self) -> Lock:
        """Returns a new reentrant lock."""

    def semaphore(self, places: int) -> Lock:
        """Returns a new semaphore for this many holders."""

    def signal(self) -> Signal:
        """Returns a new signal, which is not set."""

    def in_pool(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a function that blocks in a thread of the pool, and waits for its result."""

    def send_all(self, sock: socket.socket, views: Sequence[memoryview], stall_limit_s: float) -> None:
        """Sends all these bytes in a thread, and waits for it. See ThreadedSender.send_all."""

    def thread_waits(self) -> int:
        """Returns how often the calling thread has waited for anything other than a CPU, so far."""

    def resolve(self, host: str, port: int) -> Sequence[AddressInfo]:
        """Returns the addresses of a host name. Raises OSError (gaierror), UnicodeError."""

    def time_limit(self, duration_s: float, error: Exception) -> AbstractContextManager[object]:
        """Ends the with-block when it takes longer than this, and raises `error` at its end."""

    def jitter(self) -> float:
        """Returns a random number from 0 to 1."""


class Clock(Protocol):
    """Tells the service's time. All processes of one service have the same."""

    def now_s(self) -> float:
        """Returns for how many seconds the service has run so far. The time never goes backwards."""


MAX_TICK_S: Final = 2.0
"""How far the clock advances at most between two ticks."""


class ServiceClock:
    """Seconds that the service has been running, over all its processes.

    A process that is stopped (SIGSTOP, `docker pause`, a suspended machine) does not run. When it continues,
    the monotonic clock has jumped, and no client could connect meanwhile. So from the first `tick` on, the
    clock advances by `MAX_TICK_S` at most until the next one.
    """

    def __init__(self, monotonic_s: Callable[[], float], ran_before_s: float = 0.0) -> None:
        self._monotonic_s = monotonic_s
        self._origin_s = monotonic_s() - ran_before_s
        self._stops_at_s = math.inf
        self._stood_still_s = 0.0

    def now_s(self) -> float:
        """Returns the seconds that the service has run so far."""
        now_s = self._monotonic_s()
        if now_s > self._stops_at_s:
            self._stood_still_s += now_s - self._stops_at_s
            self._origin_s += now_s - self._stops_at_s
            self._stops_at_s = now_s
        return now_s - self._origin_s

    def tick(self) -> float:
        """Lets the clock advance. Returns for how many seconds it was stopped since the last tick."""
        self.now_s()
        stood_still_s, self._stood_still_s = self._stood_still_s, 0.0
        self._stops_at_s = self._monotonic_s() + MAX_TICK_S
        return stood_still_s

    def at_least(self, ran_s: float) -> None:
        """Sets the clock forward to `ran_s`, unless it is later."""
        self._origin_s -= max(ran_s - self.now_s(), 0.0)
