"""What happens by itself: tickets are taken up after a restart, expire when idle, are forgotten in the end.

`recover` does again whatever a kill may have cut off. `sweep` looks at every ticket once; how often is made
from the shortest time that has to be noticed.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Final

from incoming.errors import IncomingError, UnknownTicket
from incoming.lifecycle import ARRIVED, CALLED_OFF, RECEIVING, State
from incoming.parts import Parts
from incoming.settings import Settings
from incoming.ticket import Ticket
from incoming.uploads import Uploads

log = logging.getLogger(__name__)

LONGEST_SWEEP_INTERVAL_S: Final = 30.0
RECOVER_AGAIN_AFTER_S: Final = 60.0
TICKETS_AT_A_TIME: Final = 200
"""After so many tickets others may run."""


def distrust(parts: Parts) -> None:
    """After a power cut, before anybody comes: a file may be longer than what the disk has of it."""
    for ticket in parts.registry.tickets():
        if ticket.state in ARRIVED and not parts.settings.fsync:
            parts.doubtful.add(ticket.id)
        if ticket.state not in RECEIVING:
            continue  # it was synced, or is looked at when it is handed over
        try:
            lost_bytes = parts.storage.drop_lost(ticket.id)
        except OSError as exc:
            log.warning("upload %(ticket)s: can't be looked at: %(error)s", ticket.for_log(error=exc))
            continue
        if lost_bytes:
            about = ticket.for_log(lost_bytes=lost_bytes)
            log.warning("upload %(ticket)s: %(lost_bytes)d bytes did not reach the disk", about)


def recover(parts: Parts, uploads: Uploads) -> None:
    """Goes on where the last process stopped. A ticket that makes trouble stops no other."""
    tickets = list(parts.registry.tickets())
    for number, ticket in enumerate(tickets, 1):
        _recover(parts, uploads, ticket)
        if not number % TICKETS_AT_A_TIME:
            parts.runtime.breathe()
    parts.runtime.spawn(_keep_what_was_found, parts, tickets)
    if tickets:
        log.info("took up %(tickets)d tickets", {"tickets": len(tickets)})


def _keep_what_was_found(parts: Parts, tickets: list[Ticket]) -> None:
    """Else each start would be the last sign of life of who uploaded before, and that never expires.

    Beside the start, which it would make long; where the disk does not let us, the next start tries again.
    """
    for ticket in tickets:
        with contextlib.suppress(IncomingError):
            parts.registry.keep(ticket.id)


def _recover(parts: Parts, uploads: Uploads, ticket: Ticket) -> None:
    try:
        _take_up(parts, uploads, ticket)
    except IncomingError as exc:
        _not_yet(parts, uploads, ticket, exc)


def _complete(parts: Parts, uploads: Uploads, ticket: Ticket) -> None:
    try:
        uploads.resume(ticket)
    except IncomingError as exc:
        _not_yet(parts, uploads, ticket, exc)


def _not_yet(parts: Parts, uploads: Uploads, ticket: Ticket, exc: IncomingError) -> None:
    log.error("upload %(ticket)s: could not be taken up yet: %(error)s", ticket.for_log(error=exc))
    parts.runtime.spawn_later(RECOVER_AGAIN_AFTER_S, _recover_again, parts, uploads, ticket.id)


def _recover_again(parts: Parts, uploads: Uploads, ticket_id: str) -> None:
    """The disk was full, say. Meanwhile a client may have come, or the ticket may be gone."""
    with contextlib.suppress(UnknownTicket):
        _recover(parts, uploads, parts.registry.get(ticket_id))


def _take_up(parts: Parts, uploads: Uploads, ticket: Ticket) -> None:
    if ticket.state is State.PAUSED:
        if uploads.is_complete(ticket):
            parts.runtime.spawn(_complete, parts, uploads, ticket)  # it is read back first, which takes long
        else:
            uploads.resume(ticket)
    elif ticket.state in CALLED_OFF or ticket.state is State.FINISHED:
        parts.clear_away(ticket)
    if ticket.state is State.HANDING_OVER or (ticket.state in CALLED_OFF and not ticket.app_told):
        uploads.deliveries.start(ticket.id)


def sweep_interval_s(settings: Settings) -> float:
    """Returns how often to sweep, so that each time-out is noticed within a quarter of itself."""
    shortest_s = min(
        settings.idle_timeout_s,
        settings.handover_wait_timeout_s,
        settings.result_retention_s,
        settings.failed_retention_s,
    )
    return min(shortest_s / 4, LONGEST_SWEEP_INTERVAL_S)


def sweep(parts: Parts, uploads: Uploads) -> int:
    """Ends what has been idle for too long, asks again for what lapsed, forgets what was kept long enough.

    Returns how many uploads that were.
    """
    touched = 0
    for number, ticket in enumerate(parts.registry.tickets(), 1):
        if not number % TICKETS_AT_A_TIME:
            parts.runtime.breathe()
        try:
            touched += _look_at(parts, uploads, ticket)
        except IncomingError as exc:
            # It changed while we looked, or the disk does not let us: the next sweep sees it anew.
            log.debug("upload %(ticket)s: left to the next sweep: %(error)s", ticket.for_log(error=exc))
    return touched


def _look_at(parts: Parts, uploads: Uploads, ticket: Ticket) -> bool:
    """Returns whether there was anything to be done."""
    times = parts.settings
    idle_s = parts.clock.now_s() - ticket.changed_at_s
    match ticket.state:
        case State.ISSUED | State.PAUSED if idle_s > times.idle_timeout_s:
            uploads.expire(ticket, "idle for too long")
        case State.WAITING if idle_s > times.handover_wait_timeout_s:
            uploads.deliveries.lapse(ticket)
        case State.FAILED if idle_s > times.failed_retention_s:
            uploads.expire(ticket, "the app did not take the file")
        case State.FINISHED | State.CANCELLED | State.EXPIRED if (
            ticket.settled and idle_s > times.result_retention_s
        ):
            _forget(parts, ticket)
        case _ if ticket.id in parts.not_removed:
            parts.clear_away(ticket)
            log.info("upload %(ticket)s: removed after all", ticket.for_log())
        case _:
            return False
    return True


def _forget(parts: Parts, ticket: Ticket) -> None:
    """Removes all that is ours, again: the disk may have failed when it was first to be removed."""
    parts.clear_away(ticket)
    parts.registry.forget(ticket.id)
    log.info("upload %(ticket)s: forgotten", ticket.for_log())
