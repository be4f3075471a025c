"""Frames, right and wrong (RFC 6455 sections 5 and 7)."""

from __future__ import annotations

import struct

import pytest

from tests.integration.conftest import CHUNK_SIZE_KIB, NewClient
from tests.support.client_v1 import ClientV1
from tests.support.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, ConnectionClosed

FIN = 0x80
RSV1, RSV2, RSV3 = 0x40, 0x20, 0x10
AT_ONCE_S = 4.0
"""A busy machine may take so long. Without an answer the server would close the connection after 5 s."""


def closed_with(client: ClientV1, *frames: tuple[int, bytes]) -> ConnectionClosed:
    """Sends the frames and returns how the server closed."""
    for first_byte, payload in frames:
        client.ws.send_frame(first_byte, payload)
    return client.receive_close()


@pytest.mark.parametrize(
    "frames",
    [
        [(FIN | RSV1 | BINARY, b"x")],
        [(FIN | RSV2 | BINARY, b"x")],
        [(FIN | RSV3 | TEXT, b"{}")],
        [(FIN | 0x3, b"x")],
        [(FIN | 0xB, b"x")],
        [(PING, b"x")],
        [(FIN | PING, b"x" * 126)],
        [(FIN | CONTINUATION, b"x")],
        [(BINARY, b"x"), (FIN | BINARY, b"y")],
        [(BINARY, b"x"), (FIN | TEXT, b"{}")],
        [(FIN | CLOSE, b"\x03")],
        [(FIN | CLOSE, struct.pack("!H", 1005))],
    ],
    ids=[
        *("RSV1", "RSV2", "RSV3", "data opcode 3", "control opcode 11"),
        *("fragmented control frame", "long control frame", "continuation of nothing"),
        *("chunk within a chunk", "text within a chunk", "close with half a code", "close with code 1005"),
    ],
)
def test_a_broken_frame_closes_with_1002_and_costs_only_the_connection(
    new_client: NewClient, frames: list[tuple[int, bytes]]
) -> None:
    client = new_client().open()
    assert closed_with(client, *frames).code == 1002
    client.upload()
    assert client.resumed_at == [0, 0]


def test_an_unmasked_frame_closes_with_1002(new_client: NewClient) -> None:
    client = new_client().open()
    client.ws.send_frame(FIN | BINARY, b"bytes", masked=False)
    assert client.receive_close().code == 1002
    client.upload()
    assert client.resumed_at == [0, 0]


def test_text_that_is_not_utf_8_closes_with_1007(new_client: NewClient) -> None:
    assert closed_with(new_client().open(), (FIN | TEXT, b'{"MsgType": "\xff"}')).code == 1007


def test_a_header_that_promises_three_gigabytes_closes_with_1009_at_once(new_client: NewClient) -> None:
    client = new_client().open()
    client.ws.socket.sendall(struct.pack("!BBQ", FIN | BINARY, 0x80 | 127, 3 << 30) + b"mask")
    assert client.receive_close().code == 1009


def test_a_text_message_of_a_megabyte_closes_with_1009(new_client: NewClient) -> None:
    client = new_client().open()
    # Only the header: the server has no reason to wait for the rest.
    client.ws.socket.sendall(struct.pack("!BBQ", FIN | TEXT, 0x80 | 127, 1 << 20) + b"mask")
    assert client.receive_close().code == 1009


def test_text_that_grows_by_fragments_is_bounded_too(new_client: NewClient) -> None:
    client = new_client().open()
    client.ws.send_frame(TEXT, b"{")
    with pytest.raises(ConnectionClosed) as closed:
        for _ in range(64):
            client.ws.send_frame(CONTINUATION, b" " * 32768)
            if client.ws.has_input:
                break
        client.receive()
    assert closed.value.code == 1009


def test_a_chunk_may_come_in_fragments_with_a_ping_in_between(new_client: NewClient) -> None:
    client = new_client(CHUNK_SIZE_KIB * 1024).open()
    chunk = client.data.read(0, client.data.length_bytes)
    client.ws.send_frame(BINARY, chunk[:1])
    client.ws.send_frame(CONTINUATION, chunk[1:1001])
    client.ws.send_frame(FIN | PING, b"still there?")
    client.ws.send_frame(CONTINUATION)
    client.ws.send_frame(FIN | CONTINUATION, chunk[1001:])
    pong = client.ws.receive_frame()
    assert (pong.opcode, pong.payload) == (PONG, b"still there?")
    assert client.expect("MsgChunkAck") == {"ChunkSize": len(chunk)}
    client.receive_result()


def test_a_text_message_may_come_in_fragments(new_client: NewClient) -> None:
    client = new_client().connect()
    client.request()
    client.ws.send_frame(TEXT, b'{"MsgType": "MsgAck", ')
    client.ws.send_frame(FIN | CONTINUATION, b'"MsgData": {"Ack": true}}')
    client.send_until_acked()
    client.receive_result()


@pytest.mark.parametrize("payload", [b"", b"are you there?", bytes(125)], ids=["empty", "text", "longest"])
def test_a_ping_is_answered_with_its_own_payload(new_client: NewClient, payload: bytes) -> None:
    client = new_client().open()
    client.ws.send_frame(FIN | PING, payload)
    pong = client.ws.receive_frame()
    assert (pong.first_byte, pong.payload) == (FIN | PONG, payload)


def test_a_pong_that_nobody_asked_for_is_ignored(new_client: NewClient) -> None:
    client = new_client().open()
    client.ws.send_frame(FIN | PONG, b"hello")
    client.send_until_acked()
    client.receive_result()


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_a_close_frame_is_answered_at_once_with_its_own_code(new_client: NewClient, code: int) -> None:
    client = new_client().open()
    client.send_chunk()
    answer, took_s = client.ws.close(code)
    assert answer == code
    assert took_s < AT_ONCE_S


def test_frames_that_come_byte_by_byte_are_put_together(new_client: NewClient) -> None:
    client = new_client(20).open()
    for byte in bytes(client.ws.frame(FIN | BINARY, client.data.read(0, 20))):
        client.ws.socket.sendall(bytes([byte]))
    assert client.expect("MsgChunkAck") == {"ChunkSize": 20}
    client.receive_result()


def test_frames_that_come_all_in_one_piece_are_told_apart(new_client: NewClient) -> None:
    client = new_client(3000)
    client.connect().request()
    ack = bytes(client.ws.frame(FIN | TEXT, b'{"MsgType": "MsgAck", "MsgData": {"Ack": true}}'))
    chunks = (client.data.read(at, 1000) for at in (0, 1000, 2000))
    client.ws.socket.sendall(ack + b"".join(bytes(client.ws.frame(FIN | BINARY, c)) for c in chunks))
    for _ in range(3):
        assert client.expect("MsgChunkAck") == {"ChunkSize": 1000}
    client.receive_result()
