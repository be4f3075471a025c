"""When to come back after a connection was lost, and how often to doubt what can't be mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
RETRY_JITTER: Final = 0.3
"""Or all clients of a restarted server come back in the same instant."""
TAKEN_OVER_FIRST_S: Final = 10.0
"""Two clients with the same ticket must not fight for it."""
MAX_DOUBTS: Final = 3
"""Texts have no checksum, and may be spoilt on their way: what is said three times is believed."""


class Retries:
    """Counts attempts; a stored byte forgives them all."""

    def __init__(self, chance: Callable[[], float]) -> None:
        """`chance` returns random numbers from 0 to 1."""
        self._chance = chance
        self.progressed()
        self._takeovers = 0

    def progressed(self) -> None:
        """Something was stored, or the app is being told."""
        self._tries = self._doubts = 0

    def delay_s(self, asked_s: float = 0.0) -> float:
        """Returns the next delay: doubling, up to a minute, each client's another one.

        A server that asks for `asked_s` is not asked earlier, up to the same minute.
        """
        delay_s, asked_s = self._jittered(RETRY_FIRST_S), min(asked_s, RETRY_MAX_S)
        return delay_s if delay_s >= asked_s else asked_s * (1 + RETRY_JITTER * self._chance())

    def delay_after_takeover_s(self) -> float:
        """Returns the next delay when another client has the ticket: late, and later each time."""
        self._takeovers += 1
        return self._jittered(TAKEN_OVER_FIRST_S * 2 ** min(self._takeovers - 1, 8))

    def delay_after_stop_s(self, retry_after_s: float) -> float:
        """Returns a delay around the one that a stopping server asks for."""
        return min(retry_after_s, RETRY_MAX_S) * (0.5 + self._chance())

    def doubted_enough(self) -> bool:
        """Counts a doubt. Returns whether there were so many that it has to be believed."""
        self._doubts += 1
        return self._doubts >= MAX_DOUBTS

    def _jittered(self, first_s: float) -> float:
        grown_s = max(first_s, RETRY_FIRST_S * 2 ** min(self._tries, 16))
        self._tries += 1
        jitter = RETRY_JITTER * (2 * self._chance() - 1)
        return float(min(grown_s, RETRY_MAX_S) * (1 + jitter))
