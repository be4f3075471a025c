"""The disk budget: the declared sizes of unfinished uploads, counted against the free disk space.

So a full disk is reported when an upload starts, not after 90 GB of it. Each upload reserves the bytes that
it has declared and that the disk does not count as used yet. Two rules protect other uploads:

- A reservation that is not renewed ends after `idle_after_s`.
- A reservation of an upload without a single byte is protected for `unused_after_s`. After that, another
  upload that needs the space may displace it (`yielding`, `lapse`). A repeated claim does not protect it
  again. The first byte makes it an ordinary reservation.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class _Reservation:
    size_bytes: int
    touched_at_s: float
    source: str = ""
    begun: bool = False
    """Whether any byte of the upload was stored."""
    lapsed: bool = False


class DiskBudget:
    """The sum of all reservations, updated with each change, so the cost does not depend on their number."""

    def __init__(self, idle_after_s: float, unused_after_s: float) -> None:
        self._idle_after_s = idle_after_s
        self._unused_after_s = unused_after_s
        self._reservations: OrderedDict[str, _Reservation] = OrderedDict()  # the longest untouched one first
        self._unused: OrderedDict[str, None] = OrderedDict()  # those without a byte, the oldest one first
        self._reserved_bytes = 0
        self._of_source: defaultdict[str, set[str]] = defaultdict(set)

    def reserve(self, ticket_id: str, size_bytes: int, now_s: float, begun: bool) -> None:
        """Reserves `size_bytes` for this upload, in place of its earlier reservation.

        `begun`: whether any byte of it was stored. If not, the reservation keeps its age.
        """
        reservation = self._reservations.get(ticket_id)
        if reservation is None:
            reservation = self._reservations[ticket_id] = _Reservation(0, now_s)
        self._reserved_bytes += size_bytes - reservation.size_bytes
        if begun or reservation.begun:
            reservation.touched_at_s = now_s
            self._reservations.move_to_end(ticket_id)
        if begun:
            self._unused.pop(ticket_id, None)
        else:
            self._unused.setdefault(ticket_id)
        reservation.size_bytes, reservation.begun, reservation.lapsed = size_bytes, begun, False

    def resize(self, ticket_id: str, size_bytes: int) -> None:
        """Changes the size of a reservation, if the upload has one, without renewing it."""
        if self.has_reservation(ticket_id):
            reservation = self._reservations[ticket_id]
            self._reserved_bytes += size_bytes - reservation.size_bytes
            reservation.size_bytes = size_bytes

    def has_reservation(self, ticket_id: str) -> bool:
        """Returns whether the upload has a reservation, which may be 0 bytes."""
        reservation = self._reservations.get(ticket_id)
        return reservation is not None and not reservation.lapsed

    def has_had_reservation(self, ticket_id: str) -> bool:
        """Returns whether the upload has a reservation, or had one that lapsed."""
        return ticket_id in self._reservations

    def assign_source(self, ticket_id: str, source: str) -> None:
        """Counts the upload's reservation for this source, and for no other one from now on."""
        reservation = self._reservations[ticket_id]
        self._of_source[reservation.source].discard(ticket_id)
        reservation.source = source
        if source:
            self._of_source[source].add(ticket_id)

    def source(self, ticket_id: str) -> str:
        """Returns the source that this upload counts for; an empty text for none."""
        reservation = self._reservations.get(ticket_id)
        return reservation.source if reservation else ""

    def release(self, ticket_id: str) -> None:
        """Ends the reservation of this upload."""
        reservation = self._reservations.pop(ticket_id, None)
        self._unused.pop(ticket_id, None)
        if reservation:
            self._reserved_bytes -= reservation.size_bytes
            self._of_source[reservation.source].discard(ticket_id)
            if not self._of_source[reservation.source]:
                del self._of_source[reservation.source]

    def yielding(self, now_s: float) -> Iterator[tuple[str, int]]:
        """Yields the uploads that another one may displace, the oldest first, with their reserved bytes."""
        for ticket_id in self._unused:
            reservation = self._reservations[ticket_id]
            if now_s - reservation.touched_at_s < self._unused_after_s:
                break
            if reservation.size_bytes:
                yield ticket_id, reservation.size_bytes

    def lapse(self, ticket_id: str) -> None:
        """Reserves nothing for this upload until it is admitted again. Its age stays known."""
        reservation = self._reservations[ticket_id]
        self._reserved_bytes -= reservation.size_bytes
        reservation.size_bytes, reservation.lapsed = 0, True

    def reserved_bytes(self, now_s: float, except_for: str = "") -> int:
        """Returns the sum of all reservations except one."""
        self._release_idle(now_s)
        own = self._reservations.get(except_for)
        return self._reserved_bytes - (own.size_bytes if own else 0)

    def reserved_by(self, source: str, now_s: float, except_for: str = "") -> int:
        """Returns the sum of the reservations of a source, except one."""
        self._release_idle(now_s)
        others = self._of_source.get(source, set()) - {except_for}
        return sum(self._reservations[ticket_id].size_bytes for ticket_id in others)

    def shares(self, now_s: float) -> dict[str, tuple[str, int]]:
        """Returns the source and the size of each reservation that belongs to a source."""
        self._release_idle(now_s)
        with_source = (one for ids in self._of_source.values() for one in ids)
        return {
            one: (self._reservations[one].source, self._reservations[one].size_bytes) for one in with_source
        }

    def _release_idle(self, now_s: float) -> None:
        while self._reservations:
            oldest_id, oldest = next(iter(self._reservations.items()))
            if now_s - oldest.touched_at_s < self._idle_after_s:
                break
            self.release(oldest_id)
