"""A client of protocol version 1, written from docs/reference/protocol.md alone.

It does what existing clients do: it sends chunks ahead of their acknowledgements and reconnects after a close
without a message. It answers MsgError and MsgCancel with MsgCancel, and waits for MsgCancelAck.

It checks what must hold in every test. Acknowledgements come in order, one for each chunk and of its size. A
resume never begins before the last acknowledged byte. Texts are safe to write into a page.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Final, Self

from tests.support.data import FileBytes
from tests.support.upload_client import Message, UploadClient, UploadError

KIB: Final = 1024


class UploadEnded(UploadError):
    """The server ended the upload: MsgError's code and text, or MsgCancel's reason with code 0."""

    retryable = False

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class ClientV1(UploadClient):
    """One upload in version 1."""

    IN_TRANSIT = ("MsgChunkAck",)

    def __init__(
        self, url: str, ticket_id: str, data: FileBytes, name: str = "holiday.mov", timeout_s: float = 30.0
    ) -> None:
        super().__init__(url, ticket_id, data, name, timeout_s)
        self.acked_bytes = 0
        self.chunk_size_bytes = 0
        self.send_ahead = 0
        self._unacked: deque[int] = deque()

    def connect(self, headers: dict[str, str] | None = None) -> Self:
        """Opens a connection. An earlier one is forgotten, not closed."""
        super().connect(headers)
        self._unacked.clear()
        return self

    def check(self, text: bytes) -> Message:
        """Returns a message of the server, whose texts existing pages write into innerHTML."""
        message = json.loads(text)
        assert set(message) == {"MsgType", "MsgData"}, message
        for value in message["MsgData"].values():
            if isinstance(value, str):
                assert value, "a text for people is not empty"
                assert not set("<>&") & set(value), value
                assert self.name not in value, value
        return Message(message["MsgType"], message["MsgData"])

    # --- an upload, step by step -----------------------------------------------------------------------

    def request(self) -> dict[str, Any]:
        """Requests the upload and returns the MsgUploadConf. Raises UploadEnded."""
        self.send_message(
            "MsgUploadReq", Id=self.ticket_id, LengthBytes=self.data.length_bytes, Name=self.name
        )
        message = self.receive()
        if message.type == "MsgError":
            self._end(message)
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
        """Tells the server that chunks follow."""
        self.send_message("MsgAck", Ack=True)

    def send_chunk(self) -> int:
        """Sends the next chunk, in the window or not, and returns its size in bytes."""
        chunk = self.data.read(self.sent_bytes, self.chunk_size_bytes)
        self.ws.send_binary(chunk)
        self.sent_bytes += len(chunk)
        self._unacked.append(len(chunk))
        return len(chunk)

    def receive_ack(self) -> None:
        """Reads the acknowledgement of the oldest chunk. Raises UploadEnded, ConnectionClosed."""
        message = self.receive()
        if message.type in ("MsgError", "MsgCancel"):
            self._end(message)
        assert message.type == "MsgChunkAck", message
        assert message.data == {"ChunkSize": self._unacked.popleft()}
        self.acked_bytes += message.data["ChunkSize"]

    def receive_acks(self) -> None:
        """Reads the acknowledgements of all chunks in flight."""
        while self._unacked:
            self.receive_ack()

    def send_until_acked(self, target_bytes: int | None = None) -> None:
        """Sends, as far ahead as allowed, until so many bytes of the file are acknowledged (default: all)."""
        length_bytes = self.data.length_bytes
        target_bytes = length_bytes if target_bytes is None else min(target_bytes, length_bytes)
        while self.acked_bytes < target_bytes:
            if self.sent_bytes < length_bytes and len(self._unacked) < self.send_ahead:
                self.send_chunk()
                if not self.ws.has_input:
                    continue
            self.receive_ack()

    def receive_result(self) -> None:
        """Waits until the app has the file, and for the normal close after that. Raises UploadEnded."""
        message = self.receive()
        if message.type == "MsgError":
            self._end(message)
        assert message == Message("MsgAllDone", {"Success": True})
        self.receive_close_code()

    def finish(self) -> None:
        """Sends what is missing on this connection and waits for the result. Raises UploadEnded."""
        self.send_until_acked()
        self.receive_result()

    def _end(self, message: Message) -> None:
        """Answers MsgError or MsgCancel as existing clients do, and raises UploadEnded."""
        self.send_message("MsgCancel", Reason="told by the server")
        self.receive_cancel_ack()
        raise UploadEnded(message.data.get("ErrorCode", 0), message.data.get("Msg") or message.data["Reason"])

    def receive_end(self) -> UploadEnded:
        """Returns how the server ends the upload, which must be its next message."""
        message = self.receive()
        assert message.type in ("MsgError", "MsgCancel"), message
        try:
            self._end(message)
        except UploadEnded as ended:
            return ended
        raise AssertionError
