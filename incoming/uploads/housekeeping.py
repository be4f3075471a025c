"""What happens by itself: tickets are taken up after a restart, expire when idle, are forgotten in the end.

`sweep` looks at every ticket once; how often is made from the shortest time that has to be noticed. What a
kill may have cut off, and what the disk has refused, is `unsettled` (see UploadContext). Sweeps settle it.
`recover` marks the tickets of the last process so, and has the first sweep begin.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Final

from incoming.core.errors import IncomingError, UnknownTicket
from incoming.core.lifecycle import ARRIVED, CALLED_OFF, RECEIVING, State
from incoming.core.ticket import Ticket
from incoming.settings.table import Settings
from incoming.uploads.context import UploadContext
from incoming.uploads.service import Uploads

log = logging.getLogger(__name__)

LONGEST_SWEEP_INTERVAL_S: Final = 30.0
TAKE_UP_AGAIN_AFTER_S: Final = 60.0
"""When an upload that could not be taken up is tried again: its file is read as a whole each time."""
CHECKPOINT_INTERVAL_S: Final = 5.0
"""At most what was uploaded in so long is sent once more after a power cut."""
CHECKPOINTS_PER_S: Final = 50.0
"""Where more uploads move than that allows, each has its checkpoint less often: it costs some 0.2 ms."""
STRAYS_NAMED: Final = 5
SHORT_NAME_CHARS: Final = 8
"""A whole id would be a secret again if its ticket were found."""
STRAYS: Final = (
    "%(count)d entries of data/ belong to no ticket that the journal knows, with %(size_bytes)d bytes: "
    "%(names)s. They are kept"
)
TICKETS_AT_A_TIME: Final = 200
"""After so many tickets others may run."""


def distrust(parts: UploadContext, machine_has_run_on: bool) -> None:
    """Before anybody comes: finds the uploads that a power cut may have taken bytes of.

    A ticket tells at which start of the machine all its bytes were right. For one of an older version, which
    does not, `machine_has_run_on` since the last process; if it has not, a hole is where bytes were lost.
    """
    there = None
    recovery, inventory = parts.storage.recovery, parts.storage.inventory
    if inventory:
        with contextlib.suppress(IncomingError):  # then each is looked for
            there = inventory.names()
    for ticket in parts.registry.tickets():
        if (ticket.boot_id == parts.boot_id) if ticket.boot_id else machine_has_run_on:
            continue
        if ticket.state in ARRIVED and not parts.settings.fsync:
            parts.doubtful.add(ticket.id)
        if ticket.state not in RECEIVING:
            continue  # it was synced, or is looked at when it is handed over
        if ticket.boot_id or ticket.checkpoints:
            parts.unproven.add(ticket.id)
            continue
        if recovery is None or (there is not None and ticket.id not in there):
            continue  # most tickets of a large journal have no bytes
        try:
            lost_bytes = recovery.discard_lost(ticket.id)
        except IncomingError as exc:
            log.warning("upload %(ticket)s: can't be looked at: %(error)s", ticket.for_log(error=exc))
            continue
        if lost_bytes:
            about = ticket.for_log(lost_bytes=lost_bytes)
            log.warning("upload %(ticket)s: %(lost_bytes)d bytes did not reach the disk", about)


def recover(parts: UploadContext, uploads: Uploads) -> None:
    """Takes up what the last process left, so that clients may come.

    Room is counted for all uploads first, and apps are told again. Whatever else may be left to be done the
    first sweep does, beside the caller: it does the same to any upload that is left over later.
    """
    tickets = list(parts.registry.tickets())
    for number, ticket in enumerate(tickets, 1):
        if ticket.state is State.PAUSED or _has_ended(ticket):
            parts.unsettled[ticket.id] = parts.clock.now_s()
        if ticket.state is State.PAUSED:
            with contextlib.suppress(IncomingError):  # the sweep tries it again, and tells
                uploads.admission.hold_rest(ticket, anew=True)
        if uploads.deliveries.is_missing(ticket):
            uploads.deliveries.start(ticket.id)
        if not number % TICKETS_AT_A_TIME:
            parts.runtime.yield_if_due()
    parts.runtime.spawn(sweep, parts, uploads)
    parts.runtime.spawn(report_strays, parts)
    if tickets:
        log.info("took up %(tickets)d tickets", {"tickets": len(tickets)})


def keep_checkpoints(parts: UploadContext, uploads: Uploads) -> None:
    """Has the journal know what was acknowledged, every few seconds, until the process ends."""
    moved = 0
    while True:
        parts.runtime.sleep(max(CHECKPOINT_INTERVAL_S, moved / CHECKPOINTS_PER_S))
        try:
            moved = uploads.keep_checkpoints()
        except Exception:
            log.exception("a defect: checkpoints failed")


def report_strays(parts: UploadContext) -> None:
    """Logs what lies in the storage and belongs to no ticket. Nothing of it is touched."""
    inventory = parts.storage.inventory
    if inventory is None:
        return
    try:
        strays = inventory.strays(lambda: {ticket.id for ticket in parts.registry.tickets()})
    except IncomingError as exc:
        log.warning("data/ can't be looked through: %(error)s", {"error": exc})
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


def sweep(parts: UploadContext, uploads: Uploads) -> int:
    """Looks at every ticket once, and does what it is time for. Returns how many uploads that were.

    It ends what has been idle for too long, asks again for what lapsed, forgets what was kept long enough,
    and takes up whatever was left over, as each start does. A ticket that makes trouble stops no other.
    """
    touched = 0
    for number, ticket in enumerate(parts.registry.tickets(), 1):
        if not number % TICKETS_AT_A_TIME:
            parts.runtime.yield_if_due()
        try:
            touched += _look_at(parts, uploads, ticket)
        except IncomingError as exc:
            # It changed while we looked, or the disk does not let us: the next sweep sees it anew.
            log.debug("upload %(ticket)s: left to the next sweep: %(error)s", ticket.for_log(error=exc))
    with contextlib.suppress(IncomingError):
        # Else each start would be the last sign of life of who uploaded before, and that never expires.
        parts.registry.keep_found()
    return touched


Act = Callable[[UploadContext, Uploads, Ticket], None]


def _look_at(parts: UploadContext, uploads: Uploads, ticket: Ticket) -> bool:
    """Does what it is time for. Returns whether there was anything.

    Much may have happened since the sweep began, so what counts is the ticket as it is once its upload's lock
    is held. The act then changes this ticket, or none.
    """
    if _due(parts, uploads, ticket) is None:
        return False
    with uploads.claims.lock(ticket.id):
        ticket = parts.registry.get(ticket.id)
        act = _due(parts, uploads, ticket)
        if act:
            act(parts, uploads, ticket)
    return act is not None


def _due(parts: UploadContext, uploads: Uploads, ticket: Ticket) -> Act | None:
    """Returns what is to be done about this ticket. Looks at nothing that takes time."""
    times, now_s = parts.settings, parts.clock.now_s()
    idle_s = now_s - ticket.changed_at_s
    match ticket.state:
        case State.ISSUED | State.PAUSED if idle_s > times.idle_timeout_s:
            return _end_idle
        case State.WAITING if idle_s > times.handover_wait_timeout_s:
            return _lapse
        case State.FAILED if idle_s > times.failed_retention_s:
            return _end_failed
        case State.FINISHED | State.CANCELLED | State.EXPIRED if (
            ticket.settled and idle_s > times.result_retention_s
        ):
            return _forget
        case State.UPLOADING if uploads.is_abandoned(ticket):
            return _pause
        case _ if parts.unsettled.get(ticket.id, now_s + 1) <= now_s:
            return _take_up
        case _ if uploads.deliveries.is_missing(ticket):
            return _tell
    return None


def _end_idle(parts: UploadContext, uploads: Uploads, ticket: Ticket) -> None:
    """Nobody came for too long; but what has all its bytes is the app's, however long the disk has failed."""
    if not uploads.is_complete(ticket):
        uploads.expire(ticket, "idle for too long")
    elif parts.unsettled.get(ticket.id, 0.0) <= parts.clock.now_s():
        _take_up(parts, uploads, ticket)


def _lapse(_: UploadContext, uploads: Uploads, ticket: Ticket) -> None:
    uploads.deliveries.lapse(ticket)


def _end_failed(_: UploadContext, uploads: Uploads, ticket: Ticket) -> None:
    uploads.expire(ticket, "the app did not take the file")


def _pause(_: UploadContext, uploads: Uploads, ticket: Ticket) -> None:
    uploads.pause_abandoned(ticket)
    log.warning("upload %(ticket)s: no connection held it any more, paused", ticket.for_log())


def _tell(_: UploadContext, uploads: Uploads, ticket: Ticket) -> None:
    uploads.deliveries.start(ticket.id)


def _take_up(parts: UploadContext, uploads: Uploads, ticket: Ticket) -> None:
    """Does what may have been cut off by a kill, or has failed since the disk refused it."""
    if _has_ended(ticket):
        parts.clear_away(ticket)
    elif ticket.state is not State.PAUSED or not _is_to_be_completed(parts, uploads, ticket):
        parts.unsettled.pop(ticket.id, None)
    if uploads.deliveries.is_missing(ticket):
        uploads.deliveries.start(ticket.id)


def _has_ended(ticket: Ticket) -> bool:
    """Returns whether the file is to be removed, as far as it is ours."""
    return ticket.state in CALLED_OFF or ticket.state is State.FINISHED


def _is_to_be_completed(parts: UploadContext, uploads: Uploads, ticket: Ticket) -> bool:
    """Counts room for a paused upload, and has it completed if it has all its bytes.

    Returns whether it is, or whether this is to be found out later.
    """
    try:
        uploads.admission.hold_rest(ticket, anew=True)
        if not uploads.is_complete(ticket):
            return False
    except IncomingError as exc:
        _not_yet(parts, ticket, exc)
        return True
    parts.unsettled[ticket.id] = parts.clock.now_s() + TAKE_UP_AGAIN_AFTER_S
    parts.runtime.spawn(_complete, parts, uploads, ticket)  # it is read back first, which takes long
    return True


def _complete(parts: UploadContext, uploads: Uploads, ticket: Ticket) -> None:
    try:
        uploads.complete_paused(ticket)
    except UnknownTicket:
        return
    except Exception as exc:
        defect = None if isinstance(exc, IncomingError) else exc
        _not_yet(parts, ticket, exc, defect)


def _not_yet(parts: UploadContext, ticket: Ticket, exc: Exception, defect: Exception | None = None) -> None:
    about = ticket.for_log(error=exc)
    log.error("upload %(ticket)s: could not be taken up yet: %(error)s", about, exc_info=defect)
    parts.unsettled[ticket.id] = parts.clock.now_s() + TAKE_UP_AGAIN_AFTER_S


def _forget(parts: UploadContext, _: Uploads, ticket: Ticket) -> None:
    """Removes all that is ours, again: the disk may have failed when it was first to be removed."""
    parts.clear_away(ticket)
    parts.registry.forget(ticket.id)
    parts.doubtful.discard(ticket.id)
    log.info("upload %(ticket)s: forgotten", ticket.for_log())
