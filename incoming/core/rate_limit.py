"""A limit on bytes a second, as a delay after each piece."""

from __future__ import annotations

from typing import Final

CREDIT_S: Final = 0.25
"""Timers are late, some milliseconds each: unused time of this length may be made up for."""


class Pace:
    """Says how long to wait, so that in the long run no more than `max_bytes_per_s` pass; 0 sets no limit."""

    def __init__(self, max_bytes_per_s: int) -> None:
        self._max_bytes_per_s = max_bytes_per_s
        self._due_at_s = 0.0

    def delay_s(self, size_bytes: int, now_s: float) -> float:
        """Returns how long to wait now that `size_bytes` have passed."""
        if not self._max_bytes_per_s:
            return 0.0
        self._due_at_s = max(self._due_at_s, now_s - CREDIT_S) + size_bytes / self._max_bytes_per_s
        return max(self._due_at_s - now_s, 0.0)
