"""Clients that send as fast as a server accepts data, with almost no CPU time of their own.

They send `content` with sendfile(2), so no byte passes through the client. One loop drives any number of
uploads.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Final, Protocol

from crc32c import crc32c

from bench.content import (
    MASK,
    RING_BYTES,
    Piece,
    Span,
    file_crc32c,
    framed_ring,
    masked,
    masked_ring,
    plain_ring,
    ring,
    ring_crcs,
)  # fmt: skip
from incoming.wire.frames import OP_BINARY, build_header
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import CHUNK_HEADER, ClientV2
from tests.support.data import MIB, FileBytes

ALONE_BYTES: Final = 16 * MIB
AMONG_OTHERS_BYTES: Final = 256 * 1024
"""How much an upload may send before the next one has its turn. Without it, the first would end before
others begin."""
DEADLINE_S: Final = 600.0


class Upload(Protocol):
    """One upload that is ready for its first byte."""

    size_bytes: int

    @property
    def socket(self) -> socket.socket:
        """Its connection."""

    @property
    def acked_bytes(self) -> int:
        """How many bytes the server has acknowledged."""

    @property
    def is_stored(self) -> bool:
        """Whether the server has acknowledged all of it."""

    def next_pieces(self) -> Sequence[Piece]:
        """Returns what to send now; nothing while the window is full, or at the end."""

    def hear(self) -> None:
        """Reads messages of the server."""


class V1:
    """Protocol version 1, of a ticket."""

    def __init__(self, url: str, ticket_id: str, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.client = ClientV1(url, ticket_id, FileBytes(size_bytes), timeout_s=DEADLINE_S).open()
        self.socket = self.client.ws.socket
        self._chunk_bytes = self.client.chunk_size_bytes
        assert not size_bytes % self._chunk_bytes, "this client sends whole chunks only"
        self._frame_bytes = len(build_header(OP_BINARY, self._chunk_bytes, MASK)) + self._chunk_bytes
        self._sent = self._acked = 0

    @property
    def acked_bytes(self) -> int:
        """What was acknowledged."""
        return self._acked * self._chunk_bytes

    @property
    def is_stored(self) -> bool:
        """Whether all of it was."""
        return self.acked_bytes == self.size_bytes

    def next_pieces(self) -> Sequence[Piece]:
        """See Upload."""
        is_all_sent = self._sent * self._chunk_bytes == self.size_bytes
        if is_all_sent or self._sent - self._acked == self.client.send_ahead:
            return ()
        at = self._sent % (RING_BYTES // self._chunk_bytes) * self._frame_bytes
        self._sent += 1
        return (Span(framed_ring(self._chunk_bytes), at, at + self._frame_bytes),)

    def hear(self) -> None:
        """See Upload."""
        while True:
            self.client.expect("MsgChunkAck")
            self._acked += 1
            if self.is_stored or not self.client.ws.has_input:  # the result may have come with the last one
                return

    def receive_result(self) -> None:
        """Waits until the app has the file."""
        self.client.receive_result()


class V2:
    """Protocol version 2, of a ticket."""

    def __init__(self, url: str, ticket_id: str, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.client = ClientV2(url, ticket_id, FileBytes(size_bytes), timeout_s=DEADLINE_S).open()
        self.socket = self.client.ws.socket

    @property
    def acked_bytes(self) -> int:
        """What was acknowledged."""
        return self.client.stored_bytes

    @property
    def is_stored(self) -> bool:
        """Whether all of it was."""
        return self.acked_bytes == self.size_bytes

    def next_pieces(self) -> Sequence[Piece]:
        """See Upload."""
        at = self.client.sent_bytes
        chunk_bytes = self.client.max_chunk_bytes
        assert not RING_BYTES % chunk_bytes, "chunks are cut out of the ring"
        chunk_bytes = min(chunk_bytes, at & -at or chunk_bytes)  # whose pieces begin at their multiples
        size = min(chunk_bytes, self.size_bytes - at)
        if not size or at + size - self.client.stored_bytes > self.client.max_window_bytes:
            return ()
        start = at % RING_BYTES
        crc = ring_crcs(chunk_bytes)[start // chunk_bytes]
        if size < chunk_bytes:
            crc = crc32c(ring()[start : start + size])
        header = CHUNK_HEADER.pack(at, crc, 0)
        frame = build_header(OP_BINARY, CHUNK_HEADER.size + size, MASK)
        self.client.sent_bytes = self.client._highest_sent_bytes = at + size
        return frame + masked(header), Span(masked_ring(), start, start + size)

    def hear(self) -> None:
        """See Upload."""
        self.client.receive_next()
        while self.client.ws.has_input:
            self.client.receive_next()

    def receive_result(self) -> None:
        """Waits until the app has the file."""
        self.client.complete(file_crc32c(self.size_bytes))
        while self.client.receive_next().type != "MsgAllDone":
            pass


class Http:
    """One request with the whole file as its body. The answer says that it is stored."""

    def __init__(self, port: int, head: str, size_bytes: int) -> None:
        """`head`: the request line and the fields that this server wants."""
        self.size_bytes = size_bytes
        self.acked_bytes = 0
        self._port = port
        self._pieces = self._request(head, 0, size_bytes)
        self._answer = b""

    @cached_property
    def socket(self) -> socket.socket:
        """The connection. It is opened late: gunicorn closes one that has no request for two seconds."""
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=DEADLINE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _request(self, head: str, start: int, end: int) -> Iterator[Piece]:
        """Yields a request that has the bytes from `start` to `end` of the file as its body."""
        fields = f"Host: 127.0.0.1:{self._port}\r\nContent-Length: {end - start}\r\n"
        yield f"{head}\r\n{fields}\r\n".encode()
        while start < end:
            at = start % RING_BYTES
            size = min(RING_BYTES - at, end - start)
            yield Span(plain_ring(), at, at + size)
            start += size

    @property
    def is_stored(self) -> bool:
        """Whether the server has answered that it is stored."""
        return self.acked_bytes == self.size_bytes

    def next_pieces(self) -> Sequence[Piece]:
        """See Upload."""
        piece = next(self._pieces, None)
        return () if piece is None else (piece,)

    def hear(self) -> None:
        """See Upload. Raises AssertionError if the server refuses."""
        more = self.socket.recv(1 << 16)
        self._answer += more
        assert more, f"the server hung up: {self._answer[:300]!r}"
        if b"\r\n\r\n" in self._answer:
            assert self._answer.split(None, 2)[1].startswith(b"2"), self._answer[:300]
            self._answer = b""
            self._is_answered()

    def _is_answered(self) -> None:
        self.acked_bytes = self.size_bytes


class HttpRequests(Http):
    """Requests of one size on one connection. Each waits for the answer to the one before."""

    def __init__(
        self, port: int, head: Callable[[int, int], str], size_bytes: int, request_bytes: int
    ) -> None:
        """`head`: returns the head of the request for the bytes from one offset to another."""
        super().__init__(port, "", size_bytes)
        self._head = head
        self._request_bytes = request_bytes
        self._end = 0
        self._begin_next()

    def _begin_next(self) -> None:
        start, self._end = self._end, min(self._end + self._request_bytes, self.size_bytes)
        self._pieces = self._request(self._head(start, self._end), start, self._end)

    def _is_answered(self) -> None:
        self.acked_bytes = self._end
        if not self.is_stored:
            self._begin_next()


class _Pump:
    """Sends one upload's pieces, as far as its socket takes them."""

    def __init__(self, upload: Upload, at_a_time_bytes: int) -> None:
        self.upload = upload
        self._at_a_time_bytes = at_a_time_bytes
        self._pieces: list[Piece] = []

    def send(self) -> bool:
        """Sends some pieces. Returns whether more is ready to be sent."""
        try:
            left_bytes = self._at_a_time_bytes
            while left_bytes > 0:
                if not self._pieces:
                    self._pieces = list(self.upload.next_pieces())
                    if not self._pieces:
                        return False
                left_bytes -= self._send_one(left_bytes)
        except BlockingIOError:
            pass
        return True

    def _send_one(self, max_bytes: int) -> int:
        piece, sock = self._pieces[0], self.upload.socket
        if isinstance(piece, bytes):
            sent = sock.send(piece, socket.MSG_MORE | socket.MSG_DONTWAIT)
            rest: Piece = piece[sent:]
            done = not rest
        else:
            sent = os.sendfile(sock.fileno(), piece.fd, piece.start, min(piece.end - piece.start, max_bytes))
            rest = Span(piece.fd, piece.start + sent, piece.end)
            done = rest.start == rest.end
        self._pieces[:1] = [] if done else [rest]
        return sent


def flat_out(uploads: Sequence[Upload]) -> Iterator[Upload]:
    """Sends all uploads at the same time. Yields each as soon as it is stored. Raises TimeoutError."""
    give_up_at_s = time.monotonic() + DEADLINE_S
    with selectors.EpollSelector() as selector:
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        at_a_time_bytes = ALONE_BYTES if len(uploads) == 1 else AMONG_OTHERS_BYTES
        for upload in uploads:
            selector.register(upload.socket, both, _Pump(upload, at_a_time_bytes))
        left = len(uploads)
        while left:
            if time.monotonic() > give_up_at_s:
                raise TimeoutError("the uploads took too long")
            for key, events in selector.select(timeout=10):
                pump: _Pump = key.data
                if events & selectors.EVENT_READ:
                    pump.upload.hear()
                wanted = both if pump.send() else selectors.EVENT_READ
                if pump.upload.is_stored:
                    selector.unregister(key.fileobj)
                    left -= 1
                    yield pump.upload
                elif wanted != key.events:
                    selector.modify(key.fileobj, wanted, pump)
