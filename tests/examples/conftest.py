"""One server for all tests of the examples, and each example fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.hosting import HostedExample, hosted
from tests.support.server import RunningServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A real server that soon tries again."""
    folder = tmp_path_factory.mktemp("server")
    with RunningServer(folder / "storage", None, handover_retry_first_s=0.1) as running:
        yield running


@pytest.fixture
def simple(server: RunningServer, tmp_path: Path) -> Iterator[HostedExample]:
    """The simple example."""
    with hosted("1-simple", server, tmp_path / "uploads") as app:
        yield app


@pytest.fixture
def dynamic(server: RunningServer, tmp_path: Path) -> Iterator[HostedExample]:
    """The dynamic example."""
    with hosted("2-dynamic", server, tmp_path / "uploads") as app:
        yield app
