"""Coming back, taking over, and silence (docs/reference/protocol.md)."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable

import pytest

from tests.conftest import StartServer
from tests.integration.v2.conftest import CHUNK, QUICK, NewClient
from tests.support.app import ScriptedApp
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.server import RunningServer
from tests.support.waiting import AT_ONCE_S, wait_until
from tests.support.websocket import PING, PONG, ConnectionClosed, WebSocket

LONG_SILENCE_S = 4
"""A client that says nothing for so long is given up. On a busy machine it may be late by half of that."""
CUTS: dict[str, Callable[[WebSocket], object]] = {
    "reset": WebSocket.cut,
    "end of stream": WebSocket.drop,
    "close frame": WebSocket.close,
}


@pytest.mark.parametrize("cut", CUTS)
def test_an_upload_resumes_at_the_last_acknowledged_byte(
    new_client: NewClient, app: ScriptedApp, cut: str
) -> None:
    client = new_client(9 * CHUNK + 99).open()
    for count in (2, 3, 5, 8):
        client.send_until_stored(count * CHUNK)
        client.receive_until_stored()
        CUTS[cut](client.ws)
        stored_bytes = client.stored_bytes
        client.open()
        assert client.resumed_at[-1] == stored_bytes
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_an_upload_that_is_cut_anywhere_arrives_byte_for_byte(
    new_client: NewClient, app: ScriptedApp
) -> None:
    where = random.Random(7)
    client = new_client(60 * CHUNK + 1)
    for _ in range(15):
        client.open()
        client.send_until_stored(client.stored_bytes + where.randrange(3 * CHUNK))
        frame = bytes(client.ws.frame(0x82, client.chunk(client.sent_bytes, CHUNK)))
        client.ws.socket.sendall(frame[: where.randrange(len(frame))])
        where.choice([client.ws.cut, client.ws.drop])()
    client.upload()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_half_a_chunk_is_not_stored(server: RunningServer, new_client: NewClient) -> None:
    client = new_client(5 * CHUNK).open()
    client.send_until_stored(CHUNK)
    client.receive_until_stored()
    frame = bytes(client.ws.frame(0x82, client.chunk(client.stored_bytes, CHUNK)))
    client.ws.socket.sendall(frame[:-1])
    client.ws.drop()
    assert client.connect().request()["Offset"] == client.stored_bytes
    assert server.stored_file(client.ticket_id).stat().st_size == client.stored_bytes


def test_a_new_connection_takes_over_at_once_and_the_old_one_hears_of_it(
    new_client: NewClient, app: ScriptedApp
) -> None:
    old = new_client(9 * CHUNK).open()
    old.send_until_stored(2 * CHUNK)
    old.receive_until_stored()
    new = new_client(of=old)
    began_s = time.monotonic()
    new.open()
    assert time.monotonic() - began_s < AT_ONCE_S
    assert new.resumed_at == [old.stored_bytes]
    refused = old.refusal()
    assert (refused.code, refused.retryable, refused.close_code) == ("taken_over", True, 4001)
    new.finish()
    assert app.deliveries[0].sha256 == new.data.sha256


def test_a_connection_that_hangs_in_the_middle_of_a_chunk_is_taken_over_at_once(
    new_client: NewClient, app: ScriptedApp
) -> None:
    corpse = new_client(9 * CHUNK).open()
    frame = bytes(corpse.ws.frame(0x82, corpse.chunk(0, CHUNK)))
    corpse.ws.socket.sendall(frame[:-10])
    new = new_client(of=corpse)
    began_s = time.monotonic()
    new.open()
    assert time.monotonic() - began_s < AT_ONCE_S
    with contextlib.suppress(ConnectionError):
        corpse.ws.socket.sendall(frame[-10:])
    new.finish()
    assert app.deliveries[0].sha256 == new.data.sha256


def test_who_waits_for_the_result_is_taken_over_as_well(new_client: NewClient, app: ScriptedApp) -> None:
    app.stop()
    old = new_client().open()
    old.send_until_stored()
    old.complete()
    while "waiting_for_app" not in old.news:
        old.receive_next()
    new = new_client(of=old).open()
    assert old.refusal().code == "taken_over"
    app.start()
    new.receive_result()


def test_a_connection_that_was_only_opened_takes_nothing_over(new_client: NewClient) -> None:
    client = new_client().open()
    new_client(of=client).connect()
    client.finish()


def test_two_clients_that_fight_for_a_ticket_leave_the_file_whole(
    new_client: NewClient, app: ScriptedApp
) -> None:
    clients = [new_client(40 * CHUNK)]
    clients.append(new_client(of=clients[0]))
    threads = [threading.Thread(target=_fight, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    new_client(of=clients[0]).upload()
    assert app.deliveries[0].sha256 == clients[0].data.sha256


def _fight(client: ClientV2) -> None:
    for _ in range(20):
        with contextlib.suppress(ConnectionClosed, ConnectionError, UploadRefused):  # taken over
            client.open().send_until_stored(client.stored_bytes + CHUNK)


# --- silence ---------------------------------------------------------------------------------------------


def test_the_server_asks_a_silent_client_in_time_and_believes_its_answers(
    start_server: StartServer, new_client: NewClient
) -> None:
    server = start_server(**QUICK | {"connection_timeout_s": LONG_SILENCE_S})
    client = new_client(at=server).open()
    silence_s = client.conf["SilenceS"]
    assert silence_s == LONG_SILENCE_S
    for _ in range(3):
        asked_s = time.monotonic()
        frame = client.ws.receive_frame()
        assert frame.opcode == PING
        assert time.monotonic() - asked_s < silence_s
        client.ws.send_frame(0x80 | PONG, frame.payload)
    client.finish()
    assert client.resumed_at == [0]


def test_a_client_that_only_says_pings_is_not_silent(
    start_server: StartServer, new_client: NewClient
) -> None:
    server = start_server(**QUICK | {"connection_timeout_s": LONG_SILENCE_S})
    client = new_client(at=server).open()
    until_s = time.monotonic() + 1.5 * LONG_SILENCE_S
    while time.monotonic() < until_s:
        client.ws.send_text('{"MsgType": "MsgPing", "MsgData": {}}')
        while b"MsgPong" not in client.ws.receive_frame().payload:
            pass  # pings of the server, which stay without an answer
        time.sleep(0.2)
    client.finish()
    assert client.resumed_at == [0]


@pytest.mark.parametrize("phase", ["opened", "agreeing", "sending", "in the middle of a chunk"])
def test_a_client_that_is_gone_without_a_word_is_given_up_and_its_upload_is_not(
    start_server: StartServer, new_client: NewClient, phase: str
) -> None:
    server = start_server(**QUICK | {"connection_timeout_s": 3})
    began_s = time.monotonic()
    client = new_client(at=server).connect()
    if phase != "opened":
        client.request()
    if phase in ("sending", "in the middle of a chunk"):
        client.agree()
        client.send_until_stored(CHUNK)
    if phase == "in the middle of a chunk":
        client.ws.socket.sendall(bytes(client.ws.frame(0x82, client.chunk(CHUNK, CHUNK)))[:1000])
    with pytest.raises(ConnectionClosed):
        while True:
            client.ws.receive_frame()  # no ping is answered
    assert 2.9 < time.monotonic() - began_s < 3 + AT_ONCE_S
    if phase != "opened":
        wait_until(lambda: "connection closed" in server.log_text(), "it is let go")
    client.upload()
    assert client.resumed_at[-1] >= (CHUNK if phase.startswith(("sending", "in the")) else 0)
