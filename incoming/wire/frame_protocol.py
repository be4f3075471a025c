"""The rules of one WebSocket connection after its handshake (RFC 6455 sections 5 to 8), without I/O.

`FrameProtocol` is the state machine of one side, server or client. It decides which frame may follow, how
large a message may be, how a control frame is answered, and what may be sent around the close handshake. It
sees headers and control frames only, so its caller can read large payloads straight to where they belong.

`MessageReader` is the whole way from bytes to messages, for a side whose messages are small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from incoming.wire import close_codes, frames
from incoming.wire.frames import FrameError, FrameHeader


class Side(Enum):
    """Which end of the connection this is: a client masks its frames, a server does not."""

    SERVER = auto()
    CLIENT = auto()


def _unmasked() -> bytes:
    return b""


class FrameProtocol:
    """The state of one connection, seen from one side.

    After a FrameError nothing more is read: the caller sends `close(error.code)` and ends the connection.
    """

    def __init__(
        self,
        side: Side,
        max_text_bytes: int,
        max_binary_bytes: int,
        new_mask: Callable[[], bytes] = _unmasked,
    ) -> None:
        """`new_mask` returns a masking key: 4 unpredictable bytes for a client, none for a server."""
        self._from_client = side is Side.SERVER
        self._new_mask = new_mask
        self.max_text_bytes = max_text_bytes
        """The largest text message, in bytes of UTF-8. It may change between two frames."""
        self.max_binary_bytes = max_binary_bytes
        self.message_opcode = frames.OP_CONTINUATION
        """OP_TEXT or OP_BINARY: the type of the message that the latest data frame belongs to."""
        self.message_bytes = 0
        """The size of that message, up to the end of the latest data frame."""
        self.in_message = False
        """Whether more frames of that message have to follow."""
        self.close_sent = False
        self.close_received: tuple[int, str] | None = None
        """Code and reason of the peer's close frame."""

    # --- receiving ---------------------------------------------------------------------------------

    def next_header(self, data: bytes | bytearray | memoryview) -> FrameHeader | None:
        """Returns the frame header at the start of `data`; None while it is incomplete, or after a close.

        Each header counts once: the caller drops it, then reads its payload. Raises FrameError.
        """
        if self.close_received is not None:
            return None
        header = frames.parse_header(data, from_client=self._from_client)
        if header is not None and header.opcode < frames.OP_CLOSE:
            self._begin_data_frame(header)
        return header

    def _begin_data_frame(self, header: FrameHeader) -> None:
        opcode = header.opcode
        if (opcode == frames.OP_CONTINUATION) != self.in_message:
            raise FrameError(close_codes.PROTOCOL_ERROR, "a fragment out of place")
        if opcode != frames.OP_CONTINUATION:
            self.message_opcode, self.message_bytes = opcode, 0
        self.in_message = not header.final
        self.message_bytes += header.payload_bytes
        if self.message_opcode == frames.OP_TEXT:
            if self.message_bytes > self.max_text_bytes:
                raise FrameError(close_codes.TOO_BIG, "a text message is too large")
        elif self.message_bytes > self.max_binary_bytes:
            raise FrameError(close_codes.TOO_BIG, "a message is too large")

    def receive_control(self, header: FrameHeader, payload: bytearray) -> bytes:
        """Returns the frame that answers a control frame; empty where no answer is due.

        `payload` is what came with `header`; it is unmasked in place. A close frame sets `close_received`.
        Raises FrameError.
        """
        if header.mask:
            frames.unmask(memoryview(payload), header.mask)
        if header.opcode == frames.OP_PING:
            return self.frame(frames.OP_PONG, bytes(payload))
        if header.opcode == frames.OP_CLOSE:
            self.close_received = code, _ = frames.parse_close_payload(payload)
            return self.close(close_codes.NORMAL if code == close_codes.NO_CODE else code)
        return b""

    # --- sending -----------------------------------------------------------------------------------

    def frame(self, opcode: int, payload: bytes) -> bytes:
        """Returns a whole frame to send; empty once a close frame was sent (RFC 6455 section 5.5.1)."""
        return b"" if self.close_sent else frames.build_frame(opcode, payload, self._new_mask())

    def close(self, code: int, reason: str = "") -> bytes:
        """Returns a close frame to send; empty when one was sent before."""
        frame = self.frame(frames.OP_CLOSE, frames.close_payload(code, reason))
        self.close_sent = True
        return frame


@dataclass(frozen=True, slots=True)
class Control:
    """A ping or a pong was received."""

    opcode: int


@dataclass(frozen=True, slots=True)
class Close:
    """A close frame was received, with this code (NO_CODE: without one) and reason. Nothing follows it."""

    code: int
    reason: str


Received = str | bytes | Control | Close
"""A text message, a binary message, or what a control frame says."""


class MessageReader:
    """Turns received bytes into messages, however the bytes are split."""

    def __init__(self, protocol: FrameProtocol) -> None:
        self._protocol = protocol
        self._unread = bytearray()
        self._message = bytearray()
        self._header: FrameHeader | None = None
        """That of the frame whose payload is incomplete."""
        self.replies: list[bytes] = []
        """Frames that answer what was received. The caller sends them and clears the list."""

    def feed(self, data: bytes) -> Iterator[Received]:
        """Yields what is complete now that `data` was received.

        Raises FrameError where the peer breaks the protocol, after everything that came before.
        """
        self._unread += data
        while (header := self._next_header()) is not None and len(self._unread) >= header.payload_bytes:
            self._header = None
            payload = self._unread[: header.payload_bytes]
            del self._unread[: header.payload_bytes]
            if header.is_control:
                yield self._control(header, payload)
            elif (message := self._data(header, payload)) is not None:
                yield message

    def _next_header(self) -> FrameHeader | None:
        if self._header is None and (header := self._protocol.next_header(self._unread)) is not None:
            self._header = header
            del self._unread[: header.header_bytes]
        return self._header

    def _control(self, header: FrameHeader, payload: bytearray) -> Control | Close:
        reply = self._protocol.receive_control(header, payload)
        if reply:
            self.replies.append(reply)
        if self._protocol.close_received is not None:
            return Close(*self._protocol.close_received)
        return Control(header.opcode)

    def _data(self, header: FrameHeader, payload: bytearray) -> str | bytes | None:
        """Returns the message that this frame completes."""
        if header.mask:
            frames.unmask(memoryview(payload), header.mask)
        self._message += payload
        if not header.final:
            return None
        message, self._message = self._message, bytearray()
        if self._protocol.message_opcode == frames.OP_TEXT:
            return frames.decode_text(message)
        return bytes(message)
