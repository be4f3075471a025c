"""Decides when a silent peer is pinged, and when its connection is given up. Pure: times are arguments."""

from __future__ import annotations

from enum import Enum, auto

from incoming.protocol.flow_control import KeepaliveIntervals


class Check(Enum):
    """What is due on a connection."""

    NOTHING = auto()
    SEND_PONG = auto()
    """Show that we are alive, with a frame that needs no answer."""
    SEND_PING = auto()
    GIVE_UP = auto()


class Liveness:
    """What is known about one peer. All times are monotonic seconds."""

    def __init__(self, now_s: float) -> None:
        self.received_s = now_s
        """When a byte of the peer was last received."""
        self.sent_s = 0.0
        """When a ping or a pong was last sent unasked."""
        self.pinged_s = 0.0
        self.idle_until_s: float | None = None
        """When a peer that only answers pings is given up; None: never."""

    def due_s(self, allowed: KeepaliveIntervals, close_deadline_s: float | None) -> float:
        """Returns when something is due, if the peer stays silent."""
        if close_deadline_s is not None:
            return close_deadline_s
        if self.pinged_s > self.received_s:
            return self.pinged_s + allowed.pong_after_s
        due_s = max(self.received_s, self.sent_s) + allowed.pong_after_s
        return min(due_s, self.received_s + allowed.ping_after_s)

    def check(self, now_s: float, allowed: KeepaliveIntervals, close_deadline_s: float | None) -> Check:
        """Returns what is due now."""
        if now_s < self.due_s(allowed, close_deadline_s):
            return Check.NOTHING
        is_idle = self.idle_until_s is not None and now_s > self.idle_until_s
        if close_deadline_s is not None or is_idle or self.pinged_s > self.received_s:
            return Check.GIVE_UP
        return Check.SEND_PING if now_s >= self.received_s + allowed.ping_after_s else Check.SEND_PONG

    def sent(self, check: Check, now_s: float) -> None:
        """Records that the ping or pong was sent."""
        self.sent_s = now_s
        if check is Check.SEND_PING:
            self.pinged_s = now_s
