"""The HTTP server, which listens and accepts connections: gevent's WSGIServer with limits.

`handler` serves one connection. `lifetime` starts and stops the servers of a process.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Collection
from typing import Any, Final

import gevent
import gevent.socket
from gevent.pywsgi import WSGIServer

from incoming.core.client_limits import ClientLimits
from incoming.core.errors import IncomingError
from incoming.http.handler import Handler
from incoming.runtime.fair_scheduler import FairScheduler
from incoming.runtime.logs import LogRateLimit
from incoming.uploads.refusals import Kind, Refusals

log = logging.getLogger(__name__)

TOO_MANY: Final = (
    "%(source)s has reached max_connections_per_source; if it is a proxy, add it to trusted_proxies"
)
REFUSAL_TIMEOUT_S: Final = 1.0
MAX_HEAD_BYTES: Final = 8192
ACCEPT_AGAIN_AFTER_S: Final = 0.2
NO_DESCRIPTORS: Final = (
    "no file descriptors are left, so connections wait: raise the limit of open files (LimitNOFILE)"
)
NO_DESCRIPTORS_INTERVAL_S: Final = 300.0
STOP_STEP_S: Final = 0.02
FIRST_REQUEST_S: Final = 0.1
"""How long a connection that was accepted just before the end has for its request."""
GONE_BEFORE_ACCEPTED: Final = frozenset((
    *(errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.ENONET),
    *(errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.ETIMEDOUT, errno.ECONNRESET),
))  # fmt: skip
"""What accept(2) on Linux reports for a connection that was closed before."""

AppAt = Callable[[int], Callable[..., Any]]
"""Returns the WSGI app for a port."""


class Server(WSGIServer):  # type: ignore[misc]
    """A server for one app; several may run in one process."""

    def __init__(
        self,
        app_at: AppAt,
        listener: socket.socket,
        client_limits: ClientLimits | None = None,
        refusals: Refusals | None = None,
        websocket_paths: Collection[str] | None = None,
    ) -> None:
        """`listener` is one of `listen`, or an inherited one. `refusals` records each refusal that `app` does
        not see: a connection beyond the limit of its source, a malformed request. `websocket_paths` are all
        paths at which the app has WebSockets; None if it may have them anywhere.
        """
        self.websocket_paths = websocket_paths
        self.active_requests = 0
        self._finishing = False
        self.request_scheduler, self._newcomer_scheduler = FairScheduler(), FairScheduler()
        self._log_limit = LogRateLimit(NO_DESCRIPTORS_INTERVAL_S)
        self.refusals = refusals
        self._client_limits = client_limits or ClientLimits((), 0)
        self.logger = logging.getLogger("incoming.wire.handshake")
        self.logger.setLevel(logging.ERROR)  # gevent-websocket would log what any client can cause
        self.port = int(listener.getsockname()[1])
        """The port that it listens on. If port 0 was given, this is the free one that was chosen."""
        app = app_at(self.port)
        super().__init__(listener, app, handler_class=Handler, log=None, error_log=log)

    def source_of(self, address: Any) -> str:
        """Returns what stands for a peer in the log: its address, or its network (`ClientLimits`)."""
        return self._client_limits.source_behind(address[0]) or str(address[0])

    # --- connections -----------------------------------------------------------------------------

    def handle(self, sock: socket.socket, address: Any) -> None:
        """Serves one connection, unless its source has too many."""
        source = self._client_limits.source_behind(address[0])
        if not self._client_limits.admit(source):
            if self._log_limit.allows(source):
                log.warning(TOO_MANY, {"source": source})
            refusal = self._client_limits.refusal
            if self.refusals:
                self.refusals.count(Kind.CONNECTION, refusal)
            _refuse(sock, refusal)
            return
        handler = None
        try:
            self._newcomer_scheduler.yield_if_due()  # a thousand new ones at once do not delay the open ones
            handler = Handler(sock, address, self)
            handler.handle()
        except OSError as exc:
            log.debug("connection lost: %(error)s", {"error": exc})
        finally:
            if handler and handler.detached:
                gevent.spawn(handler.detached, source)
            else:
                self._client_limits.leave(source)

    def serve_detached(
        self, serve: Callable[[socket.socket], None], family: int, kind: int, fileno: int, source: str
    ) -> None:
        """Lets `serve` continue on a connection that was upgraded, in a greenlet with a short stack."""
        try:
            with gevent.socket.socket(family, kind, fileno=fileno) as sock:
                serve(sock)
        finally:
            self.active_requests -= 1
            self._client_limits.leave(source)

    # --- accepting -------------------------------------------------------------------------------

    def do_read(self) -> Any:
        """Accepts a connection. While the process has no descriptor for it, it waits in the backlog."""
        try:
            return super().do_read()
        except OSError as exc:
            if exc.errno in GONE_BEFORE_ACCEPTED:
                return None
            if exc.errno not in (errno.EMFILE, errno.ENFILE):
                raise
        if self._log_limit.allows(NO_DESCRIPTORS):
            log.error(NO_DESCRIPTORS)
        self.stop_accepting()
        gevent.spawn_later(ACCEPT_AGAIN_AFTER_S, self._accept_again)
        return None

    def _accept_again(self) -> None:
        if self.started and not self._finishing:
            self.start_accepting()

    def end_accepting(self) -> None:
        """Stops accepting connections, and closes the listening socket.

        A client that connects is refused, unless another process has the same socket. Otherwise it would wait
        in the backlog until this process ends, and a proxy would not try another server meanwhile.
        """
        self._finishing = True
        self.close()

    def finish_requests(self, timeout_s: float) -> None:
        """Stops accepting, and waits until no request is active, for `timeout_s` at most.

        A connection that was accepted just before has a moment to send its request.
        """
        self.end_accepting()
        with gevent.Timeout(timeout_s, False):
            gevent.sleep(FIRST_REQUEST_S)
            while self.active_requests:
                gevent.sleep(STOP_STEP_S)


def _refuse(sock: socket.socket, error: IncomingError) -> None:
    """Answers any request with this error, without waiting for the request."""
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
        sock.recv(MAX_HEAD_BYTES)  # TCP discards the answer when a socket is closed with unread bytes
