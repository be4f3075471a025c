"""Listens in on the WebSocket connections of a proxy and keeps the books: how often bytes were sent.

It reads frames as they pass, and keeps of a chunk only where it belongs and how much of it has passed. Only
version 2 is understood; what it can't read it skips, since the proxy spoils things on purpose.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.client_v2 import CHUNK_HEADER
from tests.support.websocket import BINARY, CONTINUATION, TEXT

MAX_TEXT_BYTES: Final = 64 * 1024


@dataclass
class Book:
    """What was seen of one ticket, over all its connections; bytes are bytes of the file."""

    connections: int = 0
    rounds: int = 0
    sent_bytes: int = 0
    stored_bytes: int = 0
    sent_though_stored_bytes: int = 0
    max_ahead_bytes: int = 0


class Books:
    """The books of all tickets."""

    def __init__(self) -> None:
        self.of_ticket: dict[str, Book] = {}

    def open(self, ticket_id: str) -> Book:
        """Returns the book of a ticket."""
        return self.of_ticket.setdefault(ticket_id, Book())


@dataclass
class Tap:
    """Both directions of one connection."""

    books: Books
    book: Book | None = None
    up: Frames = field(init=False)
    down: Frames = field(init=False)

    def __post_init__(self) -> None:
        self.up = Frames(self._text_of_client, self._chunk)
        self.down = Frames(self._text_of_server, lambda *_: None)

    def _text_of_client(self, message: dict[str, Any]) -> None:
        if message["MsgType"] == "MsgUploadReq":
            self.book = self.books.open(message["MsgData"]["Id"])
            self.book.connections += 1

    def _text_of_server(self, message: dict[str, Any]) -> None:
        if not self.book:
            return
        match message["MsgType"]:
            case "MsgResend":
                self.book.rounds += 1
            case "MsgStored":
                self.book.stored_bytes = max(self.book.stored_bytes, message["MsgData"]["Offset"])
            case "MsgError" if message["MsgData"]["Code"] == "wrong_file":
                self.book.stored_bytes = 0  # it may begin again

    def _chunk(self, offset_bytes: int, size_bytes: int) -> None:
        """Some bytes of a chunk, `offset_bytes` is where they belong in the file."""
        if not self.book:
            return
        self.book.sent_bytes += size_bytes
        again = min(self.book.stored_bytes - offset_bytes, size_bytes)
        self.book.sent_though_stored_bytes += max(again, 0)
        ahead_bytes = offset_bytes + size_bytes - self.book.stored_bytes
        self.book.max_ahead_bytes = max(self.book.max_ahead_bytes, ahead_bytes)


class Frames:
    """One direction of a WebSocket connection, its HTTP head included (RFC 6455 section 5.2)."""

    def __init__(self, on_text: Any, on_chunk: Any) -> None:
        """`on_text(message)` for each text, `on_chunk(offset_bytes, size_bytes)` for each part of a chunk."""
        self._on_text = on_text
        self._on_chunk = on_chunk
        self._in_head = True
        self._buffer = bytearray()
        self._mask = b""
        self._frame_bytes_left = 0
        self._frame_at = 0
        self._opcode = 0
        self._final = False
        self._kept = bytearray()
        self._message_bytes = 0

    def feed(self, data: bytes) -> None:
        """Takes what has passed."""
        self._buffer += data
        if self._in_head:
            _, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._in_head = False
            self._buffer = rest
        while self._buffer:
            if not self._frame_bytes_left and not self._begin_frame():
                return
            self._take_payload()

    def _begin_frame(self) -> bool:
        """Reads a frame's header; returns False when it has not come in as a whole."""
        if len(self._buffer) < 2:
            return False
        masked, size, at = bool(self._buffer[1] & 0x80), self._buffer[1] & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(self._buffer[2:at], "big")
        if len(self._buffer) < at + 4 * masked:
            return False
        self._mask = bytes(self._buffer[at : at + 4]) if masked else b""
        opcode = self._buffer[0] & 0x0F
        self._final = bool(self._buffer[0] & 0x80)
        del self._buffer[: at + 4 * masked]
        self._frame_bytes_left, self._frame_at = size, 0
        if opcode != CONTINUATION:
            self._opcode = opcode
            self._kept.clear()
            self._message_bytes = 0
        return True

    def _take_payload(self) -> None:
        part = bytes(self._buffer[: self._frame_bytes_left])
        del self._buffer[: len(part)]
        self._frame_bytes_left -= len(part)
        self._keep(part)
        before = max(self._message_bytes - CHUNK_HEADER.size, 0)
        self._message_bytes += len(part)
        self._frame_at += len(part)
        now = max(self._message_bytes - CHUNK_HEADER.size, 0)
        if self._opcode == BINARY and now > before:
            offset_bytes, _, _ = CHUNK_HEADER.unpack(self._kept[: CHUNK_HEADER.size])
            self._on_chunk(offset_bytes + before, now - before)
        elif self._opcode == TEXT and self._final and not self._frame_bytes_left:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self._on_text(json.loads(self._kept))

    def _keep(self, part: bytes) -> None:
        """Keeps the beginning of a message, without its mask."""
        keep_bytes = MAX_TEXT_BYTES if self._opcode == TEXT else CHUNK_HEADER.size
        part = part[: max(keep_bytes - len(self._kept), 0)]
        if self._mask:
            part = bytes(byte ^ self._mask[(self._frame_at + i) % 4] for i, byte in enumerate(part))
        self._kept += part
