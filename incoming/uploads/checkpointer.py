"""Journals checkpoints of unfinished uploads: checksums of their acknowledged bytes.

After a power cut they tell which bytes are still right. After a restart they save reading a file once more.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

from incoming.core.errors import IncomingError
from incoming.core.lifecycle import Record
from incoming.runtime.keyed_locks import KeyedLocks
from incoming.uploads.context import UploadContext
from incoming.uploads.integrity import Integrity
from incoming.uploads.power_cut_check import PowerCutCheck


class Checkpointer:
    """Journals the checkpoints of the uploads of this process."""

    def __init__(self, context: UploadContext, integrity: Integrity, power_cut_check: PowerCutCheck) -> None:
        self._boot_id = context.boot_id
        self._registry = context.registry
        self._runtime = context.runtime
        self._integrity = integrity
        self._power_cut_check = power_cut_check
        self._locks = KeyedLocks[str](context.runtime.lock)

    def suspended(self, ticket_id: str) -> AbstractContextManager[object]:
        """Within it no checkpoint of this upload is journaled. Enter it before taking the upload's lock."""
        return self._locks.of(ticket_id)

    def journal_moved(self) -> int:
        """Journals checkpoints of what was stored since the last time. Returns of how many uploads.

        One sync serves all of them, and no upload waits for it. On a full disk there are none: the last
        space of the journal is for the ends of uploads.
        """
        moved = self._integrity.take_moved() if self._registry.has_room else set[str]()
        for ticket_id in moved:
            self._runtime.spawn(self._journal, ticket_id)
            self._runtime.yield_if_due()
        return len(moved)

    def _journal(self, ticket_id: str) -> None:
        with self._locks.of(ticket_id), contextlib.suppress(IncomingError):
            # It may have ended meanwhile, or the next one does better.
            checkpoint = self._integrity.checkpoint(ticket_id)
            ticket = self._registry.get(ticket_id)
            if checkpoint and not self._power_cut_check.is_required(ticket_id):
                self._registry.change(ticket_id, Record(checkpoint, self._boot_id), ticket.token)
