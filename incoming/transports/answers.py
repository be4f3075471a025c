"""HTTP answers in one piece: pywsgi sends the head of an answer, and then its body.

To send is what a small answer costs most by: it wakes the peer, and lets the threads of the pool go on, which
the event loop then waits for.
"""

from __future__ import annotations

from typing import Any, Final

from geventwebsocket.handler import WebSocketHandler

SMALL_BYTES: Final = 16 * 1024
"""A larger body is not copied to stand behind its head."""


class OnePieceHandler(WebSocketHandler):  # type: ignore[misc]
    """gevent-websocket's handler; the head of an answer leaves together with what comes first of its body."""

    _held: bytearray | None = None

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
