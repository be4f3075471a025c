"""Reads an app's HTTP response: skips interim responses, and limits the size of all of it together.

http.client limits a line and the number of headers. But it reads interim responses, chunk extensions and
trailers without end, and a socket that always has data never lets another greenlet run. The server reads the
answers of handovers with it, and the command those with a ticket.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any, Final

from incoming.wire.http_status import is_interim

MAX_READ_BYTES: Final = 64 * 1024
"""The limit for a whole response: interim responses, headers, chunk framing, body and trailers."""
PIECE_BYTES: Final = 2048
"""How much is read before other greenlets may run. Parsing that many bytes may take some milliseconds."""


class AnswerTooLong(HTTPException):
    """The response exceeds MAX_READ_BYTES."""


class AnswerFile(io.RawIOBase):
    """Reads up to MAX_READ_BYTES from a socket."""

    def __init__(self, raw: Any, before_each: Callable[[], object]) -> None:
        """`raw` is an unbuffered file of a socket. `before_each` is called before each piece.

        It lets other greenlets run, or raises an error once the answer takes too long.
        """
        self._raw = raw
        self._before_each = before_each
        self._left_bytes = MAX_READ_BYTES
        self.has_ended = False
        """Whether more was wanted than the app has sent."""

    def readable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """See io.RawIOBase. Raises AnswerTooLong, OSError."""
        self._before_each()
        read_bytes: int | None = self._raw.readinto(buffer)
        self._left_bytes -= read_bytes or 0
        self.has_ended = read_bytes == 0
        if self._left_bytes < 0:
            raise AnswerTooLong(f"more than {MAX_READ_BYTES} bytes")
        return read_bytes

    def close(self) -> None:
        """See io.RawIOBase."""
        self._raw.close()
        super().close()


class Answer(HTTPResponse):
    """The final response. Raises AnswerTooLong and IncompleteRead as well as what HTTPResponse raises."""

    def __init__(self, sock: Any, before_each: Callable[[], object], method: str | None = None) -> None:
        """`before_each`: see AnswerFile."""
        super().__init__(sock, method=method)
        self.fp.close()
        self._file = AnswerFile(sock.makefile("rb", 0), before_each)
        self.fp = io.BufferedReader(self._file, PIECE_BYTES)

    def begin(self) -> None:
        """Reads the status and the headers of the final response."""
        self._begin()
        while is_interim(self.status):
            self.headers = self.msg = None  # type: ignore[assignment] # else http.client treats it as read
            self._begin()
        coding = self.getheader("Transfer-Encoding", "").strip().lower()  # http.client keeps white space
        if coding == "chunked" and not self.chunked:
            self.chunked, self.chunk_left, self.length = True, None, None

    def _begin(self) -> None:
        super().begin()
        if self._file.has_ended:  # http.client takes the end of the connection for the end of the headers
            raise IncompleteRead(b"")

    @property
    def is_cut(self) -> bool:
        """Whether the connection ended before the last chunk did. http.client takes that for its end, too."""
        return bool(self.chunked) and self._file.has_ended
