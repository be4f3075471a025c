"""What the terminal client makes of the answer to its handshake."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from incoming.client import connect as dialing
from incoming.client.address import Address
from incoming.client.connect import ConnectFailed, connect
from incoming.handover.answers import Refused, classify
from incoming.wire import handshake
from incoming.wire.http_status import TEMPORARY

CONTEXT = ssl.create_default_context()
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"


@contextmanager
def server(*answers: bytes, for_ever: bytes = b"") -> Iterator[Address]:
    """A server that sends this once it was asked; ACCEPT in it is what the handshake wants to hear."""
    over = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                key = re.search(rb"Sec-WebSocket-Key: (\S+)", connection.recv(65536))
                assert key
                for answer in answers:
                    connection.sendall(answer.replace(b"ACCEPT", handshake.accept(key[1])))
                while for_ever and not over.wait(0.01):
                    connection.sendall(for_ever)
                over.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Address("127.0.0.1", listener.getsockname()[1], secure=False)
        finally:
            over.set()
            thread.join()


SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\nahead"


@pytest.mark.parametrize("interim", [b"", INTERIM, b"HTTP/1.1 100 Continue\r\n\r\n", INTERIM * 20])
def test_interim_answers_are_skipped(interim: bytes) -> None:
    with server(interim + SWITCHED) as address:
        sock, ahead = connect(address, CONTEXT)
        sock.close()
    assert ahead == b"ahead"


def refusal(status: int, headers: bytes = b"") -> ConnectFailed:
    """Returns what the client says about an answer of this status."""
    head = b"HTTP/1.1 %d Whatever\r\n%s\r\n" % (status, headers)
    with server(INTERIM + head) as address, pytest.raises(ConnectFailed) as failed:
        connect(address, CONTEXT)
    return failed.value


@pytest.mark.parametrize("status", sorted({*TEMPORARY, 400, 401, 403, 404, 409, 418, 500, 502, 503, 599}))
@pytest.mark.parametrize("headers", [b"", b"Retry-After: 7\r\n"])
def test_an_error_is_final_for_the_client_where_it_is_for_the_server(status: int, headers: bytes) -> None:
    for_server = classify(status, b"", "7" if headers else None)
    failed = refusal(status, headers)
    assert failed.lasting is isinstance(for_server, Refused)
    assert failed.retry_after_s == (7.0 if headers else 0.0)


@pytest.mark.parametrize("status", [200, 204, 302])
def test_an_answer_of_something_else_is_final(status: int) -> None:
    assert refusal(status, b"Retry-After: 7\r\n").lasting


@pytest.mark.parametrize(
    ("begin", "for_ever"), [(b"", INTERIM * 1000), (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1000)]
)
def test_an_answer_without_end_is_not_read_to_its_end(begin: bytes, for_ever: bytes) -> None:
    with (
        server(begin, for_ever=for_ever) as address,
        pytest.raises(ConnectFailed, match="not with a WebSocket"),
    ):
        connect(address, CONTEXT)


def test_an_answer_that_drips_has_the_time_of_a_dial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialing, "CONNECT_TIMEOUT_S", 0.3)
    drip = b"HTTP/1.1 100 Continue\r\n\r\n"
    with server(for_ever=drip) as address, pytest.raises(ConnectFailed, match="does not answer"):
        connect(address, CONTEXT)


def test_a_dial_takes_no_longer_than_its_caller_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialing, "CONNECT_TIMEOUT_S", 3600.0)
    with server() as address, pytest.raises(ConnectFailed, match="does not answer"):
        connect(address, CONTEXT, max_wait_s=0.3)
