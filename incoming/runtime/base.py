"""The interfaces between the server and the process that it runs in, and the service's own clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, ParamSpec, Protocol, TypeVar

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
