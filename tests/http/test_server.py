"""The HTTP server and its time limits, with clients in greenlets of the same thread."""

from __future__ import annotations

import errno
import gc
import logging
import os
import socket
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import gevent.socket
import pytest
from gevent.pywsgi import WSGIServer

from incoming.core.client_limits import Sources
from incoming.http import handler as handler_module
from incoming.http import server as server_module
from incoming.http.listeners import listen
from incoming.http.server import Server
from incoming.runtime.fair_scheduler import TIME_SLICE_S, yield_if_due

DEADLINE_S = 10.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The answer to that key (RFC 6455 section 1.3)."""


class App:
    """A WSGI app that answers `hello`; `before` is what it does first."""

    def __init__(self) -> None:
        self.environs: list[dict[str, Any]] = []
        self.before: Callable[[dict[str, Any]], object] = lambda environ: None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.environs.append(environ)
        self.before(environ)
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def server(app: App) -> Iterator[Server]:
    running = Server(lambda _: app, listen("127.0.0.1", 0))
    running.start()
    yield running
    running.stop(timeout=0)


def connect(server: Server) -> Any:
    return gevent.socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S)


def answer_to(client: Any) -> str:
    """Returns everything until the server closes the connection."""
    data = b""
    while more := client.recv(4096):
        data += more
    return data.decode("latin-1")  # a close frame may follow


def ask(server: Server, request: bytes) -> str:
    with closing(connect(server)) as client:
        client.sendall(request)
        return answer_to(client)


def handshake(**changes: str) -> bytes:
    headers = {**HANDSHAKE, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    return f"GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode()


# --- listening -----------------------------------------------------------------------------------


def test_a_free_port_is_taken_and_told(server: Server) -> None:
    assert server.port > 0
    assert "200 OK" in ask(server, GET.replace(b"Host", b"Connection: close\r\nHost"))


def test_an_address_that_is_taken_can_not_be_had(server: Server, app: App) -> None:
    with pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", server.port)


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
def test_an_ipv6_address_is_one_too(app: App) -> None:
    server = Server(lambda _: app, listen("::1", 0))
    server.start()
    with closing(gevent.socket.create_connection(("::1", server.port), timeout=DEADLINE_S)) as client:
        client.sendall(GET)
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    server.stop(timeout=0)
    assert app.environs[0]["incoming.server_address"] == "::1"


def test_the_app_knows_which_address_was_reached(server: Server, app: App) -> None:
    ask(server, GET.replace(b"Host", b"Connection: close\r\nHost"))
    assert app.environs[0]["incoming.server_address"] == "127.0.0.1"
    assert app.environs[0]["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://other.example:8080/a%20b?c=http://d/", "/a b", "c=http://d/"),
        (b"HTTP://other.example:8080/", "/", ""),
        (b"https://other.example:8080", "/", ""),
        (b"http://other.example:8080?x", "/", "x"),
    ],
)
def test_an_address_in_absolute_form_says_the_host_and_the_path(
    server: Server, app: App, target: bytes, path: str, query: str
) -> None:
    """RFC 9112 section 3.2.2: the Host header counts for nothing then."""
    assert "200 OK" in ask(server, b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target)
    environ = app.environs[0]
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)
    assert environ["HTTP_HOST"] == "other.example:8080"


def test_an_absolute_form_that_names_no_host_is_refused(server: Server, app: App) -> None:
    for target in (b"http://", b"http:///x", b"http://a@b/", b"http://[::1/", b"http://a:x/"):
        assert ask(server, b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target).startswith("HTTP/1.1 400")
    assert app.environs == []


def test_requests_are_for_whoever_debugs(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ask(server, GET.replace(b"Host", b"Connection: close\r\nHost"))
    assert not caplog.records
    caplog.set_level(logging.DEBUG)
    ask(server, GET.replace(b"Host", b"Connection: close\r\nHost"))
    assert "GET / HTTP/1.1" in caplog.text


def test_ids_and_secrets_of_a_request_are_not_even_for_whoever_debugs(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    get = GET.replace(b"GET /", b"GET /x?id=th3id&backendSecret=s3cret")
    ask(server, get.replace(b"Host", b"Connection: close\r\nHost"))
    assert "GET /x?... HTTP/1.1" in caplog.text
    assert "th3id" not in caplog.text
    assert "s3cret" not in caplog.text


# --- time limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"GET / HT", GET], ids=["nothing", "half a line", "one request"])
def test_a_connection_that_is_idle_is_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    monkeypatch.setattr(handler_module, "KEEP_ALIVE_TIMEOUT_S", 0.1)
    answer = ask(server, said)
    assert answer.count("HTTP/1.1 200") == (said == GET)
    assert "Traceback" not in caplog.text


def test_headers_that_drip_are_a_bad_request(
    server: Server, app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(handler_module, "HEADER_TIMEOUT_S", 0.2)

    def drip(client: Any) -> None:
        client.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(OSError):
            while True:
                client.sendall(b"X-Drip: drop\r\n")
                gevent.sleep(0.01)

    with closing(connect(server)) as client:
        dripping = gevent.spawn(drip, client)
        assert answer_to(client).startswith("HTTP/1.1 400")
        dripping.get(timeout=DEADLINE_S)
    assert app.environs == []
    assert "Traceback" not in caplog.text


def test_a_body_that_stalls_is_given_up(server: Server, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_module, "BODY_TIMEOUT_S", 0.2)
    errors: list[OSError] = []

    def read_body(environ: dict[str, Any]) -> None:
        try:
            environ["wsgi.input"].read()
        except OSError as exc:
            errors.append(exc)

    app.before = read_body
    began_s = time.monotonic()
    ask(server, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")
    assert errors
    assert time.monotonic() - began_s < DEADLINE_S


BROKEN_BODIES = {
    "a chunk without a size": b"Transfer-Encoding: chunked\r\n\r\n\r\n",
    "a chunk with a bad size": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a body that is cut off": b"Content-Length: 100\r\n\r\nonly this",
}


@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=list(BROKEN_BODIES))
@pytest.mark.parametrize("app_complains", [False, True])
def test_a_broken_body_writes_no_traceback_even_if_the_app_would(
    server: Server, app: App, capfd: Any, body: bytes, app_complains: bool
) -> None:
    def read(environ: dict[str, Any]) -> None:
        try:
            environ["wsgi.input"].read()
        except OSError:
            if not app_complains:
                raise
            environ["wsgi.errors"].write(traceback.format_exc())
            environ["wsgi.errors"].writelines(["more", "of it"])

    app.before = read
    with closing(connect(server)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + body)
        client.shutdown(socket.SHUT_WR)
        assert answer_to(client).startswith("HTTP/1.1 200" if app_complains else "HTTP/1.1 400")
    assert capfd.readouterr().err == ""


def test_what_an_app_complains_about_otherwise_is_written(
    server: Server, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.before = lambda environ: environ["wsgi.errors"].write("a defect of the app")
    ask(server, GET.replace(b"Host", b"Connection: close\r\nHost"))
    assert "a defect of the app" in caplog.text


def test_an_app_that_fails_on_a_file_is_still_told(server: Server, app: App, capfd: Any) -> None:
    app.before = lambda environ: Path("/no/such/file").stat()
    assert "500" in ask(server, GET.replace(b"Host", b"Connection: close\r\nHost"))
    assert "FileNotFoundError" in capfd.readouterr().err


def test_a_connection_that_is_gone_before_it_was_accepted_is_no_trouble(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def aborted(_: Server) -> Any:
        raise OSError(errno.ECONNABORTED, "aborted")

    monkeypatch.setattr(WSGIServer, "do_read", aborted)
    assert server.do_read() is None
    assert not caplog.records


# --- descriptors ---------------------------------------------------------------------------------


class Accepting:
    """Stands where gevent accepts a connection, and finds no descriptor for it so many times."""

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


def test_without_descriptors_connections_wait_and_one_line_says_so(
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
        client.sendall(GET)
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_another_failure_to_accept_is_gevents_to_deal_with(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WSGIServer, "do_read", lambda _: os.close(-1))
    with pytest.raises(OSError):
        server.do_read()


# --- stopping ------------------------------------------------------------------------------------


def test_a_stop_waits_for_the_requests_that_are_under_way(server: Server, app: App) -> None:
    go_on = gevent.event.Event()
    app.before = lambda environ: go_on.wait()
    asking = gevent.spawn(ask, server, GET.replace(b"Host", b"Connection: close\r\nHost"))
    while not app.environs:
        gevent.sleep(0)
    stopping = gevent.spawn(server.finish_requests, DEADLINE_S)
    gevent.idle()
    assert not stopping.ready()
    go_on.set()
    stopping.get(timeout=DEADLINE_S)
    assert asking.get(timeout=DEADLINE_S).endswith("hello")


def test_a_stop_does_not_wait_for_ever(server: Server, app: App) -> None:
    app.before = lambda environ: gevent.event.Event().wait()
    asking = gevent.spawn(ask, server, GET)
    while not app.environs:
        gevent.sleep(0)
    with gevent.Timeout(DEADLINE_S):
        server.finish_requests(0.05)
    assert server.active_requests == 1
    asking.kill()


def test_a_stop_does_not_wait_for_connections_that_ask_nothing(server: Server) -> None:
    with closing(connect(server)) as client:
        client.sendall(GET)
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        began_s = time.monotonic()
        server.finish_requests(DEADLINE_S)
        assert time.monotonic() - began_s < DEADLINE_S / 2


def test_a_stopped_server_accepts_nobody(server: Server) -> None:
    port = server.port
    server.finish_requests(0.0)
    server.close()
    with pytest.raises(ConnectionRefusedError):
        gevent.socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)


def test_a_request_that_fails_is_no_longer_under_way(
    server: Server, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(environ: dict[str, Any]) -> None:
        raise ZeroDivisionError

    app.before = fail
    assert "500" in ask(server, GET)
    assert server.active_requests == 0


def test_who_asks_again_over_the_same_connection_does_not_wait_for_all_uploads(server: Server) -> None:
    worked, uploads = [0], 200

    def upload() -> None:
        while True:
            yield_if_due()
            until_s = time.monotonic() + 2 * TIME_SLICE_S
            while time.monotonic() < until_s:
                pass
            worked[0] += 1

    with closing(connect(server)) as client:
        busy = [gevent.spawn(upload) for _ in range(uploads)]
        try:
            for _ in range(3):
                worked[0] = 0
                client.sendall(GET)
                assert client.recv(4096).startswith(b"HTTP/1.1 200")
                assert worked[0] < uploads / 10
        finally:
            gevent.killall(busy)


# --- the handshake ---------------------------------------------------------------------------------


def test_a_handshake_is_answered_and_the_app_gets_the_websocket(server: Server, app: App) -> None:
    head = ask(server, handshake())
    assert head.startswith("HTTP/1.1 101")
    assert f"Sec-WebSocket-Accept: {ACCEPT}" in head
    assert "wsgi.websocket" in app.environs[0]


def test_a_connection_that_was_upgraded_goes_on_without_what_belonged_to_the_request(
    server: Server, app: App
) -> None:
    handlers: list[Any] = []
    heard, ended = [], gevent.event.Event()

    def go_on(environ: dict[str, Any]) -> None:
        handler = environ["wsgi.websocket"].handler
        handlers.append(weakref.ref(handler))
        handler.detach_connection(talk)

    def talk(sock: Any) -> None:
        heard.append(sock.recv(100))
        sock.sendall(b"the rest")
        ended.wait()

    app.before = go_on
    with closing(connect(server)) as client:
        client.sendall(handshake())
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        client.sendall(b"and now")
        assert client.recv(100) == b"the rest"
        assert heard == [b"and now"]
        app.environs.clear()
        gc.collect()
        assert handlers[0]() is None
        assert server.active_requests == 1, "a graceful stop waits for it"
        ended.set()
        assert client.recv(100) == b""
    assert server.active_requests == 0


def test_a_connection_that_was_upgraded_counts_for_its_source_until_it_ends(app: App) -> None:
    source = "192.0.2.1"
    sources = Sources((), 1)
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


def test_a_handshake_in_http_1_0_is_for_the_app_that_can_tell_what_the_proxy_lacks(
    server: Server, app: App
) -> None:
    assert ask(server, handshake().replace(b"HTTP/1.1", b"HTTP/1.0")).endswith("hello")
    assert "wsgi.websocket" not in app.environs[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"Sec_WebSocket_Version": "8"},
        {"Sec_WebSocket_Version": ""},
        {"Sec_WebSocket_Version": "thirteen"},
        {"Sec_WebSocket_Key": ""},
        {"Sec_WebSocket_Key": "not base64!"},
        {"Sec_WebSocket_Key": "c2hvcnQ="},
    ],
    ids=["old version", "no version", "bad version", "no key", "bad key", "short key"],
)
def test_a_bad_handshake_is_refused_in_words_and_does_not_reach_the_app(
    server: Server, app: App, changes: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    head, _, body = ask(server, handshake(**changes)).partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 4")
    assert body
    assert app.environs == []
    assert not caplog.records
