"""The client's end of a websocket: one socket that never waits, frames out of reused buffers.

The rules of RFC 6455 are in `frames`. Chunks are masked in the buffer into which the file was read, with a
mask of their own (section 5.3), and sent from there.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
from collections import deque
from typing import Final

from incoming.client.file import Source
from incoming.client.protocol.events import Closed, Heard
from incoming.client.protocol.stored_prefix import Piece
from incoming.core import checksum
from incoming.protocol import chunks
from incoming.wire import frames
from incoming.wire.frames import FrameError, FrameHeader

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""The server's messages are short; who sends more is no server of ours."""
MAX_FRAMES: Final = 2
"""One that is being sent and one that is ready: the socket has something to send while a file is read."""
RECEIVE_BYTES: Final = 64 * 1024
_HEADER_AT: Final = 16
"""Where the masked part of a frame begins: a multiple of 8, with room for the longest header before it."""
_BYTES_AT: Final = _HEADER_AT + chunks.HEADER_BYTES
_BLOCKED: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class WebSocket:
    """One connection. Only `wait` waits."""

    def __init__(self, sock: socket.socket, ahead: bytes) -> None:
        """`ahead`: what was read past the handshake."""
        self._socket = sock
        self._received = bytearray(ahead)
        self._message = bytearray()
        self._outgoing: deque[tuple[memoryview, bytearray | None]] = deque()
        self._spare: list[bytearray] = []
        self._chunks = 0
        self._broken = False
        sock.setblocking(False)
        self._poll = select.poll()

    @property
    def has_room(self) -> bool:
        """Whether another chunk is welcome."""
        return self._chunks < MAX_FRAMES and not self._broken

    def wait(self, timeout_s: float) -> None:
        """Waits until there is something to read or room to write, or the time is up."""
        wanted = select.POLLIN | (select.POLLOUT if self._outgoing else 0)
        self._poll.register(self._socket, wanted)
        self._poll.poll(timeout_s * 1000)

    # --- sending ---------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Queues a text message."""
        self._queue(frames.OP_TEXT, text.encode())

    def send_chunk(self, source: Source, piece: Piece, round_: int) -> int:
        """Queues a piece of the file as a chunk, and returns its CRC-32C. Raises Spoiled, Unreadable."""
        size_bytes = _BYTES_AT + piece.end - piece.start
        buffer = self._spare.pop() if self._spare else bytearray()
        if len(buffer) < size_bytes:
            buffer = bytearray(size_bytes)
        view = memoryview(buffer)[:size_bytes]
        source.read_into(view[_BYTES_AT:], piece.start)
        crc32c = checksum.checksum(view[_BYTES_AT:])
        chunks.write_header(view[_HEADER_AT:_BYTES_AT], piece.start, crc32c, round_)
        mask = os.urandom(4)
        frames.unmask(view[_HEADER_AT:], mask)
        header = frames.build_header(frames.OP_BINARY, size_bytes - _HEADER_AT, mask)
        view[_HEADER_AT - len(header) : _HEADER_AT] = header
        self._outgoing.append((view[_HEADER_AT - len(header) :], buffer))
        self._chunks += 1
        return crc32c

    def _queue(self, opcode: int, payload: bytes) -> None:
        frame = frames.build_frame(opcode, payload, os.urandom(4))
        self._outgoing.append((memoryview(frame), None))

    def flush(self) -> None:
        """Sends as much as goes now. A broken connection is noticed by `receive`, after its last words."""
        with contextlib.suppress(*_BLOCKED):
            while self._outgoing and not self._broken:
                self._flush_one()

    def _flush_one(self) -> None:
        frame, buffer = self._outgoing.popleft()
        try:
            while frame:
                frame = frame[self._socket.send(frame) :]
        except _BLOCKED:
            self._outgoing.appendleft((frame, buffer))
            raise
        except OSError:
            self._broken = True
            self._outgoing.clear()
        if buffer is not None:
            self._chunks -= 1
            self._spare.append(buffer)

    # --- receiving ---------------------------------------------------------------------------------

    def receive(self) -> list[str | Heard | Closed]:
        """Returns the messages that have come in, as text; nothing follows a Closed."""
        gone = self._receive_more()
        came: list[str | Heard | Closed] = []
        try:
            while (frame := self._next_frame()) is not None:
                came += self._understood(*frame)
                if came and isinstance(came[-1], Closed):
                    return came
        except (FrameError, UnicodeDecodeError):
            return [*came, Closed()]
        return [*came, gone] if gone else came

    def _receive_more(self) -> Closed | None:
        """Reads what there is; returns how the stream has ended, if it has."""
        try:
            while len(self._received) < MAX_MESSAGE_BYTES:
                some = self._socket.recv(RECEIVE_BYTES)
                if not some:
                    return Closed()
                self._received += some
        except _BLOCKED:
            pass
        except OSError:
            return Closed()
        return None

    def _next_frame(self) -> tuple[FrameHeader, bytes] | None:
        """Takes the next frame off what was received; None when that is not all of it yet."""
        header = frames.parse_header(self._received, from_client=False)
        if header is None:
            return None
        end = header.header_bytes + header.payload_bytes
        if end + len(self._message) > MAX_MESSAGE_BYTES:
            raise FrameError(frames.CLOSE_TOO_BIG, "a message is too large")
        if len(self._received) < end:
            return None
        payload = bytes(self._received[header.header_bytes : end])
        del self._received[:end]
        return header, payload

    def _understood(self, header: FrameHeader, payload: bytes) -> list[str | Heard | Closed]:
        if header.opcode == frames.OP_PING:
            self._queue(frames.OP_PONG, payload)
        if header.opcode == frames.OP_CLOSE:
            code = int.from_bytes(payload[:2], "big") if payload else 1005
            return [Closed(code, payload[2:].decode())]
        if header.is_control:
            return [Heard()]
        self._message += payload
        if not header.final:
            return []
        text, self._message = self._message.decode(), bytearray()
        return [text]

    # --- the end -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Says goodbye if that goes at once, and closes."""
        self._queue(frames.OP_CLOSE, frames.close_payload(1000))
        self.flush()
        self._socket.close()
