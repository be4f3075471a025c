"""From an HTTP request to the websocket that we read ourselves, whichever server has accepted it.

All that is needed is the connection's gevent socket, and what the server has read past the handshake. Where
each server has these is known here, and nowhere else:

| server | the socket | afterwards |
|---|---|---|
| pywsgi, gevent-websocket's handler | of the handler; the handshake is answered | nothing |
| ours, which is such a handler | the same | the conversation goes on without it (`go_on_without`) |
| pywsgi as it is (Bottle's `server="gevent"`) | below the buffered reader of `wsgi.input` | nothing |
| gunicorn's gevent worker | `gunicorn.socket` | its mark for "already answered" |
| uWSGI with its gevent loop | a copy of `uwsgi.connection_fd()` | close the copy |

`in_front_of` stands before the WSGI app, since a Bottle route always answers with a response of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import ssl
from collections.abc import Callable, Container, Iterable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import gevent.socket

from incoming.core.client_limits import Sources
from incoming.websocket.buffers import Buffers
from incoming.websocket.keepalive import KeepAlive
from incoming.websocket.websocket import WebSocket
from incoming.wire import close_codes, handshake

Environ = MutableMapping[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Converse = Callable[[WebSocket, str], None]
"""Drives the conversation on one websocket until it ends; gets its source, too."""
Talk = Callable[[socket.socket], None]
"""All that is said on one connection."""
_NOTHING: Final[Iterable[bytes]] = ()


@dataclass(slots=True)
class _Taken:
    """A connection that is ours from now on."""

    socket: socket.socket
    read_ahead: bytes = b""
    result: Iterable[bytes] = _NOTHING
    """What the server wants to have returned once the connection has ended."""
    answered: bool = False
    """Whether the server has answered the handshake."""
    copied: bool = False
    go_on_without: Callable[[Talk], None] | None = None
    """Has a talk begin when the server is done with the request: thousands of those take much memory."""


class Upgrades:
    """Makes websockets of requests."""

    def __init__(self, buffers: Buffers, keepalive: KeepAlive, sources: Sources) -> None:
        self._buffers = buffers
        self._sources = sources
        self._keepalive = keepalive

    def in_front_of(self, app: WsgiApp, paths: Container[str], converse: Converse) -> WsgiApp:
        """Returns a WSGI app that upgrades requests for these paths; `app` gets all others.

        A request that can't be upgraded is for `app` too: it says why.
        """

        def front(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            taken = _take(environ) if environ.get("PATH_INFO") in paths else None
            return self._serve(taken, environ, converse) if taken else app(environ, start_response)

        return front

    def _serve(self, taken: _Taken, environ: Environ, converse: Converse) -> Iterable[bytes]:
        talk = partial(self._talk, taken.read_ahead, self._sources.of(environ), converse)
        try:
            if not taken.answered:
                taken.socket.sendall(handshake.answer(environ))
            if taken.go_on_without:
                taken.go_on_without(talk)
            else:
                talk(taken.socket)
        except OSError:
            pass  # gone before it had our answer
        finally:
            if taken.copied:
                taken.socket.close()
        return taken.result

    def _talk(self, read_ahead: bytes, source: str, converse: Converse, sock: socket.socket) -> None:
        try:
            self._admit(WebSocket(sock, self._buffers, self._keepalive, read_ahead), source, converse)
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # else its server would wait for another request

    def _admit(self, websocket: WebSocket, source: str, converse: Converse) -> None:
        """Lets the conversation begin unless its source has too many; then its client comes back later."""
        if not self._sources.admit(source):
            websocket.close(close_codes.TRY_AGAIN_LATER, str(self._sources.refusal))
            websocket.end()
            return
        try:
            converse(websocket, source)
        finally:
            self._sources.leave(source)


def _take(environ: Environ) -> _Taken | None:
    """Takes the connection from its server; None where that can't be."""
    handler = getattr(environ.get("wsgi.websocket"), "handler", None)
    if handler is not None:
        # Its destructor would write a close frame into what is our stream now.
        environ["wsgi.websocket"].closed = True
        read_ahead = _read_ahead(handler.rfile, handler.socket)
        go_on_without = getattr(handler, "go_on_without", None)
        return _Taken(handler.socket, read_ahead, answered=True, go_on_without=go_on_without)
    if handshake.why_not(environ):
        return None
    if "gunicorn.socket" in environ:
        base = importlib.import_module("gunicorn.workers.base_async")
        reader = environ["wsgi.input"].reader
        return _Taken(environ["gunicorn.socket"], reader.unreader.take_buffered(), base.ALREADY_HANDLED)
    if "uwsgi.version" in environ:
        # What came with the handshake is lost here; only a client that breaks RFC 6455 section 4.1 sends any.
        copy = os.dup(importlib.import_module("uwsgi").connection_fd())
        return _Taken(gevent.socket.socket(fileno=copy), copied=True)
    rfile = environ.get("wsgi.input")  # for an upgrade pywsgi leaves it unwrapped
    sock = getattr(getattr(rfile, "raw", None), "_sock", None)
    return _Taken(sock, _read_ahead(rfile, sock)) if isinstance(sock, gevent.socket.socket) else None


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
