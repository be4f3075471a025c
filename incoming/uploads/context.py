"""What the service is put together from; the command line makes the real ones, tests make their own."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

from incoming.core.checksum import checksum
from incoming.core.errors import StorageFailed, StorageFull
from incoming.core.stats import Counters
from incoming.core.ticket import Ticket
from incoming.handover.callbacks import Callbacks
from incoming.registry import Registry
from incoming.runtime.base import Runtime, ServiceClock
from incoming.settings.table import Settings
from incoming.storage import Storage

log = logging.getLogger(__name__)

BLOCK_BYTES: Final = 8 * 1024 * 1024
"""What is read in one go to the pool: some milliseconds, so that whoever waits for a thread gets one soon."""


@dataclass(frozen=True, slots=True)
class UploadContext:
    """The settings, the world around, where tickets and bytes are, this process's callbacks and counters."""

    settings: Settings
    runtime: Runtime
    clock: ServiceClock
    registry: Registry
    storage: Storage
    callbacks: Callbacks
    counters: Counters
    unsettled: dict[str, float] = field(default_factory=dict)
    """The ids of uploads of which something may be left to be done, and when (by `clock`) a sweep may try it
    (again). At a start that is all of them; later those whose files the disk did not let go, and those that
    were left with all their bytes."""
    doubtful: set[str] = field(default_factory=set)
    """The ids of uploads that had arrived, and were not synced, before a power cut."""
    unproven: set[str] = field(default_factory=set)
    """The ids of unfinished uploads that a power cut may have taken bytes of; see `doubts`."""
    boot_id: str = ""
    """Another one each time that the machine starts; empty where the system does not tell."""

    def checksum(self, ticket_id: str, start: int, end: int) -> int:
        """Returns the CRC-32C of a part of what is stored. Raises StorageFailed."""
        crc = 0

        def take(data: memoryview) -> None:
            nonlocal crc
            crc = checksum(data, crc)

        for block in range(start, end, BLOCK_BYTES):
            self.storage.read(ticket_id, block, min(block + BLOCK_BYTES, end), take)
        return crc

    def clear_away(self, ticket: Ticket) -> None:
        """Removes what is left of an ended upload, and is ours. Raises StorageFull, StorageFailed."""
        if ticket.file_is_ours:
            self.storage.delete(ticket.id)
        elif self.storage.pickup:
            self.storage.pickup.clean_up(ticket.id)
        self.unsettled.pop(ticket.id, None)

    def try_to_clear_away(self, ticket: Ticket) -> None:
        """The same where it may wait: what the disk keeps now is removed by a later sweep."""
        try:
            self.clear_away(ticket)
        except (StorageFull, StorageFailed) as exc:
            self.unsettled[ticket.id] = self.clock.now_s()
            log.warning("upload %(ticket)s: not removed yet: %(error)s", ticket.for_log(error=exc))
