"""A world whose time the test moves, and the real service in it.

`FakeRuntime` runs real greenlets on a clock of its own: nothing happens by waiting, everything by `settle`
and `advance`. `House` is the service as the command line puts it together, with the real journal, registry
and storage in a directory; only the call to the app is replaced (`FakeApp`), since a real one would stop all
greenlets of this process, which is not monkey-patched. The real call has tests of its own (handover/).
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import itertools
import resource
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from unittest.mock import patch

import gevent
import gevent.event
import gevent.lock

from incoming import parameters
from incoming.claims import ClaimedUpload, NewsListener
from incoming.config import Settings
from incoming.handover.schedule import Answer, Done
from incoming.parts import Parts
from incoming.registry.journal import Journal
from incoming.registry.memory import MemoryRegistry
from incoming.runtime import Lock, ServiceClock, Task
from incoming.steps import News
from incoming.storage.local import LocalStorage
from incoming.ticket import State, Ticket
from incoming.uploads import MIB, Uploads

P = ParamSpec("P")
T = TypeVar("T")
SETTLE_LIMIT_S = 10.0


class FakeRuntime:
    """See incoming.runtime.Runtime. What fails in a greenlet fails in the test, at the next `settle`."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.time_s = now_s
        self.pool_calls: list[str] = []
        self._sleepers: list[tuple[float, int, gevent.event.Event]] = []
        self._order = itertools.count()
        self._gates: dict[str, gevent.event.Event] = {}
        self._failures: list[BaseException] = []

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
    def held(self, function_name: str) -> Iterator[None]:
        """Within it, calls of this function in the pool do not come to an end."""
        gate = self._gates[function_name] = gevent.event.Event()
        try:
            yield
        finally:
            del self._gates[function_name]
            gate.set()
            self.settle()

    # --- what the service uses -----------------------------------------------------------------------

    def now_s(self) -> float:
        """See Runtime."""
        return self.time_s

    def spawn(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Task:
        """See Runtime."""
        greenlet = gevent.spawn(function, *args, **kwargs)
        greenlet.link_exception(lambda failed: self._failures.append(failed.exception))
        task: Task = greenlet
        return task

    def spawn_later(self, delay_s: float, function: Callable[..., object], *args: object) -> Task:
        """See Runtime."""
        return self.spawn(self._later, self._timer(delay_s), function, args)

    def _later(self, woken: Any, function: Callable[..., object], args: tuple[object, ...]) -> None:
        woken.wait()
        function(*args)

    def sleep(self, duration_s: float) -> None:
        """See Runtime."""
        if duration_s > 0:
            self._timer(duration_s).wait()
        else:
            gevent.sleep(0)

    def _timer(self, duration_s: float) -> Any:
        woken = gevent.event.Event()
        heapq.heappush(self._sleepers, (self.time_s + duration_s, next(self._order), woken))
        return woken

    def lock(self) -> Lock:
        """See Runtime."""
        lock: Lock = gevent.lock.RLock()
        return lock

    def in_pool(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See Runtime. Others run meanwhile, as they do while a real thread works."""
        name = getattr(function, "__name__", "")
        self.pool_calls.append(name)
        gevent.sleep(0)
        gate = self._gates.get(name)
        if gate:
            gate.wait()
        return function(*args, **kwargs)

    def time_limit(self, duration_s: float, error: Exception) -> AbstractContextManager[object]:
        """See Runtime. Only calls to apps have limits, and here those never wait."""
        return contextlib.nullcontext()

    def jitter(self) -> float:
        """See Runtime. In the middle: a delay is what the settings say."""
        return 0.5


class FakeApp:
    """Stands where the Notifier does: answers from a script, as `ScriptedApp` does; the last answer repeats.

    An answer may be a function of the form: what it does happens while the call is under way.
    """

    def __init__(self, *answers: Answer | Callable[[dict[str, str]], Answer]) -> None:
        self.answers: Sequence[Answer | Callable[[dict[str, str]], Answer]] = answers or (Done(),)
        self.forms: list[dict[str, str]] = []

    def post(self, url: str, form: dict[str, str]) -> Answer:
        """See Notifier."""
        answer = self.answers[min(len(self.forms), len(self.answers) - 1)]
        self.forms.append(form)
        gevent.sleep(0)
        return answer(form) if callable(answer) else answer


class Client:
    """One connection's side of the service: its claim, and the news that it heard."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.claim: ClaimedUpload

    @property
    def listener(self) -> NewsListener:
        """What the service tells the news to."""
        return self.news.append


class House:
    """The service in a directory. Another one in the same directory is the next process."""

    def __init__(
        self,
        directory: Path,
        app: FakeApp | None = None,
        runtime: FakeRuntime | None = None,
        **settings: Any,
    ) -> None:
        self.directory = directory
        self.runtime = runtime or FakeRuntime()
        self.app = app or FakeApp()
        self.settings = Settings(**{"min_free_mib": 0, "fsync": False, **settings})
        self.journal = Journal(directory / "journal", self.settings.fsync)
        self.parts = self._make_parts()
        with patch("incoming.deliveries.Notifier", lambda *_: self.app):
            self.uploads = Uploads(self.parts)

    def _make_parts(self) -> Parts:
        clock = ServiceClock(self.runtime.now_s, self.journal.read_clock())
        registry = MemoryRegistry(self.journal, self.runtime, clock)
        reserve_bytes = self.settings.reserve_ahead_mib * MIB
        storage = LocalStorage(self.directory / "data", reserve_bytes, self.runtime)
        return Parts(self.settings, self.runtime, clock, registry, storage)

    def restarted(self) -> House:
        """Returns the next process after a kill: it has what is on the disk, the app, and the settings."""
        self.journal.write_clock(self.parts.clock.now_s())
        return House(self.directory, self.app, FakeRuntime(5.0), **dataclasses.asdict(self.settings))

    def new_ticket(self, **request: str) -> str:
        """Returns the id of a new ticket, asked for with these parameters of the route."""
        asked = parameters.new_upload({"signalFinishURL": "http://app.example.org/finished", **request})
        return self.uploads.issue(asked).id

    def claim(self, ticket_id: str, length_bytes: int, name: str = "holiday.mov") -> Client:
        """Returns a client that holds the ticket."""
        client = Client()
        client.claim = self.uploads.claim(ticket_id, length_bytes, name, client.listener)
        return client

    def arrive(self, ticket_id: str, content: bytes = b"content") -> Client:
        """Uploads the content, and returns when the app was called (if it answers at once)."""
        client = self.claim(ticket_id, len(content))
        self.uploads.write(client.claim, memoryview(content))
        self.uploads.complete(client.claim)
        self.runtime.settle()
        return client

    def ticket(self, ticket_id: str) -> Ticket:
        """Returns the ticket as it is."""
        return self.parts.registry.get(ticket_id)

    def state(self, ticket_id: str) -> State:
        """Returns the ticket's state."""
        return self.ticket(ticket_id).state

    def file(self, ticket_id: str) -> Path:
        """Returns where the upload's bytes are."""
        return Path(self.parts.storage.path(ticket_id))

    @contextlib.contextmanager
    def journal_broken(self) -> Iterator[None]:
        """Within it the journal can't be written: its directory is gone."""
        aside = self.directory / "journal-aside"
        shutil.move(self.directory / "journal", aside)
        try:
            yield
        finally:
            shutil.move(aside, self.directory / "journal")


@contextlib.contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Within it the system lets no file of this process grow larger: a full disk that needs no root."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
