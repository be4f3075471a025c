"""Chunks and their acknowledgements in version 1 (docs/reference/protocol.md)."""

from __future__ import annotations

import os
import threading

import pytest

from tests.conftest import StartServer
from tests.integration.conftest import CHUNK_SIZE_KIB, NewClient
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.server import RunningServer, new_upload

CHUNK_SIZE_BYTES = CHUNK_SIZE_KIB * 1024


def test_a_file_arrives_byte_for_byte(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(10 * MIB + 12_345)
    client.upload()
    (delivery,) = app.deliveries
    assert delivery.sha256 == client.data.sha256
    assert client.resumed_at == [0]


@pytest.mark.parametrize("length_bytes", [1, 7, 125, 126, 65535, 65536, 65537, 2 * 65536])
def test_files_of_any_length_arrive(new_client: NewClient, app: ScriptedApp, length_bytes: int) -> None:
    client = new_client(length_bytes)
    client.upload()
    assert (app.deliveries[0].size_bytes, app.deliveries[0].sha256) == (length_bytes, client.data.sha256)


def test_a_zero_byte_file_is_handed_over_as_an_empty_file(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(0).connect()
    assert client.request()["FilePos"] == 0
    client.agree()
    client.receive_result()
    assert app.deliveries[0].size_bytes == 0
    assert app.deliveries[0].fields["cancelled"] == "no"


def test_each_chunk_is_acknowledged_once_with_its_own_size(new_client: NewClient) -> None:
    sizes = [CHUNK_SIZE_BYTES, 1, 1000, CHUNK_SIZE_BYTES - 1, 8, 8191]
    client = new_client(sum(sizes)).open()
    at = 0
    for size in sizes:
        client.ws.send_binary(client.data.read(at, size))
        assert client.expect("MsgChunkAck") == {"ChunkSize": size}
        at += size
    client.receive_result()


def test_acknowledged_bytes_are_in_the_file(server: RunningServer, new_client: NewClient) -> None:
    client = new_client(50 * CHUNK_SIZE_BYTES).open()  # never all under way: it would be gone
    for count in range(1, 20):
        client.send_until_acked(count * CHUNK_SIZE_BYTES)
        with server.stored_file(client.ticket_id).open("rb") as file:
            assert file.read(client.acked_bytes) == client.data.read(0, client.acked_bytes)


def test_a_client_that_never_waits_for_acknowledgements_is_served_as_well(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(64 * CHUNK_SIZE_BYTES).open()
    while client.sent_bytes < client.data.length_bytes:
        client.send_chunk()
    client.receive_acks()
    client.receive_result()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_a_chunk_larger_than_agreed_is_refused_and_not_stored(
    server: RunningServer, new_client: NewClient
) -> None:
    client = new_client(10 * CHUNK_SIZE_BYTES).open()
    client.send_until_acked(CHUNK_SIZE_BYTES)
    client.receive_acks()
    client.ws.send_binary(bytes(CHUNK_SIZE_BYTES + 1))
    _refused(client)
    client.upload()


def test_bytes_beyond_the_end_are_refused_and_not_stored(
    server: RunningServer, new_client: NewClient
) -> None:
    client = new_client(1000).open()
    client.ws.send_binary(client.data.read(0, 1000) + b"!")
    _refused(client)
    assert server.stored_file(client.ticket_id).stat().st_size == 0
    client.upload()


def _refused(client: ClientV1) -> None:
    assert client.receive_end().code == 21


def test_a_chunk_after_the_last_one_does_not_change_the_file(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(1000).open()
    whole = bytes(client.ws.frame(0x82, client.data.read(0, 1000)))
    client.ws.socket.sendall(whole + bytes(client.ws.frame(0x82, b"one more")))
    (delivery,) = app.wait_for(1)
    assert delivery.sha256 == client.data.sha256
    new_client(of=client).upload()


def test_many_uploads_run_at_the_same_time(new_client: NewClient, app: ScriptedApp) -> None:
    clients = [new_client(3 * MIB + number) for number in range(20)]
    for client in clients:
        client.open().send_chunk()  # all of them have begun before the first one ends
    threads = [threading.Thread(target=_rest_of, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    arrived = {delivery.id: delivery.sha256 for delivery in app.deliveries}
    assert arrived == {client.ticket_id: client.data.sha256 for client in clients}


def _rest_of(client: ClientV1) -> None:
    client.send_until_acked()
    client.receive_result()


def test_a_silent_client_does_not_keep_others_waiting(new_client: NewClient, app: ScriptedApp) -> None:
    silent = new_client().open()
    frame = bytes(silent.ws.frame(0x82, silent.data.read(0, CHUNK_SIZE_BYTES)))
    silent.ws.socket.sendall(frame[:1000])
    new_client(5 * MIB).upload()
    silent.ws.socket.sendall(frame[1000:])
    assert silent.expect("MsgChunkAck") == {"ChunkSize": CHUNK_SIZE_BYTES}


def test_a_name_says_nothing_about_where_a_file_is_stored(
    server: RunningServer, new_client: NewClient
) -> None:
    client = new_client(10, name="../../../evil.sh")
    client.upload()
    everything = os.walk(server.storage_dir.parent)
    assert not [name for _, folders, files in everything for name in folders + files if "evil" in name]


def test_the_content_of_two_seeds_differs_and_one_seed_repeats() -> None:
    data = FileBytes(3 * MIB + 5, seed=1)
    assert data.read(MIB - 3, 10) == data.read(0, MIB + 10)[MIB - 3 : MIB + 7]
    assert data.read(0, 100) != data.read(MIB, 100)
    assert data.sha256 != FileBytes(3 * MIB + 5, seed=2).sha256


class NamelessClient(ClientV1):
    """It leaves the name out."""

    def send_message(self, msg_type: str, **msg_data: object) -> None:
        msg_data.pop("Name", None)
        super().send_message(msg_type, **msg_data)


def test_a_client_of_october_2014_which_sends_no_name_uploads_and_resumes(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server()
    client = NamelessClient(server.url, new_upload(server, app.url), FileBytes(3 * MIB, 5))
    client.open().send_until_acked(MIB)
    client.drop()
    client.upload()
    assert client.resumed_at[-1] >= MIB
    (delivery,) = app.wait_for(1)
    assert (delivery.fields["filenameFromBrowser"], delivery.sha256) == ("upload", client.data.sha256)
