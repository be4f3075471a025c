"""One process's service.

    service = Service(settings)     opens the tickets and the files
    service.begin()                 resumes the uploads of the last process, and starts housekeeping
    service.wsgi(...)               the routes and the uploads, optionally combined with a WSGI app of others
    service.stop()                  tells connected clients to reconnect later
    service.close()                 releases both for the next process

The caller brings the HTTP server: the command line, the app's own server, uWSGI or gunicorn.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import Counter
from typing import Any, Final

from incoming.composition.stores import open_stores
from incoming.core.client_limits import ClientLimits
from incoming.core.errors import IncomingError
from incoming.handover.callbacks import Callbacks
from incoming.http.routes import make_app
from incoming.http_uploads.app import HttpUploads
from incoming.http_uploads.proxy_probe import ProxyProbe
from incoming.protocol import chunks
from incoming.protocol.flow_control import RECEIVE_MEMORY_BYTES, limits_of
from incoming.protocol.negotiation import NegotiatedSession
from incoming.protocol.rules import PREFIXES, UPLOAD_PATHS
from incoming.registry.clock import boot_id
from incoming.runtime.buffer_pool import BufferPool
from incoming.runtime.gevent_runtime import TICK_S, GeventRuntime
from incoming.settings.table import Settings
from incoming.uploads import housekeeping
from incoming.uploads.context import UploadContext
from incoming.uploads.overview import Overview
from incoming.uploads.service import Uploads
from incoming.websocket.keepalive import KeepAlive
from incoming.websocket.session_driver import SessionDriver
from incoming.websocket.upgrade import Upgrades, WsgiApp
from incoming.websocket.websocket import WebSocket

log = logging.getLogger(__name__)

CLOCK_INTERVAL_S: Final = 30.0
STOOD_STILL_S: Final = 5.0
STOOD_STILL: Final = (
    "this process did not run for %(stood_still_s).0f s: it was stopped or paused, or the machine slept or "
    "was very busy. That time does not count towards the expiry of tickets"
)
WIND_DOWN_STEP_S: Final = 0.02
RELEASE_TIMEOUT_S: Final = 2.0
"""How long the journal may take to release the uploads that still have clients when the process ends."""
COPIED: Final = (
    "This process is a copy of the one that has the uploads. Create Incoming!! in the process that serves: "
    "gunicorn without --preload, uWSGI with lazy-apps."
)


class Service:
    """The service of one process, which gevent has to patch before it imports this module."""

    def __init__(self, settings: Settings) -> None:
        """Opens the tickets and the files. Raises StorageInUse, BadSetting."""
        self.settings = settings
        self.runtime = GeventRuntime()
        with contextlib.ExitStack() as undo:
            self._stores = open_stores(settings, self.runtime, undo)
            self._open()
            self._undo = undo.pop_all()
        self.overview = Overview(self.uploads, self._stores.cluster)
        self._limits = limits_of(settings)
        self._client_limits: list[ClientLimits] = []
        self._stores.cluster.share_connections(self._busiest_sources)
        self._closed = False

    def _open(self) -> None:
        """Makes the service, and finds out what a power cut may have taken. Raises BadSetting."""
        tickets = self._stores.tickets
        self.context = UploadContext(
            settings=self.settings,
            runtime=self.runtime,
            clock=tickets.clock,
            registry=tickets.registry,
            leases=tickets.leases,
            news=tickets.news,
            storages=self._stores.storages,
            callbacks=Callbacks(self.runtime, self.settings.handover_answer_timeout_s),
            counters=self._stores.counters,
            boot_id=boot_id(),
            shares=tickets.shares,
        )
        self.uploads = Uploads(self.context)
        housekeeping.require_power_cut_checks(self.uploads, tickets.is_same_boot())
        self._write_first_clock()

    @property
    def location(self) -> str:
        """Where uploads are stored, for people."""
        return self._stores.location

    def _write_first_clock(self) -> None:
        """Records which boot of the machine this is, before anything is acknowledged."""
        try:
            self._stores.tickets.keep_clock()
        except IncomingError as exc:
            log.warning("the service time can't be written: %(error)s", {"error": exc})

    def new_client_limits(self) -> ClientLimits:
        """Returns what limits one kind of connections: those of a server, or WebSockets, which have both."""
        settings, elsewhere = self.settings, self._stores.cluster.connections_elsewhere
        found = ClientLimits(settings.trusted_proxies, settings.max_connections_per_source, elsewhere)
        self._client_limits.append(found)
        return found

    def _busiest_sources(self, processes: int) -> dict[str, int]:
        """See Cluster.share_connections. A WebSocket is in both kinds, and counts once."""
        found: Counter[str] = Counter()
        for limits in self._client_limits:
            found |= Counter(limits.busiest(processes))
        return dict(found)

    def wsgi(self, app: WsgiApp | None = None) -> WsgiApp:
        """Returns a WSGI app with the routes and the uploads; `app`, if any, gets all other requests."""
        limits = self._limits
        largest_bytes = max(limits.chunk_size_bytes, limits.max_chunk_bytes + chunks.HEADER_BYTES)
        buffers = BufferPool(largest_bytes, RECEIVE_MEMORY_BYTES)
        client_limits = self.new_client_limits()
        keepalive = KeepAlive(self.settings.connection_timeout_s)
        upgrades = Upgrades(buffers, keepalive, client_limits, self.uploads.refusals)
        over_http = HttpUploads(self.uploads, buffers, client_limits)
        routes: WsgiApp = make_app(self.settings, self.uploads, self.overview)
        probing = ProxyProbe(self.uploads, client_limits.source_of)
        front = upgrades.wrap(
            probing.wrap(over_http.wrap(_dispatched(routes, app))), UPLOAD_PATHS, self._converse
        )
        owner = os.getpid()

        def checked(environ: Any, start_response: Any) -> Any:
            if os.getpid() != owner:
                raise RuntimeError(COPIED)
            return front(environ, start_response)

        return checked

    def _converse(self, websocket: WebSocket, source: str) -> None:
        limits = self._limits.for_connections(self.context.counters.connections + 1)
        SessionDriver(websocket, NegotiatedSession(limits), self.uploads, self.runtime, source).run()

    def begin(self) -> None:
        """Resumes the uploads of the last process, and starts housekeeping."""
        self._stores.tickets.start(self.uploads.repeat_news)
        self.runtime.spawn(self.overview.monitor)
        housekeeping.recover(self.uploads)
        self.runtime.spawn(self._run_clock)
        self.runtime.spawn(self._sweep_regularly)
        self.runtime.spawn(housekeeping.keep_checkpoints, self.uploads)
        self.runtime.spawn(housekeeping.keep_shares, self.uploads)

    def _run_clock(self) -> None:
        """Runs the service's clock until the process ends, and monitors the storage lock."""
        if self._stores.directory:
            self.runtime.spawn(self._stores.directory.watch, self.uploads.lose)
        while True:
            stood_still_s = self._stores.tickets.tick()
            if stood_still_s > STOOD_STILL_S:
                log.warning(STOOD_STILL, {"stood_still_s": stood_still_s})
            self.runtime.sleep(TICK_S)

    def _sweep_regularly(self) -> None:
        """Sweeps, and stores the service's clock, until the process ends or has lost its storage."""
        interval_s = housekeeping.sweep_interval_s(self.settings)
        while not self.uploads.lost:
            self.runtime.sleep(min(interval_s, CLOCK_INTERVAL_S))
            try:
                housekeeping.sweep(self.uploads)
                self._stores.tickets.keep_clock()
            except IncomingError as exc:
                log.warning(housekeeping.SWEEP_FAILED, {"error": exc})
            except Exception:
                log.exception("a defect: housekeeping failed")

    def stop(self) -> None:
        """Tells every client to reconnect later, and accepts nothing new."""
        log.info("stopping")
        self.uploads.stop()

    def wind_down(self) -> None:
        """Stops, waits until no client has an upload (at most `stop_timeout_s`), and closes.

        It may be called again: uWSGI does that for each request that ends meanwhile.
        """
        if not self.uploads.stopping:
            self.stop()
        until_s = self.runtime.now_s() + self.settings.stop_timeout_s
        while self.uploads.claims.count() and self.runtime.now_s() < until_s:
            self.runtime.sleep(WIND_DOWN_STEP_S)
        self.close()

    def _release_remaining(self) -> None:
        """Releases uploads whose clients are still connected, so that the journal has their checkpoints."""
        self.uploads.release_all()
        until_s = self.runtime.now_s() + RELEASE_TIMEOUT_S
        while self.uploads.claims.count() and self.runtime.now_s() < until_s:
            self.runtime.sleep(WIND_DOWN_STEP_S)

    def close(self) -> None:
        """Closes the tickets and releases the files. Does nothing when called again."""
        if self._closed:
            return
        self._closed = True
        self._release_remaining()
        try:
            self._stores.tickets.close()
        except IncomingError as exc:
            log.warning("the registry could not be closed properly: %(error)s", {"error": exc})
        finally:
            self._undo.close()


def _dispatched(routes: WsgiApp, app: WsgiApp | None) -> WsgiApp:
    """Returns a WSGI app that gives our paths to `routes`, and all others to `app`."""
    if app is None:
        return routes
    others = app

    def dispatch(environ: Any, start_response: Any) -> Any:
        ours = str(environ.get("PATH_INFO", "")).startswith(PREFIXES[0])
        return (routes if ours else others)(environ, start_response)

    return dispatch
