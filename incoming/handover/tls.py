"""An encrypted connection that is read in small pieces, and not without end.

OpenSSL on a socket reads on until there is something for the caller: session tickets and other messages of
its own it takes for as long as they come, and nothing else of the process runs meanwhile. Here it gets
what has come in through memory, 2 KiB at a time, and others run in between.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from incoming.handover.answer_reader import PIECE_BYTES, AnswerTooLong

MAX_TLS_BYTES: Final = 512 * 1024
"""What comes in for a handshake or an answer, encrypted. Certificates are most of it: 100 KiB at most."""

_T = TypeVar("_T")
Receive = Callable[[int], bytes]


class TlsSocket:
    """As much of a socket as http.client uses."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, host: str, yield_if_due: Callable[[], object]
    ) -> None:
        """`sock` is connected, and `host` is who has to be at its other end."""
        self._socket = sock
        self._yield_if_due = yield_if_due
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._left_bytes = MAX_TLS_BYTES

    def shake_hands(self) -> None:
        """Agrees on keys, and checks who is there. Raises OSError (ssl.SSLError), AnswerTooLong."""
        self._until_done(self._tls.do_handshake, self._socket.recv)

    def sendall(self, data: bytes) -> None:
        """Sends a request; the answer to it has MAX_TLS_BYTES. Raises OSError, AnswerTooLong."""
        self._left_bytes = MAX_TLS_BYTES
        view = memoryview(data)
        while view:
            view = view[self._until_done(partial(self._tls.write, view), self._socket.recv) :]

    def recv(self, size_bytes: int) -> bytes:
        """Returns some bytes; none at the end. Raises OSError, AnswerTooLong."""
        buffer = bytearray(size_bytes)
        return bytes(buffer[: self.receive_into(buffer, self._socket.recv)])

    def receive_into(self, buffer: Any, receive: Receive) -> int:
        """Returns how many bytes are in the buffer now; `receive` reads what is encrypted."""
        try:
            return int(self._until_done(partial(self._tls.read, len(buffer), buffer), receive))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0  # http.client knows whether something is missing

    def makefile(self, mode: str, buffering: int = -1) -> TlsFile:
        """Returns what answers are read from; the connection stays open until it is closed."""
        return TlsFile(self, self._socket.makefile("rb", 0))

    def settimeout(self, timeout_s: float | None) -> None:
        """See socket.socket."""
        self._socket.settimeout(timeout_s)

    def close(self) -> None:
        """See socket.socket."""
        self._socket.close()

    def _until_done(self, step: Callable[[], _T], receive: Receive) -> _T:
        """Returns what a step of OpenSSL returns once it has got all that it wants to read."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed(receive)
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._socket.sendall(data)

    def _feed(self, receive: Receive) -> None:
        self._yield_if_due()
        data = receive(PIECE_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise AnswerTooLong(f"more than {MAX_TLS_BYTES} bytes, encrypted")


class TlsFile(io.RawIOBase):
    """What comes in, decrypted."""

    def __init__(self, sock: TlsSocket, raw: Any) -> None:
        """`raw` is an unbuffered file of the socket beneath."""
        self._socket = sock
        self._raw = raw

    def readable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See io.RawIOBase. Raises OSError, AnswerTooLong."""
        return self._socket.receive_into(buffer, self._raw.read)

    def close(self) -> None:
        """See io.RawIOBase."""
        self._raw.close()
        super().close()
