"""The server: listening, accepting, descriptors, and the graceful stop."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import gevent
import gevent.event
import gevent.socket
import pytest
from gevent.pywsgi import WSGIServer

from incoming.core.client_limits import ClientLimits
from incoming.http import server as server_module
from incoming.http.listeners import listen
from incoming.http.server import Server
from tests.http.serving import DEADLINE_S, GET, App, ask, connect, handshake


def test_port_0_takes_a_free_port(server: Server) -> None:
    assert server.port > 0
    assert "200 OK" in ask(server, GET.replace(b"Host", b"Connection: close\r\nHost"))


def test_a_server_can_not_listen_on_an_address_in_use(server: Server, app: App) -> None:
    with pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", server.port)


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
def test_a_server_listens_on_an_ipv6_address(app: App) -> None:
    server = Server(lambda _: app, listen("::1", 0))
    server.start()
    with closing(gevent.socket.create_connection(("::1", server.port), timeout=DEADLINE_S)) as client:
        client.sendall(GET)
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    server.stop(timeout=0)
    assert app.environs[0]["incoming.server_address"] == "::1"


def test_a_connection_that_is_gone_before_it_is_accepted_is_ignored(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def aborted(_: Server) -> Any:
        raise OSError(errno.ECONNABORTED, "aborted")

    monkeypatch.setattr(WSGIServer, "do_read", aborted)
    assert server.do_read() is None
    assert not caplog.records


class Accepting:
    """Replaces gevent's accept; it finds no descriptor for a connection so many times."""

    def __init__(self, real: Callable[..., Any], failures: int) -> None:
        self._real = real
        self.failures = failures

    def __call__(self, server: Server) -> Any:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return self._real(server)


@pytest.fixture
def accepting(monkeypatch: pytest.MonkeyPatch) -> Accepting:
    stand_in = Accepting(WSGIServer.do_read, 3)

    def do_read(server: Server) -> Any:
        return stand_in(server)

    monkeypatch.setattr(WSGIServer, "do_read", do_read)
    monkeypatch.setattr(server_module, "ACCEPT_AGAIN_AFTER_S", 0.01)
    return stand_in


def test_without_descriptors_connections_wait_and_one_line_is_logged(
    server: Server, accepting: Accepting, caplog: pytest.LogCaptureFixture
) -> None:
    with gevent.Timeout(DEADLINE_S):
        assert ask(server, GET.replace(b"Host", b"Connection: close\r\nHost")).endswith("hello")
    assert accepting.failures == 0
    assert [record.getMessage() for record in caplog.records] == [server_module.NO_DESCRIPTORS]


def test_a_server_that_stops_does_not_accept_again(server: Server, accepting: Accepting) -> None:
    accepting.failures = 1
    with closing(connect(server)) as client:
        while accepting.failures:
            gevent.sleep(0)
        server.finish_requests(0.0)
        client.settimeout(DEADLINE_S)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_any_other_failure_to_accept_is_left_to_gevent(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WSGIServer, "do_read", lambda _: os.close(-1))
    with pytest.raises(OSError):
        server.do_read()


def test_a_stop_waits_for_active_requests(server: Server, app: App) -> None:
    release = gevent.event.Event()
    app.before = lambda environ: release.wait()
    asking = gevent.spawn(ask, server, GET.replace(b"Host", b"Connection: close\r\nHost"))
    while not app.environs:
        gevent.sleep(0)
    stopping = gevent.spawn(server.finish_requests, DEADLINE_S)
    gevent.idle()
    assert not stopping.ready()
    release.set()
    stopping.get(timeout=DEADLINE_S)
    assert asking.get(timeout=DEADLINE_S).endswith("hello")


def test_a_stop_waits_for_its_timeout_at_most(server: Server, app: App) -> None:
    app.before = lambda environ: gevent.event.Event().wait()
    asking = gevent.spawn(ask, server, GET)
    while not app.environs:
        gevent.sleep(0)
    with gevent.Timeout(DEADLINE_S):
        server.finish_requests(0.05)
    assert server.active_requests == 1
    asking.kill()


def test_a_stop_does_not_wait_for_idle_connections(server: Server) -> None:
    with closing(connect(server)) as client:
        client.sendall(GET)
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        began_s = time.monotonic()
        server.finish_requests(DEADLINE_S)
        assert time.monotonic() - began_s < DEADLINE_S / 2


def test_a_stopped_server_accepts_no_connection(server: Server) -> None:
    port = server.port
    server.finish_requests(0.0)
    server.close()
    with pytest.raises(ConnectionRefusedError):
        gevent.socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)


def test_a_detached_connection_counts_for_its_source_until_it_ends(app: App) -> None:
    source = "192.0.2.1"
    sources = ClientLimits((), 1)
    server = Server(lambda _: app, listen("127.0.0.1", 0), sources)
    ended = gevent.event.Event()
    app.before = lambda environ: environ["wsgi.websocket"].handler.detach_connection(lambda _: ended.wait())
    theirs = connect(server)
    ours, _ = server.socket.accept()
    theirs.sendall(handshake())
    handling = gevent.spawn(server.handle, ours, (source, 4711))
    assert theirs.recv(4096).startswith(b"HTTP/1.1 101")
    handling.get()
    assert not sources.admit(source)
    ended.set()
    assert theirs.recv(100) == b""
    assert sources.admit(source)
    theirs.close()
