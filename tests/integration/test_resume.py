"""Resuming: after a pause, a lost connection, a takeover, and after the end."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable

import pytest

from tests.integration.conftest import CHUNK_SIZE_KIB, NewClient
from tests.support.app import DONE, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.data import MIB, FileBytes
from tests.support.server import RunningServer
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed, WebSocket

CHUNK_SIZE_BYTES = CHUNK_SIZE_KIB * 1024
TAKEN_OVER = 4001
AT_ONCE_S = 4.0
"""A busy machine may take so long. Without an answer the server would close the connection after 5 s."""


CUTS: dict[str, Callable[[WebSocket], object]] = {
    "reset": WebSocket.cut,
    "end of stream": WebSocket.drop,
    "close frame": WebSocket.close,
}


@pytest.mark.parametrize("cut", CUTS)
def test_an_upload_resumes_at_the_last_acknowledged_byte(
    new_client: NewClient, app: ScriptedApp, cut: str
) -> None:
    client = new_client(9 * CHUNK_SIZE_BYTES + 99).open()
    for count in (2, 3, 5, 8):
        client.send_until_acked(count * CHUNK_SIZE_BYTES)
        client.receive_acks()
        CUTS[cut](client.ws)
        acked_bytes = client.acked_bytes
        client.open()
        assert client.resumed_at[-1] == acked_bytes
    client.send_until_acked()
    client.receive_result()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_an_upload_that_is_cut_anywhere_arrives_byte_for_byte(
    new_client: NewClient, app: ScriptedApp
) -> None:
    where = random.Random(7)
    client = new_client(40 * CHUNK_SIZE_BYTES + 1)
    for _ in range(15):
        client.open()
        client.send_until_acked(client.acked_bytes + where.randrange(3 * CHUNK_SIZE_BYTES))
        frame = bytes(client.ws.frame(0x82, client.data.read(client.sent_bytes, CHUNK_SIZE_BYTES)))
        client.ws.socket.sendall(frame[: where.randrange(len(frame))])
        where.choice([client.ws.cut, client.ws.drop])()
    client.upload()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_half_a_chunk_is_not_stored(server: RunningServer, new_client: NewClient) -> None:
    client = new_client(5 * CHUNK_SIZE_BYTES).open()
    client.send_until_acked(CHUNK_SIZE_BYTES)
    client.receive_acks()
    frame = bytes(client.ws.frame(0x82, client.data.read(client.acked_bytes, CHUNK_SIZE_BYTES)))
    client.ws.socket.sendall(frame[:-1])
    client.ws.drop()
    acked_bytes = client.acked_bytes
    assert client.connect().request()["FilePos"] == acked_bytes
    assert server.stored_file(client.ticket_id).stat().st_size == acked_bytes


def test_a_paused_upload_continues_in_a_new_connection_that_comes_at_once(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(9 * CHUNK_SIZE_BYTES).open()
    for count in (1, 4, 6):
        client.send_until_acked(count * CHUNK_SIZE_BYTES)
        client.send_message("MsgPause", Pause=True)
        paused = client.ws
        client.open()  # the old connection is still there
        assert paused.close()[1] < AT_ONCE_S
    client.send_until_acked()
    client.receive_result()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_after_a_pause_the_close_frame_is_answered_at_once(new_client: NewClient) -> None:
    client = new_client(9 * CHUNK_SIZE_BYTES).open()
    client.send_until_acked(CHUNK_SIZE_BYTES)
    client.send_message("MsgPause", Pause=True)
    code, took_s = client.ws.close()
    assert (code, took_s < AT_ONCE_S) == (1000, True)


def test_chunks_that_were_under_way_when_the_pause_came_are_acknowledged(new_client: NewClient) -> None:
    client = new_client(9 * CHUNK_SIZE_BYTES).open()
    for _ in range(4):
        client.send_chunk()
    client.send_message("MsgPause", Pause=True)
    for _ in range(4):
        client.receive_ack()
    client.ws.close()
    client.open()
    assert client.resumed_at[-1] == 4 * CHUNK_SIZE_BYTES


def test_a_pause_before_the_first_chunk_is_fine(new_client: NewClient) -> None:
    client = new_client().connect()
    client.request()
    client.send_message("MsgPause", Pause=True)
    client.ws.close()
    client.upload()


def test_another_length_is_an_error_that_does_not_disturb_the_running_upload(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(9 * CHUNK_SIZE_BYTES).open()
    client.send_until_acked(3 * CHUNK_SIZE_BYTES)
    other = new_client(of=client)
    other.data = FileBytes(client.data.length_bytes + 1)
    with pytest.raises(UploadEnded) as ended:
        other.connect().request()  # its MsgCancel, which follows the MsgError, must change nothing either
    assert ended.value.code == 22
    client.send_until_acked()
    client.receive_result()
    assert app.deliveries[0].sha256 == client.data.sha256
    assert client.resumed_at == [0]


def test_a_new_connection_takes_over_at_once_and_the_old_one_is_closed_without_a_message(
    new_client: NewClient, app: ScriptedApp
) -> None:
    old = new_client(9 * CHUNK_SIZE_BYTES).open()
    old.send_until_acked(2 * CHUNK_SIZE_BYTES)
    old.receive_acks()
    new = new_client(of=old)
    began_s = time.monotonic()
    new.open()
    assert time.monotonic() - began_s < AT_ONCE_S
    assert new.resumed_at == [old.acked_bytes]
    closed = old.receive_close()
    assert closed.code == TAKEN_OVER
    assert closed.reason
    new.send_until_acked()
    new.receive_result()
    assert app.deliveries[0].sha256 == new.data.sha256


def test_a_connection_that_hangs_in_the_middle_of_a_chunk_is_taken_over_at_once(
    new_client: NewClient, app: ScriptedApp
) -> None:
    corpse = new_client(9 * CHUNK_SIZE_BYTES).open()
    frame = bytes(corpse.ws.frame(0x82, bytes(CHUNK_SIZE_BYTES)))  # not the bytes of the file
    corpse.ws.socket.sendall(frame[:-10])
    new = new_client(of=corpse)
    began_s = time.monotonic()
    new.open()
    assert time.monotonic() - began_s < AT_ONCE_S
    _send_in_vain(corpse, frame[-10:])
    new.send_until_acked()
    new.receive_result()
    assert app.deliveries[0].sha256 == new.data.sha256


def test_bytes_of_an_old_connection_that_come_late_are_not_stored(
    new_client: NewClient, app: ScriptedApp
) -> None:
    for _ in range(10):
        old = new_client(9 * CHUNK_SIZE_BYTES).open()
        new = new_client(of=old).connect()
        wrong = bytes(old.ws.frame(0x82, bytes(CHUNK_SIZE_BYTES)))
        new.request()
        _send_in_vain(old, wrong * 3)
        new.agree()
        new.send_until_acked()
        new.receive_result()
        assert app.deliveries[-1].sha256 == new.data.sha256


def _send_in_vain(client: ClientV1, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # the server may have closed already
        client.ws.socket.sendall(data)


def test_a_cancel_from_a_connection_that_was_taken_over_changes_nothing(
    new_client: NewClient, app: ScriptedApp
) -> None:
    old = new_client(9 * CHUNK_SIZE_BYTES).open()
    old.send_until_acked(2 * CHUNK_SIZE_BYTES)
    new = new_client(of=old).open()
    with contextlib.suppress(ConnectionError):
        old.send_message("MsgCancel", Reason="too late")
    new.send_until_acked()
    new.receive_result()
    assert [d.fields["cancelled"] for d in app.deliveries] == ["no"]


def test_two_clients_that_fight_for_a_ticket_leave_the_file_whole(
    new_client: NewClient, app: ScriptedApp
) -> None:
    clients = [new_client(30 * CHUNK_SIZE_BYTES)]
    clients.append(new_client(of=clients[0]))
    threads = [threading.Thread(target=_fight, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    new_client(of=clients[0]).upload()
    assert app.deliveries[0].sha256 == clients[0].data.sha256


def _fight(client: ClientV1) -> None:
    for _ in range(20):
        with contextlib.suppress(ConnectionClosed, ConnectionError):  # taken over: take it back
            client.open().send_until_acked(client.acked_bytes + CHUNK_SIZE_BYTES)


def test_a_client_that_returns_after_the_end_hears_the_result_again(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client()
    client.upload()
    for _ in range(2):
        again = new_client(of=client).connect()
        assert again.request()["FilePos"] == client.data.length_bytes
        again.agree()
        again.receive_result()
    assert len(app.deliveries) == 1


def test_a_client_that_returns_during_the_handover_hears_its_result(
    new_client: NewClient, app: ScriptedApp
) -> None:
    let_go = threading.Event()

    def slowly(_: Delivery) -> Reply:
        assert let_go.wait(20)
        return DONE

    app.answers = [slowly]
    client = new_client().open()
    client.send_until_acked()
    client.ws.cut()
    app.wait_for(1)
    again = new_client(of=client).connect()
    assert again.request()["FilePos"] == client.data.length_bytes
    again.agree()
    let_go.set()
    again.receive_result()
    assert len(app.deliveries) == 1


def test_the_file_is_handed_over_though_the_client_left_with_the_last_byte(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(3 * MIB).open()
    while client.sent_bytes < client.data.length_bytes:
        client.send_chunk()
    client.ws.leave()
    assert app.wait_for(1)[0].sha256 == client.data.sha256
    wait_until(lambda: not server.stored_file(client.ticket_id).exists(), "the file is removed")


def test_the_newest_of_two_connections_that_wait_for_the_result_hears_it(
    new_client: NewClient, app: ScriptedApp
) -> None:
    let_go = threading.Event()

    def slowly(_: Delivery) -> Reply:
        assert let_go.wait(20)
        return DONE

    app.answers = [slowly]
    old = new_client().open()
    old.send_until_acked()
    new = new_client(of=old).open()
    assert old.receive_close().code == TAKEN_OVER
    let_go.set()
    new.receive_result()
