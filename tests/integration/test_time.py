"""Timeouts: idle tickets, silent connections, and results that are kept (docs/reference/settings.md)."""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.support.app import Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.data import FileBytes
from tests.support.server import RunningServer, new_upload
from tests.support.waiting import wait_until
from tests.support.websocket import PING, ConnectionClosed

EXPIRED = 31
UNKNOWN_TICKET = 11
CHUNK_SIZE_BYTES = 64 * 1024
LENGTH_BYTES = 10 * CHUNK_SIZE_BYTES


def ticket_of(server: RunningServer, app: ScriptedApp) -> ClientV1:
    """Returns a client with a ticket of its own."""
    return ClientV1(server.url, new_upload(server, app.url), FileBytes(LENGTH_BYTES))


def test_a_ticket_that_nobody_uses_expires_and_the_app_is_told(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(idle_timeout_s=0.5)
    client = ticket_of(server, app)
    (delivery,) = app.wait_for(1)
    assert (delivery.id, delivery.fields["cancelled"]) == (client.ticket_id, "yes")
    assert delivery.fields["filename"] == ""
    assert delivery.fields["cancelReason"]
    with pytest.raises(UploadEnded) as ended:
        client.connect().request()
    assert ended.value.code == EXPIRED


def test_an_upload_that_nobody_continues_expires_and_its_bytes_are_removed(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(idle_timeout_s=3.0, chunk_size_kib=64)
    client = ticket_of(server, app).open()
    client.send_until_acked(CHUNK_SIZE_BYTES)
    client.ws.cut()
    app.wait_for(1)
    wait_until(lambda: not server.stored_file(client.ticket_id).parent.exists(), "the bytes are removed")


def test_a_connected_client_is_not_idle(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(idle_timeout_s=3.0, chunk_size_kib=64)
    connected = ticket_of(server, app).open()
    abandoned = ticket_of(server, app)
    assert app.wait_for(1)[0].id == abandoned.ticket_id
    connected.send_until_acked()
    connected.receive_result()


def test_an_upload_that_is_continued_now_and_then_is_not_idle(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(idle_timeout_s=3.0, chunk_size_kib=64)
    used = ticket_of(server, app)
    idle = ticket_of(server, app)
    while not app.deliveries:
        used.open().ws.drop()
    assert [d.id for d in app.deliveries] == [idle.ticket_id]
    used.upload()


def test_a_client_that_answers_pings_may_be_silent_for_as_long_as_it_likes(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(connection_timeout_s=4)
    client = ticket_of(server, app).open()
    for _ in range(3):
        frame = client.ws.receive_frame()
        assert frame.opcode == PING
        client.ws.send_frame(0x8A, frame.payload)
    client.send_until_acked()
    client.receive_result()
    assert client.resumed_at == [0]


def test_a_client_that_does_not_answer_pings_is_given_up_and_its_upload_is_not(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(connection_timeout_s=3, chunk_size_kib=64)
    client = ticket_of(server, app).open()
    client.send_until_acked(CHUNK_SIZE_BYTES)
    with pytest.raises(ConnectionClosed):
        while True:
            client.ws.receive_frame()
    assert "paused" in wait_until(lambda: server.log_text().partition("connection closed")[2], "it is let go")
    client.upload()
    assert client.resumed_at[1] >= CHUNK_SIZE_BYTES


def test_a_result_is_forgotten_after_its_retention_time(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(result_retention_s=0.5)
    client = ticket_of(server, app)
    client.upload()
    wait_until(lambda: client.ticket_id not in server.journaled(), "the result is forgotten")
    with pytest.raises(UploadEnded) as ended:
        ClientV1(server.url, client.ticket_id, client.data).connect().request()
    assert ended.value.code == UNKNOWN_TICKET


def test_the_file_of_a_failed_handover_is_removed_after_its_own_retention_time(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(failed_retention_s=0.5)
    app.answers = [Reply(404)]
    client = ticket_of(server, app)
    with pytest.raises(UploadEnded):
        client.upload()
    assert server.stored_file(client.ticket_id).exists()
    wait_until(lambda: not server.stored_file(client.ticket_id).parent.exists(), "the file is removed")


def test_a_file_that_is_larger_than_allowed_is_refused_before_its_first_byte(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(max_upload_bytes=LENGTH_BYTES - 1)
    with pytest.raises(UploadEnded) as ended:
        ticket_of(server, app).connect().request()
    assert ended.value.code == 23
