"""The client's end of a WebSocket over a socket pair, in greenlets of the test's own thread."""

from __future__ import annotations

import select
import struct
from dataclasses import dataclass

import gevent
import gevent.socket

MASK = b"\x12\x34\x56\x78"
FIN = 0x80
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
DEADLINE_S = 60.0


def masked_frame(first_byte: int, payload: bytes = b"") -> bytes:
    """Returns a client's frame."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first_byte, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", first_byte, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first_byte, 0x80 | 127, size)
    mask = MASK * (size // 4 + 1)
    covered = int.from_bytes(payload, "big") ^ int.from_bytes(mask[:size], "big")
    return head + MASK + covered.to_bytes(size, "big")


@dataclass(frozen=True)
class ServerFrame:
    """A frame of the server."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """The code of a close frame."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2], "big")


class Peer:
    """`socket` is the peer's own end, `server_socket` the one that the code under test gets."""

    def __init__(self) -> None:
        self.server_socket, self.socket = gevent.socket.socketpair()
        self.socket.settimeout(DEADLINE_S)

    def send(self, first_byte: int, payload: bytes = b"") -> None:
        """Sends a frame."""
        self.socket.sendall(masked_frame(first_byte, payload))

    def send_beside(self, data: bytes) -> None:
        """Sends raw bytes concurrently, since more may be sent than fits into the sockets."""
        gevent.spawn(self.socket.sendall, data)

    def has_input(self) -> bool:
        """Returns whether the server has sent something that was not received yet."""
        poll = select.poll()  # select() ends at 1,024 descriptors
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))

    def receive(self) -> ServerFrame:
        """Returns the next frame of the server. Raises EOFError when it has shut its side."""
        first, size = self._read(2)
        assert first & FIN
        if size == 126:
            size = int.from_bytes(self._read(2), "big")
        return ServerFrame(first & 0x0F, self._read(size))

    def _read(self, size_bytes: int) -> bytes:
        data = b""
        while len(data) < size_bytes:
            more = self.socket.recv(size_bytes - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def close(self) -> None:
        """Closes both ends."""
        self.socket.close()
        self.server_socket.close()
