"""Bodies that threads send, on sockets of gevent, with and without TLS."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import gevent
import gevent.event
import gevent.socket
import gevent.ssl
import pytest

from incoming.runtime.threaded_sender import ThreadedSender
from tests.support.certificates import make_certificate
from tests.support.data import MIB, FileBytes

DEADLINE_S = 60.0
SHORT_S = 0.1
MORE_THAN_FITS_BYTES = 32 * MIB
"""What the buffers of two sockets do not hold."""


@pytest.fixture(params=["plain", "tls"])
def sockets(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a connection: the sender's and its peer's."""
    with contextlib.ExitStack() as stack:
        ours, theirs = gevent.socket.socketpair()
        if request.param == "tls":
            make_certificate(tmp_path)
            server = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
            client = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            client.check_hostname = False
            client.verify_mode = ssl.CERT_NONE
            accepted = gevent.spawn(server.wrap_socket, theirs, server_side=True)
            ours, theirs = client.wrap_socket(ours), accepted.get(timeout=DEADLINE_S)
        yield stack.enter_context(ours), stack.enter_context(theirs)


def in_views(content: bytes | bytearray) -> list[memoryview]:
    """Cuts the content into views of some sizes, again and again."""
    sizes = (1, 4096, MIB, 300_000)
    ends = [0, *itertools.accumulate(sizes * (len(content) // sum(sizes) + 1))]
    return [memoryview(content)[start:end] for start, end in itertools.pairwise(ends)]


def read_all(sock: socket.socket) -> bytes:
    """Returns what comes until the other end hangs up."""
    received = bytearray()
    with contextlib.suppress(OSError):
        while piece := sock.recv(MIB):
            received += piece
    return bytes(received)


def test_what_is_sent_arrives(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    content = FileBytes(MORE_THAN_FITS_BYTES).read(0, MORE_THAN_FITS_BYTES)
    reader = gevent.spawn(read_all, theirs)
    ThreadedSender().send_all(ours, in_views(content), DEADLINE_S)
    ours.shutdown(socket.SHUT_WR)
    assert reader.get(timeout=DEADLINE_S) == content


def test_others_run_while_the_peer_reads_nothing(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    content = FileBytes(MORE_THAN_FITS_BYTES).read(0, MORE_THAN_FITS_BYTES)
    sending = gevent.spawn(ThreadedSender().send_all, ours, in_views(content), DEADLINE_S)
    gevent.sleep(SHORT_S)
    assert not sending.ready()
    reader = gevent.spawn(read_all, theirs)
    sending.get(timeout=DEADLINE_S)
    ours.shutdown(socket.SHUT_WR)
    assert reader.get(timeout=DEADLINE_S) == content


def test_a_peer_that_accepts_nothing_for_too_long_is_an_error(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    ours, _ = sockets
    with pytest.raises(TimeoutError, match=r"the peer accepted nothing for 0\.1 s"):
        ThreadedSender().send_all(ours, in_views(bytes(MORE_THAN_FITS_BYTES)), SHORT_S)


def test_a_peer_that_hangs_up_is_an_error(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    gevent.spawn_later(SHORT_S, theirs.close)
    with pytest.raises((BrokenPipeError, ConnectionResetError, ssl.SSLError)):
        ThreadedSender().send_all(ours, in_views(bytes(MORE_THAN_FITS_BYTES)), DEADLINE_S)


@pytest.mark.parametrize("kills", [1, 2])
def test_the_memory_may_be_used_anew_once_the_greenlet_is_killed(
    sockets: tuple[socket.socket, socket.socket], kills: int
) -> None:
    ours, theirs = sockets
    content = bytearray(b"x" * MORE_THAN_FITS_BYTES)
    sending = gevent.spawn(ThreadedSender().send_all, ours, in_views(content), DEADLINE_S)
    gevent.sleep(SHORT_S)
    for _ in range(kills):
        sending.kill(block=False)
        gevent.sleep(0)
    sending.join(timeout=DEADLINE_S)
    assert sending.ready()
    content[:] = bytes(MORE_THAN_FITS_BYTES)
    received = gevent.spawn(read_all, theirs).get(timeout=DEADLINE_S)
    assert received
    assert not received.strip(b"x")


def test_a_time_limit_ends_the_sending(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = sockets
    with pytest.raises(gevent.Timeout), gevent.Timeout(SHORT_S):
        ThreadedSender().send_all(ours, in_views(bytes(MORE_THAN_FITS_BYTES)), DEADLINE_S)


def test_a_body_waits_for_a_free_thread() -> None:
    sender = ThreadedSender(threads=1)
    first, second = gevent.socket.socketpair(), gevent.socket.socketpair()
    content = FileBytes(MORE_THAN_FITS_BYTES).read(0, MORE_THAN_FITS_BYTES)
    sending = [
        gevent.spawn(sender.send_all, ours, in_views(content), DEADLINE_S) for ours, _ in (first, second)
    ]
    gevent.sleep(SHORT_S)
    readers = [gevent.spawn(read_all, theirs) for _, theirs in (second, first)]
    gevent.joinall(sending, timeout=DEADLINE_S, raise_error=True)
    for ours, _ in (first, second):
        ours.close()
    assert [reader.get(timeout=DEADLINE_S) == content for reader in readers] == [True, True]
    for _, theirs in (first, second):
        theirs.close()
