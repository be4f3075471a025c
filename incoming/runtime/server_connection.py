"""Where each web server keeps the connection of a request, and what it has read past the request's head.

Both transports read from the connection's own socket: that is faster than `wsgi.input`, and nothing is lost
when the connection breaks. Only this module knows where each server keeps things:

| server | the socket | read ahead | another request may follow |
|---|---|---|---|
| pywsgi and ours | below the buffered reader of `wsgi.input` | in that reader | yes |
| gevent-websocket's handler, for an upgrade | that of the handler | in its reader | no |
| gunicorn's gevent worker | `gunicorn.socket` | in its `Unreader` | yes |
| uWSGI with its gevent loop | a copy of `uwsgi.connection_fd()` | in the request's C structure | no |

A server has to know how much of a body was read, or it would read the next request from the wrong place. So
the reader of a body says it with `body_read`, `body_ended` or `body_left`.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import socket
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, cast

import gevent
import gevent.socket

from incoming.runtime.lingering import linger

MAX_UWSGI_AHEAD_BYTES: Final = 64 * 1024
"""More than uWSGI reads past the head of a request: its `buffer-size` is less."""


class ServerConnection:
    """The connection of one request."""

    keeps_alive = True
    """Whether another request may follow on the connection."""
    server_continues = False
    """Whether the server has sent "100 Continue" by itself, if the client expects it."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    def take_ahead(self, limit_bytes: int) -> bytes:
        """Returns what the server has read ahead, `limit_bytes` at most. Never waits.

        A shorter result means that nothing more is there.
        """
        raise NotImplementedError

    def continue_sent(self) -> None:
        """The client was told to send the body. It may not be told again."""

    def body_read(self, size_bytes: int) -> None:
        """Counts bytes that were read of a body of known length."""

    def body_ended(self, trailers: Mapping[str, str]) -> None:
        """A chunked body was read to its end."""

    def body_left(self) -> None:
        """Nobody reads the rest of the body, so no other request can follow."""

    def finish(self, is_body_whole: bool) -> None:
        """The answer was sent. Ends the connection if the body is unread, but lets the client read first."""

    def release(self) -> None:
        """Closes what belongs to this object alone."""


class BufferedConnection(ServerConnection):
    """A connection whose server reads it through an io.BufferedReader."""

    def __init__(self, sock: socket.socket, reader: Any) -> None:
        super().__init__(sock)
        self._reader = reader

    def take_ahead(self, limit_bytes: int) -> bytes:
        """See ServerConnection."""
        timeout_s = self.socket.gettimeout()
        self.socket.settimeout(0.0)
        try:
            waiting = self._reader.peek()
        except OSError:  # nothing has come yet, or the connection broke, which the next read finds, too
            waiting = b""
        finally:
            self.socket.settimeout(timeout_s)
        size_bytes = min(len(waiting), limit_bytes)
        return bytes(self._reader.read(size_bytes)) if size_bytes else b""


class PywsgiConnection(BufferedConnection):
    """That of a request on pywsgi, or on our server, which is one."""

    def __init__(self, sock: socket.socket, stream: Any) -> None:
        """`stream` is the `wsgi.input`."""
        super().__init__(sock, stream.rfile)
        self._input = stream

    def continue_sent(self) -> None:
        """See ServerConnection."""
        self._input.socket = None

    def body_read(self, size_bytes: int) -> None:
        """See ServerConnection."""
        self._input.position += size_bytes

    def body_ended(self, trailers: Mapping[str, str]) -> None:
        """See ServerConnection."""
        self._input.chunk_length = 0

    def body_left(self) -> None:
        """See ServerConnection."""
        self._input._chunked_input_error = True

    def finish(self, is_body_whole: bool) -> None:
        """See ServerConnection."""
        if not is_body_whole:
            self.body_left()
            if not getattr(self._input, "server_lingers", False):
                linger(self.socket)
                self._reader.close()


class GunicornConnection(ServerConnection):
    """That of a request on gunicorn's gevent worker."""

    server_continues = True

    def __init__(self, sock: socket.socket, stream: Any) -> None:
        """`stream` is the `wsgi.input`."""
        super().__init__(sock)
        self._body, self._reader = stream, stream.reader
        request = getattr(self._reader, "req", None)  # the reader of a chunked body has no other way to it
        self._unreader = request.unreader if request else self._reader.unreader

    def take_ahead(self, limit_bytes: int) -> bytes:
        """See ServerConnection."""
        waiting: bytes = self._unreader.take_buffered()
        if len(waiting) > limit_bytes:
            self._unreader.unread(waiting[limit_bytes:])
        return waiting[:limit_bytes]

    def body_read(self, size_bytes: int) -> None:
        """See ServerConnection."""
        self._reader.length -= size_bytes

    def body_ended(self, trailers: Mapping[str, str]) -> None:
        """See ServerConnection."""
        self._reader.parser = None
        self._reader.req.trailers = [(name.upper(), value) for name, value in trailers.items()]

    def body_left(self) -> None:
        """See ServerConnection."""
        self._body.failed = True

    def finish(self, is_body_whole: bool) -> None:
        """See ServerConnection."""
        if not is_body_whole:
            self.body_left()
            linger(self.socket)


class UwsgiConnection(ServerConnection):
    """That of a request on uWSGI with its gevent loop. Its sockets serve one request a connection."""

    keeps_alive = False

    def __init__(self) -> None:
        copy = os.dup(importlib.import_module("uwsgi").connection_fd())
        os.set_inheritable(copy, False)
        super().__init__(gevent.socket.socket(fileno=copy))
        self._ahead: bytes | None = None

    def take_ahead(self, limit_bytes: int) -> bytes:
        """See ServerConnection. `wsgi.input` would wait until it has as much as it was asked for."""
        if self._ahead is None:
            self._ahead = _read_ahead_of_uwsgi()
        taken, self._ahead = self._ahead[:limit_bytes], self._ahead[limit_bytes:]
        return taken

    def finish(self, is_body_whole: bool) -> None:
        """See ServerConnection."""
        if not is_body_whole:
            linger(self.socket)
        self.release()

    def release(self) -> None:
        """See ServerConnection."""
        self.socket.close()


def _read_ahead_of_uwsgi() -> bytes:
    """Returns what uWSGI has read past the head of this greenlet's request, else what the socket has now.

    Never waits. uWSGI's own protocols read bodies with the C function that is called here.
    """
    read, request = _uwsgi_body_reader(), _uwsgi_request()
    if read is None or request is None:
        return b""
    buffer = ctypes.create_string_buffer(MAX_UWSGI_AHEAD_BYTES)
    size_bytes: int = read(request, buffer, MAX_UWSGI_AHEAD_BYTES)
    return buffer.raw[: max(size_bytes, 0)]


def _uwsgi_request() -> int | None:
    """Returns the address of the C structure of this greenlet's request: uWSGI's gevent loop sets it."""
    return getattr(gevent.getcurrent(), "uwsgi_wsgi_req", None)


def _shows_bodies_on_uwsgi() -> bool:
    """Returns whether the socket has the body: uWSGI can be asked to read all of it beforehand."""
    buffers = "post-buffering" in importlib.import_module("uwsgi").opt
    return not buffers and _uwsgi_body_reader() is not None and _uwsgi_request() is not None


@cache
def _uwsgi_body_reader() -> Callable[..., int] | None:
    """Returns uWSGI's `ssize_t uwsgi_proto_base_read_body(struct wsgi_request *, char *, size_t)`."""
    wheel = getattr(sys.modules.get("pyuwsgi"), "__file__", None)  # there uWSGI is a library of Python's
    for library in (None, wheel):
        with contextlib.suppress(AttributeError, OSError):
            read = ctypes.CDLL(library).uwsgi_proto_base_read_body
            read.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
            read.restype = ctypes.c_ssize_t
            return cast(Callable[..., int], read)
    return None


def upgrade_connection(environ: Mapping[str, Any]) -> ServerConnection | None:
    """Returns the connection of a request for an upgrade; None where its server does not show it."""
    handler = getattr(environ.get("wsgi.websocket"), "handler", None)
    if handler is not None:
        return BufferedConnection(handler.socket, handler.rfile)
    if "gunicorn.socket" in environ:
        return GunicornConnection(environ["gunicorn.socket"], environ["wsgi.input"])
    if "uwsgi.version" in environ:
        return UwsgiConnection()
    reader = environ.get("wsgi.input")  # pywsgi does not wrap it for an upgrade
    sock = _socket_below(reader)
    return BufferedConnection(sock, reader) if sock else None


def body_connection(environ: Mapping[str, Any]) -> ServerConnection | None:
    """Returns the connection of any other request; None where its server does not show it."""
    stream = environ.get("wsgi.input")
    if "gunicorn.socket" in environ:
        is_http1 = "gunicorn.http2.send_trailers" not in environ  # the streams of HTTP/2 share a socket
        return GunicornConnection(environ["gunicorn.socket"], stream) if is_http1 else None
    if "uwsgi.version" in environ:
        return UwsgiConnection() if _shows_bodies_on_uwsgi() else None
    sock = _socket_below(getattr(stream, "rfile", None))
    return PywsgiConnection(sock, stream) if sock else None


def _socket_below(reader: Any) -> socket.socket | None:
    """Returns the gevent socket that an io.BufferedReader reads; None if there is none."""
    sock = getattr(getattr(reader, "raw", None), "_sock", None)
    return sock if isinstance(sock, gevent.socket.socket) else None
