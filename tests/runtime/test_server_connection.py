"""Where web servers keep a connection. tests/http_uploads and tests/hosts have the real servers."""

from __future__ import annotations

import io
import select
import socket
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gevent.socket
import pytest
from gevent.pywsgi import Input

from incoming.runtime.server_connection import (
    BufferedConnection,
    PywsgiConnection,
    body_connection,
    upgrade_connection,
)
from tests.support.waiting import wait_until

LINE = b"PUT / HTTP/1.1\r\n"


class Server:
    """A server that has read the head of a request, and its client."""

    def __init__(self) -> None:
        self.socket, self.client = gevent.socket.socketpair()
        self.reader = self.socket.makefile("rb", 64)

    def get(self, data: bytes) -> None:
        """Reads a line, after which `data` follows."""
        self.client.sendall(LINE + data)
        assert self.reader.readline() == LINE


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.client.close()
    one.socket.close()


def test_what_was_read_ahead_is_taken_in_portions(server: Server) -> None:
    server.get(b"hello world")
    connection = BufferedConnection(server.socket, server.reader)
    assert [connection.take_ahead(limit) for limit in (5, 1, 100)] == [b"hello", b" ", b"world"]


def test_what_is_not_taken_stays_for_the_next_request(server: Server) -> None:
    server.get(b"hello" + LINE)
    assert BufferedConnection(server.socket, server.reader).take_ahead(5) == b"hello"
    assert server.reader.readline() == LINE


def test_taking_never_waits_and_leaves_the_time_limit_of_the_socket_alone(server: Server) -> None:
    server.get(b"")
    server.socket.settimeout(7.0)
    assert BufferedConnection(server.socket, server.reader).take_ahead(5) == b""
    assert server.socket.gettimeout() == 7.0


def test_a_connection_that_was_reset_has_nothing_read_ahead_and_the_next_read_finds_it() -> None:
    """What the server has already read from it is not lost."""
    listener = gevent.socket.create_server(("127.0.0.1", 0))
    with listener, gevent.socket.create_connection(listener.getsockname()[:2]) as client:
        ours, _ = listener.accept()
        with ours:
            reader = ours.makefile("rb", len(LINE))
            client.sendall(LINE)
            assert reader.readline() == LINE
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            connection = BufferedConnection(ours, reader)
            wait_until(lambda: _is_reset(ours), "the reset has come")
            assert connection.take_ahead(5) == b""
            assert ours.gettimeout() is None


def _is_reset(sock: socket.socket) -> bool:
    """Returns whether the peer has reset the connection, and leaves that for the next read to find."""
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def test_pywsgi_learns_how_much_of_a_body_was_read(server: Server) -> None:
    stream = Input(server.reader, 10)
    connection = body_connection({"wsgi.input": stream})
    assert isinstance(connection, PywsgiConnection)
    connection.body_read(7)
    assert stream.position == 7
    connection.body_left()
    stream._discard()  # would wait for three bytes
    assert stream.position == 7


@pytest.mark.parametrize("stream", [io.BytesIO(), SimpleNamespace(rfile=io.BytesIO()), None])
@pytest.mark.parametrize("find", [body_connection, upgrade_connection])
def test_a_server_that_does_not_show_its_connection_has_none(stream: Any, find: Any) -> None:
    assert find({"wsgi.input": stream}) is None


def test_the_streams_of_http_2_have_no_connection_of_their_own(server: Server) -> None:
    environ = {"gunicorn.socket": server.socket, "gunicorn.http2.send_trailers": print}
    assert body_connection({**environ, "wsgi.input": io.BytesIO()}) is None
