"""The contracts of registries, leases and news, for the implementations in Redis."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from incoming.core.news import HandedOver, News
from incoming.core.stats import Counters
from incoming.core.ticket import Ticket
from incoming.registry import Leases, NewsChannel, Registry
from incoming.registry.redis.registry import RedisRegistry
from incoming.runtime.base import ServiceClock
from tests.registry.contract.leases import LeasesContract
from tests.registry.contract.news import NewsContract
from tests.registry.contract.registry import SETTINGS, Place, RegistryContract
from tests.registry.redis.conftest import NewProcess, Process
from tests.support.redis_server import wait_for_greenlets


class OneOfMany:
    """A process with the registry, on a clock that the test moves."""

    def __init__(self, new_process: NewProcess) -> None:
        self._new_process = new_process
        self._time_s = 5.0
        self._clock = ServiceClock(lambda: self._time_s)
        self._kills = 0
        self._start()

    def _start(self) -> None:
        process = self._new_process(f"number {self._kills}")
        self.registry: Registry = RedisRegistry(
            process.connection, process.runtime, self._clock, Counters(), SETTINGS
        )

    def now_s(self) -> float:
        """See contract.registry.Place."""
        return self._clock.now_s()

    def pass_time(self, duration_s: float) -> None:
        """See contract.registry.Place."""
        self._time_s += duration_s

    def kill(self) -> None:
        """See contract.registry.Place."""
        self._kills += 1
        self._start()

    def after_a_kill(self, ticket: Ticket) -> Ticket:
        """See contract.registry.Place. Other processes may have the claims and make the calls."""
        return ticket


class TestRedisRegistry(RegistryContract):
    """The registry that all processes share."""

    @pytest.fixture
    def place(self, new_process: NewProcess) -> Place:
        """See RegistryContract."""
        return OneOfMany(new_process)


class TestRedisLeases(LeasesContract):
    """The leases that all processes share."""

    @pytest.fixture
    def leases(self, new_process: NewProcess) -> Leases:
        """See LeasesContract."""
        return new_process("one").leases


@pytest.mark.parametrize("listens", ["one", "other"])
class TestRedisNews(NewsContract):
    """The news between processes: the listeners are in the process that tells them, or in another one."""

    @pytest.fixture
    def processes(self, new_process: NewProcess) -> dict[str, Process]:
        """Two processes that hear the news."""
        processes = {name: new_process(name) for name in ("one", "other")}
        for process in processes.values():
            process.news.start()
        for process in processes.values():
            wait_for_greenlets(partial(getattr, process.news, "is_connected"), "the channel is subscribed")
        return processes

    @pytest.fixture
    def channel(self, processes: dict[str, Process], listens: str) -> NewsChannel:
        """See NewsContract."""
        return Split(told=processes["one"].news, heard=processes[listens].news)

    @pytest.fixture
    def settle(self, processes: dict[str, Process]) -> Callable[[], None]:
        """See NewsContract. News overtake no others, so all have come once these have."""

        def settle() -> None:
            heard: list[News] = []
            for process in processes.values():
                process.news.listen("the last", "", heard.append)
            processes["one"].news.tell("the last", HandedOver())
            wait_for_greenlets(lambda: len(heard) == len(processes), "the last news")

        return settle


class Split:
    """A channel that is told in one process and heard in another one."""

    def __init__(self, told: NewsChannel, heard: NewsChannel) -> None:
        self.tell = told.tell
        self.listen = heard.listen
        self.ignore = heard.ignore
        self.listen_to_others = heard.listen_to_others
