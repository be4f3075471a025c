"""The clock that all processes of a service share: how long the service has run.

Each instance advances it every second, by at most `MAX_TICK_S`. So it stops while no instance reaches Redis,
and does not jump with the clock of any machine. Between two ticks, an instance adds its own monotonic time,
also by at most `MAX_TICK_S`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from incoming.core.errors import IncomingError
from incoming.registry.redis import scripts
from incoming.runtime.base import MAX_TICK_S
from incoming.runtime.redis_connection import RedisConnection

log = logging.getLogger(__name__)

US_PER_S: Final = 1_000_000


class RedisClock:
    """See runtime.base.Clock; `tick` and `at_least` are as those of runtime.base.ServiceClock."""

    def __init__(self, connection: RedisConnection, monotonic_s: Callable[[], float]) -> None:
        """Reads the time. Raises StorageFailed."""
        self._connection = connection
        self._monotonic_s = monotonic_s
        self._ran_s = self._read_s(0.0)
        self._read_at_s = self._ticked_at_s = monotonic_s()
        self._told_s = 0.0

    def now_s(self) -> float:
        """Returns the seconds that the service has run so far. It asks nobody."""
        since_s = min(self._monotonic_s() - self._read_at_s, MAX_TICK_S)
        self._told_s = max(self._told_s, self._ran_s + since_s)
        return self._told_s

    def tick(self) -> float:
        """Advances the clock. While Redis does not answer, it stops instead.

        Returns for how many seconds this process did not run since the last tick.
        """
        began_s = self._monotonic_s()
        stood_still_s = max(began_s - self._ticked_at_s - MAX_TICK_S, 0.0)
        try:
            self._set(self._read_s(0.0))
        except IncomingError as exc:
            log.debug("the service's clock stands still: %(error)s", {"error": exc.__cause__})
        self._ticked_at_s = self._monotonic_s()
        return stood_still_s

    def at_least(self, ran_s: float) -> None:
        """Sets the clock forward to `ran_s`, unless it is later, for all instances. Raises StorageFailed."""
        self._set(self._read_s(ran_s))

    def _set(self, ran_s: float) -> None:
        self._ran_s, self._read_at_s = ran_s, self._monotonic_s()

    def _read_s(self, min_s: float) -> float:
        args = (round(MAX_TICK_S * US_PER_S), round(min_s * US_PER_S))
        return int(self._connection.run(scripts.TICK, args=args, repeat=True)) / US_PER_S
