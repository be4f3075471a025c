"""The sending half of a WebSocket: whole frames, one after the other, from any greenlet.

Acknowledgements may wait in the queue for a flush. A send wakes the peer, and on the same machine it costs
more than all else that a small message needs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time
from typing import Final

from gevent.lock import BoundedSemaphore

from incoming.wire import frames
from incoming.wire.frame_protocol import FrameProtocol
from incoming.wire.frames import FrameHeader

FLUSH_INTERVAL_S: Final = 0.0015
"""How long queued messages wait at least between two flushes, for each upload that is active. It makes
protocol version 1 faster by a tenth: acknowledgements of two time slices leave together."""
MAX_FLUSH_INTERVAL_S: Final = 0.5
CLOSE_TIMEOUT_S: Final = 5.0
"""How long the peer may take to answer our close frame. What it sends meanwhile is dropped."""
PING: Final = frames.build_frame(frames.OP_PING, b"")
PONG: Final = frames.build_frame(frames.OP_PONG, b"")
"""An unsolicited pong shows that we are alive and needs no answer (RFC 6455 section 5.5.3)."""


class ConnectionGone(Exception):
    """The peer has disconnected, is dead, or stays silent."""


class FrameWriter:
    """Sends frames on one socket. Every method may be called from any greenlet."""

    def __init__(self, sock: socket.socket, protocol: FrameProtocol, timeout_s: float) -> None:
        """`timeout_s`: how long the peer may accept no byte of what is sent."""
        self._socket = sock
        self._protocol = protocol
        self._queued = b""
        self._flushed_s = 0.0
        self._send_lock = BoundedSemaphore(1)
        self.close_deadline_s: float | None = None
        """When the connection ends at the latest; None until a close frame was sent."""
        sock.settimeout(timeout_s)

    def send(self, opcode: int, payload: bytes) -> None:
        """Sends a frame; nothing after a close frame. Raises ConnectionGone."""
        with self._send_lock:
            frame = self._protocol.frame(opcode, payload)
            if frame:
                self._send_all(frame)

    def send_text(self, text: str) -> None:
        """Sends a text message; nothing after a close frame. Raises ConnectionGone."""
        self.send(frames.OP_TEXT, text.encode())

    def queue_text(self, text: str) -> None:
        """Queues a text message until the next flush; drops it after a close frame."""
        self._queued += self._protocol.frame(frames.OP_TEXT, text.encode())

    def flush(self) -> None:
        """Sends what is queued. Raises ConnectionGone."""
        if self._queued:
            with self._send_lock:
                self._send_all(b"")

    def flush_if_due(self, active: int) -> None:
        """Sends what is queued, unless something was sent a moment ago. Raises ConnectionGone.

        The moment is FLUSH_INTERVAL_S for each of the `active` uploads, MAX_FLUSH_INTERVAL_S at most.
        """
        interval_s = min(FLUSH_INTERVAL_S * max(active, 1), MAX_FLUSH_INTERVAL_S)
        if self._queued and time.monotonic() - self._flushed_s > interval_s:
            self.flush()

    def answer(self, header: FrameHeader, payload: bytearray) -> None:
        """Passes a control frame to the protocol and sends its answer. Raises FrameError, ConnectionGone."""
        with self._send_lock:  # no other greenlet sends a close frame between the two
            reply = self._protocol.receive_control(header, payload)
            if reply:
                self._set_close_deadline()
                self._send_all(reply)

    def close(self, code: int, reason: str = "") -> None:
        """Sends a close frame, once. Raises nothing: the reader notices when the peer is gone."""
        with contextlib.suppress(ConnectionGone), self._send_lock:
            frame = self._protocol.close(code, reason)
            if frame:
                self._set_close_deadline()
                self._send_all(frame)

    def _set_close_deadline(self) -> None:
        if self._protocol.close_sent:
            self.close_deadline_s = time.monotonic() + CLOSE_TIMEOUT_S

    def try_send(self, frame: bytes) -> bool:
        """Sends a small frame without waiting. Returns False when the peer is certainly gone.

        Where the socket has no room, the frame is dropped: silence shows what becomes of the peer.
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
            self._queued = frame[sent_bytes:] + self._queued
        return True

    def _send_all(self, frame: bytes) -> None:
        data, self._queued = self._queued + frame, b""
        self._flushed_s = time.monotonic()
        try:
            self._socket.sendall(data)
        except OSError as exc:
            raise ConnectionGone(str(exc)) from exc
