"""Bodies of HTTP requests: in time, in pieces, and left alone when nobody wants them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gevent
import gevent.socket
import pytest
from gevent.pywsgi import Input

from incoming.http import body as body_module
from incoming.http.body import PIECE_BYTES, Body

DEADLINE_S = 60.0


class Sender:
    """The client's end; `body` makes the server's."""

    def __init__(self) -> None:
        self.server_socket, self.socket = gevent.socket.socketpair()

    def body(self, length: int | None, *, chunked: bool = False, timeout_s: float = DEADLINE_S) -> Body:
        reader = self.server_socket.makefile("rb", -1)
        return Body(Input(reader, length, None, chunked), timeout_s)


@pytest.fixture
def sender() -> Iterator[Sender]:
    one = Sender()
    yield one
    one.socket.close()
    one.server_socket.close()


def test_a_body_is_read_whole_and_no_further(sender: Sender) -> None:
    data = bytes(range(256)) * 1024
    gevent.spawn(sender.socket.sendall, data + b"GET ")
    body = sender.body(len(data))
    assert not body.at_end
    assert body.read() == data
    assert body.at_end
    assert body.read(5) == b""


def test_a_body_in_chunks_is_read_whole(sender: Sender) -> None:
    sender.socket.sendall(b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\nGET ")
    body = sender.body(None, chunked=True)
    assert (body.read(2), body.at_end) == (b"he", False)
    assert body.read() == b"llo!"
    assert body.at_end


def test_lines_of_a_body_are_read_one_by_one(sender: Sender) -> None:
    sender.socket.sendall(b"a\nbc\nd")
    assert list(sender.body(6)) == [b"a\n", b"bc\n", b"d"]


def test_a_body_that_drips_is_given_up(sender: Sender) -> None:
    def drip() -> None:
        while True:
            sender.socket.sendall(b"x")
            gevent.sleep(0.01)

    dripping = gevent.spawn(drip)
    began_s = time.monotonic()
    with pytest.raises(TimeoutError, match="too slowly"):
        sender.body(10_000, timeout_s=0.2).read()
    assert time.monotonic() - began_s < DEADLINE_S
    dripping.kill()


def test_a_body_that_is_fast_enough_may_take_any_time(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "MIN_BYTES_PER_S", PIECE_BYTES)

    def send() -> None:
        for _ in range(6):
            sender.socket.sendall(bytes(PIECE_BYTES))
            gevent.sleep(0.1)

    gevent.spawn(send)
    assert len(sender.body(6 * PIECE_BYTES, timeout_s=0.3).read()) == 6 * PIECE_BYTES


def test_the_time_between_two_reads_is_the_apps_own(sender: Sender) -> None:
    body = sender.body(4, timeout_s=0.1)
    sender.socket.sendall(b"ab")
    assert body.read(2) == b"ab"
    gevent.sleep(0.2)
    gevent.spawn_later(0.02, sender.socket.sendall, b"cd")
    assert body.read(2) == b"cd"


def test_others_run_while_a_large_body_is_read(sender: Sender) -> None:
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    counting = gevent.spawn(count)
    gevent.spawn(sender.socket.sendall, bytes(20 * PIECE_BYTES))
    sender.body(20 * PIECE_BYTES).read()
    assert turns >= 20
    counting.kill()


def test_the_rest_of_a_small_body_is_read(sender: Sender) -> None:
    for body, data in (
        (sender.body(5), b"hello"),
        (sender.body(None, chunked=True), b"5\r\nhello\r\n0\r\n\r\n"),
    ):
        sender.socket.sendall(data)
        body._discard()
        assert body.at_end


def test_a_large_body_that_the_app_ignores_is_not_read_to_its_end(sender: Sender) -> None:
    body = sender.body(100 * PIECE_BYTES)
    sending = gevent.spawn(sender.socket.sendall, bytes(100 * PIECE_BYTES))
    body._discard()
    assert not body.at_end
    assert body.position <= 2 * PIECE_BYTES
    sending.kill()


def test_a_body_that_the_app_ignores_and_that_stalls_is_given_up(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "UNREAD_TIMEOUT_S", 0.05)
    body = sender.body(5)
    began_s = time.monotonic()
    body._discard()
    assert time.monotonic() - began_s < DEADLINE_S / 2
    assert not body.at_end


def test_malformed_chunks_leave_the_end_unknown(sender: Sender) -> None:
    body = sender.body(None, chunked=True)
    sender.socket.sendall(b"zz\r\n")
    with pytest.raises(OSError, match="Non-hex"):
        body.read()
    body._discard()
    assert not body.at_end


@pytest.mark.parametrize("size", [b"", b";a=b", b"-1", b"zz", b"F" * 17, b"\xb2"])
@pytest.mark.parametrize("how", ["read", "readline", "lines"])
def test_a_chunk_without_a_size_is_an_error_of_the_connection(sender: Sender, size: bytes, how: str) -> None:
    """pywsgi itself raises a ValueError for some of these, which nobody expects of a stream."""
    sender.socket.sendall(size + b"\r\nhello\r\n0\r\n\r\n")
    body = sender.body(None, chunked=True)
    assert not body.has_failed
    with pytest.raises(OSError):
        list(body) if how == "lines" else getattr(body, how)()
    assert body.has_failed
    assert not body.at_end


def test_a_body_that_was_cut_off_has_failed(sender: Sender) -> None:
    sender.socket.sendall(b"half")
    sender.socket.close()
    body = sender.body(8)
    with pytest.raises(OSError):
        body.read()
    assert body.has_failed
