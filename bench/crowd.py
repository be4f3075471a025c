"""Idle clients: they are connected, and only answer pings, as every browser does.

`python -m bench.crowd HOST PORT` is a process of its own, because each connection takes a descriptor. It
reads the ids of tickets from standard input, one a line, until a line with a dot. Each connection claims a
ticket, since the server closes those that claim none. Once all are idle, the process prints how many seconds
that took. It ends when its standard input ends.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from incoming.wire.frames import OP_PING, OP_PONG, OP_TEXT, build_frame
from tests.support.upload_client import PATH

LENGTH_BYTES: Final = 64 * 1024
"""The length of each upload. The server reserves the same amount of disk space at once."""
CONNECTING_AT_ONCE: Final = 128
MASK: Final = bytes.fromhex("9d3c71e5")


def text(msg_type: str, **msg_data: object) -> bytes:
    """Returns the frame of a text message."""
    return build_frame(OP_TEXT, json.dumps({"MsgType": msg_type, "MsgData": msg_data}).encode(), MASK)


def handshake(host: str, port: int) -> bytes:
    """Returns the request for an upgrade."""
    fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return f"GET {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\n{fields}\r\n{key}\r\n\r\n".encode()


PONG: Final = build_frame(OP_PONG, b"", MASK)
ASKED: Final = build_frame(OP_PING)
SIGN_OF_LIFE: Final = build_frame(OP_TEXT, json.dumps({"MsgType": "MsgPong", "MsgData": {}}).encode())
"""A page that gets this message sends no pings of its own."""


class Idle:
    """One connection: its handshake, its claim, and its answers to pings."""

    def __init__(self, host: str, port: int, ticket_id: str) -> None:
        self._ticket_id = ticket_id
        self._data = b""
        self._is_open = False
        self.socket = socket.create_connection((host, port), timeout=60)
        self.socket.sendall(handshake(host, port))
        self.socket.setblocking(False)

    def hear(self) -> bool:
        """Reads what has come. Returns whether the connection is idle now."""
        more = self.socket.recv(4096)
        assert more, "the server hung up"
        if self._data or not self._is_open or more not in (ASKED, SIGN_OF_LIFE):
            self._data += more
            return self._understand()
        if more == ASKED:
            self.socket.send(PONG)
        return False

    def _understand(self) -> bool:
        if not self._is_open:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return False
            assert b" 101 " in head.split(b"\r\n")[0], head
            self._is_open, self._data = True, rest
            request = {"Version": 2, "Id": self._ticket_id, "LengthBytes": LENGTH_BYTES, "Name": "idle.bin"}
            self.socket.send(text("MsgUploadReq", **request, LastModifiedMs=1_700_000_000_123))
        answers = [self._answer(*frame) for frame in self._frames()]  # all of them, each once
        return any(answers)

    def _answer(self, opcode: int, payload: bytes) -> bool:
        """Answers a frame. Returns whether the upload is agreed upon."""
        if opcode == OP_PING:
            self.socket.send(PONG)
            return False
        if b'"MsgPong"' in payload:
            return False
        assert b'"MsgUploadConf"' in payload, payload
        self.socket.send(text("MsgAgree", Crc32c=[]))
        return True

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        while len(self._data) >= 2:
            size, at = self._data[1], 2
            if size == 126:
                size, at = int.from_bytes(self._data[2:4], "big"), 4
            if len(self._data) < at + size:
                return
            opcode, payload = self._data[0] & 0x0F, self._data[at : at + size]
            self._data = self._data[at + size :]
            yield opcode, payload


def _hold(host: str, port: int, ticket_ids: Sequence[str]) -> None:
    """Connects, prints how long that took, and answers pings until the input ends."""
    poll, to_come = select.epoll(), deque(ticket_ids)
    idle: dict[int, Idle] = {}
    connecting, began_s = 0, time.monotonic()
    poll.register(sys.stdin, select.EPOLLIN)
    while True:
        while to_come and connecting < CONNECTING_AT_ONCE:
            one = Idle(host, port, to_come.popleft())
            idle[one.socket.fileno()] = one
            poll.register(one.socket, select.EPOLLIN)
            connecting += 1
        for fd, _ in poll.poll():
            if fd == sys.stdin.fileno():
                return
            if idle[fd].hear():
                connecting -= 1
                if not connecting and not to_come:
                    sys.stdout.write(f"{time.monotonic() - began_s}\n")
                    sys.stdout.flush()


@contextmanager
def crowd(port: int, ticket_ids: Sequence[str]) -> Iterator[float]:
    """Keeps idle connections open during the with block. Yields how many seconds it took to open them."""
    command = [sys.executable, "-m", "bench.crowd", "127.0.0.1", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        process.stdin.write("\n".join([*ticket_ids, ".", ""]))
        process.stdin.flush()
        took = process.stdout.readline()
        assert took, "the crowd has ended"
        try:
            yield float(took)
            assert process.poll() is None, "a connection was lost"
        finally:
            process.stdin.close()


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _hold(sys.argv[1], int(sys.argv[2]), [line.strip() for line in iter(sys.stdin.readline, ".\n")])
