"""Chunks with their headers, and the absolute acknowledgements (docs/reference/protocol.md, Chunks)."""

from __future__ import annotations

import itertools
import random
import threading

import pytest
from crc32c import crc32c

from tests.conftest import StartServer
from tests.integration.v2.conftest import CHUNK, NewClient
from tests.support.app import ScriptedApp
from tests.support.client_v2 import CHUNK_HEADER, ClientV2
from tests.support.data import MIB
from tests.support.server import RunningServer
from tests.support.websocket import BINARY, CONTINUATION

BAD_CHUNK = "bad_chunk"


def test_a_file_arrives_byte_for_byte(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(10 * MIB + 12_345)
    client.upload()
    (delivery,) = app.deliveries
    assert (delivery.size_bytes, delivery.sha256) == (10 * MIB + 12_345, client.data.sha256)
    assert (client.resumed_at, client.resent_at) == ([0], [])


@pytest.mark.parametrize("length_bytes", [1, 8, 15, 16, 17, 109, 110, CHUNK - 1, CHUNK, CHUNK + 1])
def test_files_of_any_length_arrive(new_client: NewClient, app: ScriptedApp, length_bytes: int) -> None:
    client = new_client(length_bytes)
    client.upload()
    assert (app.deliveries[0].size_bytes, app.deliveries[0].sha256) == (length_bytes, client.data.sha256)


def test_an_empty_file_has_no_chunks(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(0).open()
    client.complete(crc=0)
    client.receive_result()
    assert (app.deliveries[0].size_bytes, app.deliveries[0].fields["cancelled"]) == (0, "no")


def test_the_header_is_offset_checksum_and_round_most_significant_byte_first(new_client: NewClient) -> None:
    client = new_client(1000).open()
    payload = client.data.read(0, 600)
    client.ws.send_binary(bytes(8) + crc32c(payload).to_bytes(4, "big") + bytes(4) + payload)
    assert client.expect("MsgStored")["Offset"] == 600
    client.ws.send_binary((600).to_bytes(8, "big") + bytes(8) + client.data.read(600, 400))  # no checksum
    assert client.expect("MsgResend") == {"Offset": 600, "Round": 1}
    payload = client.data.read(600, 400)
    head = (600).to_bytes(8, "big") + crc32c(payload).to_bytes(4, "big") + b"\0\0\0\1"
    client.ws.send_binary(head + payload)
    assert client.expect("MsgStored")["Offset"] == 1000


def test_acknowledgements_are_offsets_in_the_file(new_client: NewClient) -> None:
    client = new_client(5 * CHUNK).open()
    for count in range(1, 4):
        client.send_chunk()
        assert client.expect("MsgStored")["Offset"] == count * CHUNK
    client.drop()
    client.stored_bytes = 3 * CHUNK
    client.open().send_chunk()
    assert client.expect("MsgStored")["Offset"] == 4 * CHUNK


def test_acknowledged_bytes_are_in_the_file(server: RunningServer, new_client: NewClient) -> None:
    client = new_client(20 * CHUNK).open()
    for count in range(1, 20):
        client.send_until_stored(count * CHUNK)
        with server.stored_file(client.ticket_id).open("rb") as file:
            assert file.read(client.stored_bytes) == client.data.read(0, client.stored_bytes)


def test_the_sizes_of_chunks_may_change_at_any_time(new_client: NewClient, app: ScriptedApp) -> None:
    chance = random.Random(3)
    client = new_client(40 * CHUNK + 1).open()
    while client.stored_bytes < client.data.length_bytes:
        if client.sent_bytes < client.data.length_bytes and not client.ws.has_input:
            client.send_chunk(chance.choice([1, 2, 7, 8, 4096, CHUNK - 1, CHUNK, chance.randint(1, CHUNK)]))
        else:
            client.receive_next()
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_chunks_of_one_byte_are_stored_one_by_one(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(3000).open()
    client.chunk_size_bytes = 1
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_a_chunk_may_come_in_several_frames(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(2 * CHUNK).open()
    for at in (0, CHUNK):
        whole = client.chunk(at, CHUNK)
        cuts = [0, 3, 16, 20, 5000, len(whole)]
        parts = [whole[start:end] for start, end in itertools.pairwise(cuts)]
        client.ws.send_frame(BINARY, parts[0])
        for part in parts[1:-1]:
            client.ws.send_frame(CONTINUATION, part)
        client.ws.send_frame(0x80 | CONTINUATION, parts[-1])
        client.sent_bytes = client._highest_sent_bytes = at + CHUNK
        client.receive_until_stored()
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_a_client_that_never_waits_for_acknowledgements_is_served_as_well(
    new_client: NewClient, app: ScriptedApp
) -> None:
    """MaxWindowBytes is a megabyte here; the server does not count along."""
    client = new_client(24 * MIB).open()
    sender = threading.Thread(target=_send_all, args=[client])
    sender.start()
    client._highest_sent_bytes = client.data.length_bytes
    client.receive_until_stored(client.data.length_bytes)
    sender.join()
    client.complete()
    client.receive_result()
    assert app.deliveries[0].sha256 == client.data.sha256


def _send_all(client: ClientV2) -> None:
    for at in range(0, client.data.length_bytes, CHUNK):
        client.ws.send_binary(client.chunk(at, CHUNK))


def test_the_end_may_follow_the_last_chunk_at_once(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(16 * CHUNK).open()
    while client.sent_bytes < client.data.length_bytes:
        client.send_chunk()
    client.complete()
    client.receive_until_stored()
    client.receive_result()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_large_chunks_arrive_byte_for_byte(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(30 * MIB + 1, at=start_server())
    client.chunk_size_bytes = client.open().conf["MaxChunkBytes"]
    client.send_chunk()
    client.receive_until_stored()
    client.chunk_size_bytes = client.max_chunk_bytes
    assert client.chunk_size_bytes == 4 * MIB
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


# --- what is refused ---------------------------------------------------------------------------------


def refused_chunk(client: ClientV2, message: bytes) -> None:
    """The chunk ends the connection, is not stored, and the upload can go on."""
    client.receive_until_stored()
    client.ws.send_binary(message)
    refused = client.refusal()
    assert (refused.code, refused.retryable) == (BAD_CHUNK, False)
    assert client.connect().request()["Offset"] == client.stored_bytes
    client.agree()
    client.finish()


def test_a_chunk_larger_than_agreed_is_refused(new_client: NewClient) -> None:
    client = new_client(5 * CHUNK).open()
    client.send_chunk()
    refused_chunk(client, client.chunk(CHUNK, CHUNK + 1))


def test_bytes_beyond_the_end_of_the_file_are_refused(new_client: NewClient) -> None:
    client = new_client(1000).open()
    client.send_chunk(500)
    payload = client.data.read(500, 500) + b"!"
    refused_chunk(client, CHUNK_HEADER.pack(500, crc32c(payload), 0) + payload)


@pytest.mark.parametrize("size", [0, 1, 11, 15, 16])
def test_a_chunk_without_a_byte_of_the_file_counts_as_damaged(new_client: NewClient, size: int) -> None:
    client = new_client(1000).open()
    client.send_chunk(500)
    client.receive_until_stored()
    client.ws.send_binary(CHUNK_HEADER.pack(500, 0, 0)[:size])
    assert client.receive_next().type == "MsgResend"
    client.finish()


def test_a_damaged_chunk_that_seems_to_end_beyond_the_file_is_only_damaged(new_client: NewClient) -> None:
    client = new_client(1000).open()
    client.ws.send_binary(CHUNK_HEADER.pack(0, 1, 0) + bytes(1001))
    assert client.receive_next().type == "MsgResend"
    client.finish()


def test_a_chunk_after_the_last_one_does_not_change_the_file(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(1000).open()
    client.send_until_stored()
    client.ws.send_binary(CHUNK_HEADER.pack(999, crc32c(b"other"), 0) + b"other")
    client.ws.send_binary(CHUNK_HEADER.pack(0, crc32c(bytes(1000)), 0) + bytes(1000))
    client.complete()
    client.receive_until_stored()
    while client.receive_next().type != "MsgAllDone":
        pass
    assert app.deliveries[0].sha256 == client.data.sha256
