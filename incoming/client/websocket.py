"""The terminal client's end of a WebSocket: one non-blocking socket, and frames from reused buffers.

The rules of RFC 6455 are in `wire.frame_protocol`, as for the server. A chunk is masked in the buffer that
the file was read into, with a masking key of its own (section 5.3), and sent from there.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
from collections import deque
from functools import partial
from typing import Final

from incoming.client.protocol.events import ConnectionClosed, PeerActive
from incoming.client.protocol.stored_prefix import Segment
from incoming.client.source import Source
from incoming.core import checksum
from incoming.protocol import chunks
from incoming.wire import close_codes, frames
from incoming.wire.frame_protocol import Close, Control, FrameProtocol, MessageReader, Received, Side
from incoming.wire.frames import FrameError

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""The server's messages are short. A peer that sends larger ones is not an Incoming!! server."""
MAX_FRAMES: Final = 2
"""One frame is being sent and one is ready, so the socket has something to send while a file is read."""
RECEIVE_BYTES: Final = 64 * 1024
MASK_BYTES: Final = 4
_HEADER_AT: Final = 16
"""Where the masked part of a frame begins: a multiple of 8, with room for the longest header before it."""
_BYTES_AT: Final = _HEADER_AT + chunks.HEADER_BYTES
_BLOCKED: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class WebSocket:
    """One connection. Only `wait` waits."""

    def __init__(self, sock: socket.socket, ahead: bytes) -> None:
        """`ahead`: what was read past the handshake."""
        self._socket = sock
        self._protocol = FrameProtocol(
            Side.CLIENT, MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES, partial(os.urandom, MASK_BYTES)
        )
        self._reader = MessageReader(self._protocol)
        self._ahead = ahead
        self._outgoing: deque[tuple[memoryview, bytearray | None]] = deque()
        self._spare: list[bytearray] = []
        self._chunks = 0
        self._broken = False
        sock.setblocking(False)
        self._poll = select.poll()

    @property
    def has_room(self) -> bool:
        """Whether another chunk may be queued."""
        return self._chunks < MAX_FRAMES and not self._broken

    def wait(self, timeout_s: float) -> None:
        """Waits until there is something to read or room to write, for `timeout_s` at most."""
        wanted = select.POLLIN | (select.POLLOUT if self._outgoing else 0)
        self._poll.register(self._socket, wanted)
        self._poll.poll(timeout_s * 1000)

    # --- sending ---------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Queues a text message."""
        self._queue(self._protocol.frame(frames.OP_TEXT, text.encode()))

    def send_chunk(self, source: Source, segment: Segment, round_: int) -> int:
        """Queues a segment of the file as a chunk and returns its CRC-32C.

        Raises FileChanged, FileUnreadable.
        """
        size_bytes = _BYTES_AT + segment.end - segment.start
        buffer = self._spare.pop() if self._spare else bytearray()
        if len(buffer) < size_bytes:
            buffer = bytearray(size_bytes)
        view = memoryview(buffer)[:size_bytes]
        source.read_into(view[_BYTES_AT:], segment.start)
        crc32c = checksum.checksum(view[_BYTES_AT:])
        chunks.write_header(view[_HEADER_AT:_BYTES_AT], segment.start, crc32c, round_)
        mask = os.urandom(MASK_BYTES)
        frames.unmask(view[_HEADER_AT:], mask)
        header = frames.build_header(frames.OP_BINARY, size_bytes - _HEADER_AT, mask)
        view[_HEADER_AT - len(header) : _HEADER_AT] = header
        self._outgoing.append((view[_HEADER_AT - len(header) :], buffer))
        self._chunks += 1
        return crc32c

    def _queue(self, frame: bytes) -> None:
        if frame:
            self._outgoing.append((memoryview(frame), None))

    def flush(self) -> None:
        """Sends as much as the socket accepts now.

        On a broken connection it does nothing: `receive` reports the end, after the server's last messages.
        """
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

    def receive(self) -> list[str | PeerActive | ConnectionClosed]:
        """Returns what has arrived: messages as text, and signs of life. ConnectionClosed is the last."""
        data, gone = self._receive_bytes()
        events: list[str | PeerActive | ConnectionClosed] = []
        try:
            for received in self._reader.feed(data):
                events.append(_event(received))
        except FrameError as exc:
            self._queue(self._protocol.close(exc.code, str(exc)))
            events.append(ConnectionClosed())
        while self._reader.replies:
            self._queue(self._reader.replies.pop(0))
        if gone and not (events and isinstance(events[-1], ConnectionClosed)):
            events.append(gone)
        return events

    def _receive_bytes(self) -> tuple[bytes, ConnectionClosed | None]:
        """Reads what has arrived, up to MAX_MESSAGE_BYTES; and how the stream has ended, if it has."""
        data, self._ahead = bytearray(self._ahead), b""
        try:
            while len(data) < MAX_MESSAGE_BYTES:
                some = self._socket.recv(RECEIVE_BYTES)
                if not some:
                    return bytes(data), ConnectionClosed()
                data += some
        except _BLOCKED:
            pass
        except OSError:
            return bytes(data), ConnectionClosed()
        return bytes(data), None

    # --- the end -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Sends a close frame if the socket accepts it at once, and closes."""
        self._queue(self._protocol.close(close_codes.NORMAL))
        self.flush()
        self._socket.close()


def _event(received: Received) -> str | PeerActive | ConnectionClosed:
    """Returns what the session is told. Raises FrameError for a binary message: the server sends none."""
    match received:
        case str():
            return received
        case Control():
            return PeerActive()
        case Close(code, reason):
            return ConnectionClosed(code, reason)
        case bytes():
            raise FrameError(close_codes.UNSUPPORTED_DATA, "a binary message")
