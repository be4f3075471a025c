"""What the service does unasked: it recovers uploads after a start, expires idle ones, forgets old ones.

A sweep does everything that is due. How often it runs follows from the shortest time that has to be
noticed. Work that a kill cut off, or that the disk refused, is in the service's retry queue. `recover` puts
the tickets of the last process there, and starts the first sweep.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Final

from incoming.core.due import is_due, rest_times_s
from incoming.core.errors import IncomingError, UnknownTicket
from incoming.core.lifecycle import ARRIVED, ENDED, RECEIVING, State
from incoming.core.ticket import Ticket
from incoming.settings.table import Settings
from incoming.uploads.context import UploadContext
from incoming.uploads.service import Uploads

log = logging.getLogger(__name__)

LONGEST_SWEEP_INTERVAL_S: Final = 30.0
RETRY_AFTER_S: Final = 60.0
"""When an upload that could not be completed is tried again. Each time its whole file is read."""
CHECKPOINT_INTERVAL_S: Final = 5.0
"""After a power cut, clients send at most what they had uploaded in this time again."""
CHECKPOINTS_PER_S: Final = 50.0
"""With more uploads in progress, each gets its checkpoints less often. A checkpoint costs about 0.2 ms."""
STRAYS_NAMED: Final = 5
SHORT_NAME_CHARS: Final = 8
"""A whole id would be a secret again if its ticket were found."""
STRAYS: Final = (
    "%(count)d entries of data/ belong to no known ticket (%(size_bytes)d bytes): %(names)s. They are kept"
)
TICKETS_AT_A_TIME: Final = 200
"""After so many tickets, other greenlets may run."""


def mark_in_doubt(uploads: Uploads, machine_has_run_on: bool) -> None:
    """Finds the uploads that a power cut may have taken bytes of, before any client comes.

    A ticket names the start of the machine at which all its bytes were right. A ticket of an older version
    does not. Then `machine_has_run_on` since the last process tells; if it has not, a hole in the file is
    where bytes were lost.
    """
    context, there = uploads.context, None
    recovery, inventory = context.storage.recovery, context.storage.inventory
    if inventory:
        with contextlib.suppress(IncomingError):  # then every file is looked for
            there = inventory.names()
    for ticket in context.registry.tickets():
        if (ticket.boot_id == context.boot_id) if ticket.boot_id else machine_has_run_on:
            continue
        if ticket.state in ARRIVED and not context.settings.fsync:
            uploads.unsynced.add(ticket.id)
        if ticket.state not in RECEIVING or ticket.is_in_parts:
            continue  # its file was synced, or is checked when it is handed over; parts check themselves
        if ticket.boot_id or ticket.checkpoints:
            uploads.doubts.begin(ticket.id)
            continue
        if recovery is None or (there is not None and ticket.id not in there):
            continue  # most tickets of a large journal have no bytes
        try:
            lost_bytes = recovery.discard_lost(ticket.id)
        except IncomingError as exc:
            about = ticket.for_log(error=exc)
            log.warning("upload %(ticket)s: its file can't be checked: %(error)s", about)
            continue
        if lost_bytes:
            about = ticket.for_log(lost_bytes=lost_bytes)
            log.warning("upload %(ticket)s: a power cut destroyed %(lost_bytes)d bytes", about)


def recover(uploads: Uploads) -> None:
    """Resumes the uploads of the last process, so that clients may come.

    Reserves room for all uploads first, and calls apps again. The first sweep does the rest, beside the
    caller. It does the same to any upload with work left undone later.
    """
    context = uploads.context
    tickets = list(context.registry.tickets())
    for number, ticket in enumerate(tickets, 1):
        if ticket.state is State.PAUSED or ticket.state in ENDED:
            uploads.retry_queue.add(ticket.id, context.clock.now_s())
        if ticket.state is State.PAUSED:
            with contextlib.suppress(IncomingError):  # the sweep tries it again, and logs it
                uploads.hold_rest(ticket)
        if uploads.outbox.is_missing(ticket):
            uploads.outbox.start(ticket.id)
        if not number % TICKETS_AT_A_TIME:
            context.runtime.yield_if_due()
    context.runtime.spawn(sweep, uploads)
    context.runtime.spawn(report_strays, context)
    if tickets:
        log.info("recovered %(tickets)d tickets", {"tickets": len(tickets)})


def keep_checkpoints(uploads: Uploads) -> None:
    """Journals checkpoints of what was acknowledged, every few seconds, until the process ends."""
    moved = 0
    while True:
        uploads.context.runtime.sleep(max(CHECKPOINT_INTERVAL_S, moved / CHECKPOINTS_PER_S))
        try:
            moved = uploads.keep_checkpoints()
        except Exception:
            log.exception("a defect: checkpoints failed")


def report_strays(context: UploadContext) -> None:
    """Logs what is in the storage and belongs to no ticket. It changes nothing."""
    inventory = context.storage.inventory
    if inventory is None:
        return
    try:
        strays = inventory.strays(lambda: {ticket.id for ticket in context.registry.tickets()})
    except IncomingError as exc:
        log.warning("data/ can't be listed: %(error)s", {"error": exc})
        return
    if strays.names:
        names = ", ".join(name[:SHORT_NAME_CHARS] for name in strays.names[:STRAYS_NAMED])
        names += ", ..." if len(strays.names) > STRAYS_NAMED else ""
        log.warning(STRAYS, {"count": len(strays.names), "size_bytes": strays.size_bytes, "names": names})


def sweep_interval_s(settings: Settings) -> float:
    """Returns how often to sweep, so that each time-out is noticed within a quarter of itself."""
    shortest_s = min(
        settings.idle_timeout_s,
        settings.handover_wait_timeout_s,
        settings.result_retention_s,
        settings.failed_retention_s,
    )
    return min(shortest_s / 4, LONGEST_SWEEP_INTERVAL_S)


def sweep(uploads: Uploads) -> int:
    """Does everything that is due. Returns how many uploads it has changed.

    It expires idle uploads, asks apps again, forgets old results, and does work that was left undone. An
    upload that fails does not stop the others.
    """
    touched = 0
    for number, ticket in enumerate(_due_tickets(uploads), 1):
        if not number % TICKETS_AT_A_TIME:
            uploads.context.runtime.yield_if_due()
        try:
            touched += _look_at(uploads, ticket)
        except IncomingError as exc:
            # It has changed since, or the disk fails. The next sweep tries again.
            log.debug("upload %(ticket)s: left to the next sweep: %(error)s", ticket.for_log(error=exc))
    with contextlib.suppress(IncomingError):
        touched += uploads.end_expired_leases()
    with contextlib.suppress(IncomingError):
        # Otherwise every start would be the last use of an upload in progress, which would never expire.
        uploads.context.registry.persist_recovered()
    return touched


def _due_tickets(uploads: Uploads) -> Iterator[Ticket]:
    """Yields what is due by its own time, then what is left of the retry queue."""
    registry, now_s = uploads.context.registry, uploads.context.clock.now_s()
    seen = set()
    for ticket in registry.due(now_s):
        seen.add(ticket.id)
        yield ticket
    for ticket_id in uploads.retry_queue.due(now_s):
        if ticket_id not in seen:
            try:
                yield registry.get(ticket_id)
            except UnknownTicket:
                uploads.retry_queue.discard(ticket_id)


Act = Callable[[Uploads, Ticket], None]


def _look_at(uploads: Uploads, ticket: Ticket) -> bool:
    """Does what is due for one ticket. Returns whether there was anything to do.

    Much may have happened since the sweep began. So the ticket counts as it is once its upload's lock is
    held, and the act changes that ticket or none.
    """
    if _due_act(uploads, ticket) is None:
        return False
    with uploads.claims.lock(ticket.id):
        ticket = uploads.context.registry.get(ticket.id)
        act = _due_act(uploads, ticket)
        if act:
            act(uploads, ticket)
    return act is not None


def _due_act(uploads: Uploads, ticket: Ticket) -> Act | None:
    """Returns what is to be done about this ticket. It reads nothing that takes time."""
    now_s = uploads.context.clock.now_s()
    rested = is_due(ticket, rest_times_s(uploads.context.settings), now_s)
    match ticket.state:
        case State.ISSUED | State.PAUSED if rested:
            return _end_idle
        case State.WAITING if rested:
            return _lapse
        case State.FAILED if rested:
            return _end_failed
        case State.FINISHED | State.CANCELLED | State.EXPIRED if rested and ticket.settled:
            return _forget
        case State.UPLOADING if uploads.is_abandoned(ticket):
            return _pause
        case _ if uploads.retry_queue.is_due(ticket.id, now_s):
            return _retry
        case _ if uploads.outbox.is_missing(ticket):
            return _deliver
    return None


def _end_idle(uploads: Uploads, ticket: Ticket) -> None:
    """Expires an idle upload. One with all its bytes is the app's, however long the disk has failed."""
    if not uploads.is_complete(ticket):
        uploads.expire(ticket, "idle for too long")
    elif not uploads.retry_queue.waits(ticket.id, uploads.context.clock.now_s()):
        _retry(uploads, ticket)


def _lapse(uploads: Uploads, ticket: Ticket) -> None:
    uploads.outbox.lapse(ticket)


def _end_failed(uploads: Uploads, ticket: Ticket) -> None:
    uploads.expire(ticket, "the app did not take the file")


def _pause(uploads: Uploads, ticket: Ticket) -> None:
    uploads.pause_abandoned(ticket)
    log.warning("upload %(ticket)s: paused, because no client held it any more", ticket.for_log())


def _deliver(uploads: Uploads, ticket: Ticket) -> None:
    uploads.outbox.start(ticket.id)


def _retry(uploads: Uploads, ticket: Ticket) -> None:
    """Does what a kill may have cut off, or what has failed since."""
    if ticket.state in ENDED:
        uploads.deletion.delete(ticket)
    elif ticket.state is not State.PAUSED or not _is_to_be_completed(uploads, ticket):
        uploads.retry_queue.discard(ticket.id)
    if uploads.outbox.is_missing(ticket):
        uploads.outbox.start(ticket.id)


def _is_to_be_completed(uploads: Uploads, ticket: Ticket) -> bool:
    """Reserves room for a paused upload, and completes it if it has all its bytes.

    Returns whether it has them, or whether a later sweep has to find out.
    """
    try:
        uploads.hold_rest(ticket)
        if not uploads.is_complete(ticket):
            return False
    except IncomingError as exc:
        _retry_later(uploads, ticket, exc)
        return True
    uploads.retry_queue.add(ticket.id, uploads.context.clock.now_s() + RETRY_AFTER_S)
    uploads.context.runtime.spawn(_complete, uploads, ticket)  # it is read back first, which takes long
    return True


def _complete(uploads: Uploads, ticket: Ticket) -> None:
    try:
        uploads.complete_paused(ticket)
    except UnknownTicket:
        return
    except Exception as exc:
        defect = None if isinstance(exc, IncomingError) else exc
        _retry_later(uploads, ticket, exc, defect)


def _retry_later(uploads: Uploads, ticket: Ticket, exc: Exception, defect: Exception | None = None) -> None:
    about = ticket.for_log(error=exc)
    log.error("upload %(ticket)s: could not be completed yet: %(error)s", about, exc_info=defect)
    uploads.retry_queue.add(ticket.id, uploads.context.clock.now_s() + RETRY_AFTER_S)


def _forget(uploads: Uploads, ticket: Ticket) -> None:
    """Deletes all that is ours, again: the disk may have failed when it was deleted first."""
    uploads.deletion.delete(ticket)
    uploads.context.registry.forget(ticket.id)
    uploads.unsynced.discard(ticket.id)
    log.info("upload %(ticket)s: ticket removed", ticket.for_log())
