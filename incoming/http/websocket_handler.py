"""gevent-websocket's handler of HTTP connections, without what small requests pay for in vain.

- pywsgi sends the head of an answer, and then its body. To send wakes the peer, and lets the threads of the
  pool go on, which the event loop then waits for; so a small answer leaves in one piece.
- Python reads headers with its parser of mails, which takes longer than all routes do. Lines that `heads` has
  let pass are a name, a colon and a value.
- A line of the log that nobody reads is not put together.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from gevent.pywsgi import OldMessage
from geventwebsocket.handler import WebSocketHandler

from incoming.wire.request_head import HeaderLines

log = logging.getLogger("incoming.http.server")

SMALL_BYTES: Final = 16 * 1024
"""A larger body is not copied to stand behind its head."""


class LeanHandler(WebSocketHandler):  # type: ignore[misc]
    """One HTTP connection."""

    _held: bytearray | None = None

    def MessageClass(self, reader: HeaderLines, *_args: object) -> Any:  # noqa: N802 - pywsgi's name
        """Returns the headers. Raises BadHead."""
        headers = OldMessage()
        while line := reader.readline().rstrip(b"\r\n"):
            name, _, value = line.decode("latin-1").partition(":")
            headers.set_raw(name, value.strip(" \t"))
        return headers

    def format_request(self) -> str:
        """Returns what is logged of a request."""
        return str(super().format_request()) if log.isEnabledFor(logging.DEBUG) else ""

    def _write_with_headers(self, data: bytes) -> None:
        if len(data) > SMALL_BYTES:
            super()._write_with_headers(data)
            return
        self._held = bytearray()
        try:
            super()._write_with_headers(data)
        finally:
            held, self._held = self._held, None
        super()._sendall(held)

    def _sendall(self, data: Any) -> None:
        if self._held is None:
            super()._sendall(data)
        else:
            self._held += data
