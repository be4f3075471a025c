"""Deletes the files of uploads that have ended. What the disk refuses now, a later sweep deletes."""

from __future__ import annotations

import logging

from incoming.core.errors import StorageFailed, StorageFull
from incoming.core.ticket import Ticket
from incoming.uploads.context import UploadContext
from incoming.uploads.retry_queue import RetryQueue

log = logging.getLogger(__name__)


class Deletion:
    """Deletes what is ours: never a file that its app may have moved away or still wants."""

    def __init__(self, context: UploadContext, retry_queue: RetryQueue) -> None:
        self._clock = context.clock
        self._storages = context.storages
        self._retry_queue = retry_queue

    def delete(self, ticket: Ticket) -> None:
        """Deletes what is left of an ended upload, if it is ours. Raises StorageFull, StorageFailed."""
        storage = self._storages.of(ticket)
        if ticket.file_is_ours:
            storage.delete(ticket.id)
        elif storage.pickup:
            storage.pickup.clean_up(ticket.id)
        self._retry_queue.discard(ticket.id)

    def delete_or_retry(self, ticket: Ticket) -> None:
        """The same, but a later sweep deletes what the disk refuses now. Raises nothing."""
        try:
            self.delete(ticket)
        except (StorageFull, StorageFailed) as exc:
            self._retry_queue.add(ticket.id, self._clock.now_s())
            about = ticket.for_log(error=exc)
            log.warning("upload %(ticket)s: its file is not deleted yet: %(error)s", about)
