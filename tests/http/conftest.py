"""A server with an app that answers `hello`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from incoming.http.listeners import listen
from incoming.http.server import Server
from tests.http.serving import App


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def server(app: App) -> Iterator[Server]:
    running = Server(lambda _: app, listen("127.0.0.1", 0))
    running.start()
    yield running
    running.stop(timeout=0)
