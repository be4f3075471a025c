"""Makes files of the parts of uploads.

The client says which parts make the file, once they are complete or before that. As soon as they are, the
file is made and handed over, also after a restart. From then on no part changes any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Final

from incoming.core.errors import (
    BadAssembly,
    IncomingError,
    InternalError,
    NotInParts,
    StorageFailed,
)
from incoming.core.file_name import bare_file_name
from incoming.core.lifecycle import RECEIVING, Assemble, PlanAssembly
from incoming.core.parts import NO_PARTS
from incoming.core.ticket import Ticket, short_id
from incoming.runtime.base import Signal
from incoming.runtime.keyed_locks import KeyedLocks
from incoming.uploads.integrity import Integrity
from incoming.uploads.parts import PartUploads
from incoming.uploads.retry_queue import RetryQueue

log = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 60.0
"""When an assembly that has failed is tried again."""


@dataclass(slots=True, eq=False)
class _Assembling:
    """The making of one file, which clients may wait for."""

    is_over: Signal
    error: IncomingError | None = None


class Assemblies:
    """All assemblies of this process. Its methods raise IncomingError, and no other error on purpose."""

    def __init__(
        self, parts: PartUploads, integrity: Integrity, retry_queue: RetryQueue,
        complete: Callable[[Ticket], None],
    ) -> None:  # fmt: skip
        """`complete`: see PausedUploads.complete, which calls `make`."""
        self._parts = parts
        self._context = parts.context
        self._registry = parts.context.registry
        self._runtime = parts.context.runtime
        self._integrity = integrity
        self._retry_queue = retry_queue
        self._complete = complete
        self._under_way: dict[str, _Assembling] = {}
        self._locks = KeyedLocks[str](parts.context.runtime.lock)
        """The greenlet that has one makes the file of an upload."""
        self._making: set[str] = set()

    # --- for clients ---------------------------------------------------------------------------------------

    def plan(self, ticket_id: str, event: PlanAssembly) -> bool:
        """Notes which parts make the file, as the client says. It may name others until the file is made.

        Returns whether all of them are complete: then the file is made in the background; see `wait`.

        Raises UnknownTicket, UploadCancelled, UploadExpired, HandoverFailed, BadAssembly, NotInParts,
        UploadTooLarge, LengthMismatch; retryable: StorageFull, StorageFailed, Stopping.
        """
        self._parts.check_running()
        self._parts.examine(ticket_id)
        with self._parts.claims.lock(ticket_id):
            ticket = self._registry.get(ticket_id)
            self._parts.whole.check(ticket, None)
            known = ticket.parts.assembly if ticket.parts else None
            if known is None or known.order != event.order:
                if ticket.is_assembled or (known and self._parts.are_complete(ticket)):
                    raise BadAssembly("The file is made of other parts already.")
                ticket = self._plan(ticket, event)
            is_complete = ticket.is_assembled or self._parts.are_complete(ticket)
        if is_complete and ticket.state in RECEIVING:
            self._start(ticket_id)
        return is_complete

    def _plan(self, ticket: Ticket, event: PlanAssembly) -> Ticket:
        if not ticket.is_in_parts:
            raise NotInParts
        event = replace(event, name=bare_file_name(event.name))
        self._parts.check_length(ticket.apply(event, self._context.clock.now_s()))
        planned = self._registry.change(ticket.id, event, seen=ticket)
        about = planned.for_log(parts=len(event.order))
        log.info("upload %(ticket)s: the file is made of %(parts)d parts", about)
        return planned

    def wait(self, ticket_id: str, max_s: float) -> None:
        """Returns when the file was made, or after `max_s`. Raises why it could not be made."""
        assembling = self._under_way.get(ticket_id)
        if assembling:
            assembling.is_over.wait(max_s)
            if assembling.error:
                raise assembling.error

    # --- making the file -----------------------------------------------------------------------------------

    def part_is_complete(self, ticket_id: str) -> None:
        """A part is complete. If it was the last one, the file is made in the background."""
        if self._parts.parts_of(ticket_id).assembly:
            self._runtime.spawn(self._try_to_start, ticket_id)

    def _try_to_start(self, ticket_id: str) -> None:
        with suppress(IncomingError):  # a sweep tries it again
            ticket = self._registry.get(ticket_id)
            if ticket.is_in_parts and self._parts.are_complete(ticket):
                self._start(ticket_id)

    def _start(self, ticket_id: str) -> None:
        if ticket_id not in self._under_way:
            self._under_way[ticket_id] = _Assembling(self._runtime.signal())
            self._runtime.spawn(self._run, ticket_id)

    def _run(self, ticket_id: str) -> None:
        """Makes the file of the parts, if that is still to be done, and hands it over."""
        assembling = self._under_way[ticket_id]
        try:
            self._parts.end_claims(ticket_id)
            self._complete(self._registry.get(ticket_id))
        except Exception as exc:
            defect = None if isinstance(exc, IncomingError) else exc
            assembling.error = exc if isinstance(exc, IncomingError) else InternalError()
            about = {"ticket": short_id(ticket_id), "error": exc}
            log.error(
                "upload %(ticket)s: its parts can't become the file yet: %(error)s", about, exc_info=defect
            )
            self._retry_queue.add(ticket_id, self._context.clock.now_s() + RETRY_AFTER_S)
        finally:
            del self._under_way[ticket_id]
            assembling.is_over.set()

    def make(self, ticket_id: str) -> Ticket | None:
        """Makes the file of the parts, which no claim holds. Returns the ticket with its file.

        Returns None if there is none: a part is not complete, or the upload was called off. Raises
        UnknownTicket, StorageFull, StorageFailed.
        """
        with self._locks.of(ticket_id):
            ticket = self._registry.get(ticket_id)
            if not ticket.is_in_parts or not self._parts.are_complete(ticket):
                return ticket if ticket.is_assembled else None
            self._making.add(ticket_id)
            try:
                return self._make(ticket)
            finally:
                self._making.discard(ticket_id)

    def _make(self, ticket: Ticket) -> Ticket | None:
        parts, storage = ticket.parts or NO_PARTS, self._context.storages.of(ticket).parts
        if storage is None:
            raise StorageFailed
        with ExitStack() as stack:
            on_reserve: Callable[[int], object] = _ignore
            if storage.needs_copy(parts.listed):
                on_reserve = self._parts.admission.let_copy_in(ticket, parts.length_bytes or 0)
                stack.callback(self._parts.admission.release_copy, ticket.id)
            whole = storage.assemble(ticket.id, parts.listed, lambda: self._is_wanted(ticket), on_reserve)
        with self._parts.claims.lock(ticket.id):
            if whole is None or not self._registry.get(ticket.id).is_in_parts:
                return None  # it was called off meanwhile, or the server stops
            made = self._registry.change(ticket.id, Assemble(whole, self._context.boot_id))
            self._parts.forget(ticket)
            self._integrity.adopt(made, whole)
        log.info("upload %(ticket)s: its parts are the file now, of %(length_bytes)d bytes", made.for_log())
        self.clean_up(made)
        return made

    def _is_wanted(self, ticket: Ticket) -> bool:
        with suppress(IncomingError):
            self._parts.check_running()
            return self._registry.get(ticket.id).is_in_parts
        return False

    def clean_up(self, ticket: Ticket) -> None:
        """Deletes what is left of parts that have become the file. What stays goes with the ticket."""
        storage = self._context.storages.of(ticket).parts
        if storage:
            with suppress(IncomingError):
                storage.clean_up(ticket.id)

    def after(self, ticket_id: str, act: Callable[[], None]) -> None:
        """Calls `act` while the file of this upload is not being made: now, or later in the background."""
        if ticket_id in self._making:
            self._runtime.spawn(self._with_lock, ticket_id, act)
        else:
            act()

    def _with_lock(self, ticket_id: str, act: Callable[[], None]) -> None:
        with self._locks.of(ticket_id):
            act()


def _ignore(_: int) -> None:
    """Where nothing is copied, no space is reserved."""
