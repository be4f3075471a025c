"""Requests that two servers could read differently, that are too large, or that have no end (RFC 9112).

Against the real server in a process of its own. After each attack it has to answer the next caller, and its
log must not hold a traceback.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from incoming.uploads.refusals import LOG_INTERVAL_S, LOGGED_PER_INTERVAL
from tests.security.raw import DEADLINE_S, answers, connected, everything, slowest_answer_s, statuses
from tests.support.app import ScriptedApp
from tests.support.server import RunningServer, new_upload
from tests.support.tally import tally

HEALTH = b"GET /incoming/healthz HTTP/1.1\r\nHost: x\r\n"
NEW = b"POST /incoming/backend/new_upload HTTP/1.1\r\nHost: localhost\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
SMUGGLED = b"GET /incoming/frontend/incoming.js HTTP/1.1\r\nHost: x\r\n\r\n"
"""A second request in the place of the body: a server that is fooled answers it, too."""
LENGTH = b"Content-Length: %d\r\n" % len(SMUGGLED)
WHOLE_TIME = bool(os.environ.get("INCOMING_TEST_ATTACKS"))
"""Whether there is time to wait for the server's own time limits."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server that the tests of this module share."""
    with RunningServer(tmp_path_factory.mktemp("http") / "storage") as running:
        yield running


@pytest.fixture(autouse=True)
def unimpressed(server: RunningServer) -> Iterator[None]:
    """Whatever was sent, the next caller is served, and nobody finds a traceback in the log."""
    yield
    assert answers(server, HEALTH + b"Connection: close\r\n\r\n") == [200]
    assert "Traceback" not in server.log_text()
    assert "defect" not in server.log_text()


SMUGGLERS = {
    "two lengths": LENGTH + b"Content-Length: 0\r\n",
    "two lengths, the other way round": b"Content-Length: 0\r\n" + LENGTH,
    "the same length twice": LENGTH * 2,
    "a list of lengths": b"Content-Length: 0, %d\r\n" % len(SMUGGLED),
    "a length and chunks": LENGTH + b"Transfer-Encoding: chunked\r\n",
    "gzip and chunks": b"Transfer-Encoding: gzip, chunked\r\n",
    "chunks, and something after them": b"Transfer-Encoding: chunked, identity\r\n",
    "chunks twice": b"Transfer-Encoding: chunked\r\n" * 2,
    "chunks and nothing": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "an encoding that nobody knows": b"Transfer-Encoding: xchunked\r\n",
    "chunks in quotes": b'Transfer-Encoding: "chunked"\r\n',
    "chunks behind a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n",
    "a length with a space before the colon": b"Content-Length : %d\r\n" % len(SMUGGLED),
    "a length with a sign": b"Content-Length: +%d\r\n" % len(SMUGGLED),
    "a negative length": b"Content-Length: -1\r\n",
    "a length with an underscore": b"Content-Length: 5_0\r\n",
    "a length in hexadecimal": b"Content-Length: 0x32\r\n",
    "a length that is too long for a number": b"Content-Length: " + b"9" * 5000 + b"\r\n",
    "an empty length": b"Content-Length: \r\n",
    "a header behind a bare CR": b"X: y\rTransfer-Encoding: chunked\r\n",
    "a header that goes on in the next line": b"X: y\r\n Transfer-Encoding: chunked\r\n",
    "a line without a colon": b"what is this\r\n" + LENGTH,
    "a header without a name": b": nothing\r\n" + LENGTH,
    "a NUL in a header": b"X: \x00\r\n" + LENGTH,
    "a second host": b"Host: y\r\n",
}


@pytest.mark.parametrize("headers", SMUGGLERS.values(), ids=list(SMUGGLERS))
@pytest.mark.parametrize("start", [NEW, HEALTH], ids=["POST", "GET"])
def test_a_request_that_can_be_read_in_two_ways_is_refused_whole(
    server: RunningServer, headers: bytes, start: bytes
) -> None:
    assert answers(server, start + headers + b"\r\n" + SMUGGLED) == [400]
    tally("attack", "HTTP: heads that two servers could read differently", 1, "refused with 400, and closed")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /incoming/healthz\r\n\r\n",
        b"GET /incoming/healthz HTTP/0.9\r\n\r\n",
        b"GET /incoming/healthz HTTP/1\r\nHost: x\r\n\r\n",
        b"GET /incoming/healthz HTTP/1.x\r\nHost: x\r\n\r\n",
        b"GET /incoming/healthz HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET  /incoming/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET\t/incoming/healthz\tHTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /incoming/healthz\xa0HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G(T /incoming/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /incoming/healthz HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\r\n\r\n",
    ],
    ids=[
        *("no version", "version 0.9", "half a version", "no number", "version 2", "two spaces", "tabs"),
        *("a space of Latin-1", "no token", "no host", "HTTP/2", "TLS", "nothing but line ends"),
    ],
)
def test_an_invalid_head_is_refused(server: RunningServer, head: bytes) -> None:
    assert answers(server, head) == [400]
    tally("attack", "HTTP: malformed heads", 1, "refused with 400")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"A" * 100_000 + b"\r\n\r\n", 414),
        (HEALTH + b"X: " + b"y" * 70_000 + b"\r\n\r\n", 400),
        (HEALTH + b"X: y\r\n" * 101 + b"\r\n", 400),
        (HEALTH + b"".join(b"X%d: %s\r\n" % (i, b"y" * 1000) for i in range(99)) + b"\r\n", 400),
        (HEALTH + b"X" * 70_000 + b": y\r\n\r\n", 400),
    ],
    ids=[
        *("a long address", "a line without words", "a long header", "many headers", "much in all"),
        "a long name",
    ],
)
def test_a_head_that_is_too_large_is_refused(server: RunningServer, head: bytes, status: int) -> None:
    assert answers(server, head) == [status]
    tally("attack", "HTTP: giant heads and floods of headers", 1, "refused with 400 or 414")


def test_an_incomplete_request_has_no_effect(server: RunningServer, app: ScriptedApp) -> None:
    """A cut connection must not cancel an upload, because of what the rest would have said."""
    ticket_id = new_upload(server, app.url)
    address = b"/incoming/backend/cancel_upload?id=%s" % ticket_id.encode()
    cancel = b"POST %s HTTP/1.1\r\nHost: localhost\r\n" % address
    for cut in (cancel, cancel + b"X-Half", cancel + FORM + b"Content-Length: 9\r\n\r\nhal"):
        with connected(server) as sock:
            sock.sendall(cut)
            sock.shutdown(socket.SHUT_WR)
            assert statuses(everything(sock)) == [400]
    assert server.journaled_state(ticket_id) == "issued"


def test_the_next_request_is_not_taken_for_a_body_that_was_never_sent(server: RunningServer) -> None:
    """Who waits for "100 Continue" and is refused need not send the body (RFC 9110 section 10.1.1)."""
    waiting = HEALTH + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n"
    assert answers(server, waiting + SMUGGLED) == [200]


@pytest.mark.parametrize("header", [b"Connection: upgrade\r\n", b"Upgrade: websocket\r\n"])
def test_a_body_is_read_once_though_an_upgrade_is_asked_for(server: RunningServer, header: bytes) -> None:
    form = b"id=unknown"
    asked = b"POST /incoming/backend/cancel_upload HTTP/1.1\r\nHost: localhost\r\n" + FORM + header
    first = asked + b"Content-Length: %d\r\n\r\n" % len(form) + form
    assert answers(server, first + HEALTH + b"Connection: close\r\n\r\n", timeout_s=5) == [400, 200]


def test_a_handshake_with_a_body_is_refused(server: RunningServer) -> None:
    asked = (
        b"GET /incoming/frontend/upload_ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 4\r\n\r\nbody"
    )
    assert answers(server, asked + HEALTH + b"Connection: close\r\n\r\n") == [426, 200]


@pytest.mark.parametrize(
    "body",
    [b"zz\r\n", b"5\r\nhello", b"-1\r\n\r\n", b"5;" + b"x" * 9000, b"0\r\n" + b"X: y\r\n" * 50_000],
    ids=["no number", "cut", "negative", "long extension", "many trailers"],
)
def test_invalid_chunks_end_the_connection(server: RunningServer, body: bytes) -> None:
    with connected(server) as sock:
        sock.sendall(NEW + FORM + b"Transfer-Encoding: chunked\r\n\r\n" + body)
        sock.shutdown(socket.SHUT_WR)
        assert statuses(everything(sock)) == [400]


# --- the log --------------------------------------------------------------------------------------------

CHUNKS_THAT_ARE_NONE = [
    *(b"", b"\r\n", b"\n", b"\r\r\n", b";\r\n", b";a=b\r\n", b"zz\r\n", b"0x5\r\n", b"-5\r\n", b"+5\r\n"),
    *(b"1_0\r\n", b" 5\r\n", b"5 \r\n", b"\xef\xbc\x95\r\n", b"\xb2\r\n", b"\x00\r\n", b"5\n", b"5\rx"),
    *(b"g\r\n\x1b[2Jevil\r\n", b"F" * 16 + b"\r\n", b"F" * 17 + b"\r\n", b"0" * 16 + b"5\r\n", b"%s%d\r\n"),
    *(b"5\r\nhello", b"5\r\nhelloXX", b"5\r\nhel", b"5;" + b"x" * 9000, b"0\r\n", b"0\r\n\r"),
    *(b"0\r\nX\r\n\r\n", b"-0\r\n\r\n"),
    *(b"0\r\n: y\r\n\r\n", b"0\r\n\x00: y\r\n\r\n", b"0\r\nX: " + b"y" * 9000 + b"\r\n\r\n", b"0\r\nX: y\rz"),
]
CHUNKED = [
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n",
    b"Transfer-Encoding: chunked\r\nX-Forwarded-For: 192.0.2.1\r\n",
    b"Transfer-Encoding: chunked\r\nConnection: upgrade\r\n",
    FORM + b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 50\r\n",
    FORM + b"Content-Length: 50\r\n",
    b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 50\r\n",
    b"Content-Type: \xff/\xfe; charset=\x80; boundary\r\nContent-Length: 50\r\n",
    b"Content-Type: text/plain; charset=no-such\r\nContent-Length: 3\r\n",
]
ADDRESSES = [b"/nothing", b"/incoming/backend/new_upload", b"/incoming/frontend/upload_ws", b"*", b"/%00%ff%"]
TARGETS = [
    *(b"//[", b"http://[::1", b"http://", b"http://x", b"http:///", b"?", b"x:y", b"/%%%s%d"),
    b"/\xff\xfe?\xff=%ff",
]
JS = b"GET /incoming/frontend/incoming.js HTTP/1.1\r\nHost: x\r\n"
HEADS = [
    *(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target for target in TARGETS),
    b"%s%d%n / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%(error)s HTTP/1.1\r\nHost: %(error)s\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nCookie: \xff=\xfe; =; ;;\r\nAuthorization: Basic \xff\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    JS + b"Range: bytes=9-1\r\nIf-Modified-Since: x\r\n\r\n",
    JS + b"Range: bytes=z\r\nIf-None-Match: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: \xff\xff\r\n\r\n",
    b"POST /incoming/frontend/upload_ws HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
]
HANDSHAKE = (
    b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


REFUSAL = re.compile(r"^\S+ \S+ (?:INFO|WARNING) .* refused \((\w+)\): ")


def log_growth(server: RunningServer, before: str) -> list[str]:
    """Returns the lines that were logged since, once the server has dealt with all that was sent.

    A request that was refused has a line. There are few of these, however many requests there are.
    """
    assert answers(server, HEALTH + b"Connection: close\r\n\r\n") == [200]
    lines = server.log_text()[len(before) :].splitlines()
    codes = [found[1] for line in lines if (found := REFUSAL.search(line))]
    assert all(codes.count(code) <= 2 * LOGGED_PER_INTERVAL for code in codes)
    return [line for line in lines if not REFUSAL.search(line)]


def send_and_leave(server: RunningServer, data: bytes, reset: bool) -> None:
    """Sends this, shuts the connection, or resets it, and waits until the server closes, too."""
    with connected(server) as sock, contextlib.suppress(OSError):
        sock.sendall(data)
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        sock.shutdown(socket.SHUT_WR)
        everything(sock)


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_invalid_bodies_write_few_log_lines(server: RunningServer, reset: bool) -> None:
    before, sent = server.log_text(), 0
    for address in ADDRESSES:
        for headers in CHUNKED:
            head = b"POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (address, headers)
            for body in CHUNKS_THAT_ARE_NONE:
                send_and_leave(server, head + body, reset)
                sent += 1
    assert log_growth(server, before) == []
    tally("attack", "HTTP: bodies that can't be read", sent, "no line in the log")


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_invalid_heads_write_few_log_lines(server: RunningServer, reset: bool) -> None:
    before, sent, began_s = server.log_text(), 0, time.monotonic()
    for head in (*HEADS, *(HANDSHAKE % address for address in ADDRESSES)):
        for end in sorted({len(head), *range(1, len(head), 7)}):
            send_and_leave(server, head[:end], reset)
            sent += 1
        send_and_leave(server, head + b"\x81\x80mask" * 3 + b"\xff" * 100, reset)
        sent += 1
    grown = log_growth(server, before)
    malformed = "request from 127.0.0.1 refused (bad_request): "
    assert malformed in server.log_text(), "it may be one of an earlier test"
    minutes = 1 + (time.monotonic() - began_s) // LOG_INTERVAL_S
    assert server.log_text()[len(before) :].count(malformed) <= minutes, "all are of one source"
    websockets = [line for line in grown if "INFO    connection closed: " in line]
    assert grown == websockets, "only an open websocket whose frames are broken is worth a line"
    assert len(websockets) <= 2
    tally("attack", "HTTP: heads that are malformed, or end early", sent, "one line a minute in the log")


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_a_client_that_leaves_before_the_answer_writes_no_line(server: RunningServer, reset: bool) -> None:
    before = server.log_text()
    heads = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
    for request in ((JS + b"\r\n") * 200, SMUGGLED + HEALTH + b"\r\n", heads * 9):
        for _ in range(5):
            send_and_leave(server, request, reset)
    assert log_growth(server, before) == []


@pytest.mark.parametrize(
    "head",
    [
        HEALTH + b"Content-Length: 999999999999999\r\n\r\n",
        HEALTH + b"Transfer-Encoding: chunked\r\n\r\n",
        NEW + b"Content-Length: 999999999999999\r\n\r\n",
        NEW + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 999999999\r\n\r\n",
        NEW + b"X-Forwarded-For: 192.0.2.1\r\nContent-Length: 999999999999999\r\n\r\n",
    ],
    ids=["GET", "GET in chunks", "POST", "POST of parts", "POST from outside"],
)
def test_a_body_that_never_ends_is_answered_and_then_left(server: RunningServer, head: bytes) -> None:
    """It keeps nobody waiting, and is not read to an end that does not come."""
    sent_bytes = 0

    def flood(sock: socket.socket) -> None:
        nonlocal sent_bytes
        piece = b"10000\r\n" + bytes(65536) + b"\r\n" if b"chunked" in head else bytes(65536)
        try:
            while True:
                sent_bytes += sock.send(piece)
        except OSError:
            pass

    with connected(server) as sock:
        sock.sendall(head)
        flooding = threading.Thread(target=flood, args=(sock,))
        flooding.start()
        slowest_s = slowest_answer_s(server, for_s=0.5)
        began_s = time.monotonic()
        flooding.join(DEADLINE_S)
        assert not flooding.is_alive()
        assert time.monotonic() - began_s < DEADLINE_S
    assert slowest_s < 0.5
    tally(
        "attack",
        "HTTP: bodies that never end",
        1,
        "answered, then disconnected; others waited less than 0.5 s",
    )


def test_a_flood_of_requests_does_not_keep_others_waiting(server: RunningServer) -> None:
    stop = threading.Event()

    def read(sock: socket.socket) -> None:
        while not stop.is_set() and sock.recv(1 << 20):
            pass

    def flood(sock: socket.socket) -> None:
        while not stop.is_set():
            sock.sendall((HEALTH + b"\r\n") * 1000)

    with connected(server) as sock:
        threads = [threading.Thread(target=work, args=(sock,)) for work in (flood, read)]
        for thread in threads:
            thread.start()
        try:
            slowest_s = slowest_answer_s(server, for_s=5.0 if WHOLE_TIME else 0.7)
        finally:
            stop.set()
            for thread in threads:
                thread.join(DEADLINE_S)
    assert slowest_s < 0.5
    tally("attack", "HTTP: floods of requests in one connection", 1, "others were answered within 0.5 s")


def drip(server: RunningServer, start: bytes, drop: bytes, ended_s: list[float]) -> None:
    """Sends `start`, then a drop each half second, until the server has enough."""
    began_s = time.monotonic()
    with connected(server, timeout_s=0.5) as sock:
        sock.sendall(start)
        while time.monotonic() - began_s < 120:
            try:
                if not sock.recv(4096):
                    break
            except TimeoutError:
                pass
            except OSError:
                break
            try:
                sock.sendall(drop)
            except OSError:
                break
    ended_s.append(time.monotonic() - began_s)


@pytest.mark.skipif(not WHOLE_TIME, reason="takes a minute: make attacks; short in test_handler.py")
def test_a_client_that_sends_too_slowly_is_disconnected(server: RunningServer) -> None:
    """Slowloris on the request line, the headers, the body, and a body that nobody wants: 50 times each."""
    starts = {
        b"GET /incoming/healthz": b"a",
        HEALTH + b"X: ": b"y",
        NEW + FORM + b"Content-Length: 5000\r\n\r\n": b"z",
        HEALTH + b"Content-Length: 5000\r\n\r\n": b"z",
    }
    ended_s: list[float] = []
    drips = [(server, start, drop, ended_s) for start, drop in starts.items()] * 50
    threads = [threading.Thread(target=drip, args=args) for args in drips]
    for thread in threads:
        thread.start()
    assert slowest_answer_s(server, for_s=5) < 0.5
    for thread in threads:
        thread.join(120)
    assert len(ended_s) == len(drips)
    assert max(ended_s) < 70
    tally("attack", "HTTP: slowloris on line, headers and body", len(drips), "disconnected within 70 s")


@pytest.mark.skipif(not WHOLE_TIME, reason="takes half a minute: make attacks")
def test_a_client_that_does_not_read_its_responses_is_disconnected(server: RunningServer) -> None:
    with connected(server) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(60)
        asked = b"GET /incoming/frontend/incoming.js HTTP/1.1\r\nHost: x\r\n\r\n" * 200
        with pytest.raises(OSError):
            while True:
                sock.sendall(asked)
    tally("attack", "HTTP: answers that nobody reads", 1, "disconnected within 60 s")
