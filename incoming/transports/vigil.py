"""Notices who is gone without a word, among thousands of connections on which nothing is wrong.

Whom TCP reaches it asks by itself (keep-alive, tcp(7)), at no cost of ours. Behind a proxy that only tells
that the proxy is there: so each connection that is silent is pinged too (RFC 6455 section 5.5.2), the more of
them there are the more seldom. In between we only say that we are there, and nobody has to answer: so no
proxy cuts the connection, and no client asks us (`limits.idle_silence`). One greenlet looks after all.
"""

from __future__ import annotations

import contextlib
import heapq
import socket
import time
from typing import Final, Protocol

import gevent

from incoming.limits import Silence, idle_silence
from incoming.runtime import breathe

MOMENT_S: Final = 0.02
"""Who is due within such a time is kept together: a heap of thousands costs a tenth of what they do."""
STEPS: Final = 50
"""Who is due within this part of the silence that is allowed is looked at together: to wake up for each of
thousands costs as much as to look at it."""
LONGEST_SLEEP_S: Final = 1.0


class Watched(Protocol):
    """A connection that may be silent."""

    def look(self, now_s: float, allowed: Silence) -> float | None:
        """Does what it is time for; returns when to look again, None: never. Never waits.

        A peer that was asked is given up after another `allowed.say_after_s` in silence.
        """


class Vigil:
    """Looks after all connections of a process."""

    def __init__(self, silence_timeout_s: float) -> None:
        """`silence_timeout_s`: after this a peer is given up, who was asked after half of it."""
        self.patience_s = silence_timeout_s / 2
        self._due: dict[int, list[Watched]] = {}
        """By the number of the moment."""
        self._moments: list[int] = []
        """A heap: those at which somebody is due."""
        self._watched = 0
        self._is_awake = False

    def watch(self, connection: Watched, due_s: float) -> None:
        """Looks at the connection at `due_s` (monotonic), and from then on whenever it says so."""
        moment = int(due_s / MOMENT_S) + 1
        those = self._due.get(moment)
        if those is None:
            those = self._due[moment] = []
            heapq.heappush(self._moments, moment)
        those.append(connection)
        self._watched += 1
        if not self._is_awake:
            self._is_awake = True
            gevent.spawn(self._keep)

    def keep_alive(self, sock: socket.socket) -> None:
        """Has TCP find out within the timeout whether the machine at the other end is there."""
        after_s = max(round(idle_silence(self.patience_s, self._watched).say_after_s), 1)
        again_s = max(round(self.patience_s / 2), 1)
        with contextlib.suppress(OSError):  # a Unix socket, behind a proxy
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, after_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, again_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)

    def _keep(self) -> None:
        while self._moments:
            wait_s = self._moments[0] * MOMENT_S - time.monotonic()
            step_s = idle_silence(self.patience_s, self._watched).say_after_s / STEPS
            gevent.sleep(min(max(wait_s, step_s, MOMENT_S), LONGEST_SLEEP_S))
            self._look()
        self._is_awake = False

    def _look(self) -> None:
        now_s = time.monotonic()
        allowed = idle_silence(self.patience_s, self._watched)
        while self._moments and self._moments[0] * MOMENT_S <= now_s:
            for connection in self._due.pop(heapq.heappop(self._moments)):
                self._watched -= 1
                due_s = connection.look(now_s, allowed)
                if due_s is not None:
                    self.watch(connection, due_s)
                breathe()
