"""An existing page's end of a connection, and the real connection that the server drives for it."""

from __future__ import annotations

import json
from typing import Any

import gevent
import pytest

from incoming.protocol.flow_control import Limits
from incoming.protocol.negotiation import NegotiatedSession
from incoming.runtime.buffer_pool import BufferPool
from incoming.websocket.keepalive import KeepAlive
from incoming.websocket.session_driver import SessionDriver
from incoming.websocket.websocket import WebSocket
from tests.support.uploads import House
from tests.websocket.peer import BINARY, CLOSE, FIN, TEXT, Peer

CHUNK_BYTES = 1024
BUFFER_BYTES = 65536
CONTENT = bytes(range(256)) * 10
LENGTH_BYTES = len(CONTENT)


class Page(Peer):
    """A client, and the connection that the server drives for it."""

    limits = Limits(CHUNK_BYTES, 4)

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        websocket = WebSocket(self.server_socket, BufferPool(BUFFER_BYTES), KeepAlive(30.0))
        session = NegotiatedSession(self.limits)
        self.driver = SessionDriver(websocket, session, house.uploads, house.runtime)
        self.running = gevent.spawn(self.driver.run)

    def send_message(self, msg_type: str, **msg_data: Any) -> None:
        self.send(FIN | TEXT, json.dumps({"MsgType": msg_type, "MsgData": msg_data}).encode())

    def expect(self, msg_type: str) -> dict[str, Any]:
        frame = self.receive()
        assert frame.opcode == TEXT, frame
        message: dict[str, Any] = json.loads(frame.payload)
        assert message["MsgType"] == msg_type, message
        data: dict[str, Any] = message["MsgData"]
        return data

    def expect_close(self, code: int) -> None:
        """The server closes; the client answers, and that is the end of the connection."""
        assert self.receive().code == code
        self.send(FIN | CLOSE, code.to_bytes(2, "big"))
        with pytest.raises(EOFError):
            self.receive()
        self.socket.close()
        self.running.get(timeout=60)

    def request(self, ticket_id: str, length_bytes: int = LENGTH_BYTES) -> dict[str, Any]:
        self.send_message("MsgUploadReq", Id=ticket_id, LengthBytes=length_bytes, Name="holiday.mov")
        return self.expect("MsgUploadConf")

    def open(self, ticket_id: str) -> int:
        """Claims the ticket, so that chunks may be sent; returns the offset of the first one."""
        position: int = self.request(ticket_id)["FilePos"]
        self.send_message("MsgAck", Ack=True)
        return position

    def send_chunk(self, start: int) -> None:
        chunk = CONTENT[start : start + CHUNK_BYTES]
        self.send(FIN | BINARY, chunk)
        assert self.expect("MsgChunkAck") == {"ChunkSize": len(chunk)}
