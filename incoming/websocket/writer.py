"""The half of a websocket that speaks: frames go out whole, one after the other, whoever sends them."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time
from typing import Final

from gevent.lock import BoundedSemaphore

from incoming.wire import frames

HELD_BACK_S: Final = 0.0015
"""Acknowledgements of two turns go out together while more comes in: a tenth more speed for version 1. Among
others, whose turns of a millisecond lie between the two, for each of them as much."""
MAX_HELD_BACK_S: Final = 0.5
CLOSE_TIMEOUT_S: Final = 5.0
"""How long after our close frame the peer may take to answer it; what it sends meanwhile is dropped."""
PING: Final = frames.build_frame(frames.OP_PING, b"")
PONG: Final = frames.build_frame(frames.OP_PONG, b"")
"""To say that we are there, unasked (RFC 6455 section 5.5.3): whoever gets it answers nothing."""


class ConnectionGone(Exception):
    """The peer has left, is dead, or stays silent."""


class Outgoing:
    """Sends on one socket; for all greenlets."""

    def __init__(self, sock: socket.socket, timeout_s: float) -> None:
        """`timeout_s`: how long a peer may take no byte of what is sent."""
        self._socket = sock
        self._held = b""
        self._flushed_s = 0.0
        self.life_sign = PONG
        """The frame that tells who waits at the other end that we are there."""
        self._send_lock = BoundedSemaphore(1)
        self._close_deadline_s: float | None = None
        sock.settimeout(timeout_s)

    def send_text(self, text: str) -> None:
        """Sends a text message; nothing after a close frame. Raises ConnectionGone."""
        self._send(frames.OP_TEXT, text.encode())

    def send_soon(self, text: str) -> None:
        """Has a text message sent together with others, in a moment; for who calls `receive` next.

        To send is what costs most: it wakes the peer, and on this machine its kernel's part is done here.
        """
        if self._close_deadline_s is None:
            self._held += frames.build_frame(frames.OP_TEXT, text.encode())

    def flush(self) -> None:
        """Sends what is held back. Raises ConnectionGone."""
        if self._held:
            with self._send_lock:
                self._send_all(b"")

    def flush_after_a_turn(self, takers: int) -> None:
        """Sends what is held back, unless something was sent a moment ago. Raises ConnectionGone.

        `takers`: how many take turns. With that many a moment is as many times as long.
        """
        moment_s = min(HELD_BACK_S * max(takers, 1), MAX_HELD_BACK_S)
        if self._held and time.monotonic() - self._flushed_s > moment_s:
            self.flush()

    def close(self, code: int, reason: str = "") -> None:
        """Sends a close frame, once. Raises nothing: the reader finds out when the peer is gone."""
        with contextlib.suppress(ConnectionGone):
            self._send(frames.OP_CLOSE, frames.close_payload(code, reason))

    def _say(self, frame: bytes) -> bool:
        """Sends a small frame without waiting; False when it is plain that the peer is not there.

        Where there is no room for that, its silence says enough.
        """
        if isinstance(self._socket, ssl.SSLSocket):
            with self._send_lock:
                self._send_all(frame)
        elif not self._send_lock.locked():
            try:
                sent_bytes = os.write(self._socket.fileno(), frame)
            except BlockingIOError:
                return True
            except OSError:
                return False
            self._held = frame[sent_bytes:] + self._held
        return True

    def _send(self, opcode: int, payload: bytes) -> None:
        with self._send_lock:
            if self._close_deadline_s is not None:
                return
            if opcode == frames.OP_CLOSE:
                self._close_deadline_s = time.monotonic() + CLOSE_TIMEOUT_S
            self._send_all(frames.build_frame(opcode, payload))

    def _send_all(self, frame: bytes) -> None:
        data, self._held = self._held + frame, b""
        self._flushed_s = time.monotonic()
        try:
            self._socket.sendall(data)
        except OSError as exc:
            raise ConnectionGone(str(exc)) from exc
