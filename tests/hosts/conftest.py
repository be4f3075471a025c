"""Each web server that the service is run under, for the tests of what holds under all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hosts import HOSTS, CohostedServer, HostedServer


@pytest.fixture(scope="module", params=HOSTS, ids=lambda host: host.title)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedServer]:
    """A server that the tests of a module share."""
    with request.param(tmp_path_factory.mktemp("host") / "storage") as running:
        yield running


@pytest.fixture
def cohosted(tmp_path: Path) -> Iterator[CohostedServer]:
    """An app with the service in its process, for one test."""
    with CohostedServer(tmp_path / "storage") as running:
        yield running
