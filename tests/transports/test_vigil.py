"""Silent connections: who is looked at when, by one greenlet for all; and how TCP itself asks."""

from __future__ import annotations

import socket
import time

import gevent
import gevent.socket
import pytest

from incoming.transports.buffers import Buffers
from incoming.transports.outgoing import ConnectionGone
from incoming.transports.vigil import Vigil
from incoming.transports.websocket import WebSocket
from tests.transports.peer import BINARY, FIN, PING, PONG, Heard, Peer, masked_frame


class Silent:
    """Is looked at `times`, each time `after_s` later than before."""

    def __init__(self, times: int, after_s: float) -> None:
        self.looks: list[float] = []
        self.intervals_s: list[float] = []
        self._times, self._after_s = times, after_s

    def look(self, now_s: float, interval_s: float) -> float | None:
        self.looks.append(now_s)
        self.intervals_s.append(interval_s)
        return now_s + self._after_s if len(self.looks) < self._times else None


def seen(*connections: Silent) -> None:
    """Returns when each of them has been looked at for the last time."""
    with gevent.Timeout(10):
        while not all(len(one.looks) == one._times for one in connections):
            gevent.sleep(0.01)


def test_a_connection_is_looked_at_when_it_is_due_and_when_it_says_so() -> None:
    vigil, one = Vigil(10.0), Silent(3, 0.1)
    began_s = time.monotonic()
    vigil.watch(one, began_s + 0.1)
    seen(one)
    for number, at_s in enumerate(one.looks, 1):
        assert at_s >= began_s + number * 0.1


def test_who_is_due_first_is_looked_at_first_whoever_came_first() -> None:
    vigil, late, soon = Vigil(10.0), Silent(1, 0), Silent(1, 0)
    now_s = time.monotonic()
    vigil.watch(late, now_s + 0.3)
    vigil.watch(soon, now_s + 0.05)
    seen(late, soon)
    assert soon.looks < late.looks


def test_a_vigil_that_had_nobody_left_wakes_up_again() -> None:
    vigil = Vigil(10.0)
    for one in (Silent(1, 0), Silent(1, 0)):
        vigil.watch(one, time.monotonic())
        seen(one)
        gevent.sleep(0.05)


def test_thousands_are_asked_more_seldom_than_a_few() -> None:
    vigil, few, of_many = Vigil(1.0), Silent(1, 0), Silent(1, 0)
    vigil.watch(few, time.monotonic())
    seen(few)
    assert few.intervals_s == [0.5]
    for _ in range(999):
        vigil.watch(Silent(1, 0), time.monotonic() + 60)
    vigil.watch(of_many, time.monotonic())
    seen(of_many)
    assert of_many.intervals_s == [10.0]


def test_among_thousands_a_message_that_stands_still_is_given_up_as_soon_as_among_few() -> None:
    vigil, peer = Vigil(0.4), Peer()
    for _ in range(2000):
        vigil.watch(Silent(1, 0), time.monotonic() + 60)
    websocket = WebSocket(peer.server_socket, Buffers(4096), vigil)
    peer.socket.sendall(masked_frame(FIN | BINARY, b"and then nothing")[:-3])
    began_s = time.monotonic()
    with gevent.Timeout(10), pytest.raises(ConnectionGone, match="silent"):
        websocket.receive()
    assert time.monotonic() - began_s >= 0.3
    assert peer.hear() == Heard(PING, b"")
    peer.close()


def test_a_peer_whose_words_nobody_reads_now_is_not_given_up_for_silence() -> None:
    peer = Peer()
    websocket = WebSocket(peer.server_socket, Buffers(4096), Vigil(0.2))
    gevent.sleep(0.6)  # its reader is busy: the app is asked, the disk is slow
    peer.send(FIN | PONG)
    peer.send(FIN | BINARY, b"still there")
    message = websocket.receive()
    assert message and bytes(message.payload) == b"still there"
    peer.close()


def test_a_peer_that_takes_nothing_is_given_up_too() -> None:
    peer = Peer()
    websocket = WebSocket(peer.server_socket, Buffers(4096), Vigil(0.4))
    peer.server_socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            peer.server_socket.send(b"x" * 65536)
    with gevent.Timeout(10), pytest.raises(ConnectionGone):
        websocket.receive()
    peer.close()


def test_tcp_asks_by_itself_within_the_timeout() -> None:
    with gevent.socket.socket() as sock:
        Vigil(10.0).keep_alive(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle_s, again_s, count = (
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle_s + again_s * count <= 10 + 1
