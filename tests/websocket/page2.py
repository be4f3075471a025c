"""A page's end of a connection in version 2."""

from __future__ import annotations

from typing import Any

from crc32c import crc32c

from incoming.protocol.chunks import HEADER_BYTES
from incoming.protocol.flow_control import Limits
from tests.websocket.page import BUFFER_BYTES, CHUNK_BYTES, CONTENT, Page
from tests.websocket.peer import BINARY, FIN


class Page2(Page):
    """A client of version 2; the largest chunk just fits into the server's buffer."""

    content = CONTENT
    limits = Limits(CHUNK_BYTES, 4, max_chunk_bytes=BUFFER_BYTES - HEADER_BYTES)

    def request2(self, ticket_id: str, length_bytes: int | None = None) -> dict[str, Any]:
        length_bytes = len(self.content) if length_bytes is None else length_bytes
        asked = {"Id": ticket_id, "LengthBytes": length_bytes, "Name": "a <b>.mov", "LastModifiedMs": 99}
        self.send_message("MsgUploadReq", Version=2, **asked)
        return self.expect("MsgUploadConf")

    def begin(self, ticket_id: str) -> int:
        """Claims the ticket, so that chunks may be sent; returns the offset of the first one."""
        conf = self.request2(ticket_id)
        crcs = [crc32c(self.content[start:end]) for start, end in conf["Compare"]]
        self.send_message("MsgAgree", Crc32c=crcs)
        offset: int = conf["Offset"]
        return offset

    def chunk(self, start: int, end: int, number: int = 0, flip: int = 0) -> None:
        """Sends a piece of the file; `flip` damages its last byte."""
        piece = self.content[start:end]
        fields = ((start, 8), (crc32c(piece), 4), (number, 4))
        header = b"".join(value.to_bytes(size, "big") for value, size in fields)
        self.send(FIN | BINARY, header + piece[:-1] + bytes([piece[-1] ^ flip]))

    def stored(self, offset_bytes: int, taken_bytes: int = 0) -> None:
        """The server tells what is stored and, where a store is at work on more of it, what it has taken."""
        told = self.expect("MsgStored")
        assert (told["Offset"], told.get("Taken", 0)) == (offset_bytes, taken_bytes)

    def end(self) -> None:
        self.socket.close()
        self.running.get(timeout=60)
