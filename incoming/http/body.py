"""The body of an HTTP request on pywsgi, with time limits."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent.pywsgi import Input

from incoming.http_uploads.receiver import MIN_BYTES_PER_S
from incoming.runtime.fair_scheduler import yield_if_due

PIECE_BYTES: Final = 64 * 1024
"""How much is read before others may run, and how much is read of a body that the app ignores."""
UNREAD_TIMEOUT_S: Final = 5.0
"""How long the rest of an ignored body may take. The response was already sent."""


class Body(Input):  # type: ignore[misc]
    """What an app gets as `wsgi.input`.

    Only the time inside a read counts, not the time that the app takes between two reads. Every error in the
    bytes is an OSError for the app, as a lost connection is. pywsgi itself raises ValueError
    for some chunk sizes.
    """

    server_lingers = True
    """Our server lets the peer read the answer, where a body was left. So its reader need not."""
    has_failed = False
    """Whether reading it has failed."""

    def __init__(self, given: Any, timeout_s: float) -> None:
        """`given` is pywsgi's input. The body may take `timeout_s`, and 1 s for each MIN_BYTES_PER_S."""
        super().__init__(given.rfile, given.content_length, given.socket, given.chunked_input)
        self._time_left_s = timeout_s

    def read(self, length: int | None = None) -> bytes:
        """Returns `length` bytes, fewer at the end; all without a length. Raises OSError."""
        left = length if length is not None and length >= 0 else None
        pieces = []
        while left is None or left > 0:
            piece = self._in_time(super().read, PIECE_BYTES if left is None else min(left, PIECE_BYTES))
            if not piece:
                break
            pieces.append(piece)
            left = left if left is None else left - len(piece)
            yield_if_due()  # a socket never yields while there is data
        return b"".join(pieces)

    def readline(self, size: int | None = None) -> bytes:
        """Returns the next line, or its first `size` bytes. Raises OSError."""
        return self._in_time(super().readline, size)

    def _in_time(self, read: Callable[[int | None], bytes], size: int | None) -> bytes:
        began_s = time.monotonic()
        try:
            with gevent.Timeout(max(self._time_left_s, 0.001), TimeoutError("the body arrives too slowly")):
                data = read(size)
        except OSError:
            self._chunked_input_error = self.has_failed = True
            raise
        except (ValueError, OverflowError) as exc:
            self._chunked_input_error = self.has_failed = True
            raise OSError(f"the body can't be read: {exc}") from exc
        finally:
            self._time_left_s -= time.monotonic() - began_s
        self._time_left_s += len(data) / MIN_BYTES_PER_S
        return data

    @property
    def at_end(self) -> bool:
        """Whether all of it was read, so that another request may follow."""
        if self.chunked_input:
            return self.chunk_length == 0 and not self._chunked_input_error
        return bool(self.position >= (self.content_length or 0))

    def _discard(self) -> None:
        """Reads the rest if it is short and the client does not wait for "100 Continue"."""
        if self.at_end or self.socket is not None or self._chunked_input_error:
            return
        self.send_100_continue_enabled = False
        self._time_left_s = min(self._time_left_s, UNREAD_TIMEOUT_S)
        with contextlib.suppress(OSError):
            self.read(PIECE_BYTES)
            self.read(1)  # pywsgi notices the end of a chunked body only by reading on
