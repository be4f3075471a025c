"""What every test may use: a server, an app, browsers, and the server's log under the report of a failure."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.app import ScriptedApp
from tests.support.forked import ForkedServer, Launcher
from tests.support.server import RunningServer

if TYPE_CHECKING:
    from tests.support.engines import Browser

LOG_TAIL_CHARS = 8000
StartServer = Callable[..., RunningServer]


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Forks servers, each in a twentieth of the time that a new process takes."""
    with Launcher() as running:
        yield running


@pytest.fixture
def start_server(launcher: Launcher, tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers with settings of their own; each is stopped after the test."""
    with ExitStack() as stack:

        def start(**settings: object) -> RunningServer:
            name = f"storage-{len(list(tmp_path.glob('storage-*.log')))}"
            return stack.enter_context(ForkedServer(launcher, tmp_path / name, **settings))

        yield start


@pytest.fixture
def app() -> Iterator[ScriptedApp]:
    """An app that answers "done" unless the test gives it other `answers`."""
    with ScriptedApp() as scripted:
        yield scripted


@pytest.fixture(scope="session")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Browser]]:
    """Gives the browser of an engine: started with a fresh profile for the first who asks, and kept."""
    from tests.support.browser import open_browser  # noqa: PLC0415 - half a second that few tests need

    with ExitStack() as stack:

        @cache
        def browser(engine: str) -> Browser:
            return stack.enter_context(open_browser(tmp_path_factory.mktemp(engine), engine))

        yield browser


@pytest.fixture(scope="session")
def driver(browsers: Callable[[str], Browser]) -> Browser:
    """Chromium, where a folder has no other browser. Each test has a page of its own, at its own address."""
    return browsers("chromium")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Puts what the servers said under the report of a test that failed."""
    report = yield
    if report.failed:
        for server in RunningServer.alive:
            tail = server.log_text()[-LOG_TAIL_CHARS:]
            report.sections.append((f"log of the server at {server.url}", tail))
    return report
