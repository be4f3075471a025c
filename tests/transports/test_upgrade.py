"""From an upgraded request to our own websocket. The real handler is met in test_server and wire/."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader
from types import SimpleNamespace

import pytest

from incoming.errors import UpgradeRequired
from incoming.transports.buffers import Buffers
from incoming.transports.upgrade import adopter
from tests.transports.peer import BINARY, FIN, TEXT, Peer, masked_frame

LINE = b"GET / HTTP/1.1\r\n"


@pytest.fixture
def peer() -> Iterator[Peer]:
    one = Peer()
    yield one
    one.close()


def upgraded(peer: Peer) -> tuple[dict[str, object], SimpleNamespace]:
    """Returns what a handler leaves in the environ when it has read a request line, and its websocket."""
    rfile: BufferedReader = peer.server_socket.makefile("rb", -1)
    assert rfile.readline() == LINE
    theirs = SimpleNamespace(handler=SimpleNamespace(rfile=rfile, socket=peer.server_socket), closed=False)
    return {"wsgi.websocket": theirs}, theirs


@pytest.mark.parametrize("environ", [{}, {"wsgi.websocket": None}])
def test_a_request_that_was_not_upgraded_is_refused(environ: dict[str, object]) -> None:
    with pytest.raises(UpgradeRequired):
        adopter(Buffers(4096), 30.0)(environ)


def test_a_frame_that_came_with_the_request_is_read(peer: Peer) -> None:
    peer.socket.sendall(LINE + masked_frame(FIN | TEXT, b"early"))
    environ, _ = upgraded(peer)
    message = adopter(Buffers(4096), 30.0)(environ).receive()
    assert message
    assert message.text == "early"


def test_what_comes_later_is_read_too(peer: Peer) -> None:
    peer.socket.sendall(LINE)
    environ, _ = upgraded(peer)
    ws = adopter(Buffers(4096), 30.0)(environ)
    peer.send(FIN | BINARY, b"later")
    message = ws.receive()
    assert message
    assert bytes(message.payload) == b"later"


def test_the_websocket_of_the_handler_says_nothing_any_more(peer: Peer) -> None:
    peer.socket.sendall(LINE)
    environ, theirs = upgraded(peer)
    adopter(Buffers(4096), 30.0)(environ)
    assert theirs.closed
