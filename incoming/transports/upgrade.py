"""From an HTTP request that was upgraded to the websocket that we read ourselves.

gevent-websocket's handler checks the handshake and answers it; what it leaves in `wsgi.websocket` has a slow
read path, so we take the connection from it. Other servers (uWSGI, gunicorn) come here with finders of
their own: all we need is a gevent socket, and what was read past the handshake.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, MutableMapping
from typing import Any

from incoming.errors import UpgradeRequired
from incoming.transports.buffers import Buffers
from incoming.transports.websocket import WebSocket

Adopt = Callable[[MutableMapping[str, Any]], WebSocket]


def adopter(buffers: Buffers, silence_timeout_s: float) -> Adopt:
    """Returns a function that makes a WebSocket of a WSGI environ. It raises UpgradeRequired."""

    def adopt(environ: MutableMapping[str, Any]) -> WebSocket:
        handler = getattr(environ.get("wsgi.websocket"), "handler", None)
        if handler is None:
            raise UpgradeRequired
        # Its destructor would write a close frame into what is our stream now.
        environ["wsgi.websocket"].closed = True
        read_ahead = _read_ahead(handler.rfile, handler.socket)
        return WebSocket(handler.socket, buffers, silence_timeout_s, read_ahead)

    return adopt


def _read_ahead(rfile: Any, sock: socket.socket) -> bytes:
    """Returns what the HTTP server's buffered reader has read past the handshake."""
    timeout_s = sock.gettimeout()
    sock.settimeout(0.0)
    try:
        waiting = rfile.peek()
    except (BlockingIOError, ssl.SSLWantReadError):
        waiting = b""
    finally:
        sock.settimeout(timeout_s)
    return bytes(rfile.read(len(waiting))) if waiting else b""
