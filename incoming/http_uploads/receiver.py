"""Reads a request's connection: with time limits, in fair shares, and so that it can be interrupted.

What the bytes mean is decided in `body`.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import socket
import ssl
import time
from typing import Final

import gevent
from gevent.hub import Waiter

from incoming.core.errors import IncomingError, IncompleteBody
from incoming.runtime.fair_scheduler import QUANTUM_BYTES, is_slice_over, yield_if_due, yield_to_queue

SILENCE_TIMEOUT_S: Final = 30.0
"""How long a client may send nothing, or not accept an interim answer."""
MIN_BYTES_PER_S: Final = 1024
"""The lowest average speed of the body of any request. A slower client loses the connection."""
DRAIN_TIME_S: Final = 0.025
"""How long an interrupted reader may take for what has arrived before, so that it is not sent again."""
GATHER_BYTES: Final = 512 * 1024
"""How much should have arrived before a reader is woken up, if that much is to come. The bytes of a fast
client arrive 64 to 200 KiB at a time. To wake up costs more than to read so few."""
GATHER_S: Final = 0.02
"""How long a reader lets bytes gather. Then it takes what is there."""
_READABLE: Final = 1  # libev's EV_READ
_DROPPED: Final = memoryview(mmap.mmap(-1, QUANTUM_BYTES))
"""Where bytes are dropped to. Linux writes nothing there, so it takes no memory."""


class BodyBroken(Exception):
    """The rest of the body will not come, or can't be read. `error`: the answer to its client."""

    def __init__(self, error: IncomingError) -> None:
        super().__init__(str(error))
        self.error = error


class BodyInterrupted(Exception):
    """Another greenlet has ended the reading."""


class Receiver:
    """One connection, as long as a body is read. Only the time inside `receive` counts for its limits."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._hub = gevent.get_hub()
        self._waiter: Waiter | None = None
        self._interrupted_at_s = math.inf
        self._silent_s, self._time_left_s = 0.0, SILENCE_TIMEOUT_S
        self._quantum_bytes = 0
        self._may_gather = True

    def interrupt(self) -> None:
        """Makes `receive` raise BodyInterrupted, even one that waits. For another greenlet.

        What has arrived already is still received, for DRAIN_TIME_S at most.
        """
        self._interrupted_at_s = min(self._interrupted_at_s, time.monotonic())
        if self._waiter:
            self._hub.loop.run_callback(self._waiter.switch, None)

    def _check(self, is_dry: bool) -> None:
        """Raises BodyInterrupted once `interrupt` was called; `is_dry`: nothing more has arrived."""
        if self._interrupted_at_s == math.inf:
            return
        if is_dry or time.monotonic() > self._interrupted_at_s + DRAIN_TIME_S:
            self._interrupted_at_s = -math.inf
            raise BodyInterrupted

    @property
    def can_peek(self) -> bool:
        """Whether `peek` is possible: not with TLS."""
        return not isinstance(self._socket, ssl.SSLSocket)

    def receive(self, buffer: memoryview, until_s: float | None = None, coming_bytes: int = 1) -> int:
        """Returns how many bytes were read into the buffer.

        Waits for the first one. Returns 0 if none has come at `until_s` of the monotonic clock. At least
        `coming_bytes` of the body are to come, so some of them may gather before they are read. Raises
        BodyBroken, BodyInterrupted.
        """
        received_bytes = self._receive(buffer, 0, until_s, coming_bytes)
        self._quantum_bytes += received_bytes
        return received_bytes

    def peek(self, buffer: memoryview, until_s: float | None = None, coming_bytes: int = 1) -> int:
        """Does what `receive` does, but what was read will be read again, except for what is dropped."""
        return self._receive(buffer, socket.MSG_PEEK, until_s, coming_bytes)

    def drop(self, size_bytes: int) -> None:
        """Drops bytes that were peeked at. Linux does not copy them (tcp(7), MSG_TRUNC)."""
        self._quantum_bytes += size_bytes
        with contextlib.suppress(OSError):  # the next read will find it again
            while size_bytes:
                size_bytes -= self._read_once(_DROPPED[:size_bytes], socket.MSG_TRUNC)

    def _receive(self, buffer: memoryview, flags: int, until_s: float | None, coming_bytes: int) -> int:
        while True:
            self._yield_fairly()
            self._check(is_dry=False)
            try:
                received_bytes = self._read_once(buffer, flags)
            except (BlockingIOError, ssl.SSLWantReadError):
                if not self._wait(until_s, coming_bytes):
                    return 0
                continue
            except OSError as exc:
                raise BodyBroken(IncompleteBody("the connection broke")) from exc
            if not received_bytes:
                raise BodyBroken(IncompleteBody("the connection was closed"))
            self._silent_s, self._may_gather = 0.0, True
            self._time_left_s += received_bytes / MIN_BYTES_PER_S
            return received_bytes

    def _read_once(self, buffer: memoryview, flags: int) -> int:
        """Reads what is there, or raises BlockingIOError or SSLWantReadError."""
        if not flags and self.can_peek:
            return os.readv(self._socket.fileno(), [buffer])  # gevent's sockets do not block
        timeout_s = self._socket.gettimeout()
        self._socket.settimeout(0.0)
        try:
            return self._socket.recv_into(buffer, len(buffer), flags)
        finally:
            self._socket.settimeout(timeout_s)

    def _wait(self, until_s: float | None, coming_bytes: int) -> bool:
        """Waits until there is something to read; returns False at `until_s`.

        The first wait after bytes have come lets the next ones gather, and may end before the first of them
        has come. Raises BodyBroken, BodyInterrupted.
        """
        self._check(is_dry=True)
        began_s = time.monotonic()
        max_s = min(SILENCE_TIMEOUT_S - self._silent_s, self._time_left_s)
        if max_s <= 0:
            silent = self._silent_s >= SILENCE_TIMEOUT_S
            raise BodyBroken(
                IncompleteBody("nothing arrived for too long" if silent else "it came too slowly")
            )
        if until_s is not None:
            if until_s <= began_s:
                return False
            max_s = min(max_s, until_s - began_s)
        low_water_bytes = 1
        if self._may_gather and coming_bytes > 1 and self.can_peek:
            low_water_bytes = min(coming_bytes, GATHER_BYTES)
            max_s = min(max_s, GATHER_S)
        self._may_gather = False
        self._wait_for(max_s, low_water_bytes)
        waited_s = time.monotonic() - began_s
        self._silent_s += waited_s
        self._time_left_s -= waited_s
        return True

    def _wait_for(self, duration_s: float, low_water_bytes: int) -> None:
        """Returns when there is something to read, after `duration_s`, or when `interrupt` is called.

        "Something" is `low_water_bytes`, or the end of the connection. Linux makes room for them, and reports
        fewer if there is none (tcp_set_rcvlowat, tcp_epollin_ready).
        """
        loop = self._hub.loop
        self._waiter = waiter = Waiter(self._hub)
        readable, timer = loop.io(self._socket.fileno(), _READABLE), loop.timer(duration_s)
        try:
            if low_water_bytes > 1:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low_water_bytes)
            readable.start(waiter.switch, None)
            timer.start(waiter.switch, None)
            waiter.get()
        finally:
            if low_water_bytes > 1:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            self._waiter = None
            for watcher in (readable, timer):
                watcher.stop()
                watcher.close()

    def _yield_fairly(self) -> None:
        """A connection that has used up its quantum queues at the end, any other at the front."""
        if self._quantum_bytes >= QUANTUM_BYTES:
            self._quantum_bytes = 0
            yield_to_queue()
        if is_slice_over():
            yield_if_due(first=True)
