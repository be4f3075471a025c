"""Uploads with work left undone, and when a sweep may try it.

A start adds every upload that a kill may have left half-done. Later the service adds an upload whose file
could not be deleted, one that paused with all its bytes, and one whose release was not journaled.
"""

from __future__ import annotations


class RetryQueue:
    """Ticket ids, each with the time (of the service's clock) from which a sweep may try it."""

    def __init__(self) -> None:
        self._due_at_s: dict[str, float] = {}

    def add(self, ticket_id: str, due_at_s: float) -> None:
        """Has a sweep try this upload from that time on, and not before."""
        self._due_at_s[ticket_id] = due_at_s

    def add_if_missing(self, ticket_id: str, due_at_s: float) -> None:
        """Adds an upload, unless it is in the queue: then it keeps its time."""
        self._due_at_s.setdefault(ticket_id, due_at_s)

    def discard(self, ticket_id: str) -> None:
        """Nothing is left undone. An upload that is not in the queue is not an error."""
        self._due_at_s.pop(ticket_id, None)

    def waits(self, ticket_id: str, now_s: float) -> bool:
        """Returns whether the upload is in the queue, and its time has not come."""
        return self._due_at_s.get(ticket_id, now_s) > now_s

    def is_due(self, ticket_id: str, now_s: float) -> bool:
        """Returns whether the upload is in the queue, and its time has come."""
        due_at_s = self._due_at_s.get(ticket_id)
        return due_at_s is not None and due_at_s <= now_s

    def due(self, now_s: float) -> list[str]:
        """Returns the ids of all uploads whose time has come."""
        return [ticket_id for ticket_id, due_at_s in self._due_at_s.items() if due_at_s <= now_s]
