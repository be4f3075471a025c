"""One server for all tests of version 2: with small chunks, and quick about what it repeats."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.data import FileBytes
from tests.support.server import RunningServer, new_upload

MAX_CHUNK_KIB = 64
CHUNK = MAX_CHUNK_KIB * 1024
"""The largest chunk in bytes; the clients send these unless a test says else."""
QUICK = {
    "max_chunk_kib": MAX_CHUNK_KIB,
    "max_window_mib": 1,
    "chunk_size_kib": MAX_CHUNK_KIB,
    "handover_retry_first_s": 0.05,
    "handover_retry_max_s": 0.2,
    "connection_timeout_s": 120,  # longer than a client waits, so that a hanging server is noticed
}
MAX_DAMAGED = 8
"""So many damaged chunks end the connection when none is stored between them."""
NewClient = Callable[..., ClientV2]
_seeds = itertools.count(5000)


def old_client(server: RunningServer, of: ClientV2) -> ClientV1:
    """Returns a client of version 1 for the same ticket and file."""
    return ClientV1(server.url, of.ticket_id, of.data, of.name)


def flip(message: bytes, at: int) -> bytes:
    """Returns the message with one bit changed."""
    return message[:at] + bytes([message[at] ^ 0x10]) + message[at + 1 :]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server that the tests of this folder share; none of them stops it."""
    with RunningServer(tmp_path_factory.mktemp("wire2") / "storage", None, **QUICK) as running:
        yield running


@pytest.fixture
def new_client(server: RunningServer, app: ScriptedApp) -> Iterator[NewClient]:
    """Makes clients: with a ticket of their own, or another client for a ticket that is there.

    `at` is the server to ask for the ticket, when it is not the one that all share.
    """
    clients: list[ClientV2] = []

    def make(
        length_bytes: int = 5 * CHUNK,
        name: str = "holiday.mov",
        of: ClientV2 | None = None,
        at: RunningServer = server,
        **ticket_params: str,
    ) -> ClientV2:
        if of:
            client = ClientV2(at.url, of.ticket_id, of.data, of.name)
        else:
            ticket_id = new_upload(at, app.url, **ticket_params)
            client = ClientV2(at.url, ticket_id, FileBytes(length_bytes, next(_seeds)), name)
        client.chunk_size_bytes = CHUNK
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.drop()
