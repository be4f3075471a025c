"""An index of tickets by the time at which they are due, so that a sweep need not look at all of them.

Tickets that are due at about the same time share a bucket. A bucket has a set of ids, so a ticket takes the
same little memory however often it changes, and no entry is ever stale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from incoming.core.due import ALWAYS

BUCKET_S: Final = 64.0


class DueIndex:
    """The ids of all tickets, by due time. It knows no clock and no tickets."""

    def __init__(self) -> None:
        self._buckets: dict[float, set[str]] = {}

    def add(self, ticket_id: str, due_at_s: float) -> None:
        """Adds a ticket."""
        self._buckets.setdefault(_bucket(due_at_s), set()).add(ticket_id)

    def remove(self, ticket_id: str, due_at_s: float) -> None:
        """Removes a ticket that was added with this time."""
        bucket = _bucket(due_at_s)
        ids = self._buckets[bucket]
        ids.remove(ticket_id)
        if not ids:
            del self._buckets[bucket]

    def move(self, ticket_id: str, from_s: float, to_s: float) -> None:
        """Changes the time of a ticket."""
        if _bucket(from_s) != _bucket(to_s):
            self.remove(ticket_id, from_s)
            self.add(ticket_id, to_s)

    def about(self, now_s: float) -> Iterator[str]:
        """Yields the ids of all tickets that may be due, and of some that will be within `BUCKET_S`.

        The index may change meanwhile.
        """
        for bucket in sorted(bucket for bucket in self._buckets if bucket <= _bucket(now_s)):
            yield from list(self._buckets.get(bucket, ()))


def _bucket(due_at_s: float) -> float:
    return ALWAYS if due_at_s == ALWAYS else math.floor(due_at_s / BUCKET_S)
