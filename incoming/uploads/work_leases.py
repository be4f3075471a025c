"""Leases of work that one process does at a time for an upload: it calls its app, or deletes its files.

A lease is renewed until the work is over. If the process dies, others get it.
"""

from __future__ import annotations

import contextlib
from typing import Final

from incoming.core.errors import StorageFailed
from incoming.runtime.base import Task
from incoming.uploads.claims import new_token
from incoming.uploads.context import UploadContext

LEASE_S: Final = 30.0
"""After this time, another process may do the work of one that has died."""


class WorkLeases:
    """The leases of one kind of work that this process has."""

    def __init__(self, context: UploadContext, prefix: str) -> None:
        """`prefix`: the name of a lease begins with it, and ends with the id of the ticket."""
        self._leases = context.leases
        self._clock = context.clock
        self._runtime = context.runtime
        self._prefix = prefix
        self._token = new_token()
        self._held: set[str] = set()
        self._keeper: Task | None = None

    def acquire(self, ticket_id: str) -> bool:
        """Returns whether this process may do the work: it has the lease. Raises StorageFailed."""
        if not self._acquire(ticket_id):
            self._held.discard(ticket_id)
            return False
        self._held.add(ticket_id)
        self._keep_on()
        return True

    def release(self, ticket_id: str) -> None:
        """Ends the lease: the work is done, or another process may do it. Raises nothing."""
        self._held.discard(ticket_id)
        with contextlib.suppress(StorageFailed):
            self._leases.release(self._name(ticket_id), self._token)

    def _name(self, ticket_id: str) -> str:
        return f"{self._prefix}{ticket_id}"

    def _acquire(self, ticket_id: str) -> bool:
        now_s = self._clock.now_s()
        return self._leases.acquire(self._name(ticket_id), self._token, now_s + LEASE_S, now_s)

    def _keep_on(self) -> None:
        if self._held and not self._keeper:
            self._keeper = self._runtime.spawn_later(LEASE_S / 3, self._keep)

    def _keep(self) -> None:
        """Renews all leases, again and again: the work may wait for an app, or for a store."""
        self._keeper = None
        for ticket_id in list(self._held):
            with contextlib.suppress(StorageFailed):
                self._acquire(ticket_id)
            self._runtime.yield_if_due()
        self._keep_on()
