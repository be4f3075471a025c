"""The disk budget: the declared sizes of unfinished uploads, counted against the free disk space.

"The disk is full" is said when an upload begins, not after 90 GB of it. Each upload holds the bytes that it
has declared and that the disk does not count as used yet. Two rules keep others from being locked out:

- A hold that is not renewed ends after `idle_after_s`.
- A hold of an upload without a single byte is young for `unused_after_s`. After that it yields when another
  upload needs the room (`yielding`, `lapse`). Asking again does not make it young again, so that no one can
  reserve the disk by asking. The first byte makes it an ordinary hold.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class _Hold:
    size_bytes: int
    touched_at_s: float
    source: str = ""
    begun: bool = False
    """Whether any byte of the upload has come."""
    lapsed: bool = False


class DiskBudget:
    """The sum of all holds, kept as they change: a change costs the same however many there are."""

    def __init__(self, idle_after_s: float, unused_after_s: float) -> None:
        self._idle_after_s = idle_after_s
        self._unused_after_s = unused_after_s
        self._holds: OrderedDict[str, _Hold] = OrderedDict()  # the longest untouched one first
        self._unused: OrderedDict[str, None] = OrderedDict()  # those without a byte, the oldest one first
        self._held_bytes = 0
        self._of_source: defaultdict[str, set[str]] = defaultdict(set)

    def hold(self, ticket_id: str, size_bytes: int, now_s: float, begun: bool) -> None:
        """Counts `size_bytes` for this upload from now on, in place of what it held before.

        `begun`: whether any byte of it has come. Without one its hold is as old as it was.
        """
        hold = self._holds.get(ticket_id)
        if hold is None:
            hold = self._holds[ticket_id] = _Hold(0, now_s)
        self._held_bytes += size_bytes - hold.size_bytes
        if begun or hold.begun:
            hold.touched_at_s = now_s
            self._holds.move_to_end(ticket_id)
        if begun:
            self._unused.pop(ticket_id, None)
        else:
            self._unused.setdefault(ticket_id)
        hold.size_bytes, hold.begun, hold.lapsed = size_bytes, begun, False

    def resize(self, ticket_id: str, size_bytes: int) -> None:
        """Counts `size_bytes` in place of what the upload holds, if it holds any; that renews nothing."""
        if self.holds(ticket_id):
            hold = self._holds[ticket_id]
            self._held_bytes += size_bytes - hold.size_bytes
            hold.size_bytes = size_bytes

    def holds(self, ticket_id: str) -> bool:
        """Returns whether anything is counted for this upload, be it nothing more."""
        hold = self._holds.get(ticket_id)
        return hold is not None and not hold.lapsed

    def knows(self, ticket_id: str) -> bool:
        """Returns whether the upload holds something, or did before it lapsed."""
        return ticket_id in self._holds

    def belongs(self, ticket_id: str, source: str) -> None:
        """Counts what this upload holds for this source, and for no other one, as long as it holds any."""
        hold = self._holds[ticket_id]
        self._of_source[hold.source].discard(ticket_id)
        hold.source = source
        if source:
            self._of_source[source].add(ticket_id)

    def source(self, ticket_id: str) -> str:
        """Returns the source that this upload counts for; an empty text for none."""
        hold = self._holds.get(ticket_id)
        return hold.source if hold else ""

    def release(self, ticket_id: str) -> None:
        """Counts nothing for this upload any more."""
        hold = self._holds.pop(ticket_id, None)
        self._unused.pop(ticket_id, None)
        if hold:
            self._held_bytes -= hold.size_bytes
            self._of_source[hold.source].discard(ticket_id)
            if not self._of_source[hold.source]:
                del self._of_source[hold.source]

    def yielding(self, now_s: float) -> Iterator[tuple[str, int]]:
        """Yields the uploads that another one may displace, the oldest first, and how much each holds."""
        for ticket_id in self._unused:
            hold = self._holds[ticket_id]
            if now_s - hold.touched_at_s < self._unused_after_s:
                break
            if hold.size_bytes:
                yield ticket_id, hold.size_bytes

    def lapse(self, ticket_id: str) -> None:
        """Counts nothing for this upload until it is let in again; how old its hold is stays known."""
        hold = self._holds[ticket_id]
        self._held_bytes -= hold.size_bytes
        hold.size_bytes, hold.lapsed = 0, True

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
