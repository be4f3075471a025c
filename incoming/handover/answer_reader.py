"""An app's answer as it comes in: interim answers are skipped, and all of it together has one bound.

http.client bounds a line and the number of headers. It reads interim answers, chunk extensions and trailers
for as long as they come, and a socket that always has data never lets another greenlet run.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from typing import Any, Final

from incoming.wire.http_status import is_interim

MAX_READ_BYTES: Final = 64 * 1024
"""Of an answer with all that belongs to it: interim answers, headers, framing of chunks, body, trailers."""
PIECE_BYTES: Final = 2048
"""What is read before others may run. To parse so many bytes of interim answers takes some milliseconds."""


class AnswerTooLong(HTTPException):
    """The answer has more bytes than are ever read."""


class AnswerFile(io.RawIOBase):
    """What a socket brings, up to MAX_READ_BYTES; between two pieces others run."""

    def __init__(self, raw: Any, yield_if_due: Callable[[], object]) -> None:
        """`raw` is an unbuffered file of a socket."""
        self._raw = raw
        self._yield_if_due = yield_if_due
        self._left_bytes = MAX_READ_BYTES

    def readable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """See io.RawIOBase. Raises AnswerTooLong, OSError."""
        self._yield_if_due()
        read_bytes: int | None = self._raw.readinto(buffer)
        self._left_bytes -= read_bytes or 0
        if self._left_bytes < 0:
            raise AnswerTooLong(f"more than {MAX_READ_BYTES} bytes")
        return read_bytes

    def close(self) -> None:
        """See io.RawIOBase."""
        self._raw.close()
        super().close()


class Answer(HTTPResponse):
    """The answer proper. Raises AnswerTooLong besides what HTTPResponse raises."""

    def __init__(self, sock: Any, yield_if_due: Callable[[], object], method: str | None = None) -> None:
        super().__init__(sock, method=method)
        self.fp.close()
        self.fp = io.BufferedReader(AnswerFile(sock.makefile("rb", 0), yield_if_due), PIECE_BYTES)

    def begin(self) -> None:
        """Reads the status and the headers; of several answers the last one's."""
        super().begin()
        while is_interim(self.status):
            self.headers = self.msg = None  # type: ignore[assignment] # else http.client takes it for read
            super().begin()
