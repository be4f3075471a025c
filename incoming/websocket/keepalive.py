"""Keep-alive: finds silent connections whose peer is gone, among thousands that are fine.

TCP itself probes every peer that it reaches (tcp(7)), at no cost to us. Behind a proxy, that only proves
that the proxy is alive. So each silent connection is pinged, too (RFC 6455 section 5.5.2); the more
connections there are, the more rarely. In between, an unsolicited pong shows that we are alive and needs no
answer. So no proxy closes the connection, and no client pings us (`flow_control.idle_keepalive`). One
greenlet serves all connections.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import socket
import time
from typing import Final, Protocol

import gevent

from incoming.protocol.flow_control import KeepaliveIntervals, idle_keepalive
from incoming.runtime.fair_scheduler import yield_if_due

SLOT_S: Final = 0.02
"""Connections that are due within this time share a slot. A heap of slots costs a tenth of one of thousands
of connections."""
WAKE_UPS: Final = 50
"""How often the greenlet wakes up at most within the silence that is allowed. To wake up for each of
thousands of connections costs as much as to check it."""
MAX_SLEEP_S: Final = 1.0
KEEP_ALIVE_TRIES: Final = 2
"""After this many unanswered probes TCP gives the peer up."""

log = logging.getLogger(__name__)


class Checked(Protocol):
    """A connection that may be silent."""

    def check_liveness(self, now_s: float, allowed: KeepaliveIntervals) -> float | None:
        """Does what is due, and returns when to check again; None: never. Never waits.

        A peer that was pinged is given up after another `allowed.pong_after_s` of silence.
        """


class KeepAlive:
    """Checks all connections of a process: a timer wheel with one greenlet."""

    def __init__(self, silence_timeout_s: float) -> None:
        """`silence_timeout_s`: a peer is pinged after half of it, and given up after all of it."""
        self.ping_after_s = silence_timeout_s / 2
        self._due: dict[int, dict[Checked, None]] = {}
        """The connections by the number of their slot."""
        self._slots: list[int] = []
        """A heap: the slots with connections."""
        self._slot_of: dict[Checked, int] = {}
        """The slot of each connection. Their number decides how long each may be silent, so a connection that
        has ended must be removed."""
        self._most = 0
        """The largest number of connections since all were rescheduled."""
        self._is_running = False

    def schedule(self, connection: Checked, due_s: float) -> None:
        """Checks the connection at `due_s` (monotonic), and then whenever its last check asked for.

        Replaces an earlier time.
        """
        self.remove(connection)
        slot = int(due_s / SLOT_S) + 1
        connections = self._due.get(slot)
        if connections is None:
            connections = self._due[slot] = {}
            heapq.heappush(self._slots, slot)
        connections[connection] = None
        self._slot_of[connection] = slot
        if not self._is_running:
            self._is_running = True
            gevent.spawn(self._run)

    def remove(self, connection: Checked) -> None:
        """Forgets a connection that has ended. Does nothing when it is not scheduled."""
        slot = self._slot_of.pop(connection, None)
        if slot is not None:
            self._due.get(slot, {}).pop(connection, None)

    def set_tcp_keepalive(self, sock: socket.socket) -> None:
        """Lets TCP find out within the timeout whether the peer's machine is alive.

        TCP does not probe while something that was sent is unacknowledged; it retransmits that for a quarter
        of an hour. TCP_USER_TIMEOUT bounds both (tcp(7)).
        """
        after_s = max(round(idle_keepalive(self.ping_after_s, len(self._slot_of)).pong_after_s), 1)
        again_s = max(round(self.ping_after_s / 2), 1)
        unanswered_ms = (after_s + KEEP_ALIVE_TRIES * again_s) * 1000
        with contextlib.suppress(OSError):  # a Unix socket, behind a proxy
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, after_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, again_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_ALIVE_TRIES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unanswered_ms)

    def _run(self) -> None:
        while self._slots:
            wait_s = self._slots[0] * SLOT_S - time.monotonic()
            pause_s = idle_keepalive(self.ping_after_s, len(self._slot_of)).pong_after_s / WAKE_UPS
            gevent.sleep(min(max(wait_s, pause_s, SLOT_S), MAX_SLEEP_S))
            self._check_due()
        self._is_running = False

    def _check_due(self) -> None:
        now_s = time.monotonic()
        allowed = idle_keepalive(self.ping_after_s, len(self._slot_of))
        self._most = max(self._most, len(self._slot_of))
        if len(self._slot_of) < self._most / 2:
            self._reschedule_all(now_s)
        while self._slots and self._slots[0] * SLOT_S <= now_s:
            slot = heapq.heappop(self._slots)
            for connection in self._due.pop(slot):
                if self._slot_of.get(connection) == slot:  # it may end or be rescheduled while others run
                    self._check(connection, now_s, allowed)
                    yield_if_due()

    def _reschedule_all(self, now_s: float) -> None:
        """Makes every connection due now: half of them have gone, so the others may be silent for less long.

        They would keep the times that they got in the crowd, up to minutes.
        """
        self._most = len(self._slot_of)
        slot = int(now_s / SLOT_S)
        self._slot_of = dict.fromkeys(self._slot_of, slot)
        self._due = {slot: dict.fromkeys(self._slot_of)}
        self._slots = [slot]

    def _check(self, connection: Checked, now_s: float, allowed: KeepaliveIntervals) -> None:
        try:
            due_s = connection.check_liveness(now_s, allowed)
        except Exception:  # all others depend on this greenlet
            log.exception("a defect: the check of a silent connection failed")
            due_s = None
        if due_s is None:
            self.remove(connection)
        else:
            self.schedule(connection, due_s)
