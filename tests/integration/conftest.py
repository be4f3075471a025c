"""One server for all tests of the wire: with small chunks, and quick about what it repeats."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.server import RunningServer, new_upload

CHUNK_SIZE_KIB = 64
SEND_AHEAD = 4
QUICK = {
    "chunk_size_kib": CHUNK_SIZE_KIB,
    "send_ahead": SEND_AHEAD,
    "handover_retry_first_s": 0.05,
    "handover_retry_max_s": 0.2,
}
NewClient = Callable[..., ClientV1]
_seeds = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server that the tests of this folder share; none of them stops it."""
    with RunningServer(tmp_path_factory.mktemp("wire") / "storage", None, **QUICK) as running:
        yield running


@pytest.fixture
def new_client(server: RunningServer, app: ScriptedApp) -> Iterator[NewClient]:
    """Makes clients: with a ticket of their own, or another client for a ticket that is there."""
    clients: list[ClientV1] = []

    def make(
        length_bytes: int = 300_000,
        name: str = "holiday.mov",
        of: ClientV1 | None = None,
        **ticket_params: str,
    ) -> ClientV1:
        if of:
            client = ClientV1(server.url, of.ticket_id, of.data, of.name)
        else:
            ticket_id = new_upload(server, app.url, **ticket_params)
            client = ClientV1(server.url, ticket_id, FileBytes(length_bytes, next(_seeds)), name)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.drop()
