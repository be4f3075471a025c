"""The client's timeouts: silence of the server, missing acknowledgements, and no progress at all."""

from __future__ import annotations

from math import inf
from typing import Final

CONNECT_SILENCE_S: Final = 15.0
"""How long the server may be silent before its first message."""


class Timeouts:
    """All times are in seconds of the caller's clock."""

    def __init__(self, give_up_after_s: float, now_s: float) -> None:
        """`give_up_after_s`: how long there may be no progress; 0 means no limit."""
        self._give_up_after_s = give_up_after_s
        self._progressed_s = now_s
        self.connected(now_s)

    def connected(self, now_s: float) -> None:
        """A connection has opened. The server's own limits are not known yet."""
        self.set_limits(CONNECT_SILENCE_S)
        self.received(now_s)

    def set_limits(self, silence_s: float, idle_silence_s: float = 0.0) -> None:
        """Sets how long the server may be silent, in general and while it waits for the app."""
        self.silence_s = silence_s
        self._idle_silence_s = max(silence_s, idle_silence_s)

    def be_idle(self) -> None:
        """Uses the idle limit for the rest of this connection: only the app is waited for."""
        self.silence_s = self._idle_silence_s

    def received(self, now_s: float) -> None:
        """Something arrived from the server."""
        self._received_s, self._pinged = now_s, False

    @property
    def awaits_pong(self) -> bool:
        """Whether the server was pinged, and has said nothing since."""
        return self._pinged

    def progressed(self, now_s: float) -> None:
        """The upload has made progress."""
        self._progressed_s = now_s

    def left_s(self, now_s: float) -> float:
        """Returns how long the user still waits for progress; below 0 when that time is over."""
        return self._progressed_s + self._give_up_after_s - now_s if self._give_up_after_s else inf

    def has_given_up(self, now_s: float) -> bool:
        """Returns whether there was no progress for longer than the user allows."""
        return self.left_s(now_s) <= 0

    def is_dead(self, now_s: float, in_flight_since_s: float | None) -> bool:
        """Returns whether the connection is dead; `in_flight_since_s`: None if no chunk is in flight."""
        waited_s = 0.0 if in_flight_since_s is None else now_s - in_flight_since_s
        return max(now_s - self._received_s, waited_s) >= self.silence_s

    def is_ping_due(self, now_s: float) -> bool:
        """Returns whether to send a ping, at most once in each silence."""
        if self._pinged or now_s - self._received_s < self.silence_s / 2:
            return False
        self._pinged = True
        return True
