"""One HTTP connection: pywsgi's handler with gevent-websocket's handshake, time limits and strict parsing.

pywsgi itself waits without a limit for a request line, for headers and for bodies. Here each of them has a
time limit. A request that another server could read differently is refused (`wire.request_head`).

Small requests cost less than in pywsgi:

- A response with a small body takes one send. Each send wakes the peer and lets threads of the pool run,
  and the event loop then waits for them.
- Headers are read line by line. Python would read them with its e-mail parser, which takes longer than every
  route. Lines that `wire.request_head` accepts are a name, a colon and a value.
- A log line is formatted only if its level is enabled.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import gevent
import gevent.socket
from gevent.pywsgi import OldMessage, _InvalidClientInput
from geventwebsocket import WebSocketError
from geventwebsocket.handler import WebSocketHandler

from incoming.core.errors import BadRequest, IncomingError
from incoming.http.body import Body
from incoming.http.callers import DROPPED
from incoming.runtime.lingering import linger
from incoming.uploads.refusals import Kind
from incoming.wire import handshake, request_head
from incoming.wire.request_head import HeaderLines

log = logging.getLogger(__name__)

KEEP_ALIVE_TIMEOUT_S: Final = 60.0
"""How long a connection may stay open between two requests."""
HEADER_TIMEOUT_S: Final = 15.0
"""How long a request line and its headers may take, however slowly they drip."""
BODY_TIMEOUT_S: Final = 30.0
"""How long a peer may neither send nor accept a byte."""
SMALL_BODY_BYTES: Final = 16 * 1024
"""A larger body is not copied to follow its head in one send."""
READ_AHEAD_BYTES: Final = 2048  # most requests are smaller, and an idle connection keeps this buffer
NO_CONTENT: Final = (b"Content-Length", b"0")
"""What pywsgi adds for an answer without a body."""
QUERY: Final = re.compile(r'\?[^\s"]*')


def read_headers(lines: HeaderLines) -> Any:
    """Returns the headers of a request, as pywsgi keeps them. Raises BadHead."""
    headers = OldMessage()
    while line := lines.readline().rstrip(b"\r\n"):
        name, _, value = line.decode("latin-1").partition(":")
        headers.set_raw(name, value.strip(" \t"))
    return headers


def whole_answer(status: HTTPStatus, error: IncomingError, has_body: bool) -> bytes:
    """Returns the answer to a request that no route gets, with its head. The connection ends with it."""
    body = body_of(error)
    lines = (
        f"HTTP/1.1 {status} {status.phrase}",
        *(f"{name}: {value}" for name, value in headers_of(error)),
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    head = "".join(f"{line}\r\n" for line in (*lines, "")).encode()
    return head + body if has_body else head


def headers_of(error: IncomingError) -> list[tuple[str, str]]:
    """Returns the headers of a refusal: its code, as answers about uploads have it, for any origin."""
    return [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Incoming-Error", error.code),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", "Incoming-Error"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ]


def body_of(error: IncomingError) -> bytes:
    """Returns the sentence of a refusal."""
    return f"{error}\n".encode()


class ErrorStream:
    """The `wsgi.errors` of one request.

    Frameworks write a traceback there when they can't read a body. Any client can cause that, so it is a line
    at level DEBUG.
    """

    def __init__(self, stream: Any, body: Body) -> None:
        self._stream, self._body = stream, body
        self.flush = stream.flush

    def write(self, text: str) -> None:
        """Writes text, as PEP 3333 says, unless it is about a body that could not be read."""
        if self._body.has_failed:
            log.debug("refused: the body could not be read")
        else:
            self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes several texts."""
        self.write("".join(lines))


class Handler(WebSocketHandler):  # type: ignore[misc]
    """One HTTP connection, from its first request to its last."""

    wsgi_input: Any
    response_headers: Any
    path: Any
    _has_body = False
    _bad_head = ""
    """What is malformed in a head; the words are ours."""
    _unsent: bytearray | None = None
    """The head of a small answer, until its body follows."""
    detached: Callable[[str], None] | None = None
    """What serves the connection once it is no longer HTTP; called with its source."""

    def __init__(self, sock: socket.socket, address: Any, server: Any, rfile: Any = None) -> None:
        sock.settimeout(BODY_TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        super().__init__(sock, address, server, rfile or sock.makefile("rb", READ_AHEAD_BYTES))

    # --- reading a request -----------------------------------------------------------------------

    def handle_one_request(self) -> Any:
        """Handles the next request, and records it if it is malformed. The result is for pywsgi."""
        self._bad_head = ""
        result = super().handle_one_request()
        if isinstance(result, tuple):  # the status and the whole answer for a head that can't be read
            status = HTTPStatus(int(result[0]))
            why = self._bad_head or ("a request line that is too long" if status != 400 else "")
            return result[0], self._refusal(status, f"The request could not be read{why and ': '}{why}.")
        return result

    def _refusal(self, status: HTTPStatus, why: str) -> bytes:
        """Records that a request can't be read. Returns the whole answer, which ends the connection."""
        error = BadRequest(why)
        self._record_refusal(error)
        return whole_answer(status, error, has_body=not str(self.requestline).startswith("HEAD "))

    def _record_refusal(self, error: IncomingError) -> None:
        if self.server.refusals:
            source = self.server.source_of(self.client_address)
            self.server.refusals.record_from(source, Kind.REQUEST, error)

    def read_requestline(self) -> Any:
        """Waits for the next request; after KEEP_ALIVE_TIMEOUT_S the connection ends."""
        with gevent.Timeout(KEEP_ALIVE_TIMEOUT_S, TimeoutError("idle")):
            return super().read_requestline()

    def read_request(self, raw_requestline: Any) -> Any:
        """Reads the rest of the head. ValueError is answered with 400, even when it takes too long."""
        with gevent.Timeout(HEADER_TIMEOUT_S, request_head.BadHead("its headers took too long")):
            request_head.check_request_line(raw_requestline)
            is_read = super().read_request(raw_requestline)
        self.path, host = request_head.origin_form(self.path)
        if host:
            del self.headers["Host"]
            self.headers["Host"] = host
        return is_read

    def MessageClass(self, reader: Any, *_args: object) -> Any:  # noqa: N802 - pywsgi's name
        """Reads the headers. Raises BadHead where their meaning is not plain."""
        headers = read_headers(HeaderLines(reader))
        by_name = {name.lower(): headers.get_all(name) for name in headers}
        request_head.check_headers(by_name, self.request_version)
        self._has_body = request_head.has_body(by_name)
        return headers

    def get_environ(self) -> Any:
        """Adds the address that the client has reached, and a `Body` with time limits."""
        environ = super().get_environ()
        environ["incoming.server_address"], port, *_ = self.socket.getsockname()
        environ["SERVER_PORT"] = str(port)
        if dropped := [name for name in self.headers if "_" in name]:  # it may be a proxy's, too
            environ[DROPPED] = " ".join(dropped)
        given: Any = self.wsgi_input
        self.wsgi_input = Body(given, BODY_TIMEOUT_S)
        if environ["wsgi.input"] is given:
            environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.errors"] = ErrorStream(environ["wsgi.errors"], self.wsgi_input)
        return environ

    # --- the handshake of a WebSocket ------------------------------------------------------------

    def _connection_upgrade_requested(self) -> bool:
        """A request with a body is not upgraded: its body would be read again as the next request."""
        return not self._has_body and bool(super()._connection_upgrade_requested())

    def upgrade_websocket(self) -> Any:
        """Checks the handshake and prepares its answer. Released gevent-websocket fails on each refusal.

        At a path that has no WebSocket, the app answers the handshake, with 404. A client that got a
        WebSocket there, and its end, would try again for ever.
        """
        paths = self.server.websocket_paths
        if paths is not None and self.environ.get("PATH_INFO") not in paths:
            return None
        if self.request_version == "HTTP/1.0" or self._has_body:
            return None  # a proxy's doing: the app explains it
        error = handshake.refusal(self.environ) if handshake.is_upgrade_request(self.environ) else None
        if error is None:
            return super().upgrade_websocket()
        self._record_refusal(error)
        self.close_connection = True
        status, version = HTTPStatus(error.http_status), ("Sec-WebSocket-Version", handshake.VERSION)
        self.start_response(f"{status} {status.phrase}", [*headers_of(error), version])
        return [body_of(error)]

    def detach_connection(self, serve: Callable[[socket.socket], None]) -> None:
        """Has `serve` get the connection once this request, with all that belongs to it, is freed.

        It counts as an active request until `serve` returns.
        """
        was: Any = self.socket
        family, kind, fileno = was.family, was.type, was.detach()
        self.close_connection = True
        self.server.active_requests += 1
        self.detached = partial(self.server.serve_detached, serve, family, kind, fileno)

    # --- answering -------------------------------------------------------------------------------

    def run_application(self) -> None:
        """Runs the app. A peer that is gone, or a body that can't be read, is not a defect."""
        try:
            super().run_application()
        except OSError as exc:
            is_answer_lost = (self.code or 0) < 0  # pywsgi's mark
            if not (is_answer_lost or self.wsgi_input.has_failed or isinstance(exc, WebSocketError)):
                raise  # the app's own
            self.log_error("%s", exc)
            self.close_connection = True
            if not self.headers_sent:
                with suppress(OSError):
                    self._sendall(self._refusal(HTTPStatus.BAD_REQUEST, "The body could not be read."))

    def handle_one_response(self) -> None:
        """Counts active requests for a graceful stop, and lets other connections run after each."""
        self.server.active_requests += 1
        try:
            super().handle_one_response()
        finally:
            self.server.active_requests -= 1
        # A client that sends requests without end delays no others, and does not wait for uploads.
        self.server.request_scheduler.yield_if_due()
        if not self.wsgi_input.at_end:
            self.close_connection = True
            linger(self.socket)

    def _handle_client_error(self, ex: Exception) -> Any:
        """Answers a bad head with 400. A lost connection gets no answer; pywsgi would log a traceback."""
        if isinstance(ex, OSError) and not isinstance(ex, _InvalidClientInput):
            self.log_error("%s", ex)
            return None
        self._bad_head = str(ex) if isinstance(ex, request_head.BadHead) else ""
        return super()._handle_client_error(ex)

    def finalize_headers(self) -> None:
        """Leaves out the length of an answer to HEAD: a GET may have a body (RFC 9110 section 8.6)."""
        super().finalize_headers()
        if self.command == "HEAD" and self.provided_content_length is None:
            self.response_headers = [pair for pair in self.response_headers if pair != NO_CONTENT]

    def _write_with_headers(self, data: bytes) -> None:
        if len(data) > SMALL_BODY_BYTES:
            super()._write_with_headers(data)
            return
        self._unsent = bytearray()
        try:
            super()._write_with_headers(data)
        finally:
            unsent, self._unsent = self._unsent, None
        super()._sendall(unsent)

    def _sendall(self, data: Any) -> None:
        if self._unsent is None:
            super()._sendall(data)
        else:
            self._unsent += data

    # --- logging ---------------------------------------------------------------------------------

    def format_request(self) -> str:
        """Returns the log line of a request, if it will be logged."""
        return str(super().format_request()) if log.isEnabledFor(logging.DEBUG) else ""

    def log_error(self, msg: str, *args: object) -> None:
        """Logs what a client did wrong, at level DEBUG: any client can cause it."""
        log.debug("refused: %(error)s", {"error": msg % args if args else msg})

    def log_request(self) -> None:
        """Logs the request at level DEBUG, without its query, which holds ids and secrets."""
        log.debug("%(request)s", {"request": QUERY.sub("?...", self.format_request())})
