"""From an HTTP request to a WebSocket that we read ourselves, whichever server has accepted the connection.

All that this needs is the connection's gevent socket, and what the server has read past the handshake
(`runtime.server_connection`). How a request ends that was upgraded:

| server | afterwards |
|---|---|
| pywsgi, gevent-websocket's handler | nothing; the handler has answered the handshake |
| ours, which is such a handler | the connection is detached from it (`detach_connection`) |
| pywsgi as it is (Bottle's `server="gevent"`) | nothing |
| gunicorn's gevent worker | its mark for "already answered" |
| uWSGI with its gevent loop | the copy of the socket is closed |

`wrap` puts this before the WSGI app, since a Bottle route always answers with a response of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import socket
from collections.abc import Callable, Container, Iterable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from incoming.core.client_limits import ClientLimits
from incoming.runtime.buffer_pool import BufferPool
from incoming.runtime.server_connection import ServerConnection, upgrade_connection
from incoming.uploads.refusals import Kind, Refusals
from incoming.websocket.keepalive import KeepAlive
from incoming.websocket.websocket import WebSocket
from incoming.wire import close_codes, handshake

Environ = MutableMapping[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
ServeWebSocket = Callable[[WebSocket, str], None]
"""Serves one WebSocket until it ends; its second argument is the source of the connection."""
ServeSocket = Callable[[socket.socket], None]
"""Serves one connection until it ends."""
MAX_AHEAD_BYTES: Final = 1024 * 1024
_NOTHING: Final[Iterable[bytes]] = ()


@dataclass(slots=True)
class _Taken:
    """A connection that was taken from its server."""

    connection: ServerConnection
    read_ahead: bytes
    result: Iterable[bytes] = _NOTHING
    """What the WSGI app has to return to the server once the connection has ended."""
    answered: bool = False
    """Whether the server has answered the handshake."""
    detach: Callable[[ServeSocket], None] | None = None
    """Serves the connection once the request is freed: thousands of requests take much memory."""


class Upgrades:
    """Upgrades requests to WebSockets."""

    def __init__(
        self, buffers: BufferPool, keepalive: KeepAlive, client_limits: ClientLimits, refusals: Refusals
    ) -> None:
        self._buffers = buffers
        self._client_limits = client_limits
        self._refusals = refusals
        self._keepalive = keepalive

    def wrap(self, app: WsgiApp, paths: Container[str], serve: ServeWebSocket) -> WsgiApp:
        """Returns a WSGI app that upgrades requests for these paths; `app` gets all others.

        `app` gets a request that can't be upgraded, too, and answers why.
        """

        def front(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            taken = _take(environ) if environ.get("PATH_INFO") in paths else None
            return self._serve(taken, environ, serve) if taken else app(environ, start_response)

        return front

    def _serve(self, taken: _Taken, environ: Environ, serve: ServeWebSocket) -> Iterable[bytes]:
        serve_socket = partial(
            self._serve_socket, taken.read_ahead, self._client_limits.source_of(environ), serve
        )
        try:
            if not taken.answered:
                taken.connection.socket.sendall(handshake.answer(environ))
            if taken.detach:
                taken.detach(serve_socket)
            else:
                serve_socket(taken.connection.socket)
        except OSError:
            pass  # the client has gone before it received our answer
        finally:
            taken.connection.release()
        return taken.result

    def _serve_socket(
        self, read_ahead: bytes, source: str, serve: ServeWebSocket, sock: socket.socket
    ) -> None:
        try:
            self._admit(WebSocket(sock, self._buffers, self._keepalive, read_ahead), source, serve)
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # else its server would wait for another request

    def _admit(self, websocket: WebSocket, source: str, serve: ServeWebSocket) -> None:
        """Serves the WebSocket unless its source has too many; then the client is told to try again later."""
        if not self._client_limits.admit(source):
            refusal = self._client_limits.refusal
            self._refusals.record(Kind.CONNECTION, refusal, route=f"connection from {source}")
            websocket.close(close_codes.TRY_AGAIN_LATER, str(refusal))
            websocket.end()
            return
        try:
            serve(websocket, source)
        finally:
            self._client_limits.leave(source)


def _take(environ: Environ) -> _Taken | None:
    """Takes the connection from its server; returns None where that is impossible."""
    handler = getattr(environ.get("wsgi.websocket"), "handler", None)
    if handler is None and handshake.refusal(environ):
        return None
    connection = upgrade_connection(environ)
    if connection is None:
        return None
    taken = _Taken(connection, connection.take_ahead(MAX_AHEAD_BYTES))
    if handler is not None:
        # Its destructor would write a close frame into our stream.
        environ["wsgi.websocket"].closed = True
        taken.answered = True
        taken.detach = getattr(handler, "detach_connection", None)
    elif "gunicorn.socket" in environ:
        taken.result = importlib.import_module("gunicorn.workers.base_async").ALREADY_HANDLED
    return taken
