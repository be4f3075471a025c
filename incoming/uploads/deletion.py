"""Deletes the files of uploads that have ended. What the storage refuses now, a later sweep deletes.

A start finds what a kill has left on a disk. Where files can't be listed like that, the end of an upload also
notes that its files are to be deleted (`Ticket.to_delete`), in the same step. The note is taken out when they
are deleted. So any process finds them, also after kills and outages. One process at a time deletes
the files of an upload. Twice would do no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from incoming.core.due import is_deletion_due
from incoming.core.errors import IncomingError, StorageFailed, StorageFull, UnknownTicket
from incoming.core.lifecycle import ENDED, Deleted, State
from incoming.core.ticket import Ticket, short_id
from incoming.registry import DELETION_LEASE
from incoming.uploads.context import UploadContext
from incoming.uploads.retry_queue import RetryQueue
from incoming.uploads.work_leases import WorkLeases

log = logging.getLogger(__name__)

AT_A_TIME: Final = 4
"""How many uploads have their files deleted at a time: few wait for a store that is away."""
MAX_UNDER_WAY: Final = 1000
"""How many uploads are forgotten at a time. The others wait for the next sweep."""
QUIET_AFTER_S: Final = 5.0
"""What was being sent of an upload when it was called off is stored after this time, or never will be."""
KEPT: Final = "upload %(ticket)s: expired, but the store has all of it, so the app may have it, and it stays"
NOT_DELETED: Final = "upload %(ticket)s: its file is not deleted yet: %(error)s"


class Deletion:
    """Deletes what is ours: never a file that its app may have moved away or still wants."""

    def __init__(self, context: UploadContext, retry_queue: RetryQueue) -> None:
        self._clock = context.clock
        self._registry = context.registry
        self._runtime = context.runtime
        self._storages = context.storages
        self._retry_queue = retry_queue
        self._leases = WorkLeases(context, DELETION_LEASE)
        self._slots = context.runtime.semaphore(AT_A_TIME)
        self._under_way: set[str] = set()
        self._lost: set[str] = set()
        """The uploads of which this process may have stored something after their end."""
        self._failed: set[str] = set()
        """The uploads whose failed deletion the log has since the last success."""

    def is_noted(self, ticket: Ticket) -> bool:
        """Returns whether the end of this upload has to note that its files are to be deleted."""
        return self._storages.of(ticket).inventory is None

    def is_missing(self, ticket: Ticket) -> bool:
        """Returns whether an upload has left files for long enough, and this process does not delete them."""
        return ticket.id not in self._under_way and is_deletion_due(ticket, self._clock.now_s())

    def after_end(self, ticket: Ticket, was_in_use: bool = False) -> None:
        """Deletes what is left of an upload that has just ended, or begins to do so. Raises nothing.

        `was_in_use`: a process may have been storing bytes of it when it ended.
        """
        if ticket.to_delete:
            self.start(ticket.id, QUIET_AFTER_S if was_in_use else 0.0)
        else:
            self.delete_or_retry(ticket)

    def start(self, ticket_id: str, delay_s: float = 0.0) -> None:
        """Deletes in the background what is left of an upload that has noted it."""
        if ticket_id not in self._under_way:
            self._under_way.add(ticket_id)
            if delay_s:
                self._runtime.spawn_later(delay_s, self._delete_noted, ticket_id)
            else:
                self._runtime.spawn(self._delete_noted, ticket_id)

    def delete(self, ticket: Ticket) -> None:
        """Deletes what is left of an ended upload, if it is ours. Raises StorageFull, StorageFailed."""
        storage = self._storages.of(ticket)
        if ticket.file_is_ours and not self._app_may_have(ticket):
            storage.delete(ticket.id, ticket.destination)
        elif storage.pickup:
            storage.pickup.clean_up(ticket.id)
        self._retry_queue.discard(ticket.id)

    def _app_may_have(self, ticket: Ticket) -> bool:
        """Returns whether an app that keeps its files may have that of an upload which has expired.

        An upload with an object does not expire, unless the registry has lost its end in a failover.
        Raises StorageFailed.
        """
        objects = self._storages.of(ticket).objects
        if ticket.state is not State.EXPIRED or ticket.remove_file_when_finished or objects is None:
            return False
        is_there = objects.is_there(ticket.id, ticket.destination)
        if is_there:
            log.warning(KEPT, ticket.for_log())
        return is_there

    def after_loss(self, ticket: Ticket) -> None:
        """Another process has this upload, or has ended it. Deletes what this one stores after its end.

        A process that was suspended may resume after the files were deleted, and store what it had begun to
        send. It deletes that itself; if it is killed first, `forget` does. If the upload has not ended, the
        process that ends it deletes the files. Raises nothing.
        """
        if self.is_noted(ticket) and ticket.id not in self._lost:
            self._lost.add(ticket.id)
            self._runtime.spawn_later(QUIET_AFTER_S, self._delete_late, ticket)

    def _delete_late(self, ticket: Ticket) -> None:
        self._lost.discard(ticket.id)
        try:
            ticket = self._registry.get(ticket.id)
        except UnknownTicket:
            return  # nothing proves that it has ended: the registry may have lost it
        except StorageFailed:
            self.after_loss(ticket)
            return
        if ticket.to_delete:
            self.after_loss(ticket)  # the deletion may have looked before
        elif ticket.state in ENDED:
            with self._slots:
                self.delete_or_retry(ticket)

    def forget(self, ticket: Ticket, forget: Callable[[Ticket], None]) -> None:
        """Deletes the files of an ended upload once more, in the background, and then forgets its ticket.

        A process may have stored something after the first deletion, and was killed then. Raises nothing: if
        this fails, the next sweep repeats it.
        """
        if ticket.id not in self._under_way and len(self._under_way) < MAX_UNDER_WAY:
            self._under_way.add(ticket.id)
            self._runtime.spawn(self._forget, ticket, forget)

    def _forget(self, ticket: Ticket, forget: Callable[[Ticket], None]) -> None:
        try:
            with self._slots:
                self.delete(ticket)
            forget(ticket)
        except Exception as exc:
            self._tell_failure(ticket.id, exc)
        finally:
            self._under_way.discard(ticket.id)

    def delete_or_retry(self, ticket: Ticket) -> None:
        """Deletes what is left of an ended upload, if it is ours. If that fails, a later sweep repeats it.

        Raises nothing.
        """
        try:
            self.delete(ticket)
        except (StorageFull, StorageFailed) as exc:
            self._retry_queue.add(ticket.id, self._clock.now_s())
            about = ticket.for_log(error=exc)
            log.warning(NOT_DELETED, about)

    def _delete_noted(self, ticket_id: str) -> None:
        try:
            with self._slots:
                if self._leases.acquire(ticket_id):
                    try:
                        self._delete_leased(ticket_id)
                    finally:
                        self._leases.release(ticket_id)
            self._failed.clear()
        except UnknownTicket:
            pass  # another process was faster
        except Exception as exc:
            self._tell_failure(ticket_id, exc)  # the registry has the note, so any process tries it again
        finally:
            self._under_way.discard(ticket_id)

    def _tell_failure(self, ticket_id: str, exc: Exception) -> None:
        defect = None if isinstance(exc, IncomingError) else exc
        level = logging.DEBUG if ticket_id in self._failed and not defect else logging.WARNING
        self._failed.add(ticket_id)
        about = {"ticket": short_id(ticket_id), "error": exc}
        log.log(level, NOT_DELETED, about, exc_info=defect)

    def _delete_leased(self, ticket_id: str) -> None:
        ticket = self._registry.get(ticket_id)
        if ticket.to_delete:
            self.delete(ticket)
            self._registry.change(ticket_id, Deleted())
