"""An old client: protocol version 1 as CONTRACT 4 tells it, and nothing of the server's own code.

It does what existing clients do: it sends chunks ahead of their acknowledgements, takes a close without a
message as a reason to come back, answers MsgError and MsgCancel with MsgCancel and then waits for
MsgCancelAck. On the way it checks what must hold in every test: acknowledgements come in order, one a chunk,
of the chunk's size; a resume never begins before the last acknowledged byte; texts are safe to write into a
page.
"""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from tests.support.data import FileBytes
from tests.support.websocket import ConnectionClosed, HandshakeRefused, WebSocket

PATH: Final = "/incoming/frontend/upload_ws"
KIB: Final = 1024
CUT: Final = 1006
"""The code of a connection that ended without a close frame."""
COME_BACK_AFTER_S: Final = 0.02
"""Existing clients wait longer; a test has no time for that, and a server must stand it."""


@dataclass(frozen=True)
class Message:
    """A text message."""

    type: str
    data: dict[str, Any]


class UploadEnded(Exception):
    """The server ended the upload: MsgError's code and text, or MsgCancel's reason with code 0."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class OldClient:
    """One upload, over as many connections as it takes; `acked_bytes` is an offset in the file."""

    def __init__(
        self, url: str, ticket_id: str, data: FileBytes, name: str = "holiday.mov", timeout_s: float = 30.0
    ) -> None:
        self.ticket_id = ticket_id
        self.data = data
        self.name = name
        self.acked_bytes = 0
        self.sent_bytes = 0
        self.resumed_at: list[int] = []
        self.chunk_size_bytes = 0
        self.send_ahead = 0
        self.ws: WebSocket
        self.may_be_cut = False
        """Whether the server may die between its last words and its close frame."""
        self.headers: dict[str, str] = {}
        self._url = url + PATH
        self._timeout_s = timeout_s
        self._unacked: deque[int] = deque()

    # --- messages ----------------------------------------------------------------------------------

    def connect(self, headers: dict[str, str] | None = None) -> OldClient:
        """Opens a connection; whatever there was before is forgotten, not closed."""
        self.ws = WebSocket(self._url, headers or self.headers, self._timeout_s)
        self._unacked.clear()
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
        message = json.loads(self.ws.receive())
        assert set(message) == {"MsgType", "MsgData"}, message
        self._check_texts(message["MsgData"])
        return Message(message["MsgType"], message["MsgData"])

    def _check_texts(self, msg_data: dict[str, Any]) -> None:
        """Existing pages write these into innerHTML."""
        for text in (value for value in msg_data.values() if isinstance(value, str)):
            assert text, "a text for people is not empty"
            assert not set("<>&") & set(text), text
            assert self.name not in text, text

    def expect(self, msg_type: str) -> dict[str, Any]:
        """Returns the data of the next message, which must be of this type."""
        message = self.hear()
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
        assert closed.code == 1000, closed

    # --- a conversation, step by step ----------------------------------------------------------------

    def request(self) -> dict[str, Any]:
        """Asks for the upload and returns the MsgUploadConf. Raises UploadEnded."""
        self.say("MsgUploadReq", Id=self.ticket_id, LengthBytes=self.data.length_bytes, Name=self.name)
        message = self.hear()
        if message.type == "MsgError":
            self._be_ended(message)
        assert message.type == "MsgUploadConf", message
        self._resume(message.data)
        return message.data

    def _resume(self, conf: dict[str, Any]) -> None:
        position = conf["FilePos"]
        assert self.acked_bytes <= position <= self.data.length_bytes, (
            f"{self.acked_bytes} bytes were acknowledged, the server asks for those from {position} on"
        )
        self.resumed_at.append(position)
        self.acked_bytes = self.sent_bytes = position
        self.chunk_size_bytes = conf["ChunkSizeKB"] * KIB
        self.send_ahead = conf["SendAhead"]

    def agree(self) -> None:
        """Says that chunks follow."""
        self.say("MsgAck", Ack=True)

    def open(self) -> OldClient:
        """Connects, asks and agrees: the next thing is a chunk."""
        self.connect().request()
        self.agree()
        return self

    def send_chunk(self) -> int:
        """Sends the next chunk, window or not, and returns its size in bytes."""
        chunk = self.data.read(self.sent_bytes, self.chunk_size_bytes)
        self.ws.send_binary(chunk)
        self.sent_bytes += len(chunk)
        self._unacked.append(len(chunk))
        return len(chunk)

    def hear_ack(self) -> None:
        """Reads the acknowledgement of the oldest chunk. Raises UploadEnded, ConnectionClosed."""
        message = self.hear()
        if message.type in ("MsgError", "MsgCancel"):
            self._be_ended(message)
        assert message.type == "MsgChunkAck", message
        assert message.data == {"ChunkSize": self._unacked.popleft()}
        self.acked_bytes += message.data["ChunkSize"]

    def hear_acks(self) -> None:
        """Reads the acknowledgements of all chunks that were sent."""
        while self._unacked:
            self.hear_ack()

    def send_until_acked(self, target_bytes: int | None = None) -> None:
        """Sends, as far ahead as allowed, until so many bytes of the file are acknowledged (default: all)."""
        length_bytes = self.data.length_bytes
        target_bytes = length_bytes if target_bytes is None else min(target_bytes, length_bytes)
        while self.acked_bytes < target_bytes:
            if self.sent_bytes < length_bytes and len(self._unacked) < self.send_ahead:
                self.send_chunk()
                if not self.ws.has_input:
                    continue
            self.hear_ack()

    def hear_result(self) -> None:
        """Waits until the app has the file, and for the normal close after that. Raises UploadEnded."""
        message = self.hear()
        if message.type == "MsgError":
            self._be_ended(message)
        assert message == Message("MsgAllDone", {"Success": True})
        self._hear_normal_close()

    def _be_ended(self, message: Message) -> None:
        """Does what existing clients do about MsgError and MsgCancel, and raises UploadEnded."""
        self.say("MsgCancel", Reason="told by the server")
        while (answer := self.hear()).type == "MsgChunkAck":
            pass  # they were under way
        assert answer == Message("MsgCancelAck", {"Ack": True})
        self._hear_normal_close()
        raise UploadEnded(message.data.get("ErrorCode", 0), message.data.get("Msg") or message.data["Reason"])

    def be_ended(self) -> UploadEnded:
        """Returns how the server ended the upload: that must be what it says next."""
        message = self.hear()
        assert message.type in ("MsgError", "MsgCancel"), message
        try:
            self._be_ended(message)
        except UploadEnded as ended:
            return ended
        raise AssertionError

    def cancel(self, reason: str = "changed my mind") -> None:
        """Gives the upload up and waits for the acknowledgement and the close."""
        self.say("MsgCancel", Reason=reason)
        while (answer := self.hear()).type == "MsgChunkAck":
            pass  # they were under way
        assert answer == Message("MsgCancelAck", {"Ack": True})
        self._hear_normal_close()

    # --- the whole of it -------------------------------------------------------------------------------

    def upload(self, deadline_s: float = 120.0) -> None:
        """Uploads whatever is missing and hears the result; comes back as often as the connection is lost."""
        give_up_at_s = time.monotonic() + deadline_s
        while True:
            try:
                self.open().send_until_acked()
                return self.hear_result()
            except TimeoutError:
                raise  # a server that hangs
            except (ConnectionClosed, HandshakeRefused, OSError):
                if time.monotonic() > give_up_at_s:
                    raise
                time.sleep(COME_BACK_AFTER_S)
