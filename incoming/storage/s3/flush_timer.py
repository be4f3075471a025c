"""When a part that is not full is stored as it is. Pure: the time is an argument.

A client that sends nothing may be waiting for an acknowledgement, because its window is smaller than a part.
It has to get one soon. Or it is slow: then an acknowledgement changes nothing, and each one costs a call with
all bytes of the part so far. What follows an acknowledgement tells them apart: a client that has waited sends
several pieces at once.
"""

from __future__ import annotations

from collections import deque
from typing import Final

IDLE_S: Final = 0.2
"""After this time without new bytes, what the client has sent is stored."""
WAITING_S: Final = 0.05
"""The same for a client that is known to wait."""
SLOW_S: Final = 1.0
"""The same for a client that sends without waiting."""
MAX_WAIT_S: Final = 5.0
"""While the store answers, no byte waits longer than this for its acknowledgement."""
ANSWERED_S: Final = 0.25
"""A client that has waited sends again within this time."""


class FlushTimer:
    """When bytes arrived, and whether they have waited long enough to be stored."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Nothing waits any more, and another client may come."""
        self.limit_s = IDLE_S
        self._came_at_s = 0.0
        self._pieces = 0
        self._acknowledged_at_s: float | None = None
        self._marks: deque[tuple[int, float]] = deque()
        """(offset, when it was reached or shortly before) of bytes that are not durable, the oldest first."""

    def came(self, now_s: float) -> None:
        """A piece has come."""
        if self._acknowledged_at_s is not None:
            is_answer = now_s - self._acknowledged_at_s <= ANSWERED_S and self._pieces > 1
            self.limit_s = WAITING_S if is_answer else SLOW_S
            self._acknowledged_at_s, self._pieces = None, 0
        self._pieces += 1
        self._came_at_s = now_s

    def acknowledged(self, now_s: float) -> None:
        """Everything that has come is durable."""
        self._acknowledged_at_s = now_s

    def idle_s(self, now_s: float) -> float:
        """Returns for how long no bytes have arrived."""
        return now_s - self._came_at_s

    def is_due(self, taken_bytes: int, durable_offset: int, now_s: float) -> bool:
        """Returns whether the bytes of the part have waited long enough to be stored as they are."""
        while self._marks and self._marks[0][0] <= durable_offset:
            self._marks.popleft()
        if taken_bytes > durable_offset and (not self._marks or self._marks[-1][0] < taken_bytes):
            self._marks.append((taken_bytes, now_s))
        oldest_s = now_s - self._marks[0][1] if self._marks else 0.0
        return self.idle_s(now_s) >= self.limit_s or oldest_s >= MAX_WAIT_S
