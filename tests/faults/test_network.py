"""Networks that drip, deliver late, double and move: each upload arrives once, and as it was.

INCOMING_TEST_ROUNDS (1 unless set) scales how much of it is tried.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.cpu_waits import Stopwatch
from tests.support.data import MIB, FileBytes
from tests.support.relay import Relay
from tests.support.server import RunningServer, multiply_tickets, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed, HandshakeRefused

ROUNDS: Final = int(os.environ.get("INCOMING_TEST_ROUNDS", "1"))
PAUSE_S, PATIENCE_S = (0.3, 10) if ROUNDS > 1 else (0.01, 1)
"""The pause between two bytes, and the server's `connection_timeout_s`. A message may take 30 s, and none
here has 100 bytes."""
KINDS: Final = (ClientV1, ClientV2)
DATA: Final = FileBytes(3 * MIB + 17, seed=61)
CHUNK_BYTES: Final = 64 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that soon gives silent peers up."""
    folder = tmp_path_factory.mktemp("network")
    with RunningServer(folder / "storage", chunk_size_kib=64, connection_timeout_s=PATIENCE_S) as running:
        yield running


# --- slow ------------------------------------------------------------------------------------------------


class Dripping:
    """A socket whose words come out one byte at a time.

    Put into a connection when it has asked for its upload: that has to be said within 15 s
    (docs/reference/protocol.md), or strangers could hold as many connections as they like.
    """

    def __init__(self, sock: Any, pause_s: float) -> None:
        self._socket = sock
        self._pause_s = pause_s

    def sendall(self, data: Any) -> None:
        """Sends byte after byte."""
        for byte in bytes(data):
            self._socket.sendall(bytes([byte]))
            time.sleep(self._pause_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_sends_a_byte_at_a_time_arrives_and_keeps_nobody_waiting(
    server: RunningServer, app: ScriptedApp, kind: type[Any]
) -> None:
    small = FileBytes(20, seed=1)
    client = kind(server.url, new_upload(server, app.url), small).connect()
    client.request()
    client.ws.socket = Dripping(client.ws.socket, PAUSE_S)
    slow = threading.Thread(target=converse, args=(client,))
    slow.start()
    quick = 0
    while slow.is_alive():
        stopwatch = Stopwatch(server.pid)
        requests.get(f"{server.url}/incoming/healthz", timeout=60).raise_for_status()
        assert stopwatch.worked_s() < 1
        quick += 1
        slow.join(0.5)
    assert [d.sha256 for d in app.about(client.ticket_id)] == [small.sha256]
    tally("fault", "an upload of one byte at a time", 1, "arrived; meanwhile, others were answered at once")


def converse(client: Any) -> None:
    """Says all that is left to be said."""
    client.agree()
    finish(client)


def finish(client: Any) -> None:
    """Sends whatever is missing and hears the result."""
    if isinstance(client, ClientV2):
        client.finish()
    else:
        client.send_until_acked()
        client.receive_result()


# --- late and out of order -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_dead_connection_delivers_late_changes_nothing(
    server: RunningServer, app: ScriptedApp, kind: type[Any]
) -> None:
    """A proxy holds chunks back until the client has come another way, and delivers them then."""
    with Relay(server.port) as proxy:
        for _ in range(3 * ROUNDS):
            late: Any = kind(f"http://{proxy.host}", new_upload(server, app.url), DATA)
            late.chunk_size_bytes = CHUNK_BYTES
            late.open()
            proxy.bytes_per_s = 20_000  # what is sent now is under way for some seconds
            late.data = FileBytes(DATA.length_bytes, seed=62)  # and of another file, so that it would show
            for _ in range(3):
                late.send_chunk()
            direct: Any = kind(server.url, late.ticket_id, DATA)
            direct.open()
            proxy.bytes_per_s = 0
            finish(direct)
            assert {d.sha256 for d in app.about(late.ticket_id)} == {DATA.sha256}
            late.drop()
    tally("fault", "chunks of an old connection that arrive after the new one", 3 * ROUNDS, "refused")


def test_chunks_that_a_proxy_puts_in_another_order_are_asked_for_again(
    server: RunningServer, app: ScriptedApp
) -> None:
    chance = random.Random(7)
    for _ in range(5 * ROUNDS):
        client = ClientV2(server.url, new_upload(server, app.url), DATA).open()
        client.chunk_size_bytes = CHUNK_BYTES
        places = [number * CHUNK_BYTES for number in range(6)]
        shuffled = chance.sample(places, len(places))
        for place in [*shuffled, chance.choice(places)]:
            client.send_instead(client.chunk(place, CHUNK_BYTES))
        while shuffled != places and not client.resent_at:
            client.receive_next()
        client.finish()
        assert {d.sha256 for d in app.about(client.ticket_id)} == {DATA.sha256}
    tally("fault", "chunks in another order, and one of them twice", 5 * ROUNDS, "asked for again, identical")


# --- twice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_connections_that_fight_for_one_ticket_bring_one_file(
    server: RunningServer, app: ScriptedApp, kind: type[Any]
) -> None:
    for _ in range(2 * ROUNDS):
        ticket_id = new_upload(server, app.url)
        fighters: list[Any] = [kind(server.url, ticket_id, DATA) for _ in range(6)]
        with ThreadPoolExecutor(len(fighters)) as pool:
            for fight in [pool.submit(fighter.upload) for fighter in fighters]:
                fight.result()  # each of them has heard that it is done
        assert [d.sha256 for d in app.about(ticket_id)] == [DATA.sha256]
    assert "a defect" not in server.log_text()
    tally("fault", "six connections that fight for one ticket", 2 * ROUNDS, "one file, one handover")


STORM: Final = 1_000 if ROUNDS > 1 else 50
STORM_BYTES: Final = 300


def test_all_clients_at_once_find_their_uploads_again(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(log_level="warning")
    data = FileBytes(STORM_BYTES, seed=5)
    seed = ClientV2(server.url, new_upload(server, app.url), data).open()
    seed.drop()
    wait_until(lambda: server.journaled_state(seed.ticket_id) == "paused", "the pause is journaled")
    server.kill()
    ids = multiply_tickets(server, [seed.ticket_id], STORM)
    server.start()
    app.hash_files = False
    clients = [ClientV2(server.url, ticket_id, data) for ticket_id in ids]
    with ThreadPoolExecutor(32) as pool:
        for _ in range(2):  # they are there, are lost at once, and all come back
            list(pool.map(comes_for_certain, clients))
            for client in clients:
                client.ws.cut()
        began_s = time.monotonic()
        list(pool.map(ClientV2.upload, clients))
    took_s = time.monotonic() - began_s
    assert {d.id for d in app.wait_for(STORM)} == set(ids)
    assert len(app.deliveries) == STORM
    print(f"{STORM} clients came back and finished within {took_s:.1f} s")
    tally("fault", f"{STORM} clients cut at once, twice, that come back", 1, "finished, one handover each")


def comes_for_certain(client: ClientV2) -> None:
    """Opens a connection, however often it takes."""
    while True:
        try:
            client.open()
        except (ConnectionClosed, HandshakeRefused, OSError, UploadRefused):
            time.sleep(0.05)
        else:
            return


# --- elsewhere -------------------------------------------------------------------------------------------


class MovedServer(RunningServer):
    """The server on another of this machine's addresses."""

    def _command(self) -> list[str]:
        return ["127.0.0.2" if word == "127.0.0.1" else word for word in super()._command()]

    @property
    def url(self) -> str:
        """`http://127.0.0.2:PORT`."""
        return f"http://127.0.0.2:{self.port}"


@pytest.mark.parametrize("kind", KINDS if ROUNDS > 1 else KINDS[1:])
def test_an_upload_resumes_at_the_new_address_of_a_moved_server(
    tmp_path: Path, app: ScriptedApp, kind: type[Any]
) -> None:
    with RunningServer(tmp_path / "storage", chunk_size_kib=64) as old:
        ticket_id = new_upload(old, app.url)
        client: Any = kind(old.url, ticket_id, DATA).open()
        if kind is ClientV2:
            client.send_until_stored(MIB)
        else:
            client.send_until_acked(MIB)
    with MovedServer(tmp_path / "storage", tmp_path / "moved.log") as new:
        client._url = client._url.replace(old.url, new.url)  # as a page finds out by its name
        client.upload()
    assert client.resumed_at[-1] >= MIB
    assert [d.sha256 for d in app.about(ticket_id)] == [DATA.sha256]
    assert re.search(r"claimed at \d{7} of", new.log_text())
    tally("fault", "a server that has moved to another address", 1, "the upload resumed there")
