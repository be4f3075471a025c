"""One HTTP connection: its environ, its log, its time limits and the handshake of a WebSocket."""

from __future__ import annotations

import gc
import logging
import socket
import time
import traceback
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import gevent
import gevent.event
import gevent.socket
import pytest

from incoming.core.errors import IncomingError
from incoming.core.stats import Counters
from incoming.http import handler as handler_module
from incoming.http.server import Server
from incoming.protocol.rules import UPLOAD_PATHS
from incoming.runtime.fair_scheduler import TIME_SLICE_S, yield_if_due
from incoming.uploads.refusals import Kind, Refusals
from tests.http.serving import ACCEPT, DEADLINE_S, GET, App, answer_to, ask, connect, handshake


class Recorder(Refusals):
    """Passes on what is counted."""

    def __init__(self, counted: Callable[[Kind, IncomingError], object]) -> None:
        super().__init__(Counters(), time.monotonic)
        self._counted = counted

    def count(self, kind: Kind, error: IncomingError) -> None:
        """See Refusals."""
        self._counted(kind, error)


def test_the_app_gets_the_address_that_the_client_reached(server: Server, app: App) -> None:
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
def test_a_request_target_in_absolute_form_gives_the_host_and_the_path(
    server: Server, app: App, target: bytes, path: str, query: str
) -> None:
    """RFC 9112 section 3.2.2: the Host header is ignored then."""
    assert "200 OK" in ask(server, b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target)
    environ = app.environs[0]
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)
    assert environ["HTTP_HOST"] == "other.example:8080"


def test_a_request_target_in_absolute_form_without_a_host_is_refused(server: Server, app: App) -> None:
    for target in (b"http://", b"http:///x", b"http://a@b/", b"http://[::1/", b"http://a:x/"):
        assert ask(server, b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target).startswith("HTTP/1.1 400")
    assert app.environs == []


PUT: Final = b"PUT / HTTP/1.1\r\nHost: x\r\n"
BAD_HEADS = {
    "two lengths": (PUT + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", "more than one length"),
    "length and chunks": (
        PUT + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "more than one length",
    ),
    "a length in words": (PUT + b"Content-Length: three\r\n\r\n", "a malformed length"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", "no host"),
    "no version": (b"GET /\r\n\r\n", "a malformed request line"),
    "another protocol": (b"\x16\x03\x01\x02\x00\x01\xfc\x03\r\n", "a malformed request line"),
    "too many headers": (PUT + b"X-A: b\r\n" * 200, "too many headers"),
    "a long address": (b"GET /%s HTTP/1.1\r\n\r\n" % (b"a" * 10_000), "a request line that is too long"),
}  # fmt: skip


@pytest.mark.parametrize(("head", "why"), BAD_HEADS.values(), ids=list(BAD_HEADS))
def test_a_head_that_can_t_be_read_gets_a_code_and_a_sentence_for_pages_of_any_origin(
    server: Server, app: App, head: bytes, why: str
) -> None:
    with closing(connect(server)) as client:
        client.sendall(head)
        answer = answer_to(client)
    status, *fields = answer.partition("\r\n\r\n")[0].split("\r\n")
    assert status.startswith(("HTTP/1.1 400 ", "HTTP/1.1 414 "))
    assert {"Incoming-Error: bad_request", "Access-Control-Allow-Origin: *"} <= set(fields)
    assert "Access-Control-Expose-Headers: Incoming-Error" in fields
    assert f"The request could not be read: {why}" in answer.partition("\r\n\r\n")[2]
    assert app.environs == []


def test_a_refused_head_request_has_no_body(server: Server) -> None:
    answer = ask(server, b"HEAD / HTTP/1.1\r\n\r\n")
    assert "Incoming-Error: bad_request" in answer
    assert answer.endswith("\r\n\r\n")


def test_requests_are_logged_at_level_debug_only(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ask(server, GET.replace(b"Host", b"Connection: close\r\nHost"))
    assert not caplog.records
    caplog.set_level(logging.DEBUG)
    ask(server, GET.replace(b"Host", b"Connection: close\r\nHost"))
    assert "GET / HTTP/1.1" in caplog.text


def test_ids_and_secrets_of_a_request_are_never_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    get = GET.replace(b"GET /", b"GET /x?id=th3id&backendSecret=s3cret")
    ask(server, get.replace(b"Host", b"Connection: close\r\nHost"))
    assert "GET /x?... HTTP/1.1" in caplog.text
    assert "th3id" not in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("said", [b"", b"GET / HT", GET], ids=["nothing", "half a line", "one request"])
def test_an_idle_connection_is_closed(
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
def test_a_broken_body_logs_no_traceback_even_if_the_app_writes_one(
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
        answer = answer_to(client)
    assert answer.startswith("HTTP/1.1 200" if app_complains else "HTTP/1.1 400")
    assert app_complains or answer.endswith("\r\n\r\nThe body could not be read.\n")
    assert capfd.readouterr().err == ""


def test_other_errors_of_an_app_are_logged(
    server: Server, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.before = lambda environ: environ["wsgi.errors"].write("a defect of the app")
    ask(server, GET.replace(b"Host", b"Connection: close\r\nHost"))
    assert "a defect of the app" in caplog.text


def test_an_app_that_fails_on_a_file_gets_a_traceback(server: Server, app: App, capfd: Any) -> None:
    app.before = lambda environ: Path("/no/such/file").stat()
    assert "500" in ask(server, GET.replace(b"Host", b"Connection: close\r\nHost"))
    assert "FileNotFoundError" in capfd.readouterr().err


def test_a_request_that_fails_is_no_longer_active(
    server: Server, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(environ: dict[str, Any]) -> None:
        raise ZeroDivisionError

    app.before = fail
    assert "500" in ask(server, GET)
    assert server.active_requests == 0


def test_the_next_request_on_a_connection_does_not_wait_for_all_uploads(server: Server) -> None:
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


def test_a_handshake_is_answered_and_the_app_gets_the_websocket(server: Server, app: App) -> None:
    head = ask(server, handshake())
    assert head.startswith("HTTP/1.1 101")
    assert f"Sec-WebSocket-Accept: {ACCEPT}" in head
    assert "wsgi.websocket" in app.environs[0]


@pytest.mark.parametrize(
    "path", ["/", "/prefix/incoming/frontend/upload_ws", "/incoming/frontend/upload_ws/"]
)
def test_a_handshake_at_a_path_that_has_no_websocket_is_answered_by_the_app(
    server: Server, app: App, path: str
) -> None:
    server.websocket_paths = UPLOAD_PATHS
    assert ask(server, handshake(path)).startswith("HTTP/1.1 200")
    assert "wsgi.websocket" not in app.environs[0]
    assert ask(server, handshake(UPLOAD_PATHS[0])).startswith("HTTP/1.1 101")


def test_a_detached_connection_frees_what_belonged_to_the_request(server: Server, app: App) -> None:
    handlers: list[Any] = []
    heard, ended = [], gevent.event.Event()

    def detach(environ: dict[str, Any]) -> None:
        handler = environ["wsgi.websocket"].handler
        handlers.append(weakref.ref(handler))
        handler.detach_connection(serve)

    def serve(sock: Any) -> None:
        heard.append(sock.recv(100))
        sock.sendall(b"the rest")
        ended.wait()

    app.before = detach
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


def test_a_handshake_in_http_1_0_reaches_the_app_which_explains_the_proxys_fault(
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
def test_a_bad_handshake_is_refused_with_a_reason_and_does_not_reach_the_app(
    server: Server, app: App, changes: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    head, _, body = ask(server, handshake(**changes)).partition("\r\n\r\n")
    is_of_version = "Sec_WebSocket_Version" in changes
    assert head.startswith("HTTP/1.1 426 Upgrade Required" if is_of_version else "HTTP/1.1 400 Bad Request")
    assert f"Incoming-Error: {'upgrade_required' if is_of_version else 'bad_request'}" in head
    assert ("version 13" if is_of_version else "Sec-WebSocket-Key must be 16 bytes in base64") in body
    assert app.environs == []
    assert not caplog.records


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"rubbish\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 9000),
        handshake(Sec_WebSocket_Key="not base64!"),
    ],
    ids=["no request line", "two hosts", "long target", "bad handshake"],
)
def test_a_malformed_request_is_counted_once_though_the_app_does_not_see_it(
    server: Server, app: App, request_bytes: bytes
) -> None:
    counted: list[tuple[str, str]] = []
    server.refusals = Recorder(lambda kind, error: counted.append((kind, error.code)))
    assert ask(server, request_bytes).startswith("HTTP/1.1 4")
    assert (counted, app.environs) == ([("request", "bad_request")], [])


@pytest.mark.parametrize(
    ("request_bytes", "why"),
    [
        (b"rubbish\r\n\r\n", "The request could not be read: a malformed request line."),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "The request could not be read: no host, or more"),
        (b"GET /%s HTTP/1.1\r\n\r\n" % (b"x" * 9000), "The request could not be read: a request line that"),
        (handshake(Sec_WebSocket_Key="not base64!"), "Sec-WebSocket-Key must be 16 bytes in base64."),
    ],
    ids=["no request line", "two hosts", "long target", "bad handshake"],
)
def test_a_malformed_request_is_logged_once_with_its_source_and_the_reason(
    server: Server, caplog: pytest.LogCaptureFixture, request_bytes: bytes, why: str
) -> None:
    caplog.set_level(logging.INFO)
    server.refusals = Refusals(Counters(), time.monotonic)
    for _ in range(3):
        ask(server, request_bytes)
    (line,) = caplog.messages
    assert line.startswith(f"request from 127.0.0.1 refused (bad_request): {why}")


def test_a_valid_request_is_not_counted_as_a_refusal(server: Server) -> None:
    counted: list[object] = []
    server.refusals = Recorder(lambda *refusal: counted.append(refusal))
    assert ask(server, GET.replace(b"Host", b"Connection: close\r\nHost")).endswith("hello")
    assert counted == []
