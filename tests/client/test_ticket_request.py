"""The request for a ticket, to apps that answer badly."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import pytest

from incoming.client import ticket_request
from incoming.client.ticket_request import NoTicket, ask


@contextmanager
def app_that_sends(answer: bytes, then: bytes = b"", every_s: float = 0.0) -> Iterator[str]:
    """Yields the address of an app that sends `answer`, and then `then` until its client has gone."""
    over = Event()

    def respond() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(answer)
            while then and not over.wait(every_s):
                connection.sendall(then)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = Thread(target=respond)
        app.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        over.set()
        app.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabcd",
    ],
    ids=["cut", "wrong gzip", "bad chunk size"],
)
def test_a_damaged_answer_of_the_app_is_no_ticket(answer: bytes) -> None:
    context = ssl.create_default_context()
    with app_that_sends(answer) as url, pytest.raises(NoTicket, match="cut or damaged"):
        ask(url, "GET", context)


INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "then"),
    [(INTERIM, INTERIM * 100), (CHUNKED, b"1;" + b"x" * 5000 + b"\r\n \r\n"), (b"", b"x: y\r\n" * 100)],
    ids=["interim responses", "chunk extensions", "no status line"],
)
def test_an_answer_without_end_is_no_ticket(answer: bytes, then: bytes) -> None:
    context = ssl.create_default_context()
    with app_that_sends(answer, then) as url, pytest.raises(NoTicket, match=r"too long|cut or damaged"):
        ask(url, "GET", context)


@pytest.mark.parametrize("then", [INTERIM, b" "])
def test_an_answer_that_drips_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch, then: bytes) -> None:
    monkeypatch.setattr(ticket_request, "TIMEOUT_S", 0.3)
    answer = b"" if then == INTERIM else b"HTTP/1.1 200 OK\r\n\r\n"
    context = ssl.create_default_context()
    with app_that_sends(answer, then, 0.02) as url, pytest.raises(NoTicket, match="no answer in time"):
        ask(url, "GET", context)


def test_of_a_long_page_with_an_error_the_status_is_told() -> None:
    context = ssl.create_default_context()
    page = b"HTTP/1.1 404 Not Found\r\n\r\n" + b"x" * 1_000_000
    with app_that_sends(page) as url, pytest.raises(NoTicket, match="answers with status 404"):
        ask(url, "GET", context)


@pytest.mark.parametrize("url", ["http://[::1", "http://a..b/", f"http://{'a' * 64}.org/"])
def test_an_address_whose_host_is_impossible_is_no_http_address(url: str) -> None:
    with pytest.raises(NoTicket, match="is not an http address"):
        ask(url, "GET", ssl.create_default_context())
