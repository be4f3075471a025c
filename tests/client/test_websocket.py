"""The client's end of a websocket, over a real pair of sockets; the test is the server."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from crc32c import crc32c

from incoming.client.file import FileSource
from incoming.client.protocol.events import ConnectionClosed, PeerActive
from incoming.client.protocol.stored_prefix import Segment
from incoming.client.websocket import MAX_FRAMES, WebSocket
from incoming.protocol import chunks
from incoming.wire import frames
from incoming.wire.frames import build_frame, build_header, close_payload, parse_header, unmask
from tests.support.data import FileBytes
from tests.support.sending import write_file


@pytest.fixture
def ends() -> Iterator[tuple[WebSocket, socket.socket]]:
    """The client's end, and the server's socket."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    websocket = WebSocket(ours, b"")
    yield websocket, theirs
    websocket.close()
    theirs.close()


def receive_frame(sock: socket.socket) -> tuple[int, bytes]:
    """Returns opcode and payload of the client's next frame."""
    data = b""
    while (header := parse_header(data)) is None:
        data += sock.recv(1)
    assert header.final
    payload = bytearray()
    while len(payload) < header.payload_bytes:
        payload += sock.recv(header.payload_bytes - len(payload))
    unmask(memoryview(payload), header.mask)
    return header.opcode, bytes(payload)


def text(words: str) -> bytes:
    return build_frame(frames.OP_TEXT, words.encode())


def test_messages_are_received_in_whatever_pieces_they_arrive(ends: tuple[WebSocket, socket.socket]) -> None:
    websocket, theirs = ends
    first = bytes([frames.OP_TEXT, 2]) + b"on"  # not final
    stream = text("x" * 300) + first + build_frame(frames.OP_PONG) + build_frame(0, b"e") + text("two")
    came: list[object] = []
    for byte in stream:
        theirs.sendall(bytes([byte]))
        came += websocket.receive()
    assert came == ["x" * 300, PeerActive(), "one", "two"]


def test_what_was_read_past_the_handshake_is_received() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        websocket = WebSocket(ours, text("early"))
        assert websocket.receive() == ["early"]
        websocket.close()


def test_a_ping_is_answered_and_counts_as_a_sign_of_life(ends: tuple[WebSocket, socket.socket]) -> None:
    websocket, theirs = ends
    theirs.sendall(build_frame(frames.OP_PING, b"there?"))
    assert websocket.receive() == [PeerActive()]
    websocket.flush()
    assert receive_frame(theirs) == (frames.OP_PONG, b"there?")


def test_a_close_frame_has_a_reason_and_nothing_follows_it(ends: tuple[WebSocket, socket.socket]) -> None:
    websocket, theirs = ends
    close = build_frame(frames.OP_CLOSE, close_payload(1013, "The disk is full."))
    theirs.sendall(text("last words") + close + text("a ghost"))
    assert websocket.receive() == ["last words", ConnectionClosed(1013, "The disk is full.")]


def test_the_end_of_the_stream_is_a_close_without_a_code(ends: tuple[WebSocket, socket.socket]) -> None:
    websocket, theirs = ends
    theirs.close()
    assert websocket.receive() == [ConnectionClosed(1006)]


@pytest.mark.parametrize(
    "wrong",
    [
        build_frame(frames.OP_TEXT, b"masked", b"\1\2\3\4"), build_header(frames.OP_TEXT, 2**40),
        b"\xc1\0", b"\x83\0", build_frame(frames.OP_TEXT, b"\xff"),
    ],
    ids=["masked", "huge", "reserved bits", "unknown opcode", "no UTF-8"],
)  # fmt: skip
def test_a_protocol_error_of_the_server_ends_the_connection(
    ends: tuple[WebSocket, socket.socket], wrong: bytes
) -> None:
    websocket, theirs = ends
    theirs.sendall(text("fine") + wrong)
    assert websocket.receive() == ["fine", ConnectionClosed(1006)]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (build_frame(frames.OP_TEXT, b"\xff"), 1007),
        (build_frame(frames.OP_BINARY, b"a chunk"), 1003),
        (build_frame(frames.OP_CONTINUATION, b"of nothing"), 1002),
        (build_frame(frames.OP_CLOSE, b"\x03\xed"), 1002),
        (build_header(frames.OP_TEXT, 2**40), 1009),
    ],
    ids=["invalid UTF-8", "a binary message", "a fragment out of place", "a bad close code", "too large"],
)
def test_the_server_learns_which_rule_it_broke(
    ends: tuple[WebSocket, socket.socket], wrong: bytes, code: int
) -> None:
    websocket, theirs = ends
    theirs.sendall(wrong + text("a ghost"))
    assert websocket.receive() == [ConnectionClosed(1006)]
    websocket.close()
    opcode, payload = receive_frame(theirs)
    assert (opcode, payload[:2]) == (frames.OP_CLOSE, code.to_bytes(2, "big"))
    assert theirs.recv(100) == b"", "one close frame is enough"


def test_chunks_are_sent_as_the_protocol_specifies(
    ends: tuple[WebSocket, socket.socket], tmp_path: Path
) -> None:
    websocket, theirs = ends
    data = FileBytes(1_000_001, 3)
    source = FileSource(write_file(tmp_path / "a.bin", data))
    for segment in (Segment(0, 1), Segment(1, 120), Segment(120, 60_000), Segment(60_000, 1_000_001)):
        crc = websocket.send_chunk(source, segment, 7)
        wanted = data.read(segment.start, segment.end - segment.start)
        assert crc == crc32c(wanted)
        received = bytearray()
        while len(received) < len(wanted) + chunks.HEADER_BYTES:
            websocket.flush()
            received += _some(theirs)
            if (header := parse_header(received)) and len(received) >= header.header_bytes + len(wanted) + 16:
                payload = received[header.header_bytes :]
                unmask(memoryview(payload), header.mask)
                assert header.opcode == frames.OP_BINARY
                assert payload == struct.pack("!QII", segment.start, crc, 7) + wanted
                break
        assert websocket.has_room


def _some(sock: socket.socket) -> bytes:
    return sock.recv(1 << 20)


def test_the_file_is_read_a_limited_distance_ahead_of_the_link(
    ends: tuple[WebSocket, socket.socket], tmp_path: Path
) -> None:
    websocket, _ = ends
    source = FileSource(write_file(tmp_path / "a.bin", FileBytes(4_000_000, 3)))
    sent = 0
    while websocket.has_room:
        websocket.send_chunk(source, Segment(sent, sent + 500_000), 0)
        websocket.flush()
        sent += 500_000
    assert MAX_FRAMES * 500_000 <= sent < 4_000_000


def test_the_last_messages_are_received_on_a_connection_that_is_broken_for_sending(
    ends: tuple[WebSocket, socket.socket],
) -> None:
    websocket, theirs = ends
    theirs.sendall(text("It went wrong."))
    theirs.close()
    for _ in range(3):
        websocket.send_text("anybody?")
        websocket.flush()
    assert websocket.receive() == ["It went wrong.", ConnectionClosed(1006)]
