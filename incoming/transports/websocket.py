"""The server's end of a websocket on a raw gevent socket: payloads are read, and unmasked, in place.

It is not gevent-websocket's own read path, which makes 7 MB/s and stops the whole process for 54 ms a chunk,
and it does not depend on which server accepted the connection. The rules of RFC 6455 are in `frames`; here
is the I/O: slices, so that a fast client does not keep others waiting; one greenlet reads, any may send; a
silent peer is asked with a ping, and given up when it stays silent (`vigil`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import gevent
import gevent.socket

from incoming import frames
from incoming.digest import checksum
from incoming.frames import FrameError, FrameHeader
from incoming.limits import Silence
from incoming.messages import MAX_TEXT_BYTES
from incoming.runtime import breathe, give_way, turn_is_over
from incoming.transports.buffers import Buffers
from incoming.transports.message import Message
from incoming.transports.outgoing import CLOSE_TIMEOUT_S, PING, ConnectionGone, Outgoing
from incoming.transports.vigil import Vigil

SLICE_BYTES: Final = 512 * 1024
"""What is read, unmasked and checksummed at a time, in half a millisecond: with a quarter of this, the work
that TCP has with each read takes a third of the speed."""
MAX_DROPPED_BYTES: Final = 64 * 1024 * 1024
"""A message that is too large for the buffer, but not larger than this, is read and dropped, so that its
sender can be told what is wrong; a larger one ends the connection (1009)."""
SHARE_BYTES: Final = 2 * SLICE_BYTES
"""What is read before all others go on: how much the time of a turn allows differs by a factor."""
_NOTHING: Final = memoryview(bytearray())


class WebSocket(Outgoing):
    """One open websocket. `receive` for one greenlet, the others for all."""

    def __init__(
        self, sock: socket.socket, buffers: Buffers, vigil: Vigil, read_ahead: bytes = b""
    ) -> None:
        """`read_ahead`: what the HTTP server has read past the handshake."""
        self.lead_bytes = 0
        """What stands before the content of a message, which is to begin on a page and to be checksummed."""
        super().__init__(sock, vigil.patience_s)
        self._vigil = vigil
        self.buffers = buffers
        self._ahead = bytearray(read_ahead)
        self._next_header = bytearray(frames.MAX_HEADER_BYTES)
        self._crc = 0
        self._buffer: memoryview | None = None
        self._used_bytes = self._share_bytes = 0
        self._is_waiting = self._given_up = self._has_ended = False
        self._heard_s, self._said_s, self._pinged_s = time.monotonic(), 0.0, 0.0
        # Two of these in silence, with a ping between them, and the peer is taken for dead.
        self._patience_s = vigil.patience_s
        vigil.keep_alive(sock)
        self._be_watched(self._heard_s + self._patience_s)

    # --- reading ---------------------------------------------------------------------------------

    def receive(self) -> Message | None:
        """Returns the next message, valid until the next call; None when the peer has closed.

        Raises ConnectionGone, FrameError. Control frames are answered on the way.
        """
        self._give_buffer_back()
        opcode = size_bytes = self._crc = 0
        while True:
            header = self._read_header()
            if header.is_control:
                if self._control(header):
                    return None
                continue
            if (header.opcode == frames.OP_CONTINUATION) != bool(opcode):
                raise FrameError(frames.CLOSE_PROTOCOL_ERROR, "a fragment out of place")
            opcode = opcode or header.opcode
            self._read_payload(header, opcode, size_bytes)
            size_bytes += header.payload_bytes
            if header.final:
                buffer = self._borrowed()
                crc = self._crc if self.lead_bytes else None
                return Message(opcode, buffer[: min(size_bytes, len(buffer))], size_bytes, crc)

    def _read_header(self) -> FrameHeader:
        """Reads a header; mostly it has come with what stood before it."""
        while True:
            header = frames.parse_header(self._ahead)
            if header:
                del self._ahead[: header.header_bytes]
                return header
            self._read_into(_NOTHING)

    def _read_payload(self, header: FrameHeader, opcode: int, position: int) -> None:
        """Reads a data frame's payload to its place in the buffer. Raises FrameError when it is too large."""
        end = position + header.payload_bytes
        if end > (MAX_TEXT_BYTES if opcode == frames.OP_TEXT else MAX_DROPPED_BYTES):
            raise FrameError(frames.CLOSE_TOO_BIG, "a message is too large")
        buffer = self._borrowed()
        if end > len(buffer):
            self._drop(header.payload_bytes)
            return
        self._used_bytes, at = end, position
        while at < end:
            stop = min(end, at + SLICE_BYTES if at > self.lead_bytes else self.lead_bytes + SLICE_BYTES)
            part = buffer[at:stop]
            self._fill(part)
            frames.unmask(part, header.mask, at - position)
            if self.lead_bytes:  # now that it is in the cache
                self._crc = checksum(part[max(self.lead_bytes - at, 0) :], self._crc)
            at = stop

    def _drop(self, size_bytes: int) -> None:
        scratch = self._borrowed()
        self._used_bytes = max(self._used_bytes, SLICE_BYTES)
        while size_bytes:
            part = scratch[: min(size_bytes, SLICE_BYTES)]
            self._fill(part)
            size_bytes -= len(part)

    def _fill(self, part: memoryview) -> None:
        """Fills all of `part`, first with what was read ahead."""
        position = min(len(self._ahead), len(part))
        if position:
            part[:position] = self._ahead[:position]
            del self._ahead[:position]
        while position < len(part):
            position += self._read_into(part[position:])

    def _read_into(self, part: memoryview) -> int:
        """Returns how many bytes were read into `part`; what came behind them is kept for later.

        That is no more than a header may need: a large payload goes straight to its buffer. Raises
        ConnectionGone.
        """
        received = 0
        while not received:
            if self._close_deadline_s and time.monotonic() > self._close_deadline_s:
                self._given_up = True
                raise ConnectionGone(self._why_it_ends())
            try:
                received = self._read_once([part, self._next_header])
            except OSError as exc:
                self._ask_why_silent(exc)
            else:
                if not received:
                    raise ConnectionGone(self._why_it_ends())
        self._heard_s = time.monotonic()
        self._share_bytes += received
        ahead_bytes = received - len(part)
        if ahead_bytes > 0:
            self._ahead += self._next_header[:ahead_bytes]
            return len(part)
        return received

    def _ask_why_silent(self, exc: OSError) -> None:
        """Returns when it is worth to go on reading. Raises ConnectionGone."""
        # Our own timer and a peer whom TCP has given up are one exception; errno tells them apart.
        if not isinstance(exc, TimeoutError) or exc.errno is not None or self._close_deadline_s:
            raise ConnectionGone(str(exc)) from exc
        self._is_waiting = True
        self.look(time.monotonic(), Silence(self._patience_s / 2, self._patience_s / 2))
        self._is_waiting = False

    def _read_once(self, parts: list[memoryview | bytearray]) -> int:
        """Waits for data, then for our turn: of many who have data, not all are served before others.

        Raises TimeoutError when none came for a while and a message has begun; between messages the peer may
        have nothing to say, and how long it may be silent is for the vigil to say.
        """
        while True:
            self._wait_for_our_turn()
            if isinstance(self._socket, ssl.SSLSocket):
                self.flush()
                return self._socket.recv_into(parts[0] or parts[1])
            try:
                return os.readv(self._socket.fileno(), parts)
            except BlockingIOError:
                self.flush()
            timeout_s = None if self._buffer is None else self._patience_s
            self._is_waiting = True
            gevent.socket.wait_read(self._socket.fileno(), timeout=timeout_s)
            self._is_waiting = False

    def _wait_for_our_turn(self) -> None:
        """Who has had its share goes to the end of the line, and who has not to its front."""
        if self._share_bytes >= SHARE_BYTES:
            self._share_bytes = 0
            self.flush_after_a_turn(self.buffers.lent)
            give_way()
        if turn_is_over():
            self.flush_after_a_turn(self.buffers.lent)
            breathe(comes_first=True)

    def _control(self, header: FrameHeader) -> bool:
        """Reads and answers a control frame. Returns whether it closes the connection."""
        payload = bytearray(header.payload_bytes)
        self._fill(memoryview(payload))
        frames.unmask(memoryview(payload), header.mask)
        if header.opcode == frames.OP_PING:
            self._send(frames.OP_PONG, bytes(payload))
        elif header.opcode == frames.OP_CLOSE:
            self.close(frames.close_answer(bytes(payload)))
            return True
        return False

    def is_receiving(self) -> bool:
        """Returns whether a message has begun to come in, or is being dealt with."""
        return self._buffer is not None

    def _borrowed(self) -> memoryview:
        if self._buffer is None:
            self._buffer, self._used_bytes = self.buffers.borrow(self.lead_bytes), 0
        return self._buffer

    def keep_buffer(self) -> Callable[[], None]:
        """Has the last message stay as it is, beyond the next one, until what this returns is called."""
        buffer, self._buffer = self._borrowed(), None
        return partial(self.buffers.give_back, buffer, self._used_bytes)

    def _give_buffer_back(self) -> None:
        if self._buffer is not None:
            self.keep_buffer()()

    # --- silence ---------------------------------------------------------------------------------

    def close(self, code: int, reason: str = "") -> None:
        """See Outgoing. Who does not answer in time is given up."""
        super().close(code, reason)
        if self._close_deadline_s:
            self._be_watched(self._close_deadline_s)

    def _be_watched(self, due_s: float) -> None:
        if not isinstance(self._socket, ssl.SSLSocket):  # of which only the reader may send: it keeps watch
            self._vigil.watch(self, due_s)

    def look(self, now_s: float, allowed: Silence) -> float | None:
        """See vigil.Watched. Raises ConnectionGone where the caller is the reader."""
        if self._has_ended:
            return None
        due_s = self._due_s(allowed)
        if now_s < due_s:
            return due_s
        closing = self._close_deadline_s is not None
        if not closing and not self._is_waiting:
            return now_s + allowed.say_after_s  # what the peer says is not read now
        if closing or self._pinged_s > self._heard_s:
            self._hang_up()
            return None
        asks = now_s >= self._heard_s + allowed.ask_after_s
        if not self._say(PING if asks else self.life_sign):
            self._hang_up()
            return None
        self._said_s = now_s
        if asks:
            self._pinged_s = now_s
        return self._due_s(allowed)

    def _due_s(self, allowed: Silence) -> float:
        if self._close_deadline_s is not None:
            return self._close_deadline_s
        if self._pinged_s > self._heard_s:
            return self._pinged_s + allowed.say_after_s
        due_s = max(self._heard_s, self._said_s) + allowed.say_after_s
        return min(due_s, self._heard_s + allowed.ask_after_s)

    def _hang_up(self) -> None:
        """Has the reader find the end of the stream."""
        self._given_up = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _why_it_ends(self) -> str:
        if not self._given_up:
            return "end of stream"
        return "the close was not answered" if self._close_deadline_s else "silent for too long"

    # --- the end ---------------------------------------------------------------------------------

    def end(self) -> None:
        """Ends the connection so that the peer still gets our last words. Raises nothing.

        Closing a socket that has unread bytes makes TCP throw away what was sent before: so our side is shut
        first, and what comes in is dropped until the peer is done, or for a short time.
        """
        self._has_ended = True
        self._give_buffer_back()
        with contextlib.suppress(OSError), gevent.Timeout(CLOSE_TIMEOUT_S, False):
            self._socket.shutdown(socket.SHUT_WR)
            scratch = bytearray(64 * 1024)
            while self._socket.recv_into(scratch):
                breathe()
