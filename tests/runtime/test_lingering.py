"""A peer that is still sending can read what was sent to it, within limits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gevent
import gevent.socket
import pytest

from incoming.runtime import lingering
from incoming.runtime.lingering import linger

DEADLINE_S = 60.0


@pytest.fixture
def ends() -> Iterator[tuple[Any, Any]]:
    """Our end of a TCP connection, and the peer's."""
    with closing(gevent.socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        peer = gevent.socket.create_connection(listener.getsockname(), DEADLINE_S)
        ours, _ = listener.accept()
    ours.settimeout(DEADLINE_S)
    yield ours, peer
    ours.close()
    peer.close()


def test_a_peer_that_is_still_sending_reads_the_answer(ends: tuple[Any, Any]) -> None:
    ours, peer = ends
    sending = gevent.spawn(peer.sendall, bytes(3_000_000))
    gevent.sleep(0)
    ours.sendall(b"answer")
    lingering_ = gevent.spawn(linger, ours)
    sending.get(timeout=DEADLINE_S)
    assert (peer.recv(100), peer.recv(100)) == (b"answer", b"")
    peer.close()
    lingering_.get(timeout=DEADLINE_S)


def test_a_peer_that_sends_without_end_is_left(
    ends: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "MAX_LINGER_BYTES", 100_000)
    monkeypatch.setattr(lingering, "LINGER_TIMEOUT_S", 2 * DEADLINE_S)
    ours, peer = ends
    sending = gevent.spawn(peer.sendall, bytes(50_000_000))
    gevent.spawn(linger, ours).get(timeout=DEADLINE_S)
    sending.kill()


def test_a_peer_that_does_not_end_its_side_is_left(
    ends: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LINGER_TIMEOUT_S", 0.05)
    began_s = time.monotonic()
    linger(ends[0])
    assert 0.05 <= time.monotonic() - began_s < DEADLINE_S


def test_a_peer_that_is_gone_is_not_an_error(ends: tuple[Any, Any]) -> None:
    ours, peer = ends
    peer.close()
    linger(ours)
    ours.close()
    linger(ours)
