"""A WebSocket client made of a blocking socket and RFC 6455, and of nothing else.

It shares no line with the server, so the two can't have the same defect. It sends invalid frames too, if a
test asks for them. Chunks are masked with numpy in one reused buffer, so that the client does not slow down a
test of a gigabyte.
"""

from __future__ import annotations

import base64
import hashlib
import math
import os
import select
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import numpy as np

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

_ACCEPT_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PAYLOAD_AT: Final = 16
"""Where payloads begin in the buffer: a multiple of 8, with room for the longest header before it."""


@dataclass(frozen=True)
class Frame:
    """A frame from the server; `first_byte` still has the FIN and the reserved bits."""

    first_byte: int
    payload: bytes

    @property
    def opcode(self) -> int:
        """What kind of frame this is."""
        return self.first_byte & 0x0F


class HandshakeRefused(Exception):
    """The server refused the upgrade; `head` is its response."""

    def __init__(self, head: str) -> None:
        super().__init__(head.partition("\r\n")[0])
        self.head = head


class ConnectionClosed(Exception):
    """The connection has ended. `code`: of the close frame, 1005 for none in it, 1006 without a frame."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


def _any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _header(first_byte: int, size_bytes: int, mask: bytes) -> bytes:
    """Returns a frame header with the shortest form of the length (RFC 6455 section 5.2)."""
    masked = 0x80 if mask else 0
    if size_bytes < 126:
        return struct.pack("!BB", first_byte, masked | size_bytes) + mask
    if size_bytes < 1 << 16:
        return struct.pack("!BBH", first_byte, masked | 126, size_bytes) + mask
    return struct.pack("!BBQ", first_byte, masked | 127, size_bytes) + mask


class WebSocket:
    """One connection. Each call waits for `timeout_s` at most, then raises TimeoutError."""

    def __init__(self, url: str, headers: dict[str, str] | None = None, timeout_s: float = 30.0) -> None:
        """Connects to `ws://` or `http://` + host, port and path. wss and https trust any certificate.

        Raises HandshakeRefused, OSError.
        """
        target = urlsplit(url)
        self.headers: dict[str, str] = {}
        self._received = bytearray()
        self._buffer = bytearray()
        address = (target.hostname or "", target.port or 80)
        self.socket: socket.socket = socket.create_connection(address, timeout=timeout_s)
        if self.socket.getsockname() == self.socket.getpeername():
            # On loopback, a connect to a port without a listener can reach its own socket.
            self.socket.close()
            raise ConnectionRefusedError("connected to its own socket")
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if target.scheme in ("https", "wss"):
                self.socket = _any_certificate().wrap_socket(self.socket, server_hostname=target.hostname)
            self._handshake(target.netloc, target.path, headers or {})
        except BaseException:
            self.socket.close()
            raise

    def _handshake(self, host: str, path: str, headers: dict[str, str]) -> None:
        """See RFC 6455 section 4.1."""
        key = base64.b64encode(os.urandom(16))
        lines = {
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key.decode(),
            "Sec-WebSocket-Version": "13",
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        status, self.headers = self._read_head()
        accept = base64.b64encode(hashlib.sha1(key + _ACCEPT_GUID).digest()).decode()
        assert self.headers.get("sec-websocket-accept") == accept, status

    def _read_head(self) -> tuple[str, dict[str, str]]:
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            self._receive_more()
        head = self._received[:end].decode("latin-1")
        del self._received[: end + 4]
        status, *lines = head.split("\r\n")
        if " 101 " not in status:
            raise HandshakeRefused(head)
        return status, {name.lower(): value.strip() for name, _, value in (ln.partition(":") for ln in lines)}

    # --- sending -----------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Sends a text message in one frame."""
        self.send_frame(0x80 | TEXT, text.encode())

    def send_binary(self, payload: bytes) -> None:
        """Sends a binary message in one frame."""
        self.send_frame(0x80 | BINARY, payload)

    def send_frame(self, first_byte: int, payload: bytes = b"", *, masked: bool = True) -> None:
        """Sends one frame; `first_byte` is FIN, the reserved bits and the opcode, right or wrong."""
        self.socket.sendall(self.frame(first_byte, payload, masked=masked))

    def frame(self, first_byte: int, payload: bytes = b"", *, masked: bool = True) -> memoryview:
        """Returns the bytes of a frame; they stay valid until the next one is made."""
        mask = os.urandom(4) if masked else b""
        header = _header(first_byte, len(payload), mask)
        size = -(-len(payload) // 8) * 8
        if len(self._buffer) < _PAYLOAD_AT + size:
            self._buffer = bytearray(_PAYLOAD_AT + size)
        view = memoryview(self._buffer)
        view[_PAYLOAD_AT : _PAYLOAD_AT + len(payload)] = payload
        if masked and size:
            words = np.frombuffer(view[_PAYLOAD_AT : _PAYLOAD_AT + size], np.uint64)
            np.bitwise_xor(words, np.frombuffer(mask * 2, np.uint64)[0], out=words)
        start = _PAYLOAD_AT - len(header)
        view[start:_PAYLOAD_AT] = header
        return view[start : _PAYLOAD_AT + len(payload)]

    # --- receiving ---------------------------------------------------------------------------------

    def receive_frame(self) -> Frame:
        """Returns the next frame of any kind. Raises ConnectionClosed (1006) at the end of the stream."""
        header = self._peek(2)
        assert not header[1] & 0x80, "a server never masks (RFC 6455 section 5.1)"
        size, at = header[1], 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(self._peek(at)[2:], "big")
        self._peek(at + size)
        payload = bytes(self._received[at : at + size])
        del self._received[: at + size]
        return Frame(header[0], payload)

    def receive(self) -> bytes:
        """Returns the next message; answers pings on the way, which give the peer no more time for it.

        Raises ConnectionClosed after it has answered the close frame (RFC 6455 section 5.5.1), TimeoutError.
        """
        deadline_s = time.monotonic() + (self.socket.gettimeout() or math.inf)
        while True:
            frame = self.receive_frame()
            assert not frame.first_byte & 0x70, "reserved bits, though no extension was agreed"
            if frame.opcode == PING:
                self.send_frame(0x80 | PONG, frame.payload)
                if time.monotonic() >= deadline_s:
                    raise TimeoutError("nothing but pings")
            elif frame.opcode == CLOSE:
                self._end(frame.payload)
            elif frame.opcode != PONG:
                assert frame.first_byte & 0x80, "a version-1 message comes in one frame"
                return frame.payload

    def _end(self, payload: bytes) -> None:
        try:
            self.send_frame(0x80 | CLOSE, payload[:2])
        except OSError:  # the server did not wait for it
            pass
        finally:
            self.socket.close()
        code = int.from_bytes(payload[:2], "big") if payload else 1005
        raise ConnectionClosed(code, payload[2:].decode())

    @property
    def has_input(self) -> bool:
        """Whether there is input that was not read yet."""
        if self._received:
            return True
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        # Not recv(MSG_DONTWAIT): a Python socket with a timeout waits all the same.
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))

    def _peek(self, size_bytes: int) -> bytes:
        while len(self._received) < size_bytes:
            self._receive_more()
        return bytes(self._received[:size_bytes])

    def _receive_more(self) -> None:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionError as exc:
            raise ConnectionClosed(1006, str(exc)) from exc
        if not data:
            raise ConnectionClosed(1006, "end of stream")
        self._received += data

    # --- ending ------------------------------------------------------------------------------------

    def close(self, code: int = 1000) -> tuple[int, float]:
        """Sends a close frame and waits for the answer. Returns its code and the seconds until then."""
        began_s = time.monotonic()
        self.send_frame(0x80 | CLOSE, struct.pack("!H", code))
        while (frame := self.receive_frame()).opcode != CLOSE:
            pass
        took_s = time.monotonic() - began_s
        self.socket.close()
        return int.from_bytes(frame.payload[:2], "big"), took_s

    def cut(self) -> None:
        """Resets the connection. Data that was not sent is lost."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def drop(self) -> None:
        """Ends the connection without a close frame."""
        self.socket.close()

    def leave(self) -> None:
        """Closes the sending side without a close frame: all that was sent still arrives.

        `drop` does not promise that: to close a socket with unread bytes resets the connection.
        """
        self.socket.shutdown(socket.SHUT_WR)
