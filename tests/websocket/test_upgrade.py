"""From a request to our own WebSocket, as each server passes it on. tests/hosts has the real servers."""

from __future__ import annotations

import io
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from io import BufferedReader
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from incoming.core.client_limits import ClientLimits
from incoming.core.stats import Counters
from incoming.runtime.buffer_pool import BufferPool
from incoming.uploads.refusals import Kind, Refusals
from incoming.websocket import upgrade
from incoming.websocket.keepalive import KeepAlive
from incoming.websocket.websocket import WebSocket
from tests.websocket.peer import FIN, TEXT, Peer, masked_frame
from tests.wire.test_handshake import GOOD

PATH = "/upload"
REFUSALS = Refusals(Counters(), time.monotonic)
LINE = b"GET / HTTP/1.1\r\n"
ALREADY_HANDLED = object()


@pytest.fixture
def peer() -> Iterator[Peer]:
    one = Peer()
    yield one
    one.close()


def app(environ: upgrade.Environ, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"the app"]


def serve(environ: dict[str, Any], messages: int = 1) -> tuple[list[str], Any]:
    """Serves one request; returns the text messages that came, and what went to the server."""
    heard: list[str] = []

    def converse(websocket: WebSocket, _source: str) -> None:
        for _ in range(messages):
            message = websocket.receive()
            assert message
            heard.append(message.text)

    upgrades = upgrade.Upgrades(BufferPool(4096), KeepAlive(30.0), ClientLimits((), 0), REFUSALS)
    front = upgrades.wrap(app, (PATH,), converse)
    return heard, front({"PATH_INFO": PATH, **environ}, lambda *_: None)


def reader(peer: Peer) -> BufferedReader:
    """Returns the buffered reader of an HTTP server that has read a request line."""
    rfile: BufferedReader = peer.server_socket.makefile("rb", -1)
    assert rfile.readline() == LINE
    return rfile


def of_gevent_websocket(peer: Peer) -> dict[str, Any]:
    handler = SimpleNamespace(rfile=reader(peer), socket=peer.server_socket)
    return {"wsgi.websocket": SimpleNamespace(handler=handler, closed=False)}


def of_pywsgi(peer: Peer) -> dict[str, Any]:
    rfile = reader(peer)
    raw = SimpleNamespace(_sock=peer.server_socket)
    return {**GOOD, "wsgi.input": SimpleNamespace(peek=rfile.peek, read=rfile.read, raw=raw)}


def of_gunicorn(peer: Peer) -> dict[str, Any]:
    rfile = reader(peer)
    peer.server_socket.settimeout(0.2)
    unreader = SimpleNamespace(take_buffered=lambda: rfile.read(len(rfile.peek())))
    stream = SimpleNamespace(reader=SimpleNamespace(unreader=unreader))
    return {**GOOD, "gunicorn.socket": peer.server_socket, "wsgi.input": stream}


@pytest.fixture
def gunicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What gunicorn has its worker return, without gunicorn."""
    module = ModuleType("gunicorn.workers.base_async")
    module.ALREADY_HANDLED = ALREADY_HANDLED  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gunicorn.workers.base_async", module)


@pytest.mark.usefixtures("gunicorn")
@pytest.mark.parametrize("handed_over", [of_gevent_websocket, of_pywsgi, of_gunicorn])
def test_a_frame_that_came_with_the_request_is_read(peer: Peer, handed_over: Any) -> None:
    peer.socket.sendall(LINE + masked_frame(FIN | TEXT, b"early") + masked_frame(FIN | TEXT, b"second"))
    heard, _ = serve(handed_over(peer), 2)
    assert heard == ["early", "second"]


def test_under_uwsgi_the_connection_is_a_copy_of_its_own(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("uwsgi")
    module.connection_fd = peer.server_socket.fileno  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "uwsgi", module)
    peer.socket.sendall(masked_frame(FIN | TEXT, b"hello"))
    heard, result = serve({**GOOD, "uwsgi.version": b"2"})
    assert heard == ["hello"]
    assert list(result) == []
    assert peer.server_socket.fileno() >= 0


def test_a_handshake_that_gevent_websocket_has_answered_is_not_answered_again(peer: Peer) -> None:
    peer.socket.sendall(LINE + masked_frame(FIN | TEXT, b"x"))
    serve(of_gevent_websocket(peer))
    assert peer.socket.recv(4096) == b""


def test_under_other_servers_we_answer_the_handshake(peer: Peer) -> None:
    peer.socket.sendall(LINE + masked_frame(FIN | TEXT, b"x"))
    serve(of_pywsgi(peer))
    assert peer.socket.recv(4096).startswith(b"HTTP/1.1 101 ")


@pytest.mark.usefixtures("gunicorn")
def test_gunicorn_is_told_that_nothing_is_left_to_answer(peer: Peer) -> None:
    peer.socket.sendall(LINE + masked_frame(FIN | TEXT, b"x"))
    _, result = serve(of_gunicorn(peer))
    assert result is ALREADY_HANDLED


def test_the_websocket_of_the_handler_sends_nothing_any_more(peer: Peer) -> None:
    peer.socket.sendall(LINE + masked_frame(FIN | TEXT, b"x"))
    environ = of_gevent_websocket(peer)
    serve(environ)
    assert environ["wsgi.websocket"].closed


def test_a_client_that_is_gone_before_the_answer_is_not_an_error(peer: Peer) -> None:
    peer.socket.sendall(LINE)
    environ = of_pywsgi(peer)
    peer.server_socket.shutdown(socket.SHUT_WR)
    heard, _ = serve(environ)
    assert heard == []


@pytest.mark.parametrize(
    "environ",
    [{"PATH_INFO": "/other", **GOOD}, {**GOOD, "HTTP_UPGRADE": ""}, {"wsgi.websocket": None}],
    ids=["another path", "no upgrade", "not upgraded by the handler"],
)
def test_every_other_request_is_for_the_app(environ: dict[str, Any]) -> None:
    _, result = serve(environ)
    assert result == [b"the app"]


def test_a_request_of_a_server_that_keeps_its_connections_is_for_the_app() -> None:
    _, result = serve({**GOOD, "wsgi.input": io.BytesIO()})
    assert result == [b"the app"]


def test_later_frames_are_read_too(peer: Peer) -> None:
    peer.socket.sendall(LINE)
    environ = of_pywsgi(peer)
    peer.send(FIN | TEXT, b"later")
    heard, _ = serve(environ)
    assert heard == ["later"]


def test_a_connection_beyond_the_limit_of_its_source_is_closed_counted_and_logged(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    counters, limits = Counters(), ClientLimits((), 1)
    assert limits.admit("192.0.2.1")
    upgrades = upgrade.Upgrades(BufferPool(4096), KeepAlive(30.0), limits, Refusals(counters, time.monotonic))
    front = upgrades.wrap(app, (PATH,), lambda *_: pytest.fail("it was admitted"))
    peer.socket.sendall(LINE)
    front({"PATH_INFO": PATH, "REMOTE_ADDR": "192.0.2.1", **of_pywsgi(peer)}, lambda *_: None)
    assert b"Too many connections from this address: the limit is 1." in peer.socket.recv(4096)
    assert counters.refusals == {(Kind.CONNECTION, "too_many"): 1}
    assert "connection from 192.0.2.1 refused (too_many)" in caplog.text
