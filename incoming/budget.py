"""Who may still write how much: declared sizes of unfinished uploads, counted against the free disk space.

"The disk is full" is said when an upload begins, not after 90 GB of it. Each upload holds the bytes that it
has declared and that the disk does not count as used yet. An upload that nobody continues falls out after a
while, so nobody can reserve the disk away with tickets that are never used.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class _Hold:
    size_bytes: int
    touched_at_s: float


class DiskBudget:
    """The sum of all holds, kept as they change: every call costs the same however many there are."""

    def __init__(self, idle_after_s: float) -> None:
        self._idle_after_s = idle_after_s
        self._holds: OrderedDict[str, _Hold] = OrderedDict()  # the longest untouched one first
        self._held_bytes = 0

    def hold(self, ticket_id: str, size_bytes: int, now_s: float) -> None:
        """Counts `size_bytes` for this upload from now on, in place of what it held before."""
        self.release(ticket_id)
        self._holds[ticket_id] = _Hold(size_bytes, now_s)
        self._held_bytes += size_bytes

    def release(self, ticket_id: str) -> None:
        """Counts nothing for this upload any more."""
        hold = self._holds.pop(ticket_id, None)
        if hold:
            self._held_bytes -= hold.size_bytes

    def held_bytes(self, now_s: float, except_for: str = "") -> int:
        """Returns what all uploads but one hold together."""
        while self._holds:
            oldest_id, oldest = next(iter(self._holds.items()))
            if now_s - oldest.touched_at_s < self._idle_after_s:
                break
            self.release(oldest_id)
        own = self._holds.get(except_for)
        return self._held_bytes - (own.size_bytes if own else 0)
