"""A world whose time the test moves, and an app that answers from a script.

`FakeRuntime` runs real greenlets on a clock of its own: nothing happens by waiting, everything by `settle`
and `advance`. The service that lives in it is in `house`.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import resource
import socket
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar

import gevent
import gevent.event
import gevent.lock

from incoming.handover.answers import Answer, Done
from incoming.runtime.base import AddressInfo, Lock, Task

P = ParamSpec("P")
T = TypeVar("T")
SETTLE_LIMIT_S = 60.0
_greenlets: weakref.WeakSet[gevent.Greenlet[..., object]] = weakref.WeakSet()
"""Those of all runtimes that may still run."""


def end_all_greenlets() -> None:
    """Ends what a test has left running: it would fail, and log that, in the next one."""
    if _greenlets:
        gevent.killall(list(_greenlets), block=False)
        gevent.idle()
        _greenlets.clear()


class FakeRuntime:
    """See incoming.runtime.base.Runtime. What fails in a greenlet fails in the test, at the next `settle`."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.time_s = now_s
        self.pool_calls: list[str] = []
        self.waits = 0
        self._sleepers: list[tuple[float, int, gevent.event.Event]] = []
        self._order = itertools.count()
        self._gates: dict[str, gevent.event.Event] = {}
        self._failures: list[BaseException] = []
        self._later_calls: list[Any] = []

    # --- what the test does ------------------------------------------------------------------------

    def settle(self) -> None:
        """Lets everybody run until each waits for something."""
        with gevent.Timeout(SETTLE_LIMIT_S, AssertionError("the greenlets never come to rest")):
            gevent.idle()
        if self._failures:
            raise self._failures.pop()

    def advance(self, duration_s: float) -> None:
        """Moves the time; whoever has slept long enough runs at the right moment."""
        until_s = self.time_s + duration_s
        self.settle()
        while self._sleepers and self._sleepers[0][0] <= until_s:
            self.time_s, _, woken = heapq.heappop(self._sleepers)
            woken.set()
            self.settle()
        self.time_s = until_s
        self.settle()

    @contextlib.contextmanager
    def held(self, *function_names: str) -> Iterator[None]:
        """Within it, calls of these functions in the pool do not come to an end."""
        gate = gevent.event.Event()
        self._gates |= dict.fromkeys(function_names, gate)
        try:
            yield
        finally:
            for name in function_names:
                del self._gates[name]
            gate.set()
            self.settle()

    def is_waited_for(self, function: Callable[..., object]) -> bool:
        """Returns whether a call of `function` is still to come that somebody wanted to have later."""
        return any(not task.dead and task.args[1] == function for task in self._later_calls)

    # --- what the service uses -----------------------------------------------------------------------

    def now_s(self) -> float:
        """See Runtime."""
        return self.time_s

    def spawn(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Task:
        """See Runtime."""
        greenlet = gevent.spawn(function, *args, **kwargs)
        _greenlets.add(greenlet)
        greenlet.link_exception(lambda failed: self._failures.append(failed.exception))
        task: Task = greenlet
        return task

    def spawn_later(self, delay_s: float, function: Callable[..., object], *args: object) -> Task:
        """See Runtime."""
        task = self.spawn(self._later, self.start_timer(delay_s), function, args)
        self._later_calls.append(task)
        return task

    def _later(self, woken: Any, function: Callable[..., object], args: tuple[object, ...]) -> None:
        woken.wait()
        function(*args)

    def sleep(self, duration_s: float) -> None:
        """See Runtime."""
        if duration_s > 0:
            self.start_timer(duration_s).wait()
        else:
            gevent.sleep(0)

    def yield_if_due(self, first: bool = False) -> None:
        """See Runtime."""
        gevent.sleep(0)

    def start_timer(self, duration_s: float) -> Any:
        """Returns an event that is set when this time is over."""
        woken = gevent.event.Event()
        heapq.heappush(self._sleepers, (self.time_s + duration_s, next(self._order), woken))
        return woken

    def lock(self) -> Lock:
        """See Runtime."""
        lock: Lock = gevent.lock.RLock()
        return lock

    def semaphore(self, places: int) -> Lock:
        """See Runtime."""
        semaphore: Lock = gevent.lock.BoundedSemaphore(places)
        return semaphore

    def signal(self) -> FakeSignal:
        """See Runtime."""
        return FakeSignal(self.start_timer)

    def send_all(self, sock: socket.socket, views: Sequence[memoryview], stall_limit_s: float) -> None:
        """See Runtime."""
        for view in views:
            sock.sendall(view)

    def thread_waits(self) -> int:
        """See Runtime: the test counts."""
        return self.waits

    def in_pool(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See Runtime. Others run meanwhile, as they do while a real thread works."""
        name = getattr(function, "__name__", "")
        self.pool_calls.append(name)
        gevent.sleep(0)
        gate = self._gates.get(name)
        if gate:
            gate.wait()
        return function(*args, **kwargs)

    def resolve(self, host: str, port: int) -> Sequence[AddressInfo]:
        """See Runtime."""
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    def time_limit(self, duration_s: float, error: Exception) -> AbstractContextManager[object]:
        """See Runtime. Only calls to apps have limits, and here those never wait."""
        return contextlib.nullcontext()

    def jitter(self) -> float:
        """See Runtime. In the middle: a delay is what the settings say."""
        return 0.5


class FakeSignal:
    """See incoming.runtime.base.Signal, on the clock of a FakeRuntime."""

    def __init__(self, start_timer: Callable[[float], Any]) -> None:
        self._start_timer = start_timer
        self._is_set = False
        self._waiting: list[Any] = []

    def set(self) -> None:
        """See Signal."""
        self._is_set = True
        for woken in self._waiting:
            woken.set()

    def clear(self) -> None:
        """See Signal."""
        self._is_set = False

    def wait(self, timeout_s: float) -> None:
        """See Signal."""
        if not self._is_set:
            woken = self._start_timer(timeout_s)
            self._waiting.append(woken)
            woken.wait()
            self._waiting.remove(woken)


FakeAnswer = Answer | Callable[[dict[str, str]], Answer]
"""What an app answers, or a function of the form that does what the app does while it is called."""


class FakeApp:
    """Stands where the Notifier does: answers from a script, as `ScriptedApp` does; the last one repeats."""

    def __init__(self, *answers: FakeAnswer) -> None:
        self.answers: Sequence[FakeAnswer] = answers or (Done(),)
        self.forms: list[dict[str, str]] = []

    def slot(self, url: str) -> AbstractContextManager[FakeApp]:
        """See HttpClient."""
        return contextlib.nullcontext(self)

    def post(self, form: dict[str, str]) -> Answer:
        """See incoming.handover.http_client.CallSlot."""
        answer = self.answers[min(len(self.forms), len(self.answers) - 1)]
        self.forms.append(form)
        gevent.sleep(0)
        return answer(form) if callable(answer) else answer


@contextlib.contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Within it the system lets no file of this process grow larger: a full disk that needs no root."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
