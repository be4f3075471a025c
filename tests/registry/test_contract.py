"""The contracts of registries, leases and news, for the implementations that the server has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from incoming.core.stats import Counters
from incoming.core.ticket import Ticket
from incoming.registry import Leases, NewsChannel, Registry
from incoming.registry.journal import Journal
from incoming.registry.memory import MemoryRegistry
from incoming.registry.memory_leases import MemoryLeases
from incoming.registry.memory_news import MemoryNews
from incoming.runtime.base import ServiceClock
from tests.registry.contract.leases import LeasesContract
from tests.registry.contract.news import NewsContract
from tests.registry.contract.registry import SETTINGS, Place, RegistryContract
from tests.support.fakes import FakeRuntime


class Process:
    """A directory with a journal, and the process that has it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._clock_s = 0.0
        self._start()

    def _start(self) -> None:
        self._runtime = FakeRuntime(5.0)
        journal = Journal(self._directory, fsync=False)
        self._clock = ServiceClock(self._runtime.now_s, self._clock_s)
        self.registry: Registry = MemoryRegistry(journal, self._runtime, self._clock, Counters(), SETTINGS)

    def now_s(self) -> float:
        """See contract.registry.Place."""
        return self._clock.now_s()

    def pass_time(self, duration_s: float) -> None:
        """See contract.registry.Place."""
        self._runtime.advance(duration_s)

    def kill(self) -> None:
        """See contract.registry.Place."""
        self._clock_s = self.now_s()
        self._start()

    def after_a_kill(self, ticket: Ticket) -> Ticket:
        """See contract.registry.Place. Claims and calls ended with the process."""
        return ticket.persisted().recovered(self.now_s())


class TestMemoryRegistry(RegistryContract):
    """The registry of one process, with its journal."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """See RegistryContract."""
        return Process(tmp_path / "journal")


class TestMemoryLeases(LeasesContract):
    """The leases of one process."""

    @pytest.fixture
    def leases(self) -> Leases:
        """See LeasesContract."""
        return MemoryLeases()


class TestMemoryNews(NewsContract):
    """The news inside one process."""

    @pytest.fixture
    def runtime(self) -> FakeRuntime:
        """A runtime whose time the test moves."""
        return FakeRuntime()

    @pytest.fixture
    def channel(self, runtime: FakeRuntime) -> NewsChannel:
        """See NewsContract."""
        return MemoryNews(runtime)

    @pytest.fixture
    def settle(self, runtime: FakeRuntime) -> Callable[[], None]:
        """See NewsContract."""
        return runtime.settle
