"""The proxy of the chaos test does what its climate says, and its books are right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.app import ScriptedApp
from tests.support.chaos import ChaosProxy, Climate
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.server import RunningServer, new_upload
from tests.support.waiting import wait_until
from tests.support.websocket import BINARY, CONTINUATION, ConnectionClosed

CALM = Climate(weights={}, refused=0)
CHUNK = 64 * 1024
Connect = Callable[..., tuple[ChaosProxy, ClientV2]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all of them."""
    with RunningServer(tmp_path_factory.mktemp("calm") / "storage") as running:
        yield running


@pytest.fixture
def connect(server: RunningServer, app: ScriptedApp) -> Iterator[Connect]:
    """Makes a client of 2 MiB behind a proxy with a climate of its own."""
    with ExitStack() as stack:

        def make(climate: Climate, timeout_s: float = 60.0) -> tuple[ChaosProxy, ClientV2]:
            proxy = stack.enter_context(ChaosProxy(server.port, climate, seed=1))
            ticket_id = new_upload(server, app.url)
            client = ClientV2(f"http://{proxy.host}", ticket_id, FileBytes(2 * MIB, 9), timeout_s=timeout_s)
            stack.callback(client.drop)
            return proxy, client

        yield make


def test_without_faults_the_chaos_proxy_passes_every_byte_once(connect: Connect, app: ScriptedApp) -> None:
    proxy, client = connect(CALM)
    client.upload()
    book = proxy.books.open(client.ticket_id)
    assert (book.connections, book.rounds, book.sent_bytes) == (1, 0, 2 * MIB)
    assert (book.stored_bytes, book.sent_though_stored_bytes) == (2 * MIB, 0)
    assert 0 < book.max_ahead_bytes <= 2 * MIB
    assert not proxy.happened
    assert app.deliveries[0].sha256 == client.data.sha256


def test_what_is_sent_again_is_in_the_books(connect: Connect) -> None:
    proxy, client = connect(CALM)
    book = proxy.books.open(client.ticket_id)
    client.open().send_until_stored(4 * CHUNK)
    client.ws.send_binary(client.chunk(2 * CHUNK + 100, CHUNK))  # stored already
    client.ping()
    assert book.sent_though_stored_bytes == CHUNK
    client.ws.send_binary(client.chunk(0, CHUNK)[:-1])  # damaged
    client.send_chunk()  # and dropped
    client.ping()
    client.ws.cut()
    client.upload()
    assert (book.connections, book.rounds) == (2, 1)
    assert book.sent_bytes == 2 * MIB + 3 * CHUNK - 1
    assert book.sent_though_stored_bytes == 2 * CHUNK - 1


def test_a_chunk_in_several_frames_is_one_chunk_in_the_books(connect: Connect) -> None:
    proxy, client = connect(CALM)
    client.open()
    whole = client.chunk(0, CHUNK)
    client.ws.send_frame(BINARY, whole[:10])
    client.ws.send_frame(CONTINUATION, whole[10:1000])
    client.ws.send_frame(0x80 | CONTINUATION, whole[1000:])
    client.expect("MsgStored")
    assert proxy.books.open(client.ticket_id).sent_bytes == CHUNK


@pytest.mark.parametrize("trouble", ["freeze for ever", "freeze one way"])
def test_a_frozen_connection_is_silent_and_stays_open(connect: Connect, trouble: str) -> None:
    climate = Climate(weights={trouble: 1}, refused=0, calm_s=0.01, trouble_s=1000)
    proxy, client = connect(climate, timeout_s=3.0)
    with pytest.raises(TimeoutError):
        client.upload()
    assert proxy.happened == {trouble: 1}


def test_a_cut_connection_is_reset(connect: Connect) -> None:
    proxy, client = connect(Climate(weights={"cut": 1}, refused=0, calm_s=0.01))
    with pytest.raises((ConnectionClosed, ConnectionError)):
        client.open().finish()
    assert proxy.happened["cut"]


def test_a_slow_connection_is_slow_and_a_calm_proxy_lets_it_end(connect: Connect, app: ScriptedApp) -> None:
    proxy, client = connect(Climate(weights={"slow": 1}, refused=0, calm_s=0.01, trouble_s=1000))
    client.open()
    wait_until(lambda: proxy.happened["slow"], "it gets slow")
    began_s, began_bytes = time.monotonic(), client.stored_bytes
    client.send_until_stored(4 * CHUNK)
    last_s, last_bytes = client.stored_at_s[-1]
    assert (last_bytes - began_bytes) / (last_s - began_s) < 1_000_000
    proxy.calm()
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256
