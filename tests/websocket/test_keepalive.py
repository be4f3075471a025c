"""Keep-alive: when silent connections are checked, by one greenlet for all; and the probes of TCP."""

from __future__ import annotations

import json
import socket
import time

import gevent
import gevent.socket
import pytest

from incoming.protocol.flow_control import KeepaliveIntervals
from incoming.runtime.buffer_pool import BufferPool
from incoming.websocket.keepalive import KeepAlive
from incoming.websocket.session_driver import UNSOLICITED_PONG
from incoming.websocket.websocket import WebSocket
from incoming.websocket.writer import ConnectionGone
from tests.websocket.peer import BINARY, FIN, PING, PONG, TEXT, Peer, ServerFrame, masked_frame


class Silent:
    """A connection that is checked `times`, each time `after_s` later."""

    def __init__(self, times: int, after_s: float) -> None:
        self.checked_at_s: list[float] = []
        self.allowed: list[KeepaliveIntervals] = []
        self._times, self._after_s = times, after_s

    def check_liveness(self, now_s: float, allowed: KeepaliveIntervals) -> float | None:
        self.checked_at_s.append(now_s)
        self.allowed.append(allowed)
        return now_s + self._after_s if len(self.checked_at_s) < self._times else None


def wait_until_checked(*connections: Silent) -> None:
    """Returns when each of them has been checked for the last time."""
    with gevent.Timeout(60):
        while not all(len(one.checked_at_s) == one._times for one in connections):
            gevent.sleep(0.01)


def test_a_connection_is_checked_when_it_is_due_and_again_when_it_asks_for_it() -> None:
    keepalive, one = KeepAlive(10.0), Silent(3, 0.1)
    began_s = time.monotonic()
    keepalive.schedule(one, began_s + 0.1)
    wait_until_checked(one)
    for number, at_s in enumerate(one.checked_at_s, 1):
        assert at_s >= began_s + number * 0.1


def test_connections_are_checked_in_the_order_in_which_they_are_due() -> None:
    keepalive, late, soon = KeepAlive(10.0), Silent(1, 0), Silent(1, 0)
    now_s = time.monotonic()
    keepalive.schedule(late, now_s + 0.3)
    keepalive.schedule(soon, now_s + 0.05)
    wait_until_checked(late, soon)
    assert soon.checked_at_s < late.checked_at_s


def test_a_keepalive_without_connections_starts_again_with_the_next_one() -> None:
    keepalive = KeepAlive(10.0)
    for one in (Silent(1, 0), Silent(1, 0)):
        keepalive.schedule(one, time.monotonic())
        wait_until_checked(one)
        gevent.sleep(0.05)


def test_the_more_connections_there_are_the_rarer_are_pings() -> None:
    keepalive, few, of_many = KeepAlive(1.0), Silent(1, 0), Silent(1, 0)
    keepalive.schedule(few, time.monotonic())
    wait_until_checked(few)
    assert few.allowed == [KeepaliveIntervals(0.5, 0.5)]
    for _ in range(2999):
        keepalive.schedule(Silent(1, 0), time.monotonic() + 60)
    keepalive.schedule(of_many, time.monotonic())
    wait_until_checked(of_many)
    assert of_many.allowed == [KeepaliveIntervals(45.0, 100.0)]


def test_connections_that_have_ended_do_not_count() -> None:
    keepalive = KeepAlive(1.0)
    of_few = Silent(1, 0)
    many = [Silent(1, 0) for _ in range(3000)]
    for one in many:
        keepalive.schedule(one, time.monotonic() + 60)
    for one in many:
        keepalive.remove(one)
    keepalive.schedule(of_few, time.monotonic())
    wait_until_checked(of_few)
    assert of_few.allowed == [KeepaliveIntervals(0.5, 0.5)]
    assert not any(one.checked_at_s for one in many)


def test_a_rescheduled_connection_counts_once() -> None:
    keepalive, one, other = KeepAlive(1.0), Silent(1, 0), Silent(1, 0)
    for _ in range(3000):
        keepalive.schedule(one, time.monotonic() + 60)
    keepalive.schedule(one, time.monotonic() + 0.05)
    keepalive.schedule(other, time.monotonic())
    wait_until_checked(one, other)
    assert one.allowed == other.allowed == [KeepaliveIntervals(0.5, 0.5)]
    assert len(one.checked_at_s) == 1


def test_a_websocket_that_has_ended_is_no_longer_scheduled() -> None:
    keepalive, peer = KeepAlive(1.0), Peer()
    websocket = WebSocket(peer.server_socket, BufferPool(4096), keepalive)
    websocket.close(1000)
    assert list(keepalive._slot_of) == [websocket]
    peer.socket.close()
    websocket.end()
    assert not keepalive._slot_of
    assert not any(keepalive._due.values()), "it takes no memory"


class PingedLate(Silent):
    """A connection that is checked as rarely as possible."""

    def check_liveness(self, now_s: float, allowed: KeepaliveIntervals) -> float | None:
        super().check_liveness(now_s, allowed)
        return now_s + allowed.ping_after_s


def test_the_rest_of_a_crowd_is_pinged_as_often_as_a_few() -> None:
    keepalive, left = KeepAlive(1.0), PingedLate(1, 0)
    crowd = [Silent(1, 0) for _ in range(2999)]
    for one in crowd:
        keepalive.schedule(one, time.monotonic() + 60)
    keepalive.schedule(left, time.monotonic())
    wait_until_checked(left)
    assert left.allowed == [KeepaliveIntervals(45.0, 100.0)]
    for one in crowd:
        keepalive.remove(one)
    with gevent.Timeout(60):
        while len(left.checked_at_s) < 3:
            gevent.sleep(0.01)
    assert left.allowed[1:3] == [KeepaliveIntervals(0.5, 0.5)] * 2


class Defective(Silent):
    def check_liveness(self, now_s: float, allowed: KeepaliveIntervals) -> float | None:
        super().check_liveness(now_s, allowed)
        raise ZeroDivisionError


def test_a_failing_check_does_not_stop_the_checks_of_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keepalive, broken, others = KeepAlive(10.0), Defective(1, 0), [Silent(2, 0.1) for _ in range(2)]
    due_s = time.monotonic() + 0.05
    for one in (others[0], broken, others[1]):
        keepalive.schedule(one, due_s)
    wait_until_checked(broken, *others)
    assert caplog.text.count("a defect") == 1


# The intervals among thousands of connections, in milliseconds instead of seconds.
AMONG_MANY = KeepaliveIntervals(pong_after_s=0.045, ping_after_s=0.2)


def reading(websocket: WebSocket) -> gevent.Greenlet:
    """Returns a greenlet that waits for the next message."""
    reader = gevent.spawn(websocket.receive)
    with gevent.Timeout(60):
        while not websocket._is_waiting:
            gevent.sleep(0)
    return reader


def frames_of_checks(
    websocket: WebSocket, peer: Peer, at_s: float, until_s: float
) -> list[tuple[int, bytes, float]]:
    """Returns the frames that the peer receives when the connection is checked whenever it asks for it."""
    heard = []
    due_s: float | None = at_s
    while due_s is not None and due_s <= until_s:
        at_s = due_s
        due_s = websocket.check_liveness(at_s, AMONG_MANY)
        assert due_s is None or due_s > at_s
        if due_s is not None and peer.has_input():
            frame = peer.receive()
            heard.append((frame.opcode, frame.payload, at_s))
    return heard


def test_among_thousands_a_silent_peer_gets_pongs_and_then_a_ping() -> None:
    keepalive, peer = KeepAlive(600.0), Peer()
    websocket = WebSocket(peer.server_socket, BufferPool(4096), keepalive)
    reader = reading(websocket)
    began_s = time.monotonic() - 0.25  # so that its answer comes after all of this
    websocket.liveness.received_s = began_s
    heard = frames_of_checks(websocket, peer, began_s, began_s + 0.22)
    assert [opcode for opcode, *_ in heard] == [PONG] * 4 + [PING]
    assert [round(at_s - began_s, 3) for *_, at_s in heard] == [0.045, 0.09, 0.135, 0.18, 0.2]
    peer.send(FIN | PONG)
    with gevent.Timeout(60):
        while websocket.liveness.received_s == began_s or not websocket._is_waiting:
            gevent.sleep(0)
    began_s = websocket.liveness.received_s
    heard = frames_of_checks(websocket, peer, began_s, began_s + 0.1)
    assert [opcode for opcode, *_ in heard] == [PONG] * 2, "its answer counts"
    reader.kill()
    peer.close()


def test_among_thousands_a_peer_that_does_not_answer_is_given_up_too() -> None:
    peer = Peer()
    websocket = WebSocket(peer.server_socket, BufferPool(4096), KeepAlive(600.0))
    reader = reading(websocket)
    began_s = websocket.liveness.received_s
    heard = frames_of_checks(websocket, peer, began_s, began_s + 1)
    assert [opcode for opcode, *_ in heard][-1] == PING
    with gevent.Timeout(60), pytest.raises(ConnectionGone, match="silent"):
        reader.get()
    peer.close()


def test_a_page_of_version_2_gets_a_pong_that_its_script_can_see() -> None:
    peer = Peer()
    websocket = WebSocket(peer.server_socket, BufferPool(4096), KeepAlive(600.0))
    websocket.unsolicited_pong = UNSOLICITED_PONG
    reader = reading(websocket)
    began_s = websocket.liveness.received_s
    ((opcode, payload, _),) = frames_of_checks(websocket, peer, began_s, began_s + 0.05)
    assert opcode == TEXT
    assert json.loads(payload) == {"MsgType": "MsgPong", "MsgData": {}}
    reader.kill()
    peer.close()


def test_among_thousands_a_message_that_stalls_is_given_up_as_soon_as_among_few() -> None:
    keepalive, peer = KeepAlive(0.4), Peer()
    for _ in range(2000):
        keepalive.schedule(Silent(1, 0), time.monotonic() + 60)
    began_s = time.monotonic()
    websocket = WebSocket(peer.server_socket, BufferPool(4096), keepalive)
    peer.socket.sendall(masked_frame(FIN | BINARY, b"and then nothing")[:-3])
    with gevent.Timeout(60), pytest.raises(ConnectionGone, match="silent"):
        websocket.receive()
    assert time.monotonic() - began_s >= 0.3
    assert peer.receive() == ServerFrame(PING, b"")
    peer.close()


def test_a_peer_is_not_given_up_for_silence_while_its_reader_is_busy() -> None:
    peer = Peer()
    websocket = WebSocket(peer.server_socket, BufferPool(4096), KeepAlive(0.2))
    gevent.sleep(0.6)  # its reader is busy: the app is asked, the disk is slow
    peer.send(FIN | PONG)
    peer.send(FIN | TEXT, b"still there")
    message = websocket.receive()
    assert message and bytes(message.payload) == b"still there"
    peer.close()


def test_a_peer_that_accepts_nothing_is_given_up_too() -> None:
    peer = Peer()
    websocket = WebSocket(peer.server_socket, BufferPool(4096), KeepAlive(0.4))
    peer.server_socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            peer.server_socket.send(b"x" * 65536)
    with gevent.Timeout(60), pytest.raises(ConnectionGone):
        websocket.receive()
    peer.close()


def test_tcp_probes_within_the_timeout() -> None:
    with gevent.socket.socket() as sock:
        KeepAlive(10.0).set_tcp_keepalive(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle_s, again_s, count = (
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle_s + again_s * count <= 10 + 1
        unanswered_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert unanswered_ms == (idle_s + again_s * count) * 1000


def test_tcp_probes_thousands_more_rarely() -> None:
    keepalive = KeepAlive(10.0)
    for _ in range(5000):
        keepalive.schedule(Silent(1, 0), time.monotonic() + 60)
    with gevent.socket.socket() as sock:
        keepalive.set_tcp_keepalive(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 45
