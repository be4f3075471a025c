"""The servers of the tests: under each web server that the service supports, and one behind a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hosts import HOSTS, CohostedServer, HostedServer
from tests.support.server import RunningServer


@pytest.fixture(scope="module", params=HOSTS, ids=lambda host: host.title)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedServer]:
    """A server that the tests of a module share."""
    with request.param(tmp_path_factory.mktemp("host") / "storage") as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server behind the proxy of a module."""
    with RunningServer(tmp_path_factory.mktemp("server") / "storage") as running:
        yield running


@pytest.fixture
def cohosted(tmp_path: Path) -> Iterator[CohostedServer]:
    """An app with the service in its process, for one test."""
    with CohostedServer(tmp_path / "storage") as running:
        yield running
