"""The server's end of a WebSocket: fragments, control frames, silence, size. See test_closing for its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import termios
import time
from collections.abc import Iterator

import gevent
import pytest

from incoming.protocol import flow_control
from incoming.protocol.messages import MAX_REQUEST_BYTES
from incoming.runtime.buffer_pool import BufferPool
from incoming.runtime.fair_scheduler import FairScheduler
from incoming.websocket import websocket
from incoming.websocket.keepalive import KeepAlive
from incoming.websocket.websocket import WebSocket
from incoming.websocket.writer import ConnectionGone
from incoming.wire.frames import FrameError
from tests.websocket.peer import (
    BINARY,
    CONTINUATION,
    DEADLINE_S,
    FIN,
    PING,
    PONG,
    TEXT,
    Peer,
    ServerFrame,
    masked_frame,
)

BUFFER_BYTES = 1 << 20
NORMAL = b"\x03\xe8"


@pytest.fixture
def peer() -> Iterator[Peer]:
    one = Peer()
    yield one
    one.close()


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    several = [Peer() for _ in range(3)]
    yield several
    for one in several:
        one.close()


@pytest.fixture
def buffers() -> BufferPool:
    return BufferPool(BUFFER_BYTES)


@pytest.fixture
def ws(peer: Peer, buffers: BufferPool) -> WebSocket:
    return expecting_chunks(WebSocket(peer.server_socket, buffers, KeepAlive(30.0)))


def expecting_chunks(ws: WebSocket) -> WebSocket:
    ws.expect_chunks(True)
    return ws


def received(ws: WebSocket) -> tuple[int, bytes]:
    message = ws.receive()
    assert message
    assert message.size_bytes == len(message.payload)
    return message.opcode, bytes(message.payload)


# --- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [0, 1, 125, 126, 65535, 65536, 300_001, BUFFER_BYTES])
def test_a_message_of_any_size_is_received_unchanged(peer: Peer, ws: WebSocket, size_bytes: int) -> None:
    payload = os.urandom(size_bytes)
    peer.send_beside(masked_frame(FIN | BINARY, payload))
    assert received(ws) == (BINARY, payload)


def test_a_detached_buffer_stays_unchanged_while_other_messages_arrive(
    peer: Peer, ws: WebSocket, buffers: BufferPool
) -> None:
    for content in (b"first", b"other", b"third"):
        peer.send(FIN | BINARY, content)
    kept = ws.receive()
    assert kept
    give_back = ws.detach_buffer()
    assert received(ws) == (BINARY, b"other")
    assert (bytes(kept.payload), buffers.in_use) == (b"first", 2)
    give_back()
    assert buffers.in_use == 1
    assert received(ws) == (BINARY, b"third")
    ws.end()
    assert buffers.in_use == 0


def test_messages_that_arrive_in_one_piece_are_separated(peer: Peer, ws: WebSocket) -> None:
    peer.socket.sendall(b"".join(masked_frame(FIN | BINARY, b"%d" % i) for i in range(20)))
    assert [received(ws)[1] for _ in range(20)] == [b"%d" % i for i in range(20)]


def test_a_message_that_arrives_byte_by_byte_is_joined(peer: Peer, ws: WebSocket) -> None:
    def drip() -> None:
        for byte in masked_frame(FIN | TEXT, b"slowly" * 50):
            peer.socket.sendall(bytes([byte]))
            gevent.sleep(0)

    gevent.spawn(drip)
    message = ws.receive()
    assert message
    assert message.text == "slowly" * 50


def test_what_came_with_the_handshake_is_not_lost(peer: Peer, buffers: BufferPool) -> None:
    data = masked_frame(FIN | TEXT, b"early") + masked_frame(FIN | BINARY, b"half of it")
    ws = expecting_chunks(WebSocket(peer.server_socket, buffers, KeepAlive(30.0), read_ahead=data[:-4]))
    peer.socket.sendall(data[-4:])
    assert [received(ws), received(ws)] == [(TEXT, b"early"), (BINARY, b"half of it")]


def test_fragments_are_joined_with_control_frames_between_them(peer: Peer, ws: WebSocket) -> None:
    payload = os.urandom(10_003)
    peer.send(BINARY, payload[:1])
    peer.send(FIN | PING, b"there?")
    peer.send(CONTINUATION, payload[1:7000])
    peer.send(FIN | PONG, b"unasked for")
    peer.send(CONTINUATION)
    peer.send(FIN | CONTINUATION, payload[7000:])
    assert received(ws) == (BINARY, payload)
    assert peer.receive() == ServerFrame(PONG, b"there?")


@pytest.mark.parametrize(
    "frames",
    [[(FIN | CONTINUATION, b"x")], [(BINARY, b"x"), (FIN | BINARY, b"y")], [(TEXT, b"x"), (TEXT, b"y")]],
    ids=["continuation of nothing", "binary in binary", "text in text"],
)
def test_a_fragment_out_of_place_is_an_error(
    peer: Peer, ws: WebSocket, frames: list[tuple[int, bytes]]
) -> None:
    for frame in frames:
        peer.send(*frame)
    with pytest.raises(FrameError) as error:
        ws.receive()
    assert error.value.code == 1002


def test_text_that_is_not_utf_8_is_an_error(peer: Peer, ws: WebSocket) -> None:
    peer.send(FIN | TEXT, b"\xff")
    message = ws.receive()
    assert message
    with pytest.raises(FrameError) as error:
        assert message.text
    assert error.value.code == 1007


# --- size and fairness -----------------------------------------------------------------------------


def test_a_message_that_does_not_fit_is_read_to_its_end_and_dropped(peer: Peer, ws: WebSocket) -> None:
    size_bytes = 3 * BUFFER_BYTES + 1
    peer.send_beside(masked_frame(FIN | BINARY, bytes(size_bytes)) + masked_frame(FIN | TEXT, b"next"))
    message = ws.receive()
    assert message
    assert (message.size_bytes, len(message.payload)) == (size_bytes, 0)
    assert received(ws) == (TEXT, b"next")


def test_fragments_that_do_not_fit_together_are_dropped_too(peer: Peer, ws: WebSocket) -> None:
    half = bytes(BUFFER_BYTES // 2 + 1)
    peer.send_beside(masked_frame(BINARY, half) + masked_frame(FIN | CONTINUATION, half))
    message = ws.receive()
    assert message
    assert (message.size_bytes, message.is_whole) == (BUFFER_BYTES + 2, False)


@pytest.mark.parametrize(("opcode", "size_bytes"), [(TEXT, 64 * 1024 + 1), (BINARY, 64 * 1024 * 1024 + 1)])
def test_a_message_beyond_all_bounds_is_refused_by_its_header(
    peer: Peer, ws: WebSocket, opcode: int, size_bytes: int
) -> None:
    head = bytes([FIN | opcode, 0xFF]) + size_bytes.to_bytes(8, "big") + b"mask"
    peer.socket.sendall(head)
    with pytest.raises(FrameError) as error:
        ws.receive()
    assert error.value.code == 1009


def test_a_message_that_grows_beyond_all_bounds_is_refused(peer: Peer, ws: WebSocket) -> None:
    peer.send(TEXT, bytes(40_000))
    peer.send(FIN | CONTINUATION, bytes(40_000))
    with pytest.raises(FrameError) as error:
        ws.receive()
    assert error.value.code == 1009


def test_a_fast_peer_does_not_keep_others_waiting(peer: Peer, ws: WebSocket) -> None:
    payload = bytes(BUFFER_BYTES)
    peer.send_beside(masked_frame(FIN | BINARY, payload) * 4)
    turns: list[bool] = []

    def others() -> None:
        while True:
            turns.append(True)
            gevent.sleep(0)

    other = gevent.spawn(others)
    for _ in range(4):
        ws.receive()
    other.kill()
    assert len(turns) >= 4 * BUFFER_BYTES // websocket.SLICE_BYTES


def test_connections_are_read_equally_whatever_a_time_slice_allows(
    peers: list[Peer], buffers: BufferPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = bytes(1000)
    monkeypatch.setattr(websocket, "QUANTUM_BYTES", 4000)
    monkeypatch.setattr("incoming.runtime.fair_scheduler.TIME_SLICE_S", 60.0)
    turns = FairScheduler()  # of this test only: the last turn lasts
    monkeypatch.setattr("incoming.runtime.fair_scheduler.shared_scheduler", lambda: turns)
    keepalive, read = KeepAlive(30.0), list[int]()

    def read_all(number: int) -> None:
        ws = expecting_chunks(WebSocket(peers[number].server_socket, buffers, keepalive))
        for _ in range(24):
            ws.receive()
            read.append(number)

    for peer in peers:
        peer.socket.sendall(masked_frame(FIN | BINARY, payload) * 24)
    readers = [gevent.spawn(read_all, number) for number in range(len(peers))]
    gevent.joinall(readers, timeout=DEADLINE_S, raise_error=True)
    while_all_read = read[:48]
    assert {while_all_read.count(number) for number in range(3)} <= set(range(12, 21)), read


def test_a_buffer_is_acquired_only_while_a_message_is_used(
    peer: Peer, ws: WebSocket, buffers: BufferPool
) -> None:
    peer.send(FIN | BINARY, b"content")
    message = ws.receive()
    assert message
    assert buffers.acquire() is not message.payload.obj
    gevent.spawn(ws.receive)
    gevent.idle()  # it waits for the next message, and has given the buffer back
    assert buffers.acquire().obj is message.payload.obj


# --- what may be held ------------------------------------------------------------------------------


@pytest.fixture
def stranger(peer: Peer, buffers: BufferPool) -> WebSocket:
    """A connection that has claimed nothing."""
    return WebSocket(peer.server_socket, buffers, KeepAlive(30.0))


@pytest.mark.parametrize(
    "pieces",
    [
        [(FIN | BINARY, BUFFER_BYTES - 1)],
        [(BINARY, BUFFER_BYTES // 2), (FIN | CONTINUATION, BUFFER_BYTES // 2)],
        [(BINARY, 1), *[(CONTINUATION, 5000)] * 50, (FIN | CONTINUATION, 0)],
    ],
    ids=["in one piece", "in two", "in many"],
)
def test_a_binary_message_takes_no_buffer_while_no_chunk_is_expected(
    peer: Peer, stranger: WebSocket, buffers: BufferPool, pieces: list[tuple[int, int]]
) -> None:
    frames = [masked_frame(first, bytes(size_bytes)) for first, size_bytes in pieces]
    reading = gevent.spawn(stranger.receive)
    peer.send_beside(b"".join(frames)[:-1])
    wait_until_read(peer)
    assert (buffers.in_use, reading.ready()) == (0, False)
    peer.send_beside(b"".join(frames)[-1:] + masked_frame(FIN | TEXT, b"next"))
    message = reading.get(timeout=DEADLINE_S)
    assert (message.opcode, message.size_bytes) == (BINARY, sum(size_bytes for _, size_bytes in pieces))
    assert (bytes(message.payload), message.is_whole) == (b"", False)
    assert received(stranger) == (TEXT, b"next")


def wait_until_read(peer: Peer) -> None:
    """Returns when the server has read all that was sent, and waits for more."""
    with gevent.Timeout(DEADLINE_S):
        while True:
            gevent.sleep(0.001)
            sent_but_not_read = fcntl.ioctl(peer.socket.fileno(), termios.TIOCOUTQ, bytes(4))
            if not int.from_bytes(sent_but_not_read, sys.byteorder):
                gevent.idle()
                return


def test_a_text_may_be_as_long_as_a_first_message_and_not_longer_while_no_chunk_is_expected(
    peer: Peer, stranger: WebSocket
) -> None:
    longest = b"x" * MAX_REQUEST_BYTES
    peer.send_beside(masked_frame(FIN | TEXT, longest))
    assert received(stranger) == (TEXT, longest)
    peer.send(FIN | TEXT, longest + b"x")
    with pytest.raises(FrameError) as error:
        stranger.receive()
    assert error.value.code == 1009


def test_a_text_takes_memory_for_what_has_arrived_only(peer: Peer, ws: WebSocket) -> None:
    peer.socket.sendall(masked_frame(FIN | TEXT, bytes(60_000))[:-59_000])
    reading = gevent.spawn(ws.receive)
    wait_until_read(peer)
    assert len(ws._text) == 1000
    reading.kill()


@pytest.mark.parametrize("sent_bytes", [10, BUFFER_BYTES // 2, BUFFER_BYTES - 1])
def test_a_claim_lost_in_the_middle_of_a_chunk_releases_the_buffer_at_once(
    peer: Peer, ws: WebSocket, buffers: BufferPool, sent_bytes: int
) -> None:
    frame = masked_frame(FIN | BINARY, os.urandom(BUFFER_BYTES))
    header_bytes = len(frame) - BUFFER_BYTES
    peer.send_beside(frame[: header_bytes + sent_bytes])
    reading = gevent.spawn(ws.receive)
    wait_until_read(peer)
    assert buffers.in_use == 1
    ws.expect_chunks(False)
    assert buffers.in_use == 0
    next_owner = buffers.acquire()
    next_owner[:] = bytes(BUFFER_BYTES)
    peer.send_beside(frame[header_bytes + sent_bytes :] + masked_frame(FIN | TEXT, b"next"))
    message = reading.get(timeout=DEADLINE_S)
    assert (message.size_bytes, message.is_whole) == (BUFFER_BYTES, False)
    assert bytes(next_owner) == bytes(BUFFER_BYTES), "nothing is written into a buffer of somebody else"
    assert received(ws) == (TEXT, b"next")


def test_a_claim_lost_between_two_fragments_releases_the_buffer_too(
    peer: Peer, ws: WebSocket, buffers: BufferPool
) -> None:
    peer.send(BINARY, b"first")
    reading = gevent.spawn(ws.receive)
    wait_until_read(peer)
    ws.expect_chunks(False)
    ws.expect_chunks(True)
    assert buffers.in_use == 0
    peer.send(FIN | CONTINUATION, b"second")
    message = reading.get(timeout=DEADLINE_S)
    assert (message.size_bytes, message.is_whole, buffers.in_use) == (11, False, 0)


def test_a_message_that_has_arrived_keeps_its_buffer_while_it_is_used(
    peer: Peer, ws: WebSocket, buffers: BufferPool
) -> None:
    peer.send(FIN | BINARY, b"content")
    message = ws.receive()
    ws.expect_chunks(False)
    assert message
    assert (bytes(message.payload), buffers.in_use) == (b"content", 1)


# --- progress ----------------------------------------------------------------------------------------

DRIPS = {
    "a chunk": masked_frame(FIN | BINARY, bytes(5000)),
    "a chunk of which much came at once": masked_frame(FIN | BINARY, bytes(300_000)),
    "a text": masked_frame(FIN | TEXT, b"x" * 5000),
    "a control frame": masked_frame(FIN | PING, b"x" * 125),
    "fragments": masked_frame(BINARY) + masked_frame(CONTINUATION, b"x") * 1000,
    "empty fragments": masked_frame(BINARY) + masked_frame(CONTINUATION) * 10_000,
    "pings in a message": masked_frame(BINARY, b"x") + masked_frame(FIN | PING, b"x" * 100) * 1000,
}


@pytest.mark.parametrize("expected", [False, True], ids=["no chunks", "chunks"])
@pytest.mark.parametrize("kind", DRIPS)
def test_a_message_that_drips_ends_the_connection(
    peer: Peer, stranger: WebSocket, monkeypatch: pytest.MonkeyPatch, kind: str, expected: bool
) -> None:
    monkeypatch.setattr(websocket, "MESSAGE_STALL_TIMEOUT_S", 0.3)
    monkeypatch.setattr(flow_control, "MESSAGE_STALL_TIMEOUT_S", 0.3)
    monkeypatch.setattr(flow_control, "MIN_MESSAGE_BYTES_PER_S", 100_000)
    stranger.expect_chunks(expected)
    data = DRIPS[kind]

    def drip() -> None:
        at_once = len(data) - 1000 if "at once" in kind else 0
        with contextlib.suppress(OSError):
            peer.socket.sendall(data[:at_once])
            for byte in data[at_once:]:
                peer.socket.sendall(bytes([byte]))
                gevent.sleep(0.01)

    dripping = gevent.spawn(drip)
    began_s = time.monotonic()
    with gevent.Timeout(DEADLINE_S), pytest.raises(ConnectionGone, match="too slowly"):
        stranger.receive()
    assert time.monotonic() - began_s < 5
    dripping.kill()


def test_a_flood_of_empty_fragments_ends_the_connection(
    peer: Peer, ws: WebSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MESSAGE_STALL_TIMEOUT_S", 0.1)
    peer.send(BINARY)
    flooding = gevent.spawn(peer.socket.sendall, masked_frame(CONTINUATION) * 1_000_000)
    with gevent.Timeout(DEADLINE_S), pytest.raises(ConnectionGone, match="too slowly"):
        ws.receive()
    flooding.kill()


def test_a_slow_message_that_makes_progress_arrives_however_long_it_takes(
    peer: Peer, ws: WebSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MESSAGE_STALL_TIMEOUT_S", 2.0)
    monkeypatch.setattr(flow_control, "MESSAGE_STALL_TIMEOUT_S", 2.0)
    monkeypatch.setattr(flow_control, "MIN_MESSAGE_BYTES_PER_S", 5000)
    payload = os.urandom(20_000)
    frame = masked_frame(FIN | BINARY, payload)

    def send() -> None:
        for at in range(0, len(frame), 1000):
            peer.socket.sendall(frame[at : at + 1000])
            gevent.sleep(0.15)

    began_s = time.monotonic()
    sending = gevent.spawn(send)
    assert received(ws) == (BINARY, payload)
    assert time.monotonic() - began_s > 2.5, "longer than a message may stand still"
    sending.get()


def test_a_peer_that_only_answers_pings_is_given_up_when_it_may_idle_no_longer(
    peer: Peer, buffers: BufferPool
) -> None:
    ws = WebSocket(peer.server_socket, buffers, KeepAlive(0.2))
    ws.set_idle_timeout(0.5)

    def answer() -> None:
        with contextlib.suppress(EOFError, OSError):
            while peer.receive():
                peer.send(FIN | PONG)

    answering = gevent.spawn(answer)
    began_s = time.monotonic()
    with gevent.Timeout(DEADLINE_S), pytest.raises(ConnectionGone):
        ws.receive()
    assert time.monotonic() - began_s > 0.5
    answering.kill()


# --- silence -------------------------------------------------------------------------------------


def test_a_silent_peer_is_pinged_and_then_given_up(peer: Peer, buffers: BufferPool) -> None:
    began_s = time.monotonic()  # its silence begins with the connection
    ws = WebSocket(peer.server_socket, buffers, KeepAlive(0.2))
    with pytest.raises(ConnectionGone, match="silent"):
        ws.receive()
    assert 0.2 <= time.monotonic() - began_s < 5
    assert peer.receive() == ServerFrame(PING, b"")


def test_a_silent_peer_that_answers_is_pinged_again_and_again(peer: Peer, buffers: BufferPool) -> None:
    ws = expecting_chunks(WebSocket(peer.server_socket, buffers, KeepAlive(1.0)))

    def answer() -> None:
        for _ in range(2):
            assert peer.receive() == ServerFrame(PING, b"")
            peer.send(FIN | PONG)
        assert peer.receive() == ServerFrame(PING, b"")
        peer.send(FIN | BINARY, b"awake")

    answering = gevent.spawn(answer)
    assert received(ws) == (BINARY, b"awake")
    answering.get()


@pytest.mark.parametrize("reset", [False, True])
def test_a_peer_that_is_gone_is_noticed(peer: Peer, ws: WebSocket, reset: bool) -> None:
    if reset:
        peer.server_socket.close()
    else:
        peer.socket.close()
    with pytest.raises(ConnectionGone):
        ws.receive()


def test_a_peer_that_is_gone_is_noticed_while_sending(peer: Peer, ws: WebSocket) -> None:
    peer.socket.close()
    with pytest.raises(ConnectionGone):
        ws.writer.send_text("hello?")
    ws.close(1000)
