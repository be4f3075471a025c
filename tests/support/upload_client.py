"""What the test clients of both versions share: the connection, text messages, and reconnecting.

The clients share no line with the server. A test may take over at any point and do the wrong thing instead.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from tests.support.data import FileBytes
from tests.support.websocket import ConnectionClosed, HandshakeRefused, WebSocket

PATH: Final = "/incoming/frontend/upload_ws"
CLOSE_NORMAL: Final = 1000
CUT: Final = 1006
"""The code of a connection that ended without a close frame."""
RECONNECT_AFTER_S: Final = 0.02
"""Real clients wait longer. A test has no time for that, and the server must cope with it."""


@dataclass(frozen=True)
class Message:
    """A text message."""

    type: str
    data: dict[str, Any]


class UploadError(Exception):
    """The server has ended the upload or the connection with an error message."""

    retryable: bool
    """Whether reconnecting can help."""


class UploadClient(ABC):
    """One upload, over as many connections as it takes. All positions are offsets in the file, in bytes."""

    IN_TRANSIT: ClassVar[tuple[str, ...]]
    """Messages that may arrive between MsgCancel and MsgCancelAck."""

    def __init__(
        self, url: str, ticket_id: str, data: FileBytes, name: str = "holiday.mov", timeout_s: float = 30.0
    ) -> None:
        self.ticket_id = ticket_id
        self.data = data
        self.name = name
        self.sent_bytes = 0
        self.resumed_at: list[int] = []
        self.ws: WebSocket
        self.may_be_cut = False
        """Whether the server may be killed between its last message and its close frame."""
        self.headers: dict[str, str] = {}
        self._url = url + PATH
        self._timeout_s = timeout_s

    # --- messages ----------------------------------------------------------------------------------

    def connect(self, headers: dict[str, str] | None = None) -> Self:
        """Opens a connection. An earlier one is forgotten, not closed."""
        self.ws = WebSocket(self._url, headers or self.headers, self._timeout_s)
        return self

    def drop(self) -> None:
        """Drops the connection, if there is one."""
        if hasattr(self, "ws"):
            self.ws.drop()

    def send_message(self, msg_type: str, **msg_data: object) -> None:
        """Sends a text message."""
        self.ws.send_text(json.dumps({"MsgType": msg_type, "MsgData": msg_data}))

    def receive(self) -> Message:
        """Returns the next message. Raises ConnectionClosed."""
        return self.check(self.ws.receive())

    @abstractmethod
    def check(self, text: bytes) -> Message:
        """Returns a message of the server. Raises AssertionError if it is not as documented."""

    def expect(self, msg_type: str) -> dict[str, Any]:
        """Returns the data of the next message, which must be of this type."""
        message = self.receive()
        assert message.type == msg_type, f"expected {msg_type}, got {message}"
        return message.data

    def receive_close(self) -> ConnectionClosed:
        """Returns how the connection ended. No message may come before that."""
        try:
            message = self.receive()
        except ConnectionClosed as closed:
            return closed
        raise AssertionError(f"expected the close, got {message}")

    def receive_close_code(self, code: int = CLOSE_NORMAL) -> int:
        """Returns the code of the close, which must be this one. Raises ConnectionClosed if it may be cut."""
        closed = self.receive_close()
        if self.may_be_cut and closed.code == CUT:
            raise closed
        assert closed.code == code, closed
        return closed.code

    # --- an upload -----------------------------------------------------------------------------------

    @abstractmethod
    def request(self) -> dict[str, Any]:
        """Requests the upload and returns the MsgUploadConf. Raises UploadError."""

    @abstractmethod
    def agree(self) -> None:
        """Answers MsgUploadConf: chunks follow."""

    def open(self) -> Self:
        """Connects, requests and agrees: a chunk comes next."""
        self.connect().request()
        self.agree()
        return self

    @abstractmethod
    def finish(self) -> None:
        """Sends what is missing on this connection and waits for the result. Raises UploadError."""

    def cancel(self, reason: str = "changed my mind") -> None:
        """Cancels the upload and waits for the acknowledgement and the close."""
        self.send_message("MsgCancel", Reason=reason)
        self.receive_cancel_ack()

    def receive_cancel_ack(self) -> None:
        """Skips what is in transit, and waits for MsgCancelAck and the close."""
        while (answer := self.receive_next()).type in self.IN_TRANSIT:
            pass
        assert answer == Message("MsgCancelAck", {"Ack": True}), answer
        self.receive_close_code()

    def receive_next(self) -> Message:
        """Returns the next message, and does what it asks for."""
        return self.receive()

    def upload(self, deadline_s: float = 120.0) -> None:
        """Uploads what is missing and waits for the result. Reconnects as often as that can help."""
        give_up_at_s = time.monotonic() + deadline_s
        while True:
            try:
                return self.open().finish()
            except TimeoutError:
                raise  # the server hangs
            except UploadError as exc:
                if not exc.retryable or time.monotonic() > give_up_at_s:
                    raise
            except (ConnectionClosed, HandshakeRefused, OSError):
                if time.monotonic() > give_up_at_s:
                    raise
            time.sleep(RECONNECT_AFTER_S)
