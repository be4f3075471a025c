"""One server for all tests of uploads over HTTP: quick to repeat, and it holds requests only briefly."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.app import ScriptedApp
from tests.support.http_upload import HttpUpload
from tests.support.server import RunningServer, new_upload

HOLD_S = 1.0
QUICK = {"handover_retry_first_s": 0.05, "handover_retry_max_s": 0.2, "http_hold_s": HOLD_S}
NewHttpUpload = Callable[..., HttpUpload]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server that the tests of this folder share; none of them stops it."""
    with RunningServer(tmp_path_factory.mktemp("http") / "storage", None, **QUICK) as running:
        yield running


@pytest.fixture
def new_http_upload(server: RunningServer, app: ScriptedApp) -> NewHttpUpload:
    """Returns the address of a new ticket's upload, asked for with these parameters of the route."""
    return lambda **params: HttpUpload(server.url, new_upload(server, app.url, **params))
