"""The server's end of a websocket on a raw gevent socket: payloads are read, and unmasked, in place.

It is not gevent-websocket's own read path, which makes 7 MB/s and stops the whole process for 54 ms a chunk,
and it does not depend on which server accepted the connection. The rules of RFC 6455 are in `frames`; here
is the I/O: slices, so that a fast client does not keep others waiting; one greenlet reads, any may send; a
silent peer is asked with a ping, and given up when it stays silent (`vigil`).

What a connection may hold depends on what its conversation expects. Only while chunks are expected
(`expect_chunks`) does a binary message get a buffer, and a text message 64 KiB. At all other times (before a
claim, above all) a text may be as long as a MsgUploadReq, and binary messages are read and dropped. A message
that has begun has to make progress, however it is fragmented (`limits.message_deadline_s`).
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

from incoming.core.checksum import checksum
from incoming.protocol.flow_control import MESSAGE_GRACE_S, Silence, message_deadline_s
from incoming.protocol.messages import MAX_REQUEST_BYTES, MAX_TEXT_BYTES
from incoming.runtime.fair_scheduler import breathe, give_way, turn_is_over
from incoming.websocket.buffers import Buffers
from incoming.websocket.keepalive import KeepAlive
from incoming.websocket.message import Message
from incoming.websocket.writer import CLOSE_TIMEOUT_S, PING, ConnectionGone, Outgoing
from incoming.wire import frames
from incoming.wire.frames import FrameError, FrameHeader

SLICE_BYTES: Final = 512 * 1024
"""What is read, unmasked and checksummed at a time, in half a millisecond: with a quarter of this, the work
that TCP has with each read takes a third of the speed."""
MAX_DROPPED_BYTES: Final = 64 * 1024 * 1024
"""A message that is too large for the buffer, but not larger than this, is read and dropped, so that its
sender can be told what is wrong; a larger one ends the connection (1009)."""
SHARE_BYTES: Final = 2 * SLICE_BYTES
"""What is read before all others go on: how much the time of a turn allows differs by a factor."""
_NOTHING: Final = memoryview(bytearray())
_SCRATCH: Final = memoryview(bytearray(SLICE_BYTES))
"""Where all connections read what is dropped: nobody looks at it."""


class _BufferGone(Exception):
    """The buffer that was to be read into was given back meanwhile."""


class WebSocket(Outgoing):
    """One open websocket. `receive` for one greenlet, the others for all."""

    def __init__(
        self, sock: socket.socket, buffers: Buffers, vigil: KeepAlive, read_ahead: bytes = b""
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
        self._text = bytearray()
        self._used_bytes = self._share_bytes = 0
        self._expects_chunks = self._in_receive = False
        self._is_waiting = self._given_up = self._has_ended = False
        self._deadline_s: float | None = None
        """When the message that has begun must have gone on; None between messages."""
        self._idle_until_s: float | None = None
        self._heard_s, self._said_s, self._pinged_s = time.monotonic(), 0.0, 0.0
        # Two of these in silence, with a ping between them, and the peer is taken for dead.
        self._patience_s = vigil.patience_s
        vigil.keep_alive(sock)
        self._be_watched(self._heard_s + self._patience_s)

    # --- reading ---------------------------------------------------------------------------------

    def expect_chunks(self, expected: bool) -> None:
        """Says whether messages may be as large as a chunk. If not, one that is arriving is dropped."""
        self._expects_chunks = expected
        if not expected and self._in_receive and not isinstance(self._socket, ssl.SSLSocket):
            self._give_buffer_back()  # TLS reads into it whenever it likes, and keeps it to the end

    def receive(self) -> Message | None:
        """Returns the next message, valid until the next call; None when the peer has closed.

        Raises ConnectionGone, FrameError. Control frames are answered on the way.
        """
        self._give_buffer_back()
        self._text = bytearray()
        self._crc = 0
        self._in_receive = True
        try:
            return self._next_message()
        finally:
            self._in_receive, self._deadline_s = False, None

    def _next_message(self) -> Message | None:
        opcode = size_bytes = 0
        while True:
            header = self._read_header()
            if self._deadline_s is None:
                self._deadline_s = time.monotonic() + MESSAGE_GRACE_S
            if header.is_control:
                if self._control(header):
                    return None
                if not opcode:
                    self._deadline_s = None  # no message has begun
                continue
            if (header.opcode == frames.OP_CONTINUATION) != bool(opcode):
                raise FrameError(frames.CLOSE_PROTOCOL_ERROR, "a fragment out of place")
            opcode = opcode or header.opcode
            self._read_payload(header, opcode, size_bytes)
            size_bytes += header.payload_bytes
            if header.final:
                return self._message(opcode, size_bytes)
            self._check_progress()  # empty fragments never wait

    def _message(self, opcode: int, size_bytes: int) -> Message:
        if opcode == frames.OP_TEXT:
            return Message(opcode, memoryview(self._text), size_bytes)
        if self._buffer is None:
            return Message(opcode, _NOTHING, size_bytes)
        return Message(opcode, self._buffer[:size_bytes], size_bytes, self._crc if self.lead_bytes else None)

    def _read_header(self) -> FrameHeader:
        """Reads a header; mostly it has come with what stood before it."""
        while True:
            header = frames.parse_header(self._ahead)
            if header:
                del self._ahead[: header.header_bytes]
                return header
            if self._ahead and self._deadline_s is None:
                self._deadline_s = time.monotonic() + MESSAGE_GRACE_S
            self._read_into(_NOTHING)

    def _read_payload(self, header: FrameHeader, opcode: int, position: int) -> None:
        """Reads a data frame's payload to its place. Raises FrameError when it is too large."""
        end = position + header.payload_bytes
        if opcode == frames.OP_TEXT:
            if end > (MAX_TEXT_BYTES if self._expects_chunks else MAX_REQUEST_BYTES):
                raise FrameError(frames.CLOSE_TOO_BIG, "a text message is too large")
            self._read_text(header)
            return
        if end > MAX_DROPPED_BYTES:
            raise FrameError(frames.CLOSE_TOO_BIG, "a message is too large")
        buffer = self._buffer_for(position, end)
        dropped_bytes = 0 if buffer else header.payload_bytes
        if buffer:
            dropped_bytes = self._read_chunk(buffer, header, position)
        self._drop(dropped_bytes)

    def _buffer_for(self, position: int, end: int) -> memoryview | None:
        """Returns where the bytes of a chunk belong; None when the message is not kept."""
        if end > self.buffers.size_bytes:
            self._give_buffer_back()
        elif position == 0 and self._buffer is None and self._expects_chunks:
            self._buffer, self._used_bytes = self.buffers.borrow(self.lead_bytes), 0
        return self._buffer

    def _read_text(self, header: FrameHeader) -> None:
        """Adds a payload to the text, which takes memory for what has come and not for what was announced."""
        left_bytes, position = header.payload_bytes, 0
        while left_bytes:
            part = _SCRATCH[:left_bytes]
            piece = bytearray(part[: self._read_some(part)])
            frames.unmask(memoryview(piece), header.mask, position)
            self._text += piece
            position += len(piece)
            left_bytes -= len(piece)

    def _read_chunk(self, buffer: memoryview, header: FrameHeader, position: int) -> int:
        """Reads a payload to its place. Returns how much of it is left when the buffer was given back."""
        end = position + header.payload_bytes
        self._used_bytes, at = end, position
        while at < end:
            stop = min(end, at + SLICE_BYTES if at > self.lead_bytes else self.lead_bytes + SLICE_BYTES)
            part, filled_bytes = buffer[at:stop], 0
            while filled_bytes < len(part):
                try:
                    filled_bytes += self._read_some(part[filled_bytes:], buffer)
                except _BufferGone:
                    return end - at - filled_bytes
            frames.unmask(part, header.mask, at - position)
            if self.lead_bytes:  # now that it is in the cache
                self._crc = checksum(part[max(self.lead_bytes - at, 0) :], self._crc)
            at = stop
        return 0

    def _drop(self, size_bytes: int) -> None:
        while size_bytes:
            size_bytes -= self._read_some(_SCRATCH[:size_bytes])

    def _read_some(self, part: memoryview, buffer: memoryview | None = None) -> int:
        """Returns how many bytes of a message were read into `part`, which may lie in a buffer."""
        received_bytes = self._take_ahead(part) or self._read_into(part, buffer)
        if self._deadline_s is not None:
            self._deadline_s = message_deadline_s(self._deadline_s, self._heard_s, received_bytes)
        return received_bytes

    def _take_ahead(self, part: memoryview) -> int:
        """Returns how many bytes of `part` were filled with what was read ahead."""
        size_bytes = min(len(self._ahead), len(part))
        if size_bytes:
            part[:size_bytes] = self._ahead[:size_bytes]
            del self._ahead[:size_bytes]
        return size_bytes

    def _check_progress(self) -> None:
        """Raises ConnectionGone for a message that makes too little progress."""
        if self._deadline_s is not None and time.monotonic() > self._deadline_s:
            raise ConnectionGone("a message comes too slowly")

    def _read_into(self, part: memoryview, buffer: memoryview | None = None) -> int:
        """Returns how many bytes were read into `part`; what came behind them is kept for later.

        That is no more than a header may need: a large payload goes straight to its buffer. Raises
        ConnectionGone; _BufferGone when `buffer`, in which `part` lies, was given back meanwhile.
        """
        received = 0
        while not received:
            if self._close_deadline_s and time.monotonic() > self._close_deadline_s:
                self._given_up = True
                raise ConnectionGone(self._why_it_ends())
            try:
                received = self._read_once([part, self._next_header], buffer)
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

    def _read_once(self, parts: list[memoryview | bytearray], buffer: memoryview | None) -> int:
        """Waits for data, then for our turn: of many who have data, not all are served before others.

        Raises TimeoutError when none came for a while and a message has begun; between messages the peer may
        have nothing to say, and how long it may be silent is for the vigil to say.
        """
        while True:
            self._wait_for_our_turn()
            if buffer is not None and self._buffer is not buffer:
                raise _BufferGone
            if isinstance(self._socket, ssl.SSLSocket):
                self.flush()
                self._check_progress()
                return self._socket.recv_into(parts[0] or parts[1])
            try:
                return os.readv(self._socket.fileno(), parts)
            except BlockingIOError:
                self.flush()
            self._check_progress()
            self._is_waiting = True
            gevent.socket.wait_read(self._socket.fileno(), timeout=self._longest_wait_s())
            self._is_waiting = False

    def _longest_wait_s(self) -> float | None:
        if self._deadline_s is None:
            return None
        return max(min(self._patience_s, self._deadline_s - time.monotonic()), 0.001)

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
        """Reads and answers a control frame. Returns whether it closes the connection.

        It is no progress of the message that it may stand in.
        """
        payload, at = bytearray(header.payload_bytes), 0
        while at < len(payload):
            part = memoryview(payload)[at:]
            at += self._take_ahead(part) or self._read_into(part)
        frames.unmask(memoryview(payload), header.mask)
        if header.opcode == frames.OP_PING:
            self._send(frames.OP_PONG, bytes(payload))
        elif header.opcode == frames.OP_CLOSE:
            self.close(frames.close_answer(bytes(payload)))
            return True
        return False

    def is_receiving(self) -> bool:
        """Returns whether a chunk has begun to come in, or is being dealt with."""
        return self._buffer is not None

    def keep_buffer(self) -> Callable[[], None]:
        """Has the last chunk stay as it is, beyond the next one, until what this returns is called."""
        buffer, self._buffer = self._buffer, None
        if buffer is None:
            return lambda: None
        return partial(self.buffers.give_back, buffer, self._used_bytes)

    def _give_buffer_back(self) -> None:
        self.keep_buffer()()

    # --- silence ---------------------------------------------------------------------------------

    def close(self, code: int, reason: str = "") -> None:
        """See Outgoing. Who does not answer in time is given up."""
        super().close(code, reason)
        if self._close_deadline_s:
            self._be_watched(self._close_deadline_s)

    def may_idle(self, duration_s: float | None) -> None:
        """Has the connection given up after this time, although its peer answers; None: never."""
        self._idle_until_s = None if duration_s is None else time.monotonic() + duration_s

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
        is_idle = self._idle_until_s is not None and now_s > self._idle_until_s
        if closing or is_idle or self._pinged_s > self._heard_s:
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
        self._vigil.leave(self)
        self._give_buffer_back()
        with contextlib.suppress(OSError), gevent.Timeout(CLOSE_TIMEOUT_S, False):
            self._socket.shutdown(socket.SHUT_WR)
            scratch = bytearray(64 * 1024)
            while self._socket.recv_into(scratch):
                breathe()
