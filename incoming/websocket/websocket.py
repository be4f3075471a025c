"""The server's end of a WebSocket on a raw gevent socket: payloads are read and unmasked in place.

gevent-websocket's own read path makes 7 MB/s and blocks the event loop for 54 ms a chunk. This one does not
depend on the server that accepted the connection. The rules of RFC 6455 are in `wire.frame_protocol`. Here is
the I/O: slices, so that a fast client does not delay others. One greenlet reads; any may use `writer`.

What a connection may hold in memory depends on what its session expects. Only while it expects chunks
(`expect_chunks`) does a binary message get a buffer, and a text message 64 KiB. At all other times, above all
before a claim, a text may be as long as a MsgUploadReq, and binary messages are read and dropped. A message
that has begun has to make progress, however it is fragmented (`flow_control.message_deadline_s`).
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import gevent
import gevent.socket

from incoming.core.checksum import checksum
from incoming.protocol.flow_control import MESSAGE_STALL_TIMEOUT_S, KeepaliveIntervals, message_deadline_s
from incoming.protocol.messages import MAX_REQUEST_BYTES, MAX_TEXT_BYTES
from incoming.runtime.buffer_pool import BufferPool
from incoming.runtime.fair_scheduler import QUANTUM_BYTES, is_slice_over, yield_if_due, yield_to_queue
from incoming.runtime.lingering import linger
from incoming.websocket.keepalive import KeepAlive
from incoming.websocket.liveness import Check, Liveness
from incoming.websocket.writer import PING, PONG, ConnectionGone, FrameWriter
from incoming.wire import frames
from incoming.wire.frame_protocol import FrameProtocol, Side
from incoming.wire.frames import FrameHeader

SLICE_BYTES: Final = 512 * 1024
"""How much is read, unmasked and checksummed at a time; it takes half a millisecond. With a quarter of it,
the cost of each read in TCP takes a third of the speed."""
MAX_DROPPED_BYTES: Final = 64 * 1024 * 1024
"""A message that is too large for the buffer, but not larger than this, is read and dropped, so that its
sender learns what is wrong. A larger one ends the connection (1009)."""
_EMPTY: Final = memoryview(bytearray())
_SCRATCH: Final = memoryview(bytearray(SLICE_BYTES))
"""Where all connections read what they drop. Its content is never used."""


@dataclass(slots=True)
class Message:
    """A text message, or a binary one in a buffer of the pool.

    `payload` is empty for a binary message of `size_bytes` that was dropped: it was too large, or no chunk
    was expected. `crc32c` is the checksum of what follows the chunk's header; None without such a header.
    """

    opcode: int
    payload: memoryview
    size_bytes: int
    crc32c: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the payload was kept."""
        return len(self.payload) == self.size_bytes

    @property
    def text(self) -> str:
        """The payload as text. Raises FrameError for invalid UTF-8."""
        return frames.decode_text(self.payload)


class _BufferReleased(Exception):
    """The buffer that was to be read into was released meanwhile."""


class WebSocket:
    """One open WebSocket. Only one greenlet may call `receive`; any may call the other methods."""

    def __init__(
        self, sock: socket.socket, buffers: BufferPool, keepalive: KeepAlive, read_ahead: bytes = b""
    ) -> None:
        """`read_ahead`: what the HTTP server has read past the handshake."""
        self._socket = sock
        self._protocol = FrameProtocol(Side.SERVER, MAX_REQUEST_BYTES, MAX_DROPPED_BYTES)
        self.writer = FrameWriter(sock, self._protocol, keepalive.ping_after_s)
        self.buffers = buffers
        self.chunk_header_bytes = 0
        """The size of the header before a chunk's content. The content begins on a page, and is
        checksummed; 0 where chunks have no header."""
        self.unsolicited_pong = PONG
        """The frame that shows a waiting peer that we are alive."""
        self._ahead = bytearray(read_ahead)
        self._next_header = bytearray(frames.MAX_HEADER_BYTES)
        self._crc = 0
        self._buffer: memoryview | None = None
        self._text = bytearray()
        self._used_bytes = self._quantum_bytes = 0
        self._expects_chunks = self._in_receive = False
        self._is_waiting = self._given_up = self._has_ended = False
        self._deadline_s: float | None = None
        """When the message that has begun must have made progress; None between messages."""
        self.liveness = Liveness(time.monotonic())
        self._keepalive = keepalive
        self._ping_after_s = keepalive.ping_after_s
        keepalive.set_tcp_keepalive(sock)
        self._schedule_check(self.liveness.received_s + self._ping_after_s)

    # --- messages --------------------------------------------------------------------------------

    def expect_chunks(self, expected: bool) -> None:
        """Sets whether a message may be as large as a chunk. If not, one that is arriving is dropped."""
        if expected == self._expects_chunks:
            return
        self._expects_chunks = expected
        self._protocol.max_text_bytes = MAX_TEXT_BYTES if expected else MAX_REQUEST_BYTES
        if not expected and self._in_receive and not isinstance(self._socket, ssl.SSLSocket):
            self._release_buffer()  # TLS may write into it at any time, and keeps it to the end

    def receive(self) -> Message | None:
        """Returns the next message, valid until the next call; None when the peer has closed.

        Answers control frames on the way. Raises ConnectionGone, FrameError.
        """
        self._release_buffer()
        self._text = bytearray()
        self._crc = 0
        self._in_receive = True
        try:
            return self._next_message()
        finally:
            self._in_receive, self._deadline_s = False, None

    def _next_message(self) -> Message | None:
        protocol = self._protocol
        while True:
            header = self._read_header()
            if self._deadline_s is None:
                self._deadline_s = time.monotonic() + MESSAGE_STALL_TIMEOUT_S
            if header.is_control:
                self._read_control(header)
                if protocol.close_received:
                    return None
                if not protocol.in_message:
                    self._deadline_s = None
                continue
            self._read_payload(header, protocol.message_opcode, protocol.message_bytes)
            if header.final:
                return self._message(protocol.message_opcode, protocol.message_bytes)
            self._check_progress()  # empty fragments never wait

    def _message(self, opcode: int, size_bytes: int) -> Message:
        if opcode == frames.OP_TEXT:
            return Message(opcode, memoryview(self._text), size_bytes)
        if self._buffer is None:
            return Message(opcode, _EMPTY, size_bytes)
        crc = self._crc if self.chunk_header_bytes else None
        return Message(opcode, self._buffer[:size_bytes], size_bytes, crc)

    def _read_header(self) -> FrameHeader:
        """Reads a header; mostly it came together with what preceded it."""
        while True:
            header = self._protocol.next_header(self._ahead)
            if header:
                del self._ahead[: header.header_bytes]
                return header
            if self._ahead and self._deadline_s is None:
                self._deadline_s = time.monotonic() + MESSAGE_STALL_TIMEOUT_S
            self._read_into(_EMPTY)

    def _read_control(self, header: FrameHeader) -> None:
        """Reads and answers a control frame. The message that surrounds it makes no progress by that."""
        payload, at = bytearray(header.payload_bytes), 0
        while at < len(payload):
            part = memoryview(payload)[at:]
            at += self._take_ahead(part) or self._read_into(part)
        if header.opcode == frames.OP_PING:
            self.writer.answer(header, payload)
        elif header.opcode == frames.OP_CLOSE:
            with contextlib.suppress(ConnectionGone):
                self.writer.answer(header, payload)
            self._schedule_close()

    def _read_payload(self, header: FrameHeader, opcode: int, end: int) -> None:
        """Reads a data frame's payload, which ends at byte `end` of its message."""
        if opcode == frames.OP_TEXT:
            self._read_text(header)
            return
        position = end - header.payload_bytes
        buffer = self._buffer_for(position, end)
        dropped_bytes = 0 if buffer else header.payload_bytes
        if buffer:
            dropped_bytes = self._read_chunk(buffer, header, position)
        self._drop(dropped_bytes)

    def _buffer_for(self, position: int, end: int) -> memoryview | None:
        """Returns the buffer of a binary message; None when the message is dropped."""
        if end > self.buffers.size_bytes:
            self._release_buffer()
        elif position == 0 and self._buffer is None and self._expects_chunks:
            self._buffer, self._used_bytes = self.buffers.acquire(self.chunk_header_bytes), 0
        return self._buffer

    def _read_text(self, header: FrameHeader) -> None:
        """Appends a payload to the text. It takes memory for what has arrived, not for what was announced."""
        left_bytes, position = header.payload_bytes, 0
        while left_bytes:
            part = _SCRATCH[:left_bytes]
            piece = bytearray(part[: self._read_some(part)])
            frames.unmask(memoryview(piece), header.mask, position)
            self._text += piece
            position += len(piece)
            left_bytes -= len(piece)

    def _read_chunk(self, buffer: memoryview, header: FrameHeader, position: int) -> int:
        """Reads a payload into the buffer. Returns how much of it is left when the buffer was released."""
        end = position + header.payload_bytes
        header_bytes = self.chunk_header_bytes
        self._used_bytes, at = end, position
        while at < end:
            stop = min(end, at + SLICE_BYTES if at > header_bytes else header_bytes + SLICE_BYTES)
            part, filled_bytes = buffer[at:stop], 0
            while filled_bytes < len(part):
                try:
                    filled_bytes += self._read_some(part[filled_bytes:], buffer)
                except _BufferReleased:
                    return end - at - filled_bytes
            frames.unmask(part, header.mask, at - position)
            if header_bytes:  # now that the slice is in the cache
                self._crc = checksum(part[max(header_bytes - at, 0) :], self._crc)
            at = stop
        return 0

    def _drop(self, size_bytes: int) -> None:
        while size_bytes:
            size_bytes -= self._read_some(_SCRATCH[:size_bytes])

    # --- bytes -----------------------------------------------------------------------------------

    def _read_some(self, part: memoryview, buffer: memoryview | None = None) -> int:
        """Returns how many bytes of a message were read into `part`, which may be part of a buffer."""
        received_bytes = self._take_ahead(part) or self._read_into(part, buffer)
        if self._deadline_s is not None:
            self._deadline_s = message_deadline_s(self._deadline_s, self.liveness.received_s, received_bytes)
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
            raise ConnectionGone("a message arrives too slowly")

    def _read_into(self, part: memoryview, buffer: memoryview | None = None) -> int:
        """Returns how many bytes were read into `part`; what follows them is kept for later.

        That is no more than a header may need: a large payload goes straight to its buffer. Raises
        ConnectionGone; _BufferReleased when `buffer`, which `part` belongs to, was released meanwhile.
        """
        received = 0
        while not received:
            close_deadline_s = self.writer.close_deadline_s
            if close_deadline_s and time.monotonic() > close_deadline_s:
                self._given_up = True
                raise ConnectionGone(self._end_reason())
            try:
                received = self._read_once([part, self._next_header], buffer)
            except OSError as exc:
                self._handle_read_error(exc)
            else:
                if not received:
                    raise ConnectionGone(self._end_reason())
        self.liveness.received_s = time.monotonic()
        self._quantum_bytes += received
        ahead_bytes = received - len(part)
        if ahead_bytes > 0:
            self._ahead += self._next_header[:ahead_bytes]
            return len(part)
        return received

    def _handle_read_error(self, exc: OSError) -> None:
        """Returns when the read is worth a retry: after a timeout of ours. Raises ConnectionGone."""
        # Our timer and a peer that TCP has given up raise the same exception; errno tells them apart.
        if not isinstance(exc, TimeoutError) or exc.errno is not None or self.writer.close_deadline_s:
            raise ConnectionGone(str(exc)) from exc
        self._is_waiting = True
        half_s = self._ping_after_s / 2
        self.check_liveness(time.monotonic(), KeepaliveIntervals(half_s, half_s))
        self._is_waiting = False

    def _read_once(self, parts: list[memoryview | bytearray], buffer: memoryview | None) -> int:
        """Waits for data, then for a time slice: not all connections with data are served before others.

        Raises TimeoutError when none arrived for a while and a message has begun. Between messages the peer
        may have nothing to send; KeepAlive decides how long it may be silent.
        """
        while True:
            self._yield_fairly()
            if buffer is not None and self._buffer is not buffer:
                raise _BufferReleased
            if isinstance(self._socket, ssl.SSLSocket):
                self.writer.flush()
                self._check_progress()
                return self._socket.recv_into(parts[0] or parts[1])
            try:
                return os.readv(self._socket.fileno(), parts)
            except BlockingIOError:
                self.writer.flush()
            self._check_progress()
            self._is_waiting = True
            gevent.socket.wait_read(self._socket.fileno(), timeout=self._longest_wait_s())
            self._is_waiting = False

    def _longest_wait_s(self) -> float | None:
        if self._deadline_s is None:
            return None
        return max(min(self._ping_after_s, self._deadline_s - time.monotonic()), 0.001)

    def _yield_fairly(self) -> None:
        """A connection that has used up its quantum queues at the end, any other at the front."""
        if self._quantum_bytes >= QUANTUM_BYTES:
            self._quantum_bytes = 0
            self.writer.flush_if_due(self.buffers.in_use)
            yield_to_queue()
        if is_slice_over():
            self.writer.flush_if_due(self.buffers.in_use)
            yield_if_due(first=True)

    # --- buffers ---------------------------------------------------------------------------------

    def is_receiving(self) -> bool:
        """Returns whether a chunk is arriving, or being processed."""
        return self._buffer is not None

    def detach_buffer(self) -> Callable[[], None]:
        """Keeps the buffer of the latest chunk as it is until the returned function is called."""
        buffer, self._buffer = self._buffer, None
        if buffer is None:
            return lambda: None
        return partial(self.buffers.release, buffer, self._used_bytes)

    def _release_buffer(self) -> None:
        self.detach_buffer()()

    # --- liveness --------------------------------------------------------------------------------

    def set_idle_timeout(self, duration_s: float | None) -> None:
        """Limits how long the connection may last, even if its peer answers pings; None: no limit."""
        self.liveness.idle_until_s = None if duration_s is None else time.monotonic() + duration_s

    def _schedule_check(self, due_s: float) -> None:
        if not isinstance(self._socket, ssl.SSLSocket):  # only its reader may send, and does the checks
            self._keepalive.schedule(self, due_s)

    def check_liveness(self, now_s: float, allowed: KeepaliveIntervals) -> float | None:
        """See keepalive.Checked. Raises ConnectionGone where the caller is the reader."""
        if self._has_ended:
            return None
        close_deadline_s = self.writer.close_deadline_s
        check = self.liveness.check(now_s, allowed, close_deadline_s)
        if check is Check.NOTHING:
            return self.liveness.due_s(allowed, close_deadline_s)
        if close_deadline_s is None and not self._is_waiting:
            return now_s + allowed.pong_after_s  # the reader is busy: what the peer has sent is still unread
        if check is Check.GIVE_UP:
            self._give_up()
            return None
        if not self.writer.try_send(PING if check is Check.SEND_PING else self.unsolicited_pong):
            self._give_up()
            return None
        self.liveness.sent(check, now_s)
        return self.liveness.due_s(allowed, close_deadline_s)

    def _give_up(self) -> None:
        """Shuts the socket down, so that the reader finds the end of the stream."""
        self._given_up = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _end_reason(self) -> str:
        if not self._given_up:
            return "end of stream"
        return "the close was not answered" if self.writer.close_deadline_s else "silent for too long"

    # --- the end ---------------------------------------------------------------------------------

    def close(self, code: int, reason: str = "") -> None:
        """Sends a close frame, once. A peer that does not answer it in time is given up. Raises nothing."""
        self.writer.close(code, reason)
        self._schedule_close()

    def _schedule_close(self) -> None:
        if self.writer.close_deadline_s:
            self._schedule_check(self.writer.close_deadline_s)

    def end(self) -> None:
        """Ends the connection so that the peer still receives what was sent. Raises nothing.

        A client may have a whole window in flight, which can be more than `linger` drops otherwise. So only
        the time is limited.
        """
        self._has_ended = True
        self._keepalive.remove(self)
        self._release_buffer()
        linger(self._socket, max_bytes=math.inf)
