"""The writer: queued messages are sent together, and in time."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from incoming.websocket import writer
from incoming.websocket.writer import FLUSH_INTERVAL_S, MAX_FLUSH_INTERVAL_S, FrameWriter
from incoming.wire.frame_protocol import FrameProtocol, Side


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(writer, "time", clock)
    return clock


@pytest.fixture
def ends(clock: Clock) -> Iterator[tuple[FrameWriter, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        yield FrameWriter(ours, FrameProtocol(Side.SERVER, 100, 100), 5.0), theirs


def heard(theirs: socket.socket) -> bytes:
    try:
        return theirs.recv(1000)
    except BlockingIOError:
        return b""


def test_a_queued_message_waits_for_a_flush(ends: tuple[FrameWriter, socket.socket]) -> None:
    ours, theirs = ends
    ours.queue_text("one")
    ours.queue_text("two")
    assert heard(theirs) == b""
    ours.flush()
    assert heard(theirs) == b"\x81\x03one\x81\x03two"


@pytest.mark.parametrize(
    ("takers", "moment_s"),
    [
        (0, FLUSH_INTERVAL_S),
        (1, FLUSH_INTERVAL_S),
        (64, 64 * FLUSH_INTERVAL_S),
        (100_000, MAX_FLUSH_INTERVAL_S),
    ],
)
def test_a_flush_that_is_due_waits_until_the_last_one_is_a_moment_ago(
    ends: tuple[FrameWriter, socket.socket], clock: Clock, takers: int, moment_s: float
) -> None:
    ours, theirs = ends
    ours.queue_text("one")
    ours.flush_if_due(takers)
    assert heard(theirs) == b"\x81\x03one"
    ours.queue_text("two")
    clock.now_s += moment_s * 0.9
    ours.flush_if_due(takers)
    assert heard(theirs) == b""
    ours.queue_text("end")
    clock.now_s += moment_s * 0.2
    ours.flush_if_due(takers)
    assert heard(theirs) == b"\x81\x03two\x81\x03end"


def test_a_send_is_preceded_by_the_queued_messages(
    ends: tuple[FrameWriter, socket.socket],
) -> None:
    ours, theirs = ends
    ours.queue_text("one")
    ours.send_text("two")
    assert heard(theirs) == b"\x81\x03one\x81\x03two"


def test_a_flush_of_an_empty_queue_sends_nothing(
    ends: tuple[FrameWriter, socket.socket],
) -> None:
    ours, theirs = ends
    ours.flush_if_due(1)
    assert heard(theirs) == b""
