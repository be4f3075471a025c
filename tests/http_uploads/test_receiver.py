"""A connection is read in time, in fair shares, and until somebody interrupts it."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import gevent
import gevent.socket
import pytest

from incoming.http_uploads import receiver as receiver_module
from incoming.http_uploads.receiver import BodyBroken, BodyInterrupted, Receiver
from incoming.runtime.fair_scheduler import FairScheduler

DEADLINE_S = 60.0


class Sender:
    """The client's end of a connection, and the receiver at the other end."""

    def __init__(self, ends: tuple[gevent.socket.socket, gevent.socket.socket] | None = None) -> None:
        self.server_socket, self.socket = ends or gevent.socket.socketpair()
        self.receiver = Receiver(self.server_socket)
        self.buffer = memoryview(bytearray(100_000))

    def receive(
        self, size_bytes: int = 100_000, until_s: float | None = None, coming_bytes: int = 1
    ) -> bytes:
        """Returns what one call of `receive` gives."""
        received_bytes = self.receiver.receive(self.buffer[:size_bytes], until_s, coming_bytes)
        return bytes(self.buffer[:received_bytes])

    def close(self) -> None:
        """Closes both ends."""
        self.socket.close()
        self.server_socket.close()


@pytest.fixture
def senders() -> Iterator[list[Sender]]:
    """Three of them."""
    some = [Sender() for _ in range(3)]
    yield some
    for one in some:
        one.close()


@pytest.fixture
def sender(senders: list[Sender]) -> Sender:
    """One of them."""
    return senders[0]


def test_what_is_peeked_at_is_read_again_until_it_is_dropped(sender: Sender) -> None:
    sender.socket.sendall(b"hello world")
    for expected in (b"hello world", b"lo world", b"world"):
        assert sender.receiver.peek(sender.buffer) == len(expected)
        assert bytes(sender.buffer[: len(expected)]) == expected
        sender.receiver.drop(3)
    assert sender.receive() == b"ld"


def test_the_receiver_waits_for_the_first_byte(sender: Sender) -> None:
    reading = gevent.spawn(sender.receive)
    gevent.sleep(0.01)
    assert not reading.ready()
    sender.socket.sendall(b"x")
    assert reading.get(timeout=DEADLINE_S) == b"x"


def test_it_waits_no_longer_than_it_was_told(sender: Sender) -> None:
    began_s = time.monotonic()
    assert sender.receive(until_s=began_s + 0.02) == b""
    assert sender.receive(until_s=began_s) == b""
    assert 0.02 <= time.monotonic() - began_s < DEADLINE_S
    sender.socket.sendall(b"x")
    assert sender.receive(until_s=began_s) == b"x"


@pytest.mark.parametrize("is_waiting", [False, True])
def test_an_interrupted_reader_raises_at_once_and_from_then_on(sender: Sender, is_waiting: bool) -> None:
    reading = gevent.spawn(sender.receive)
    if is_waiting:
        gevent.sleep(0.01)
    sender.receiver.interrupt()
    with pytest.raises(BodyInterrupted):
        reading.get(timeout=DEADLINE_S)
    sender.socket.sendall(b"x")
    with pytest.raises(BodyInterrupted):
        sender.receive()


def test_an_interrupted_reader_still_gets_what_has_arrived(sender: Sender) -> None:
    sender.socket.sendall(b"hello")
    sender.receiver.interrupt()
    assert (sender.receive(3), sender.receive(3)) == (b"hel", b"lo")
    with pytest.raises(BodyInterrupted):
        sender.receive()


def test_a_client_that_sends_on_is_interrupted_as_well(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_module, "DRAIN_TIME_S", 0.0)
    sender.socket.sendall(b"hello")
    sender.receiver.interrupt()
    time.sleep(0.001)
    with pytest.raises(BodyInterrupted):
        sender.receive()


def test_an_interrupt_wakes_nobody_who_waits_for_something_else(sender: Sender) -> None:
    def read_then_sleep() -> float:
        sender.receive()
        began_s = time.monotonic()
        gevent.sleep(0.05)
        return time.monotonic() - began_s

    reading = gevent.spawn(read_then_sleep)
    gevent.sleep(0.01)
    sender.socket.sendall(b"x")
    gevent.sleep(0.01)
    sender.receiver.interrupt()
    assert reading.get(timeout=DEADLINE_S) >= 0.05


def test_a_closed_connection_is_broken_once_all_is_read(sender: Sender) -> None:
    sender.socket.sendall(b"x")
    sender.socket.close()
    assert sender.receive() == b"x"
    with pytest.raises(BodyBroken, match="closed") as broken:
        sender.receive()
    assert broken.value.error.code == "incomplete_body"


def test_a_client_that_sends_nothing_is_given_up(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "SILENCE_TIMEOUT_S", 0.05)
    sender.socket.sendall(b"x" * 50_000)  # so much that its speed in the long run is good
    sender.receive()
    with pytest.raises(BodyBroken, match="nothing arrived"):
        sender.receive()


def test_each_byte_restarts_the_timeout_for_silence(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "SILENCE_TIMEOUT_S", 0.6)
    monkeypatch.setattr(receiver_module, "MIN_BYTES_PER_S", 1)

    def drip() -> None:
        for _ in range(4):
            gevent.sleep(0.2)
            sender.socket.sendall(b"x")

    dripping = gevent.spawn(drip)
    assert [sender.receive() for _ in range(4)] == [b"x"] * 4
    dripping.join()


def test_a_client_that_is_too_slow_in_the_long_run_is_given_up(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_module, "MIN_BYTES_PER_S", 100_000)
    monkeypatch.setattr(receiver_module, "SILENCE_TIMEOUT_S", 0.2)
    sender.receiver = Receiver(sender.server_socket)

    def drip() -> None:
        while True:
            sender.socket.sendall(b"x")
            gevent.sleep(0.005)

    dripping = gevent.spawn(drip)
    with gevent.Timeout(DEADLINE_S), pytest.raises(BodyBroken, match="too slowly"):
        while True:
            sender.receive()
    dripping.kill()


def test_the_time_between_two_reads_does_not_count(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "SILENCE_TIMEOUT_S", 0.05)
    sender.socket.sendall(b"x")
    sender.receive()
    gevent.sleep(0.1)
    gevent.spawn_later(0.01, sender.socket.sendall, b"y")
    assert sender.receive() == b"y"


def test_connections_are_read_equally_whatever_a_time_slice_allows(
    senders: list[Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_module, "QUANTUM_BYTES", 4000)
    monkeypatch.setattr("incoming.runtime.fair_scheduler.TIME_SLICE_S", 60.0)
    scheduler = FairScheduler()  # of this test only: its last slice lasts
    monkeypatch.setattr("incoming.runtime.fair_scheduler.shared_scheduler", lambda: scheduler)
    read: list[int] = []

    def read_all(number: int) -> None:
        for _ in range(24):
            assert len(senders[number].receive(1000)) == 1000
            read.append(number)

    for one in senders:
        one.socket.sendall(bytes(24_000))
    readers = [gevent.spawn(read_all, number) for number in range(3)]
    gevent.joinall(readers, timeout=DEADLINE_S, raise_error=True)
    while_all_read = read[:48]
    assert {while_all_read.count(number) for number in range(3)} <= set(range(12, 21)), read


def test_a_fast_client_does_not_keep_others_waiting(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incoming.runtime.fair_scheduler.TIME_SLICE_S", 1e-5)
    sender.socket.sendall(bytes(50_000))
    turns: list[bool] = []

    def others() -> None:
        while True:
            turns.append(True)
            gevent.sleep(0)

    other = gevent.spawn(others)
    for _ in range(50):
        assert len(sender.receive(1000)) == 1000  # it never waits
    other.kill()
    assert len(turns) >= 49


# --- bytes gather --------------------------------------------------------------------------------------


@pytest.fixture
def tcp_sender() -> Iterator[Sender]:
    """A sender over TCP, on which bytes can gather."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = gevent.socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    accepted.settimeout(30.0)
    one = Sender((gevent.socket.socket(fileno=accepted.detach()), client))
    yield one
    one.close()


@pytest.fixture
def long_gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes gather for so long that a test would notice."""
    monkeypatch.setattr(receiver_module, "GATHER_S", DEADLINE_S)


def drip(sender: Sender, pieces: int, size_bytes: int) -> None:
    """Sends so many pieces to a reader that waits. It has the time to see each of them."""
    for _ in range(pieces):
        gevent.sleep(0.005)
        sender.socket.sendall(size_bytes * b"x")


@pytest.mark.usefixtures("long_gathering")
def test_bytes_gather_before_the_reader_is_woken_up(tcp_sender: Sender) -> None:
    reading = gevent.spawn(tcp_sender.receive, 60_000, coming_bytes=50_000)
    drip(tcp_sender, 10, 5000)
    assert len(reading.get(timeout=DEADLINE_S)) == 50_000


@pytest.mark.usefixtures("long_gathering")
def test_no_more_gathers_than_a_buffer_of_the_connection_has_room_for(tcp_sender: Sender) -> None:
    tcp_sender.server_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reading = gevent.spawn(tcp_sender.receive, 100_000, coming_bytes=100_000)
    gevent.spawn(tcp_sender.socket.sendall, 100_000 * b"x")
    assert reading.get(timeout=DEADLINE_S)


def test_bytes_gather_only_for_a_moment(tcp_sender: Sender) -> None:
    reading = gevent.spawn(tcp_sender.receive, coming_bytes=50_000)
    gevent.sleep(0.005)
    tcp_sender.socket.sendall(b"x")
    assert reading.get(timeout=DEADLINE_S) == b"x"


def test_after_a_pause_the_first_byte_is_read_at_once(
    tcp_sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = gevent.spawn(tcp_sender.receive, coming_bytes=50_000)
    gevent.sleep(3 * receiver_module.GATHER_S)
    monkeypatch.setattr(receiver_module, "GATHER_S", DEADLINE_S)
    tcp_sender.socket.sendall(b"x")
    assert reading.get(timeout=DEADLINE_S / 2) == b"x"


@pytest.mark.usefixtures("long_gathering")
@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
def test_what_has_gathered_is_read_when_the_connection_breaks(tcp_sender: Sender, is_reset: bool) -> None:
    reading = gevent.spawn(tcp_sender.receive, coming_bytes=50_000)
    gevent.sleep(0.005)
    tcp_sender.socket.sendall(b"hello")
    gevent.sleep(0.005)
    assert not reading.ready()
    if is_reset:
        tcp_sender.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tcp_sender.socket.close()
    assert reading.get(timeout=DEADLINE_S / 2) == b"hello"
    with pytest.raises(BodyBroken):
        tcp_sender.receive(coming_bytes=50_000)


@pytest.mark.usefixtures("long_gathering")
def test_what_has_gathered_is_read_when_the_reader_is_interrupted(tcp_sender: Sender) -> None:
    reading = gevent.spawn(tcp_sender.receive, coming_bytes=50_000)
    gevent.sleep(0.005)
    tcp_sender.socket.sendall(b"hello")
    gevent.sleep(0.005)
    tcp_sender.receiver.interrupt()
    assert reading.get(timeout=DEADLINE_S / 2) == b"hello"
    with pytest.raises(BodyInterrupted):
        tcp_sender.receive(coming_bytes=50_000)


@pytest.mark.usefixtures("long_gathering")
def test_what_has_gathered_is_read_at_the_time_that_was_told(tcp_sender: Sender) -> None:
    tcp_sender.socket.sendall(b"hello")
    assert tcp_sender.receive() == b"hello"
    reading = gevent.spawn(tcp_sender.receive, until_s=time.monotonic() + 0.05, coming_bytes=50_000)
    gevent.sleep(0.005)
    tcp_sender.socket.sendall(b"world")
    assert reading.get(timeout=DEADLINE_S / 2) == b"world"


@pytest.mark.usefixtures("long_gathering")
def test_nobody_else_who_reads_the_connection_waits_for_bytes_to_gather(tcp_sender: Sender) -> None:
    reading = gevent.spawn(tcp_sender.receive, coming_bytes=50_000)
    gevent.sleep(0.005)
    tcp_sender.receiver.interrupt()
    with pytest.raises(BodyInterrupted):
        reading.get(timeout=DEADLINE_S)
    tcp_sender.socket.sendall(b"x")
    with gevent.Timeout(DEADLINE_S / 2):
        assert tcp_sender.server_socket.recv(10) == b"x"
