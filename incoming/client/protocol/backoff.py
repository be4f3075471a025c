"""Exponential backoff with jitter, and how often an error is retried before the client believes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
RETRY_JITTER: Final = 0.3
"""Without jitter all clients of a restarted server reconnect at the same moment."""
TAKEN_OVER_FIRST_S: Final = 10.0
"""The first delay after a takeover. Two clients must not fight for one ticket."""
MAX_DOUBTS: Final = 3
"""Texts have no checksum, so an error may be a damaged message. The third one in a row counts as true."""


class Backoff:
    """Counts the attempts since the last progress, and returns the delay before the next one."""

    def __init__(self, random_unit: Callable[[], float]) -> None:
        """`random_unit` returns random numbers from 0 to 1."""
        self._random_unit = random_unit
        self.reset()
        self._takeovers = 0

    def reset(self) -> None:
        """Bytes were stored, or the handover has begun: start again with the shortest delay."""
        self._tries = self._doubts = 0

    def delay_s(self, retry_after_s: float = 0.0) -> float:
        """Returns the next delay: it doubles up to a minute, and has jitter.

        The delay is at least the `retry_after_s` that the server asks for, which counts up to a minute.
        """
        delay_s, retry_after_s = self._next_s(RETRY_FIRST_S), min(retry_after_s, RETRY_MAX_S)
        if delay_s >= retry_after_s:
            return delay_s
        return retry_after_s * (1 + RETRY_JITTER * self._random_unit())

    def delay_after_takeover_s(self) -> float:
        """Returns the delay after another client has taken the ticket over: long, and longer each time."""
        self._takeovers += 1
        return self._next_s(TAKEN_OVER_FIRST_S * 2 ** min(self._takeovers - 1, 8))

    def delay_after_stop_s(self, retry_after_s: float) -> float:
        """Returns a random delay around the one that a stopping server asks for."""
        return min(retry_after_s, RETRY_MAX_S) * (0.5 + self._random_unit())

    def is_certain(self) -> bool:
        """Counts an error that may be a damaged message; returns whether it came often enough to be true."""
        self._doubts += 1
        return self._doubts >= MAX_DOUBTS

    def _next_s(self, first_s: float) -> float:
        grown_s = max(first_s, RETRY_FIRST_S * 2 ** min(self._tries, 16))
        self._tries += 1
        jitter = RETRY_JITTER * (2 * self._random_unit() - 1)
        return float(min(grown_s, RETRY_MAX_S) * (1 + jitter))
