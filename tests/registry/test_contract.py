"""The contracts of registries, leases and news, for the implementations that the server has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from incoming.registry import Leases, NewsChannel
from incoming.registry.memory_leases import MemoryLeases
from incoming.registry.memory_news import MemoryNews
from tests.registry.contract.leases import LeasesContract
from tests.registry.contract.news import NewsContract
from tests.support.fakes import FakeRuntime


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
