"""The servers of a process: how they start, and how a signal stops them gracefully."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection

import gevent
import gevent.event

from incoming.core.client_limits import ClientLimits
from incoming.http.listeners import inherited_listeners, listen_as_set
from incoming.http.server import AppAt, Server
from incoming.settings.table import Settings
from incoming.uploads.refusals import Refusals


class Servers:
    """All servers of a process. Handles SIGTERM and SIGINT."""

    def __init__(
        self, settings: Settings, refusals: Refusals | None = None, client_limits: ClientLimits | None = None
    ) -> None:
        """`refusals`: see Server. `client_limits`: without them, connections are not limited.

        Raises BadSetting for an inherited socket that is not a TCP port.
        """
        self._refusals = refusals
        self._stop_timeout_s = settings.stop_timeout_s
        self._client_limits = client_limits or ClientLimits(settings.trusted_proxies, 0)
        self._signal = gevent.event.Event()
        self._servers: list[Server] = []
        self._inherited = inherited_listeners(os.environ)
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(signal_number, self._handle_signal)

    @property
    def inherited_address(self) -> tuple[str, int] | None:
        """Where the first app will listen, if this process was started with a listening socket."""
        return self._inherited[0].getsockname()[:2] if self._inherited else None

    def listen(
        self, app_at: AppAt, host: str, port: int, websocket_paths: Collection[str] | None = None
    ) -> int:
        """Starts to serve an app, and returns the port. Raises BadSetting when it can't listen there.

        Where a listening socket was inherited (systemd's socket activation), the first app gets that one.
        `websocket_paths`: see Server.
        """
        listener = self._inherited.pop(0) if self._inherited else listen_as_set(host, port)
        server = Server(app_at, listener, self._client_limits, self._refusals, websocket_paths)
        server.start()
        self._servers.append(server)
        return server.port

    def serve_until_signal(self, stop: Callable[[], object]) -> None:
        """Serves until SIGTERM or SIGINT arrives; then calls `stop`, and waits for active requests.

        It stops accepting connections before `stop` is called: another process that has the same
        listening socket gets them, and answers better.

        A second signal ends the process at once.
        """
        self._signal.wait()
        for server in self._servers:
            server.end_accepting()
        stop()
        self._finish_requests()

    def _handle_signal(self) -> None:
        if self._signal.is_set():
            os._exit(1)  # the user does not want to wait, and the journal needs no orderly end
        self._signal.set()

    def _finish_requests(self) -> None:
        """Stops accepting, and waits for active requests until they end or the time is up."""
        gevent.joinall([gevent.spawn(s.finish_requests, self._stop_timeout_s) for s in self._servers])
