"""What every test may use, in which order they run, and the server's log under the report of a failure."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support import client_cases
from tests.support.app import ScriptedApp
from tests.support.fakes import end_all_greenlets
from tests.support.forked import ForkedServer, Launcher
from tests.support.installed import Installed
from tests.support.order import in_order
from tests.support.server import RunningServer

if TYPE_CHECKING:
    from tests.support.engines import Browser
    from tests.support.s3_server import S3Server

# All tests are a million objects that stay. To look for garbage among them takes a sixth of the CPU time of
# a process that runs tests: see `pytest_collection_finish`.
gc.disable()
# How long an example takes says nothing on a busy machine.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

LOG_TAIL_CHARS = 8000
S3_FIXTURES = {"s3", "s3_server"}
StartServer = Callable[..., RunningServer]


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Nothing of a test runs while the next one does."""
    yield
    end_all_greenlets()


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
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server with a bucket: tests take prefixes of their own. INCOMING_TEST_S3 may be `ceph`."""
    from tests.support.s3_choice import new_s3_server  # noqa: PLC0415 - few tests need it
    from tests.support.s3_place import BUCKET  # noqa: PLC0415

    with new_s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The package as users get it; all processes of a run share one build of it."""
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent  # that of the whole run, while each worker has one below it
    return Installed.shared(folder / "installed")


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


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """From here on, collections look only at what tests make."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Has the workers of `pytest -n` begin with the long files. INCOMING_TEST_S3: only what needs S3."""
    if "INCOMING_TEST_S3" in os.environ:
        items[:] = [item for item in items if S3_FIXTURES & {*getattr(item, "fixturenames", ())}]
    if hasattr(config, "workerinput"):
        files = in_order({_file(item) for item in items})
        places = {file: place for place, file in enumerate(files)}
        items.sort(key=lambda item: places[_file(item)])


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Notes which client has passed. Puts what the servers said under the report of a test that failed."""
    report = yield
    if report.when == "call" and report.passed:
        client_cases.note(item)
    if report.failed:
        for server in RunningServer.alive:
            tail = server.log_text()[-LOG_TAIL_CHARS:]
            report.sections.append((f"log of the server at {server.url}", tail))
    return report
