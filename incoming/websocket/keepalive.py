"""Notices who is gone without a word, among thousands of connections on which nothing is wrong.

Whom TCP reaches it asks by itself (keep-alive, tcp(7)), at no cost of ours. Behind a proxy that only tells
that the proxy is there: so each connection that is silent is pinged too (RFC 6455 section 5.5.2), the more of
them there are the more seldom. In between we only say that we are there, and nobody has to answer: so no
proxy cuts the connection, and no client asks us (`limits.idle_silence`). One greenlet looks after all.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import socket
import time
from typing import Final, Protocol

import gevent

from incoming.protocol.flow_control import Silence, idle_silence
from incoming.runtime.fair_scheduler import breathe

MOMENT_S: Final = 0.02
"""Who is due within such a time is kept together: a heap of thousands costs a tenth of what they do."""
STEPS: Final = 50
"""Who is due within this part of the silence that is allowed is looked at together: to wake up for each of
thousands costs as much as to look at it."""
LONGEST_SLEEP_S: Final = 1.0
KEEP_ALIVE_TRIES: Final = 2
"""So many probes of TCP without an answer, and the machine at the other end is gone."""

log = logging.getLogger(__name__)


class Watched(Protocol):
    """A connection that may be silent."""

    def look(self, now_s: float, allowed: Silence) -> float | None:
        """Does what it is time for; returns when to look again, None: never. Never waits.

        A peer that was asked is given up after another `allowed.say_after_s` in silence.
        """


class KeepAlive:
    """Looks after all connections of a process."""

    def __init__(self, silence_timeout_s: float) -> None:
        """`silence_timeout_s`: after this a peer is given up, who was asked after half of it."""
        self.patience_s = silence_timeout_s / 2
        self._due: dict[int, dict[Watched, None]] = {}
        """By the number of the moment."""
        self._moments: list[int] = []
        """A heap: those at which somebody is due."""
        self._moment_of: dict[Watched, int] = {}
        """When each connection is due. How many there are decides how long each may be silent, so one that
        has ended must not stay."""
        self._most = 0
        """How many there were at most since all of them were looked at anew."""
        self._is_awake = False

    def watch(self, connection: Watched, due_s: float) -> None:
        """Looks at the connection at `due_s` (monotonic), and from then on whenever it says so.

        Called again, the new time takes the place of the one before.
        """
        self.leave(connection)
        moment = int(due_s / MOMENT_S) + 1
        those = self._due.get(moment)
        if those is None:
            those = self._due[moment] = {}
            heapq.heappush(self._moments, moment)
        those[connection] = None
        self._moment_of[connection] = moment
        if not self._is_awake:
            self._is_awake = True
            gevent.spawn(self._keep)

    def leave(self, connection: Watched) -> None:
        """Looks at the connection no more: it has ended. Does nothing when it is not watched."""
        moment = self._moment_of.pop(connection, None)
        if moment is not None:
            self._due.get(moment, {}).pop(connection, None)

    def keep_alive(self, sock: socket.socket) -> None:
        """Has TCP find out within the timeout whether the machine at the other end is there.

        The keep-alive does not ask while something that we have sent is unacknowledged; TCP sends that again
        for a quarter of an hour. TCP_USER_TIMEOUT bounds both (tcp(7)).
        """
        after_s = max(round(idle_silence(self.patience_s, len(self._moment_of)).say_after_s), 1)
        again_s = max(round(self.patience_s / 2), 1)
        unanswered_ms = (after_s + KEEP_ALIVE_TRIES * again_s) * 1000
        with contextlib.suppress(OSError):  # a Unix socket, behind a proxy
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, after_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, again_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_ALIVE_TRIES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unanswered_ms)

    def _keep(self) -> None:
        while self._moments:
            wait_s = self._moments[0] * MOMENT_S - time.monotonic()
            step_s = idle_silence(self.patience_s, len(self._moment_of)).say_after_s / STEPS
            gevent.sleep(min(max(wait_s, step_s, MOMENT_S), LONGEST_SLEEP_S))
            self._look()
        self._is_awake = False

    def _look(self) -> None:
        now_s = time.monotonic()
        allowed = idle_silence(self.patience_s, len(self._moment_of))
        self._most = max(self._most, len(self._moment_of))
        if len(self._moment_of) < self._most / 2:
            self._look_anew(now_s)
        while self._moments and self._moments[0] * MOMENT_S <= now_s:
            moment = heapq.heappop(self._moments)
            for connection in self._due.pop(moment):
                if self._moment_of.get(connection) == moment:  # it may end, or be due anew, while others run
                    self._look_at(connection, now_s, allowed)
                    breathe()

    def _look_anew(self, now_s: float) -> None:
        """Has everybody looked at: half of them have gone, so those who are left may be silent for less long.

        They would keep the times that they got in the crowd, up to minutes.
        """
        self._most = len(self._moment_of)
        moment = int(now_s / MOMENT_S)
        self._moment_of = dict.fromkeys(self._moment_of, moment)
        self._due = {moment: dict.fromkeys(self._moment_of)}
        self._moments = [moment]

    def _look_at(self, connection: Watched, now_s: float, allowed: Silence) -> None:
        try:
            due_s = connection.look(now_s, allowed)
        except Exception:  # all others depend on this greenlet
            log.exception("a defect: a silent connection could not be looked at")
            due_s = None
        if due_s is None:
            self.leave(connection)
        else:
            self.watch(connection, due_s)
