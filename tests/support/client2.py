"""A client of protocol version 2, written from docs/reference/protocol.md alone.

It shares no line with the server. It sends chunks as far ahead as it is allowed to, goes back when it is
told to, and comes back when that can help; a test may take over at any point and do the wrong thing instead.
On the way it checks what must hold in every test: messages have exactly the documented members,
acknowledgements only grow and never pass what was sent, a resume never begins before the last acknowledged
byte, and texts are safe to write into a page.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from crc32c import crc32c

from tests.support.client import COME_BACK_AFTER_S, CUT, PATH, Message
from tests.support.data import BLOCK_BYTES, FileBytes
from tests.support.messages2 import read_message
from tests.support.websocket import ConnectionClosed, HandshakeRefused, WebSocket

CHUNK_HEADER: Final = struct.Struct("!QII")
"""Offset in the file, CRC-32C of the bytes that follow, round."""
CLOSE_CODES: Final = {"taken_over": 4001, "stopping": 1012}
CLOSE_NORMAL: Final = 1000
CLOSE_TRY_AGAIN_LATER: Final = 1013


@dataclass
class UploadRefused(Exception):
    """A MsgError, its members, and the code with which the connection was closed after it (1006: without)."""

    error: dict[str, Any]
    close_code: int

    def __str__(self) -> str:
        return f"{self.error}, closed with {self.close_code}"

    @property
    def code(self) -> str:
        """The stable word."""
        return str(self.error["Code"])

    @property
    def retryable(self) -> bool:
        """Whether coming back can help."""
        return bool(self.error["Retryable"])


class Stopping(ConnectionClosed):
    """The server has said that it stops; come back after `retry_after_s`."""


def checksum(data: FileBytes, start: int = 0, end: int | None = None) -> int:
    """Returns the CRC-32C of the bytes from `start` to `end` (default: all) of a file."""
    end = data.length_bytes if end is None else end
    crc = 0
    for at in range(start, end, BLOCK_BYTES):
        crc = crc32c(data.read(at, min(BLOCK_BYTES, end - at)), crc)
    return crc


class Client2:
    """One upload, over as many connections as it takes. All positions are offsets in the file, in bytes."""

    def __init__(
        self, url: str, ticket_id: str, data: FileBytes, name: str = "holiday.mov", timeout_s: float = 30.0
    ) -> None:
        self.ticket_id = ticket_id
        self.data = data
        self.name = name
        self.last_modified_ms = 1_700_000_000_123
        self.chunk_size_bytes = 64 * 1024
        self.stored_bytes = 0
        self.sent_bytes = 0
        self.round = 0
        self.stored_at_s: list[tuple[float, int]] = []
        self.resumed_at: list[int] = []
        self.resent_at: list[int] = []
        self.news: list[str] = []
        self.conf: dict[str, Any] = {}
        self.max_chunk_bytes = 0
        self.max_window_bytes = 0
        """What the server has said last."""
        self.ws: WebSocket
        self.may_be_cut = False
        """Whether the server may die between its last words and its close frame."""
        self.headers: dict[str, str] = {}
        self._highest_sent_bytes = 0
        self._url = url + PATH
        self._timeout_s = timeout_s

    # --- messages ----------------------------------------------------------------------------------

    def connect(self) -> Client2:
        """Opens a connection; whatever there was before is forgotten, not closed."""
        self.ws = WebSocket(self._url, self.headers, self._timeout_s)
        return self

    def drop(self) -> None:
        """Lets go of the connection, if there is one."""
        if hasattr(self, "ws"):
            self.ws.drop()

    def say(self, msg_type: str, **msg_data: object) -> None:
        """Sends a text message."""
        self.ws.send_text(json.dumps({"MsgType": msg_type, "MsgData": msg_data}))

    def hear(self) -> Message:
        """Returns the next message. Raises ConnectionClosed."""
        return read_message(self.ws.receive(), self.name)

    def expect(self, msg_type: str) -> dict[str, Any]:
        """Returns the data of the next message, which must be of this type. Raises UploadRefused."""
        message = self.hear()
        if message.type == "MsgError" != msg_type:
            self._be_refused(message.data)
        assert message.type == msg_type, f"expected {msg_type}, got {message}"
        return message.data

    def hear_close(self) -> ConnectionClosed:
        """Returns how the connection ended; no message may come before that."""
        try:
            message = self.hear()
        except ConnectionClosed as closed:
            return closed
        raise AssertionError(f"expected the close, got {message}")

    def _hear_normal_close(self) -> None:
        closed = self.hear_close()
        if self.may_be_cut and closed.code == CUT:
            raise closed
        assert closed.code == CLOSE_NORMAL, closed

    def _be_refused(self, error: dict[str, Any]) -> None:
        closed = self.hear_close()
        again = CLOSE_CODES.get(error["Code"], CLOSE_TRY_AGAIN_LATER) if error["Retryable"] else CLOSE_NORMAL
        if self.may_be_cut and closed.code == CUT:
            raise closed
        assert closed.code == again, (error, closed)
        if error["Code"] == "bytes_lost":
            self.stored_bytes = 0  # the next MsgUploadConf says what is left
        raise UploadRefused(error, closed.code)

    def refusal(self) -> UploadRefused:
        """Returns the error that ends this connection; acknowledgements and news may come before it."""
        try:
            while True:
                self.hear_more()
        except UploadRefused as refused:
            return refused

    # --- a conversation, step by step ----------------------------------------------------------------

    def request(self, **other: object) -> dict[str, Any]:
        """Asks for the upload and returns the MsgUploadConf. Raises UploadRefused."""
        request = {
            "Version": 2,
            "Id": self.ticket_id,
            "LengthBytes": self.data.length_bytes,
            "Name": self.name,
            "LastModifiedMs": self.last_modified_ms,
        }
        self.say("MsgUploadReq", **request | other)
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
        """Answers what the server wants to compare; with something else if it is given."""
        if checksums is None:
            checksums = [checksum(self.data, start, end) for start, end in self.conf["Compare"]]
        self.say("MsgAgree", Crc32c=list(checksums))

    def open(self) -> Client2:
        """Connects, asks and agrees: the next thing is a chunk."""
        self.connect().request()
        self.agree()
        return self

    def chunk(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Returns a binary message with these bytes of the file."""
        payload = self.data.read(offset_bytes, size_bytes)
        return CHUNK_HEADER.pack(offset_bytes, crc32c(payload), self.round) + payload

    def send_chunk(self, size_bytes: int = 0) -> int:
        """Sends the next chunk, window or not, and returns how many bytes of the file it has."""
        message = self.chunk(self.sent_bytes, size_bytes or self.chunk_size_bytes)
        self.send_instead(message)
        return len(message) - CHUNK_HEADER.size

    def send_instead(self, message: bytes) -> None:
        """Sends `message` where the next chunk should be: damaged, or of another place."""
        self.ws.send_binary(message)
        self.sent_bytes += len(message) - CHUNK_HEADER.size
        self._highest_sent_bytes = max(self._highest_sent_bytes, self.sent_bytes)

    def hear_more(self) -> Message:
        """Reads one message and does what it asks for. Raises UploadRefused, Stopping, ConnectionClosed."""
        message = self.hear()
        match message.type:
            case "MsgStored":
                self._be_acknowledged(message.data["Offset"])
                self.max_chunk_bytes = message.data["MaxChunkBytes"]
                self.max_window_bytes = message.data["MaxWindowBytes"]
            case "MsgResend":
                self._go_back(message.data["Offset"], message.data["Round"])
            case "MsgNews":
                self.news.append(message.data["News"])
                if self.news[-1] == "stopping":
                    raise Stopping(self.hear_close().code, "the server stops")
            case "MsgError":
                self._be_refused(message.data)
        return message

    def _be_acknowledged(self, offset_bytes: int) -> None:
        assert self.stored_bytes <= offset_bytes <= self._highest_sent_bytes, offset_bytes
        self.stored_bytes = offset_bytes
        self.stored_at_s.append((time.monotonic(), offset_bytes))

    def _go_back(self, offset_bytes: int, round_: int) -> None:
        assert offset_bytes >= self.stored_bytes, "acknowledged bytes are not asked for again"
        assert round_ == self.round + 1, "rounds are counted"
        self.round = round_
        self.resent_at.append(offset_bytes)
        self.stored_bytes = self.sent_bytes = offset_bytes

    def hear_until_stored(self, target_bytes: int | None = None) -> None:
        """Reads until so many bytes of the file (default: what was sent) are acknowledged."""
        target_bytes = self.sent_bytes if target_bytes is None else target_bytes
        while self.stored_bytes < target_bytes:
            self.hear_more()

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
            self.hear_more()

    def ping(self) -> None:
        """Asks whether the server is there, and waits for the answer."""
        self.say("MsgPing")
        while self.hear_more().type != "MsgPong":
            pass

    def complete(self, crc: int | None = None) -> None:
        """Says that the last chunk was sent, and what checksum the whole file has."""
        self.say("MsgComplete", Crc32c=checksum(self.data) if crc is None else crc, Round=self.round)

    def hear_result(self) -> None:
        """Waits until the app has the file, and for the normal close after that. Raises UploadRefused."""
        while (message := self.hear_more()).type != "MsgAllDone":
            assert message.type in ("MsgNews", "MsgPong"), message
        assert message.data == {"Success": True, "Crc32c": checksum(self.data)}
        self._hear_normal_close()

    def finish(self) -> None:
        """Sends whatever is missing on this connection and waits for the result."""
        if not self.conf["Arrived"]:
            self.send_until_stored()
            self.complete()
        self.hear_result()

    def cancel(self, reason: str = "changed my mind") -> None:
        """Gives the upload up and waits for the acknowledgement and the close."""
        self.say("MsgCancel", Reason=reason)
        while self.hear_more().type != "MsgCancelAck":
            pass
        self._hear_normal_close()

    # --- the whole of it -------------------------------------------------------------------------------

    def upload(self, deadline_s: float = 120.0) -> None:
        """Uploads whatever is missing and hears the result; comes back as often as that can help."""
        give_up_at_s = time.monotonic() + deadline_s
        while True:
            try:
                return self.open().finish()
            except TimeoutError:
                raise  # a server that hangs
            except (UploadRefused, ConnectionClosed, HandshakeRefused, OSError) as exc:
                if time.monotonic() > give_up_at_s or (isinstance(exc, UploadRefused) and not exc.retryable):
                    raise
                time.sleep(COME_BACK_AFTER_S)
