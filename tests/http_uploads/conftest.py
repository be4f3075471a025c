"""The servers for all tests of uploads over HTTP: they are quick to repeat a call to an app."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.app import ScriptedApp
from tests.support.forked import ForkedServer, Launcher
from tests.support.http_upload import HttpUpload
from tests.support.server import RunningServer, new_upload

PATIENT_S = 60.0
"""How long requests are held where a test is not about that: a busy machine may take seconds."""
QUICK = {"handover_retry_first_s": 0.05, "handover_retry_max_s": 0.2, "http_hold_s": PATIENT_S}
NewHttpUpload = Callable[..., HttpUpload]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server that the tests of this folder share; none of them stops it."""
    with RunningServer(tmp_path_factory.mktemp("http") / "storage", None, **QUICK) as running:
        yield running


@pytest.fixture(scope="session")
def patient_server(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that holds requests so long that an app on a busy machine answers in time."""
    storage_dir = tmp_path_factory.mktemp("patient") / "storage"
    with ForkedServer(launcher, storage_dir, **{**QUICK, "http_hold_s": 25.0}) as running:
        yield running


@pytest.fixture(scope="session")
def hasty_server(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that soon answers that the app has not answered yet."""
    storage_dir = tmp_path_factory.mktemp("hasty") / "storage"
    with ForkedServer(launcher, storage_dir, **{**QUICK, "http_hold_s": 0.1}) as running:
        yield running


@pytest.fixture
def new_hasty_upload(hasty_server: RunningServer, app: ScriptedApp) -> NewHttpUpload:
    """The same as `new_http_upload`, at the server that does not hold requests."""
    return lambda **params: HttpUpload(hasty_server.url, new_upload(hasty_server, app.url, **params))


@pytest.fixture
def new_http_upload(server: RunningServer, app: ScriptedApp) -> NewHttpUpload:
    """Returns the address of a new ticket's upload, asked for with these parameters of the route."""
    return lambda **params: HttpUpload(server.url, new_upload(server, app.url, **params))
