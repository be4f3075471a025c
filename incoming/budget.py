"""Who may still write how much: declared sizes of unfinished uploads, counted against the free disk space.

"The disk is full" is said when an upload begins, not after 90 GB of it. Each upload holds the bytes that it
has declared and that the disk does not count as used yet. An upload that nobody continues falls out after a
while, so nobody can reserve the disk away with tickets that are never used.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from dataclasses import dataclass


@dataclass(slots=True)
class _Hold:
    size_bytes: int
    touched_at_s: float
    source: str = ""


class DiskBudget:
    """The sum of all holds, kept as they change: every call costs the same however many there are."""

    def __init__(self, idle_after_s: float) -> None:
        self._idle_after_s = idle_after_s
        self._holds: OrderedDict[str, _Hold] = OrderedDict()  # the longest untouched one first
        self._held_bytes = 0
        self._of_source: defaultdict[str, set[str]] = defaultdict(set)

    def hold(self, ticket_id: str, size_bytes: int, now_s: float) -> None:
        """Counts `size_bytes` for this upload from now on, in place of what it held before."""
        hold = self._holds.get(ticket_id)
        if hold is None:
            hold = self._holds[ticket_id] = _Hold(0, now_s)
        self._held_bytes += size_bytes - hold.size_bytes
        hold.size_bytes, hold.touched_at_s = size_bytes, now_s
        self._holds.move_to_end(ticket_id)

    def holds(self, ticket_id: str) -> bool:
        """Returns whether anything is counted for this upload, be it nothing more."""
        return ticket_id in self._holds

    def belongs(self, ticket_id: str, source: str) -> None:
        """Counts what this upload holds for this source, and for no other one, as long as it holds any."""
        hold = self._holds[ticket_id]
        self._of_source[hold.source].discard(ticket_id)
        hold.source = source
        if source:
            self._of_source[source].add(ticket_id)

    def release(self, ticket_id: str) -> None:
        """Counts nothing for this upload any more."""
        hold = self._holds.pop(ticket_id, None)
        if hold:
            self._held_bytes -= hold.size_bytes
            self._of_source[hold.source].discard(ticket_id)
            if not self._of_source[hold.source]:
                del self._of_source[hold.source]

    def held_bytes(self, now_s: float, except_for: str = "") -> int:
        """Returns what all uploads but one hold together."""
        self._let_idle_ones_go(now_s)
        own = self._holds.get(except_for)
        return self._held_bytes - (own.size_bytes if own else 0)

    def held_by(self, source: str, now_s: float, except_for: str = "") -> int:
        """Returns what all uploads of a source but one hold together."""
        self._let_idle_ones_go(now_s)
        others = self._of_source.get(source, set()) - {except_for}
        return sum(self._holds[ticket_id].size_bytes for ticket_id in others)

    def _let_idle_ones_go(self, now_s: float) -> None:
        while self._holds:
            oldest_id, oldest = next(iter(self._holds.items()))
            if now_s - oldest.touched_at_s < self._idle_after_s:
                break
            self.release(oldest_id)
