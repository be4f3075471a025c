"""The composition root: one process's service, built of its parts.

    service = Service(settings)     opens the storage directory
    service.begin()                 resumes the uploads of the last process, and starts housekeeping
    service.wsgi(...)               the routes and the uploads, optionally in front of a WSGI app
    service.stop()                  tells connected clients to reconnect later
    service.close()                 releases the directory for the next process

The caller brings the HTTP server: the command line, the app's own server, uWSGI or gunicorn.
"""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from incoming.core.client_limits import ClientLimits
from incoming.core.errors import IncomingError, StorageFailed, StorageInUse, StorageLost
from incoming.core.stats import Counters
from incoming.handover.callbacks import Callbacks
from incoming.http.routes import UPLOAD_PATHS, make_app
from incoming.http_uploads.app import HttpUploads
from incoming.http_uploads.proxy_probe import ProxyProbe
from incoming.protocol import chunks
from incoming.protocol.flow_control import RECEIVE_MEMORY_BYTES, limits_of
from incoming.protocol.negotiation import NegotiatedSession
from incoming.protocol.rules import PREFIXES
from incoming.registry.clock import boot_id
from incoming.registry.journal import MODE, Journal
from incoming.registry.memory import MemoryRegistry
from incoming.registry.memory_leases import MemoryLeases
from incoming.registry.memory_news import MemoryNews
from incoming.runtime.base import ServiceClock
from incoming.runtime.buffer_pool import BufferPool
from incoming.runtime.gevent_runtime import TICK_S, GeventRuntime
from incoming.settings.table import Settings
from incoming.storage.local.dir_lock import DirLock
from incoming.storage.local.directory import DIR_MODE
from incoming.storage.local.ownership import PASS
from incoming.storage.local.probe import Need, probe, unusable, warn
from incoming.storage.local.storage import DiskFacts, LocalStorage
from incoming.uploads import housekeeping
from incoming.uploads.admission import MIB
from incoming.uploads.context import UploadContext
from incoming.uploads.overview import Overview
from incoming.uploads.service import Uploads
from incoming.websocket.keepalive import KeepAlive
from incoming.websocket.session_driver import SessionDriver
from incoming.websocket.upgrade import Upgrades, WsgiApp
from incoming.websocket.websocket import WebSocket

log = logging.getLogger(__name__)

KIB: Final = 1024
CLOCK_INTERVAL_S: Final = 30.0
STOOD_STILL_S: Final = 5.0
STOOD_STILL: Final = (
    "this process did not run for %(stood_still_s).0f s: it was stopped or paused, or the machine slept or "
    "was very busy. That time does not count towards the expiry of tickets"
)
LOST: Final = (
    "%(lock)s was removed or replaced, so another server may use this directory. This server stores, "
    "acknowledges and hands over nothing any more, and tells its clients to reconnect later. Make sure that "
    "no other server uses the directory, then restart this one"
)
WIND_DOWN_STEP_S: Final = 0.02
RELEASE_TIMEOUT_S: Final = 2.0
"""How long the journal may take to release the uploads that still have clients when the process ends."""
JOURNAL_NEEDS: Final = Need(
    MODE,
    closed_bits=0o077,
    if_open="Other users of this machine may read the secrets of all uploads.",
    renames=True,
)
DATA_NEEDS: Final = Need(
    DIR_MODE,
    closed_bits=0o006,
    kept_bits=PASS,
    if_open="Other users of this machine may read or change the files of all uploads.",
    open_bits=0o2070,
    if_closed="An app of another user may not be able to take its files from it.",
    stores=True,
)
COPIED: Final = (
    "This process is a copy of the one that has the uploads. Create Incoming!! in the process that serves: "
    "gunicorn without --preload, uWSGI with lazy-apps."
)


class Service:
    """The service of one process, which gevent has to patch before it imports this module."""

    def __init__(self, settings: Settings) -> None:
        """Locks the storage directory, and reads the journal. Raises StorageInUse, BadSetting."""
        self.settings = settings
        self.directory = Path(settings.storage_dir).absolute()
        self.runtime = GeventRuntime()
        with unusable(self.directory):
            self._dir_lock = DirLock(self.directory)
        try:
            self._open()
        except BaseException:
            self._dir_lock.release()
            raise
        self.overview = Overview(self.uploads)
        self._limits = limits_of(settings)
        self._closed = False

    def _open(self) -> None:
        """Acquires the lock, and opens the data and the journal. Raises StorageInUse, BadSetting."""
        with unusable(self.directory):
            self._own_storage()
            self._open_data_and_journal()
        if self.settings.fsync:
            _sync_directories(self.directory)
        self.uploads = Uploads(self.context)
        housekeeping.mark_in_doubt(self.uploads, self._journal.is_same_boot())
        self._write_first_clock()

    def _open_data_and_journal(self) -> None:
        """Checks what the file systems can do, then opens data and journal. Raises BadSetting, OSError."""
        fsync = self.settings.fsync
        self._data_found = probe(self.directory / "data", replace(DATA_NEEDS, syncs=fsync))
        warn([self._data_found, probe(self.directory / "journal", replace(JOURNAL_NEEDS, syncs=fsync))])
        self._journal = Journal(self.directory / "journal", fsync, self._dir_lock.check)
        self.context = self._make_context()

    def _write_first_clock(self) -> None:
        """Records which boot of the machine this is, before anything is acknowledged."""
        try:
            self._journal.write_clock(self._clock.now_s())
        except IncomingError as exc:
            log.warning("the service time can't be written: %(error)s", {"error": exc})

    def _own_storage(self) -> None:
        try:
            self._dir_lock.acquire()
        except StorageInUse:
            if not self.settings.wait_for_storage:
                raise
            log.info("waiting until another process releases %(directory)s", {"directory": self.directory})
            self.runtime.in_pool(self._dir_lock.wait)

    def _make_context(self) -> UploadContext:
        settings, runtime = self.settings, self.runtime
        clock = self._clock = ServiceClock(runtime.now_s, self._journal.read_clock())
        counters = Counters()
        registry = MemoryRegistry(self._journal, runtime, clock, counters, settings)
        data, reserve_bytes = self.directory / "data", settings.reserve_ahead_mib * MIB
        found = self._data_found
        facts = DiskFacts(
            found.tells_holes, found.counts_inodes, found.copies_on_write, boot_id(), settings.fsync
        )
        storage = LocalStorage(data, reserve_bytes, runtime, facts, self._dir_lock)
        callbacks = Callbacks(runtime, settings.handover_answer_timeout_s)
        return UploadContext(
            settings=settings,
            runtime=runtime,
            clock=clock,
            registry=registry,
            leases=MemoryLeases(),
            news=MemoryNews(runtime),
            storage=storage,
            callbacks=callbacks,
            counters=counters,
            boot_id=boot_id(),
        )

    def wsgi(self, app: WsgiApp | None = None) -> WsgiApp:
        """Returns a WSGI app with the routes and the uploads; `app`, if any, gets all other requests."""
        limits = self._limits
        largest_bytes = max(limits.chunk_size_bytes, limits.max_chunk_bytes + chunks.HEADER_BYTES)
        buffers = BufferPool(largest_bytes, RECEIVE_MEMORY_BYTES)
        client_limits = ClientLimits(self.settings.trusted_proxies, self.settings.max_connections_per_source)
        keepalive = KeepAlive(self.settings.connection_timeout_s)
        upgrades = Upgrades(buffers, keepalive, client_limits, self.uploads.refusals)
        over_http = HttpUploads(self.uploads, buffers, client_limits)
        routes: WsgiApp = make_app(self.settings, self.uploads, self.overview)
        probing = ProxyProbe(self.uploads)
        front = upgrades.wrap(
            probing.wrap(over_http.wrap(_beside(routes, app))), UPLOAD_PATHS, self._converse
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
        self.runtime.spawn(self.overview.monitor)
        housekeeping.recover(self.uploads)
        self.runtime.spawn(self._run_clock)
        self.runtime.spawn(self._sweep_regularly)
        self.runtime.spawn(housekeeping.keep_checkpoints, self.uploads)

    def _run_clock(self) -> None:
        """Runs the service's clock until the process ends, and monitors the storage lock."""
        self.runtime.spawn(self._watch_storage)
        while True:
            stood_still_s = self._clock.tick()
            if stood_still_s > STOOD_STILL_S:
                log.warning(STOOD_STILL, {"stood_still_s": stood_still_s})
            self.runtime.sleep(TICK_S)

    def _watch_storage(self) -> None:
        """Stops all work on the storage once another process may own it."""
        while True:
            try:
                self.runtime.in_pool(self._dir_lock.check)
            except StorageLost as lost:
                log.error(LOST, {"lock": self._dir_lock.file})
                self.uploads.lose(lost)
                return
            except StorageFailed as exc:
                log.debug("the storage lock can't be checked: %(error)s", {"error": exc.__cause__})
            self.runtime.sleep(TICK_S)

    def _sweep_regularly(self) -> None:
        """Sweeps, and stores the service's clock, until the process ends or has lost its storage."""
        interval_s = housekeeping.sweep_interval_s(self.settings)
        while not self.uploads.lost:
            self.runtime.sleep(min(interval_s, CLOCK_INTERVAL_S))
            try:
                housekeeping.sweep(self.uploads)
                self.runtime.in_pool(self._journal.write_clock, self._clock.now_s())
            except IncomingError as exc:
                log.warning("housekeeping failed, it is repeated: %(error)s", {"error": exc})
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
        """Closes the journal and releases the directory. Does nothing when called again."""
        if self._closed:
            return
        self._closed = True
        self._release_remaining()
        try:
            self._journal.close(self._clock.now_s())
        except IncomingError as exc:
            log.warning("the journal could not be closed properly: %(error)s", {"error": exc})
        finally:
            self._dir_lock.release()


def _sync_directories(directory: Path) -> None:
    """Syncs the directory and its parents, so that their entries survive a power cut."""
    for folder in (directory, *directory.parents):
        with contextlib.suppress(OSError):  # a directory of another user may not be readable
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _beside(routes: WsgiApp, app: WsgiApp | None) -> WsgiApp:
    """Returns a WSGI app that gives our paths to `routes`, and all others to `app`."""
    if app is None:
        return routes
    others = app

    def beside(environ: Any, start_response: Any) -> Any:
        ours = str(environ.get("PATH_INFO", "")).startswith(PREFIXES[0])
        return (routes if ours else others)(environ, start_response)

    return beside
