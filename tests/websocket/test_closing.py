"""How a WebSocket ends: close frames, peers that do not answer them, and what was sent last."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from incoming.runtime import lingering
from incoming.runtime.buffer_pool import BufferPool
from incoming.runtime.lingering import MAX_LINGER_BYTES
from incoming.websocket import writer
from incoming.websocket.keepalive import KeepAlive
from incoming.websocket.websocket import WebSocket
from incoming.websocket.writer import ConnectionGone
from tests.websocket.peer import BINARY, CLOSE, FIN, PING, TEXT, Peer, ServerFrame

BUFFER_BYTES = 1 << 20
NORMAL = b"\x03\xe8"


@pytest.fixture
def peer() -> Iterator[Peer]:
    one = Peer()
    yield one
    one.close()


@pytest.fixture
def buffers() -> BufferPool:
    return BufferPool(BUFFER_BYTES)


@pytest.fixture
def ws(peer: Peer, buffers: BufferPool) -> WebSocket:
    return WebSocket(peer.server_socket, buffers, KeepAlive(30.0))


def test_a_close_frame_is_answered_with_its_own_code(peer: Peer, ws: WebSocket) -> None:
    peer.send(FIN | CLOSE, NORMAL + b"bye")
    assert ws.receive() is None
    assert peer.receive().code == 1000


def test_a_close_frame_that_answers_ours_is_not_answered(peer: Peer, ws: WebSocket) -> None:
    ws.close(4001, "taken over")
    assert peer.receive() == ServerFrame(CLOSE, b"\x0f\xa1taken over")
    peer.send(FIN | CLOSE, b"\x0f\xa1")
    assert ws.receive() is None
    gevent.spawn(ws.end)
    with pytest.raises(EOFError):
        peer.receive()


def test_nothing_is_sent_after_the_close_frame(peer: Peer, ws: WebSocket) -> None:
    ws.close(1000)
    ws.writer.send_text("one more thing")
    ws.close(1001)
    peer.send(FIN | PING, b"there?")
    peer.send(FIN | CLOSE, NORMAL)
    assert ws.receive() is None
    gevent.spawn(ws.end)
    assert peer.receive().code == 1000
    with pytest.raises(EOFError):
        peer.receive()


def test_a_peer_that_never_answers_the_close_is_given_up(
    peer: Peer, buffers: BufferPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CLOSE_TIMEOUT_S", 0.1)
    ws = WebSocket(peer.server_socket, buffers, KeepAlive(30.0))
    ws.close(1000)

    def flood() -> None:
        while True:
            peer.send(FIN | BINARY, b"and on")
            gevent.sleep(0.005)

    flooding = gevent.spawn(flood)
    with pytest.raises(ConnectionGone, match="close"):
        while True:
            ws.receive()
    flooding.kill()


def test_a_peer_that_is_silent_after_our_close_is_given_up(peer: Peer, buffers: BufferPool) -> None:
    ws = WebSocket(peer.server_socket, buffers, KeepAlive(0.2))
    ws.close(1000)
    with pytest.raises(ConnectionGone):
        ws.receive()
    assert peer.receive().code == 1000


def test_what_was_sent_arrives_although_the_peer_is_still_sending(peer: Peer, ws: WebSocket) -> None:
    sending = gevent.spawn(peer.socket.sendall, bytes(2 * MAX_LINGER_BYTES))  # a large window
    ws.writer.send_text("last words")
    ending = gevent.spawn(ws.end)
    sending.get(timeout=60)
    assert peer.receive() == ServerFrame(TEXT, b"last words")
    with pytest.raises(EOFError):
        peer.receive()
    peer.socket.close()
    ending.get(timeout=60)


def test_the_end_waits_for_the_close_timeout_at_most(
    peer: Peer, ws: WebSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LINGER_TIMEOUT_S", 0.1)
    with gevent.Timeout(20):
        ws.end()


def test_the_end_of_a_lost_connection_is_not_an_error(peer: Peer, ws: WebSocket) -> None:
    peer.close()
    ws.end()


def test_two_greenlets_may_send_at_once(peer: Peer, ws: WebSocket) -> None:
    long = "x" * 1_000_000
    greenlets = [gevent.spawn(ws.writer.send_text, long) for _ in range(2)]
    data = b""
    while len(data) < 2 * (len(long) + 10):
        data += peer.socket.recv(1 << 20)
    gevent.joinall(greenlets, raise_error=True)
    frame = b"\x81\x7f" + len(long).to_bytes(8, "big") + long.encode()
    assert data == 2 * frame
