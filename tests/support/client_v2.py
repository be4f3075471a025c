"""A client of protocol version 2, written from docs/reference/protocol.md alone.

It sends chunks as far ahead as it may, goes back when the server asks for it, and reconnects when that helps.

It checks what must hold in every test. Messages have exactly the documented members. Acknowledgements only
grow and never exceed what was sent. A resume never begins before the last acknowledged byte. Texts are safe
to write into a page.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from typing import Any, Final

from crc32c import crc32c

from tests.support.data import BLOCK_BYTES, FileBytes
from tests.support.messages_v2 import read_message
from tests.support.upload_client import CLOSE_NORMAL, Message, UploadClient, UploadError
from tests.support.websocket import ConnectionClosed

CHUNK_HEADER: Final = struct.Struct("!QII")
"""Offset in the file, CRC-32C of the bytes that follow, round."""
CLOSE_CODES: Final = {"taken_over": 4001, "stopping": 1012}
CLOSE_TRY_AGAIN_LATER: Final = 1013


class UploadRefused(UploadError):
    """A MsgError, its members, and the code with which the connection was closed after it (1006: without)."""

    def __init__(self, error: dict[str, Any], close_code: int) -> None:
        super().__init__(f"{error}, closed with {close_code}")
        self.error = error
        self.close_code = close_code
        self.code = str(error["Code"])
        self.retryable = bool(error["Retryable"])


class Stopping(ConnectionClosed):
    """The server stops, and has announced that before its close."""


READ_IN_SILENCE_BYTES: Final = 256 * 1024 * 1024
"""The server ends a connection that it hears nothing of for ten seconds."""


def checksum(data: FileBytes, start: int = 0, end: int | None = None, crc: int = 0) -> int:
    """Returns the CRC-32C of the bytes from `start` to `end` (default: all) of a file, behind others."""
    end = data.length_bytes if end is None else end
    for at in range(start, end, BLOCK_BYTES):
        crc = crc32c(data.read(at, min(BLOCK_BYTES, end - at)), crc)
    return crc


class ClientV2(UploadClient):
    """One upload in version 2."""

    IN_TRANSIT = ("MsgStored", "MsgResend", "MsgNews", "MsgPong")

    def __init__(
        self, url: str, ticket_id: str, data: FileBytes, name: str = "holiday.mov", timeout_s: float = 30.0
    ) -> None:
        super().__init__(url, ticket_id, data, name, timeout_s)
        self.last_modified_ms = 1_700_000_000_123
        self.chunk_size_bytes = 64 * 1024
        self.stored_bytes = 0
        self.round = 0
        self.stored_at_s: list[tuple[float, int]] = []
        self.resent_at: list[int] = []
        self.news: list[str] = []
        self.conf: dict[str, Any] = {}
        self.max_chunk_bytes = 0
        self.max_window_bytes = 0
        """The server's latest limit."""
        self._highest_sent_bytes = 0

    def check(self, text: bytes) -> Message:
        """Returns a message of the server, with exactly the documented members."""
        return read_message(text, self.name)

    def expect(self, msg_type: str) -> dict[str, Any]:
        """Returns the data of the next message, which must be of this type. Raises UploadRefused."""
        message = self.receive()
        if message.type == "MsgError" != msg_type:
            self._refuse(message.data)
        assert message.type == msg_type, f"expected {msg_type}, got {message}"
        return message.data

    def _refuse(self, error: dict[str, Any]) -> None:
        retry_code = CLOSE_CODES.get(error["Code"], CLOSE_TRY_AGAIN_LATER)
        close_code = self.receive_close_code(retry_code if error["Retryable"] else CLOSE_NORMAL)
        if error["Code"] == "bytes_lost":
            self.stored_bytes = 0  # the next MsgUploadConf has the truth
        raise UploadRefused(error, close_code)

    def refusal(self) -> UploadRefused:
        """Returns the error that ends this connection; acknowledgements and news may come before it."""
        try:
            while True:
                self.receive_next()
        except UploadRefused as refused:
            return refused

    # --- an upload, step by step -----------------------------------------------------------------------

    def request(self, **other: object) -> dict[str, Any]:
        """Requests the upload and returns the MsgUploadConf. Raises UploadRefused."""
        request = {
            "Version": 2,
            "Id": self.ticket_id,
            "LengthBytes": self.data.length_bytes,
            "Name": self.name,
            "LastModifiedMs": self.last_modified_ms,
        }
        self.send_message("MsgUploadReq", **request | other)
        conf = self.expect("MsgUploadConf")
        assert conf["Version"] == 2, conf
        self._resume(conf)
        return conf

    def _resume(self, conf: dict[str, Any]) -> None:
        offset = conf["Offset"]
        assert self.stored_bytes <= offset <= self.data.length_bytes, (
            f"{self.stored_bytes} bytes were acknowledged, the server has {offset}"
        )
        before = 0
        for start, end in conf["Compare"]:
            assert before <= start < end <= offset, conf
            before = start
        self.conf = conf
        self.max_chunk_bytes = conf["MaxChunkBytes"]
        self.max_window_bytes = conf["MaxWindowBytes"]
        self.round = 0
        self.resumed_at.append(offset)
        self.stored_bytes = self.sent_bytes = self._highest_sent_bytes = offset

    def agree(self, checksums: Sequence[object] | None = None) -> None:
        """Answers the resume check, with other checksums if they are given."""
        if checksums is None:
            checksums = [self._checksum(start, end) for start, end in self.conf["Compare"]]
        self.send_message("MsgAgree", Crc32c=list(checksums))

    def chunk(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Returns a binary message with these bytes of the file."""
        payload = self.data.read(offset_bytes, size_bytes)
        return CHUNK_HEADER.pack(offset_bytes, crc32c(payload), self.round) + payload

    def send_chunk(self, size_bytes: int = 0) -> int:
        """Sends the next chunk, in the window or not, and returns its size without the header."""
        message = self.chunk(self.sent_bytes, size_bytes or self.chunk_size_bytes)
        self.send_instead(message)
        return len(message) - CHUNK_HEADER.size

    def send_instead(self, message: bytes) -> None:
        """Sends `message` in place of the next chunk: damaged, or of another offset."""
        self.ws.send_binary(message)
        self.sent_bytes += len(message) - CHUNK_HEADER.size
        self._highest_sent_bytes = max(self._highest_sent_bytes, self.sent_bytes)

    def receive_next(self) -> Message:
        """Reads one message and does what it asks for. Raises UploadRefused, Stopping, ConnectionClosed."""
        message = self.receive()
        match message.type:
            case "MsgStored":
                self._acknowledge(message.data["Offset"])
                self.max_chunk_bytes = message.data["MaxChunkBytes"]
                self.max_window_bytes = message.data["MaxWindowBytes"]
            case "MsgResend":
                self._go_back(message.data["Offset"], message.data["Round"])
            case "MsgNews":
                self.news.append(message.data["News"])
                if self.news[-1] == "stopping":
                    raise Stopping(self.receive_close().code, "the server stops")
            case "MsgError":
                self._refuse(message.data)
        return message

    def _acknowledge(self, offset_bytes: int) -> None:
        assert self.stored_bytes <= offset_bytes <= self._highest_sent_bytes, offset_bytes
        self.stored_bytes = offset_bytes
        self.stored_at_s.append((time.monotonic(), offset_bytes))

    def _go_back(self, offset_bytes: int, round_: int) -> None:
        assert offset_bytes >= self.stored_bytes, "acknowledged bytes are not requested again"
        assert round_ == self.round + 1, "rounds are counted"
        self.round = round_
        self.resent_at.append(offset_bytes)
        self.stored_bytes = self.sent_bytes = offset_bytes

    def receive_until_stored(self, target_bytes: int | None = None) -> None:
        """Reads until so many bytes of the file (default: what was sent) are acknowledged."""
        target_bytes = self.sent_bytes if target_bytes is None else target_bytes
        while self.stored_bytes < target_bytes:
            self.receive_next()

    def send_until_stored(self, target_bytes: int | None = None) -> None:
        """Sends so many bytes of the file (default: all) and no more, and waits for their acknowledgement."""
        length_bytes = self.data.length_bytes
        target_bytes = length_bytes if target_bytes is None else min(target_bytes, length_bytes)
        while self.stored_bytes < target_bytes:
            size_bytes = min(self.chunk_size_bytes, target_bytes - self.sent_bytes)
            ahead_bytes = self.sent_bytes - self.stored_bytes
            if size_bytes > 0 and ahead_bytes + size_bytes <= self.max_window_bytes:
                self.send_chunk(size_bytes)
                if not self.ws.has_input:
                    continue
            self.receive_next()

    def leave_out(self, index: int, end: int) -> None:
        """Leaves a file of a folder out, whose range ends at `end`. All that was sent is stored."""
        assert self.stored_bytes == self.sent_bytes
        self._highest_sent_bytes = max(self._highest_sent_bytes, end)
        self.send_message("MsgLeaveOut", Index=index)
        self.receive_until_stored(end)
        self.sent_bytes = end

    def ping(self) -> None:
        """Sends MsgPing and waits for MsgPong."""
        self.send_message("MsgPing")
        while self.receive_next().type != "MsgPong":
            pass

    def complete(self, crc: int | None = None) -> None:
        """Sends MsgComplete with the checksum of the whole file, or with another one."""
        crc = self._checksum(0, self.data.length_bytes) if crc is None else crc
        self.send_message("MsgComplete", Crc32c=crc, Round=self.round)

    def _checksum(self, start: int, end: int) -> int:
        """Returns the CRC-32C of a range. The server hears of the client while that takes long."""
        crc = 0
        for at in range(start, end, READ_IN_SILENCE_BYTES):
            if at > start:
                self.send_message("MsgPing")
            crc = checksum(self.data, at, min(at + READ_IN_SILENCE_BYTES, end), crc)
        return crc

    def receive_result(self) -> None:
        """Waits until the app has the file, and for the normal close after that. Raises UploadRefused."""
        while (message := self.receive_next()).type != "MsgAllDone":
            assert message.type in ("MsgNews", "MsgPong"), message
        assert message.data == {"Success": True, "Crc32c": checksum(self.data)}
        self.receive_close_code()

    def finish(self) -> None:
        """Sends what is missing on this connection and waits for the result. Raises UploadRefused."""
        if not self.conf["Arrived"]:
            self.send_until_stored()
            self.complete()
        self.receive_result()
