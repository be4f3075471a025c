"""The HTTP server: gevent's WSGIServer with gevent-websocket's handshake, and with time limits.

pywsgi itself waits for ever: for a request line, for headers, for bodies, for a peer that is gone. Here each
of these has an end, and a request that another server could read in another way is refused (`heads`).
`Server.stop` lets requests finish that are under way, and nothing is cut that has a deadline left.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import signal
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import gevent
import gevent.event
import gevent.socket
from gevent.pywsgi import WSGIServer, _InvalidClientInput
from geventwebsocket import WebSocketError

from incoming.core.client_limits import Sources
from incoming.core.errors import BadSetting, IncomingError
from incoming.http.body import PIECE_BYTES, Body
from incoming.http.callers import DROPPED
from incoming.http.listeners import inherited_listeners, listen
from incoming.http.websocket_handler import LeanHandler
from incoming.runtime.fair_scheduler import FairScheduler, yield_if_due
from incoming.runtime.logs import Seldom
from incoming.settings.table import Settings
from incoming.wire import request_head

log = logging.getLogger(__name__)

KEEP_ALIVE_TIMEOUT_S: Final = 60.0
"""How long a connection may stay open between two requests."""
HEADER_TIMEOUT_S: Final = 15.0
"""How long a request line and its headers may take, however slowly they drip."""
BODY_TIMEOUT_S: Final = 30.0
"""How long a peer may neither send nor take a byte."""
LINGER_TIMEOUT_S: Final = 5.0
"""How long an answer may take to be read by somebody who is still sending, ..."""
MAX_LINGER_BYTES: Final = 16 * 1024 * 1024
"""... and how much more that one may send."""
TOO_MANY: Final = "%(source)s has as many connections as it may: max_connections_per_source, trusted_proxies"
REFUSAL_TIMEOUT_S: Final = 1.0
HEAD_BYTES: Final = 8192
READ_AHEAD_BYTES: Final = 2048  # most requests are smaller, and a connection keeps it while it is idle
ACCEPT_AGAIN_AFTER_S: Final = 0.2
NO_DESCRIPTORS: Final = "no descriptors left, connections wait: raise the limit of open files (LimitNOFILE)"
NO_DESCRIPTORS_INTERVAL_S: Final = 300.0
GONE_BEFORE_ACCEPTED: Final = frozenset((
    *(errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.ENONET),
    *(errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.ETIMEDOUT, errno.ECONNRESET),
))  # fmt: skip
"""What accept(2) on Linux says of a connection that is gone already."""
QUERY: Final = re.compile(r'\?[^\s"]*')

AppAt = Callable[[int], Callable[..., Any]]
"""Makes the WSGI app for the port that is listened on."""


class Complaints:
    """The `wsgi.errors` of one request.

    Frameworks write a traceback there when reading a body fails, which any stranger can bring about: that is
    worth a line to whoever debugs.
    """

    def __init__(self, given: Any, body: Body) -> None:
        self._given, self._body = given, body
        self.flush = given.flush

    def write(self, text: str) -> None:
        """Writes text, as PEP 3333 says, unless it is about such a body."""
        if self._body.has_failed:
            log.debug("refused: a body that could not be read")
        else:
            self._given.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """The same for several texts."""
        self.write("".join(lines))


class Handler(LeanHandler):
    """One HTTP connection."""

    SUPPORTED_VERSIONS = ("13",)  # RFC 6455; the drafts before it have other rules
    wsgi_input: Any
    path: Any
    _has_body = False
    talk: Callable[[str], None] | None = None
    """What goes on on the connection when there are no requests any more."""

    def __init__(self, sock: socket.socket, address: Any, server: Any, rfile: Any = None) -> None:
        sock.settimeout(BODY_TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        super().__init__(sock, address, server, rfile or sock.makefile("rb", READ_AHEAD_BYTES))

    def read_requestline(self) -> Any:
        """Waits for the next request for a while, then gives the connection up."""
        with gevent.Timeout(KEEP_ALIVE_TIMEOUT_S, TimeoutError("idle")):
            return super().read_requestline()

    def read_request(self, raw_requestline: Any) -> Any:
        """Headers that take too long are a bad request: ValueError is answered with 400."""
        with gevent.Timeout(HEADER_TIMEOUT_S, ValueError("headers took too long")):
            request_head.check_request_line(raw_requestline)
            is_read = super().read_request(raw_requestline)
        self.path, host = request_head.origin_form(self.path)
        if host:
            del self.headers["Host"]
            self.headers["Host"] = host
        return is_read

    def MessageClass(self, reader: Any, *args: Any) -> Any:  # noqa: N802 - pywsgi's name
        """Reads the headers. Raises BadHead where it is not plain what they mean."""
        headers = super().MessageClass(request_head.HeaderLines(reader), *args)
        by_name = {name.lower(): headers.get_all(name) for name in headers}
        request_head.check_headers(by_name, self.request_version)
        self._has_body = request_head.has_body(by_name)
        return headers

    def _connection_upgrade_requested(self) -> bool:
        """What is upgraded has no body; else its body would be read once more, off the next request."""
        return not self._has_body and bool(super()._connection_upgrade_requested())

    def get_environ(self) -> Any:
        """Tells the app which of this machine's addresses the client has reached; gives it a `Body`."""
        environ = super().get_environ()
        environ["incoming.server_address"], port, *_ = self.socket.getsockname()
        environ["SERVER_PORT"] = str(port)
        if dropped := [name for name in self.headers if "_" in name]:  # it may be a proxy's, too
            environ[DROPPED] = " ".join(dropped)
        given: Any = self.wsgi_input
        self.wsgi_input = Body(given, BODY_TIMEOUT_S)
        if environ["wsgi.input"] is given:
            environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.errors"] = Complaints(environ["wsgi.errors"], self.wsgi_input)
        return environ

    def run_application(self) -> None:
        """Runs the app. A peer that is gone, or whose body can't be read, is no defect of anybody."""
        try:
            super().run_application()
        except OSError as exc:
            is_answer_lost = (self.code or 0) < 0  # pywsgi's mark
            if not (is_answer_lost or self.wsgi_input.has_failed or isinstance(exc, WebSocketError)):
                raise  # the app's own
            self.log_error("%s", exc)
            self.close_connection = True
            if not self.headers_sent:
                self._send_error_response_if_possible(400)

    def _handle_client_error(self, ex: Exception) -> Any:
        """A head was not read: it is refused if it is none, and nobody is there to be told if it has no end.

        pywsgi prints a traceback for the latter.
        """
        if isinstance(ex, OSError) and not isinstance(ex, _InvalidClientInput):
            self.log_error("%s", ex)
            return None
        return super()._handle_client_error(ex)

    def upgrade_websocket(self) -> Any:
        """Checks the handshake and prepares its answer. Released gevent-websocket fails on each refusal."""
        if self.request_version == "HTTP/1.0" or self._has_body:
            return None  # of a proxy: the app knows what to say about it
        try:
            result = super().upgrade_websocket()
        except ValueError:  # the key is not base64
            self.start_response("400 Bad Request", [])
            result = [b"Sec-WebSocket-Key is not base64"]
        if result:
            self.close_connection = True
            result = [part.encode() if isinstance(part, str) else part for part in result]
        return result

    def handle_one_response(self) -> None:
        """Counts the requests that are under way, for a graceful stop."""
        self.server.requests_under_way += 1
        try:
            super().handle_one_response()
        finally:
            self.server.requests_under_way -= 1
        # A client that sends requests without end delays no others, and does not wait for uploads.
        self.server.requests.yield_if_due()
        if not self.wsgi_input.at_end:
            self.close_connection = True
            self._linger()

    def go_on_without(self, talk: Callable[[socket.socket], None]) -> None:
        """Has `talk` get the connection once this request has been forgotten, with all that belongs to it.

        It counts as one under way until it ends.
        """
        was: Any = self.socket
        family, kind, fileno = was.family, was.type, was.detach()
        self.close_connection = True
        self.server.requests_under_way += 1
        self.talk = partial(self.server.go_on, talk, family, kind, fileno)

    def _linger(self) -> None:
        """Lets the peer read our answer: closing on bytes that nobody has read makes TCP throw it away."""
        with contextlib.suppress(OSError), gevent.Timeout(LINGER_TIMEOUT_S, False):
            self.socket.shutdown(socket.SHUT_WR)
            scratch, left_bytes = bytearray(PIECE_BYTES), MAX_LINGER_BYTES
            while left_bytes > 0 and (received := self.socket.recv_into(scratch)):
                left_bytes -= received
                yield_if_due()

    def log_error(self, msg: str, *args: object) -> None:
        """What strangers send is worth a line to whoever debugs, and to nobody else."""
        log.debug("refused: %(error)s", {"error": msg % args if args else msg})

    def log_request(self) -> None:
        """Events are logged by the service; requests only for whoever debugs, without ids and secrets."""
        log.debug("%(request)s", {"request": QUERY.sub("?...", self.format_request())})


class Server(WSGIServer):  # type: ignore[misc]
    """A server for one app; several may run in one process."""

    def __init__(self, app_at: AppAt, listener: socket.socket, sources: Sources | None = None) -> None:
        """`listener` is one of `listen`, or one that was inherited."""
        self.requests_under_way = 0
        self._finishing = False
        self.requests, self._newcomers = FairScheduler(), FairScheduler()
        self._seldom = Seldom(NO_DESCRIPTORS_INTERVAL_S)
        self._sources = sources or Sources((), 0)
        self.logger = logging.getLogger("incoming.wire.handshake")
        self.logger.setLevel(logging.ERROR)  # whatever strangers send is not worth a line
        app = app_at(listener.getsockname()[1])
        super().__init__(listener, app, handler_class=Handler, log=None, error_log=log)

    def handle(self, sock: socket.socket, address: Any) -> None:
        """Serves one connection, unless its source has too many."""
        source = self._sources.behind(address[0])
        if not self._sources.admit(source):
            if self._seldom.may_say(source):
                log.warning(TOO_MANY, {"source": source})
            _refuse(sock, self._sources.refusal)
            return
        handler = None
        try:
            self._newcomers.yield_if_due()  # a thousand that come at once keep nobody waiting who is here
            handler = Handler(sock, address, self)
            handler.handle()
        except OSError as exc:
            log.debug("connection gone: %(error)s", {"error": exc})
        finally:
            if handler and handler.talk:
                gevent.spawn(handler.talk, source)
            else:
                self._sources.leave(source)

    def go_on(
        self, talk: Callable[[socket.socket], None], family: int, kind: int, fileno: int, source: str
    ) -> None:
        """Has `talk` go on on a connection that was upgraded, in a greenlet with nothing below it."""
        try:
            with gevent.socket.socket(family, kind, fileno=fileno) as sock:
                talk(sock)
        finally:
            self.requests_under_way -= 1
            self._sources.leave(source)

    @property
    def port(self) -> int:
        """The port in force, also when a free one was asked for."""
        return int(self.socket.getsockname()[1])

    def do_read(self) -> Any:
        """Accepts a connection. While there are no descriptors for it, it waits: others end meanwhile."""
        try:
            return super().do_read()
        except OSError as exc:
            if exc.errno in GONE_BEFORE_ACCEPTED:
                return None
            if exc.errno not in (errno.EMFILE, errno.ENFILE):
                raise
        if self._seldom.may_say(NO_DESCRIPTORS):
            log.error(NO_DESCRIPTORS)
        self.stop_accepting()
        gevent.spawn_later(ACCEPT_AGAIN_AFTER_S, self._accept_again)
        return None

    def _accept_again(self) -> None:
        if self.started and not self._finishing:
            self.start_accepting()

    def finish_requests(self, deadline_s: float) -> None:
        """Accepts nothing new, and waits until no request is under way, or for this time."""
        self._finishing = True
        self.stop_accepting()
        with gevent.Timeout(deadline_s, False):
            while self.requests_under_way:
                gevent.sleep(0.02)


class Servers:
    """The servers of a process, from their start to a signal, and how they stop."""

    def __init__(self, settings: Settings) -> None:
        self._stop_timeout_s = settings.stop_timeout_s
        self._sources = Sources(settings.trusted_proxies, settings.max_connections_per_source)
        self._stop = gevent.event.Event()
        self._servers: list[Server] = []
        self._inherited = inherited_listeners(os.environ)
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(signal_number, self._signalled)

    @property
    def inherited_address(self) -> tuple[str, int] | None:
        """Where the first app will listen, when this process was started with a listening socket."""
        return self._inherited[0].getsockname()[:2] if self._inherited else None

    def listen(self, app_at: AppAt, host: str, port: int) -> int:
        """Serves an app from now on, and returns the port. Raises BadSetting when it can't be had.

        Where a listening socket was inherited (systemd's socket activation), the first app gets that one.
        """
        try:
            listener = self._inherited.pop(0) if self._inherited else listen(host, port)
        except OSError as exc:
            raise BadSetting("port", f"{host}:{port} can't be listened on: {exc.strerror or exc}") from exc
        server = Server(app_at, listener, self._sources)
        server.start()
        self._servers.append(server)
        return server.port

    def serve_until_a_signal(self, stop: Callable[[], object]) -> None:
        """Returns when SIGTERM or SIGINT has come, `stop` was called, and requests have had their time.

        A second signal ends the process at once.
        """
        self._stop.wait()
        stop()
        self._finish_requests()

    def _signalled(self) -> None:
        if self._stop.is_set():
            os._exit(1)  # asked twice: whoever asks has no patience, and the journal needs none
        self._stop.set()

    def _finish_requests(self) -> None:
        """Accepts nothing new, and waits for the requests that are under way, or for the time-out."""
        gevent.joinall([gevent.spawn(s.finish_requests, self._stop_timeout_s) for s in self._servers])


def _refuse(sock: socket.socket, error: IncomingError) -> None:
    """Answers whatever is asked with this error, and does not wait for the question."""
    body = str(error).encode()
    head = (
        f"HTTP/1.1 {error.http_status} Too Many Requests",
        f"Retry-After: {error.retry_after_s}",
        "Access-Control-Allow-Origin: *",  # pages ask why no WebSocket opens
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}\r\nConnection: close",
    )
    with contextlib.suppress(OSError), gevent.Timeout(REFUSAL_TIMEOUT_S, False):
        sock.sendall("\r\n".join((*head, "", "")).encode() + body)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(HEAD_BYTES)  # a socket that is closed with unread bytes takes our answer back
