"""What gevent gives the house: a clock, greenlets, locks, a thread pool and time limits.

The service gets a `Runtime` handed down from the command line and never names gevent itself; tests hand down
one whose time they move. `ServiceClock` is the time that the service lives by: it runs on the monotonic clock
and stands still while the server is down, so neither an outage nor a clock jump lets a ticket expire.
"""

from __future__ import annotations

import contextlib
import math
import random
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast
from weakref import WeakValueDictionary

import gevent
import gevent.event
import gevent.hub
import gevent.lock
import gevent.monkey
import gevent.threadpool

real_poll: Final[Callable[[], Any]] = gevent.monkey.get_original("select", "poll")
"""select.poll as it was before gevent's patches: it does not switch to other greenlets."""

P = ParamSpec("P")
T = TypeVar("T")
Place = tuple[Any, Any, int, str, tuple[Any, ...]]
"""One of the places that a name leads to, as socket.getaddrinfo tells it."""


class Lock(Protocol):
    """A lock, or a semaphore, that greenlets wait for."""

    def __enter__(self) -> Any: ...
    def __exit__(self, *exc_info: object) -> Any: ...


class Task(Protocol):
    """Something that was started and can be given up."""

    def kill(self, block: bool = ...) -> None:
        """Ends the task; does nothing when it has ended."""


class Runtime(Protocol):
    """What the service needs of the world that it runs in."""

    def now_s(self) -> float:
        """Returns the monotonic time in seconds."""

    def spawn(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Task:
        """Runs `function` beside the caller."""

    def spawn_later(self, delay_s: float, function: Callable[..., object], *args: object) -> Task:
        """Runs `function` after a delay."""

    def sleep(self, duration_s: float) -> None:
        """Lets others run for this time."""

    def breathe(self, comes_first: bool = False) -> None:
        """Lets others run that have waited, if their turn has come; to be called often during long work.

        Who `comes_first` goes on before others that work for long, and after all else.
        """

    def lock(self) -> Lock:
        """Returns a new lock; its holder may take it again."""

    def semaphore(self, places: int) -> Lock:
        """Returns a new lock that so many may hold at once."""

    def in_pool(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a function that would block everybody in a thread, and waits for its result."""

    def look_up(self, host: str, port: int) -> Sequence[Place]:
        """Returns where a name leads. Raises OSError (gaierror), UnicodeError."""

    def time_limit(self, duration_s: float, error: Exception) -> AbstractContextManager[object]:
        """Raises `error` inside the with-block when it takes longer than this."""

    def jitter(self) -> float:
        """Returns a random number from 0 to 1."""


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


class Turns:
    """Has the event loop run once between pieces of work, however many greenlets have work to do.

    All of them together work for `TURN_S`; then whoever wants to go on waits in line, the loop looks for new
    I/O and runs what has waited for it, and the next in line goes on. So a request is answered between two
    turns, be there one upload or 256. In the same time one does more than another: so who gives way after
    each share of work, and comes first until then, has done as much as all others. (gevent.sleep(0) looks
    for I/O after 50 greenlets only, and serves every greenlet that has work before it looks.)
    """

    def __init__(self) -> None:
        self._hub = gevent.get_hub()
        self._between = self._hub.loop.idle(priority=self._hub.loop.MAXPRI)
        self._until_s = 0.0
        self._line: deque[gevent.hub.Waiter] = deque()
        self._crowd = 0.0

    def take(self, comes_first: bool = False) -> None:
        """Returns when the caller may work: at once while the turn lasts. `comes_first` of those in line."""
        if self.is_over():
            self._stand_in_line(comes_first)

    def give_way(self) -> None:
        """Has those in line work before the caller goes on, even while the turn lasts."""
        self._crowd += (bool(self._line) - self._crowd) / CROWD_OVER
        if self._line:
            self._stand_in_line(False)

    def _stand_in_line(self, comes_first: bool) -> None:
        waiter = gevent.hub.Waiter(self._hub)
        if not self._line:
            self._between.start(self._next_turn)
        if comes_first:
            self._line.appendleft(waiter)
        else:
            self._line.append(waiter)
        try:
            waiter.get()
        except BaseException:  # the greenlet is killed, or out of time
            with contextlib.suppress(ValueError):
                self._line.remove(waiter)
            raise

    def is_crowded(self) -> bool:
        """Returns whether somebody stood in line more often than not when one of late gave way."""
        return self._crowd > 0.5

    def is_over(self) -> bool:
        """Returns whether the caller would have to wait."""
        return time.monotonic() >= self._until_s

    def _next_turn(self) -> None:
        """Runs in the hub, once in each pass through the loop."""
        self._until_s = time.monotonic() + TURN_S
        while self._line and not self.is_over():
            self._line.popleft().switch(None)
        if not self._line:
            self._between.stop()


TURN_S: Final = 0.001
"""For how long uploads may work before requests are looked for. Half of it costs a tenth of the speed."""
CROWD_OVER: Final = 32
"""Of how many shares of work the mean tells whether there is a crowd."""


@cache
def _turns() -> Turns:
    return Turns()


def breathe(comes_first: bool = False) -> None:
    """Lets others run if this turn is over; see Turns. Who `comes_first` goes on before those in line."""
    _turns().take(comes_first)


def give_way() -> None:
    """Lets those go on who wait for their turn, even while this one lasts."""
    _turns().give_way()


def is_crowded() -> bool:
    """Returns whether there is more work than time, so that those who have some stand in line; see Turns."""
    return _turns().is_crowded()


def turn_is_over() -> bool:
    """Returns whether `breathe` would let others run."""
    return _turns().is_over()


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
LONGEST_TICK_S: Final = 2.0
"""How far the clock moves at most between two ticks."""


class ServiceClock:
    """Seconds that the service has been running, over all its processes.

    A process that is stopped (SIGSTOP, `docker pause`, a machine that sleeps) does not run. When it
    continues, the monotonic clock has jumped, and no client could come meanwhile. So from the first `tick`
    on, the clock moves by `LONGEST_TICK_S` at most until the next one.
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
        """Lets the clock move on. Returns for how many seconds it has stood still since the last tick."""
        self.now_s()
        stood_still_s, self._stood_still_s = self._stood_still_s, 0.0
        self._stops_at_s = self._monotonic_s() + LONGEST_TICK_S
        return stood_still_s

    def at_least(self, ran_s: float) -> None:
        """Puts the clock forward where it is behind: the service has run for so long as something shows."""
        self._origin_s -= max(ran_s - self.now_s(), 0.0)
