"""A TLS connection that is read in small pieces, up to a limit.

OpenSSL on a socket reads until it has data for the caller. Meanwhile it accepts session tickets and other
messages without end, and nothing else in the process runs. Here OpenSSL reads from memory, 2 KiB at a time,
and other greenlets run in between.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from incoming.wire.answer_reader import PIECE_BYTES, AnswerTooLong

MAX_TLS_BYTES: Final = 512 * 1024
"""The limit for a handshake or a response, encrypted. Certificates take most of it, 100 KiB at most."""

_T = TypeVar("_T")
Receive = Callable[[int], bytes]


class TlsSocket:
    """The part of a socket's interface that http.client uses."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, host: str, yield_if_due: Callable[[], object]
    ) -> None:
        """`sock` is connected; its peer has to prove that it is `host`."""
        self._socket = sock
        self._yield_if_due = yield_if_due
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._left_bytes = MAX_TLS_BYTES

    def shake_hands(self) -> None:
        """Does the handshake, and checks the certificate. Raises OSError (ssl.SSLError), AnswerTooLong."""
        self._until_done(self._tls.do_handshake, self._socket.recv)

    def sendall(self, data: bytes) -> None:
        """Sends a request. Its response may have MAX_TLS_BYTES. Raises OSError, AnswerTooLong."""
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
        """Repeats a call of OpenSSL until it has the bytes that it needs, and returns its result."""
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
    """A file of the decrypted bytes."""

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
