"""Housekeeping: recovers uploads after a start, expires idle ones, and forgets old ones.

A sweep does everything that is due. The shortest timeout decides how often it runs. Work that a kill
interrupted, or that the disk refused, is in the service's retry queue. `recover` puts the tickets of the last
process there, and starts the first sweep.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Final

from incoming.core.due import is_due, state_timeouts_s
from incoming.core.errors import IncomingError, TakenOver, UnknownTicket, WrongState
from incoming.core.lifecycle import ARRIVED, ENDED, RECEIVING, State
from incoming.core.ticket import Ticket, short_id
from incoming.registry import TICKETS_AT_A_TIME, Registry, TicketIndex
from incoming.runtime.garbage import no_collection
from incoming.settings.table import Settings
from incoming.storage import Inventory, Storage
from incoming.uploads.context import UploadContext
from incoming.uploads.power_cut_check import POWER_CUT_DESTROYED
from incoming.uploads.service import Uploads

log = logging.getLogger(__name__)

MAX_SWEEP_INTERVAL_S: Final = 30.0
RETRY_AFTER_S: Final = 60.0
"""After this time an upload that could not be completed is tried again. Each try reads its whole file."""
CHECKPOINT_INTERVAL_S: Final = 5.0
"""After a power cut, clients send again at most what they had sent in this time."""
CHECKPOINTS_PER_S: Final = 50.0
"""The limit for all uploads together. A checkpoint costs about 0.2 ms."""
SHARES_INTERVAL_S: Final = 3.0
SWEEP_FAILED: Final = "housekeeping failed, it is repeated: %(error)s"
STRAYS_NAMED: Final = 5
STRAYS: Final = (
    "%(count)d entries of data/ belong to no known ticket (%(size_bytes)d bytes): %(names)s. They are kept"
)
MAY_HAVE_BYTES: Final = (State.PAUSED, State.WAITING, State.FAILED)
"""The states without anything under way in which a file is needed."""


def _needed(registry: Registry, states: Collection[State] = MAY_HAVE_BYTES) -> Iterator[Ticket]:
    """Yields every ticket with something under way, every one in these states, and others.

    Where the tickets are far away, and many, it reads no others.
    """
    index = registry.index
    if index is None:
        yield from registry.tickets()
        return
    yield from index.active()
    for state in states:
        yield from _loaded(index, (ticket_id for _, ticket_id in index.latest(state)))


def _loaded(index: TicketIndex, ticket_ids: Iterable[str]) -> Iterator[Ticket]:
    """Yields those of these tickets that are there."""
    left = iter(ticket_ids)
    while page := list(islice(left, TICKETS_AT_A_TIME)):
        yield from index.load(page)


def require_power_cut_checks(uploads: Uploads, machine_has_run_on: bool) -> None:
    """Finds the uploads that may have lost bytes in a power cut. Call it before clients connect.

    A ticket names the boot of the machine at which all its bytes were known to be right. A ticket of an older
    version names none. Then `machine_has_run_on` says whether the machine has run since the last process. If
    it has not, bytes were lost where the file has a hole.
    """
    context = uploads.context
    in_danger = [one for one in context.storages.all if not one.survives_power_cuts]
    if not in_danger:
        return
    there = {one: _names(one) for one in in_danger}
    for ticket in _needed(context.registry):
        storage = context.storages.of(ticket)
        if storage.survives_power_cuts:
            continue
        if (ticket.boot_id == context.boot_id) if ticket.boot_id else machine_has_run_on:
            continue
        if ticket.state in ARRIVED and not context.settings.fsync:
            uploads.unsynced.add(ticket.id)
        if ticket.state not in RECEIVING or ticket.is_in_parts:
            continue  # its file is synced, or is checked at the handover; parts have checks of their own
        if ticket.boot_id or ticket.checkpoints:
            uploads.power_cut_check.require(ticket.id)
            continue
        recovery, names = storage.recovery, there.get(storage)
        if recovery is None or not _may_have_bytes(ticket, storage, names):
            continue
        try:
            lost_bytes = recovery.discard_lost(ticket.id)
        except IncomingError as exc:
            about = ticket.for_log(error=exc)
            log.warning("upload %(ticket)s: its file can't be checked: %(error)s", about)
            continue
        if lost_bytes:
            log.warning(POWER_CUT_DESTROYED, ticket.for_log(lost_bytes=lost_bytes))


def _names(storage: Storage) -> frozenset[str] | None:
    """Returns what has something in this storage; None if that can't be said: every file is looked for."""
    with contextlib.suppress(IncomingError):
        return storage.inventory.names() if storage.inventory else None
    return None


def _may_have_bytes(ticket: Ticket, storage: Storage, names: Collection[str] | None) -> bool:
    """Returns whether the storage may have something of an upload. `names`: of `_names`.

    Most tickets of a large journal have nothing there, and a look at each would take long. Where nothing can
    be listed, to delete may cost more than to look: the ticket tells whether a kill has left something.
    """
    if names is not None:
        return ticket.id in names
    return ticket.state not in ENDED or bool(storage.inventory) or ticket.is_undelivered


def recover(uploads: Uploads) -> None:
    """Resumes the uploads of the last process. Clients may connect once it has returned.

    It first reserves space for all uploads, and calls their apps again. The first sweep does the rest in a
    greenlet of its own. Later sweeps do the same for any upload with unfinished work.
    """
    context = uploads.context
    with no_collection():
        recovered = _recover_each(uploads)
    context.runtime.spawn(_sweep_first, uploads)
    context.runtime.spawn(report_strays, context)
    if recovered:
        log.info("recovered %(tickets)d tickets", {"tickets": recovered})


def _recover_each(uploads: Uploads) -> int:
    """Reserves space for each upload, and calls its app again. Returns how many tickets it has looked at."""
    context = uploads.context
    number = 0
    stored = {storage: _names(storage) for storage in context.storages.all}
    for number, ticket in enumerate(_to_recover(context, stored), 1):
        storage = context.storages.of(ticket)
        may_have_bytes = _may_have_bytes(ticket, storage, stored[context.storages.named_by(ticket)])
        has_ended = ticket.state in ENDED and not ticket.to_delete
        if ticket.state is State.PAUSED and storage.free_space:
            try:
                uploads.paused.reserve_remaining(ticket, may_have_bytes)
            except IncomingError:
                may_have_bytes = True  # the sweep tries it again, and logs it
        if (has_ended or ticket.state is State.PAUSED) and (may_have_bytes or ticket.is_whole):
            uploads.retry_queue.add(ticket.id, context.clock.now_s())
        if uploads.outbox.is_missing(ticket):
            uploads.outbox.start(ticket.id)
        if ticket.to_delete and context.registry.index is None:  # else another process may be about to
            uploads.deletion.start(ticket.id)
        if not number % TICKETS_AT_A_TIME:
            context.runtime.yield_if_due()
    return number


def _sweep_first(uploads: Uploads) -> None:
    try:
        sweep(uploads)
    except IncomingError as exc:
        log.warning(SWEEP_FAILED, {"error": exc})


def _to_recover(context: UploadContext, stored: Mapping[Storage, frozenset[str] | None]) -> Iterator[Ticket]:
    """Yields the tickets for which a start may have work. `stored`: `_names` of each storage.

    An index tells which have something under way, or only have to be completed. Space is reserved for paused
    ones, and what has ended is of interest while there is a file.
    """
    registry = context.registry
    yield from _needed(registry, (State.PAUSED,) if any(storage.free_space for storage in stored) else ())
    if registry.index:
        for names in stored.values():
            # Without names, what has ended is deleted when it is forgotten.
            yield from _loaded(registry.index, names or ())


def keep_checkpoints(uploads: Uploads) -> None:
    """Journals checkpoints of the acknowledged bytes every few seconds, until the process ends."""
    moved = 0
    while True:
        uploads.context.runtime.sleep(max(CHECKPOINT_INTERVAL_S, moved / CHECKPOINTS_PER_S))
        try:
            moved = uploads.keep_checkpoints()
        except Exception:
            log.exception("a defect: checkpoints failed")


def keep_shares(uploads: Uploads) -> None:
    """Tells the other processes every few seconds what the uploads of each address lack, until the end."""
    shares, runtime = uploads.context.shares, uploads.context.runtime
    if shares is None or not uploads.context.settings.max_unfinished_mib_per_source:
        return
    while True:
        runtime.sleep(SHARES_INTERVAL_S)
        try:
            shares.keep(uploads.admission.shares())
        except IncomingError as exc:
            log.debug("the shares of addresses are not up to date: %(error)s", {"error": exc})
        except Exception:
            log.exception("a defect: the shares of addresses failed")


def report_strays(context: UploadContext) -> None:
    """Logs the entries of the storage that belong to no ticket. It changes nothing."""
    for storage in context.storages.all:
        if storage.inventory:
            _report_strays(context, storage.inventory)


def _report_strays(context: UploadContext, inventory: Inventory) -> None:
    try:
        strays = inventory.strays(lambda names: _known_among(names, context.registry))
    except IncomingError as exc:
        log.warning("data/ can't be listed: %(error)s", {"error": exc})
        return
    if strays.names:
        names = ", ".join(short_id(name) for name in strays.names[:STRAYS_NAMED])
        names += ", ..." if len(strays.names) > STRAYS_NAMED else ""
        log.warning(STRAYS, {"count": len(strays.names), "size_bytes": strays.size_bytes, "names": names})


def _known_among(names: Collection[str], registry: Registry) -> set[str]:
    """Returns which of these names are ids of tickets, and perhaps other ids."""
    tickets = _loaded(registry.index, names) if registry.index else registry.tickets()
    return {ticket.id for ticket in tickets}


def sweep_interval_s(settings: Settings) -> float:
    """Returns the time between two sweeps: a quarter of the shortest timeout, or less."""
    shortest_s = min(
        settings.idle_timeout_s,
        settings.handover_wait_timeout_s,
        settings.result_retention_s,
        settings.failed_retention_s,
    )
    return min(shortest_s / 4, MAX_SWEEP_INTERVAL_S)


def sweep(uploads: Uploads) -> int:
    """Does everything that is due. Returns the number of uploads that it has changed.

    It expires idle uploads, calls apps again, forgets old results, and repeats unfinished work. An upload
    that fails does not stop the others. If there are several processes, one at a time looks at all uploads.
    """
    touched = 0
    with uploads.sweeping() as is_ours:
        touched += _look_at_due(uploads, is_ours)
    with contextlib.suppress(IncomingError):
        touched += uploads.end_expired_leases()
    with contextlib.suppress(IncomingError):
        # Otherwise every start would count as a use of an upload in progress, which would never expire.
        uploads.context.registry.persist_recovered()
    return touched


def _look_at_due(uploads: Uploads, all_of_them: bool) -> int:
    """Does what is due: for all uploads, or for this process's retry queue only. Returns for how many."""
    touched = 0
    for number, ticket in enumerate(_due_tickets(uploads, all_of_them), 1):
        if not number % TICKETS_AT_A_TIME:
            uploads.context.runtime.yield_if_due()
        try:
            touched += _look_at(uploads, ticket)
        except IncomingError as exc:
            # The ticket has changed since, or the disk fails. The next sweep tries again.
            log.debug("upload %(ticket)s: left to the next sweep: %(error)s", ticket.for_log(error=exc))
    return touched


def _due_tickets(uploads: Uploads, all_of_them: bool) -> Iterator[Ticket]:
    """Yields the tickets whose time is over, if wanted, then the other ones of the retry queue."""
    registry, now_s = uploads.context.registry, uploads.context.clock.now_s()
    seen = set()
    for ticket in registry.due(now_s) if all_of_them else ():
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

    Much may have changed since the sweep began. So this decides again, about the current ticket, once it
    holds the upload's lock.
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
    """Returns what is due for this ticket, or None. It reads no file."""
    now_s = uploads.context.clock.now_s()
    if ticket.is_whole:
        return None if uploads.retry_queue.waits(ticket.id, now_s) else _retry
    if uploads.deletion.is_missing(ticket):
        return _delete
    timed_out = is_due(ticket, state_timeouts_s(uploads.context.settings), now_s)
    match ticket.state:
        case State.ISSUED | State.PAUSED if timed_out:
            return _end_idle
        case State.WAITING if timed_out:
            return _lapse
        case State.FAILED if timed_out:
            return _end_failed
        case State.FINISHED | State.CANCELLED | State.EXPIRED if timed_out and ticket.may_be_forgotten:
            return _forget
        case State.UPLOADING if uploads.paused.is_abandoned(ticket):
            return _pause
        case _ if uploads.retry_queue.is_due(ticket.id, now_s):
            return _retry
        case _ if uploads.outbox.is_missing(ticket):
            return _deliver
    return None


def _end_idle(uploads: Uploads, ticket: Ticket) -> None:
    """Expires an idle upload. A complete one is not expired: it is completed again if the disk has failed."""
    if not uploads.paused.is_complete(ticket):
        uploads.expire(ticket, "idle for too long")
    elif not uploads.retry_queue.waits(ticket.id, uploads.context.clock.now_s()):
        _retry(uploads, ticket)


def _lapse(uploads: Uploads, ticket: Ticket) -> None:
    uploads.outbox.lapse(ticket)


def _end_failed(uploads: Uploads, ticket: Ticket) -> None:
    uploads.expire(ticket, "the app did not take the file")


def _pause(uploads: Uploads, ticket: Ticket) -> None:
    paused = uploads.paused.pause_abandoned(ticket)
    log.warning("upload %(ticket)s: paused, because no client held it any more", ticket.for_log())
    if paused.is_whole:
        _retry(uploads, paused)


def _delete(uploads: Uploads, ticket: Ticket) -> None:
    """Deletes what an ended upload has left, and calls its app if it has not been told yet."""
    uploads.deletion.start(ticket.id)
    if uploads.outbox.is_missing(ticket):
        uploads.outbox.start(ticket.id)


def _deliver(uploads: Uploads, ticket: Ticket) -> None:
    """Calls the app for a process that has ended, perhaps before it had deleted what was called off."""
    if ticket.state in ENDED and not ticket.to_delete:
        uploads.deletion.delete_or_retry(ticket)
    uploads.outbox.start(ticket.id)


def _retry(uploads: Uploads, ticket: Ticket) -> None:
    """Repeats work that a kill may have interrupted, or that has failed."""
    if ticket.state in ENDED and not ticket.to_delete:
        uploads.deletion.delete(ticket)
    elif ticket.state is not State.PAUSED or not _is_to_be_completed(uploads, ticket):
        uploads.retry_queue.discard(ticket.id)
    if uploads.outbox.is_missing(ticket):
        uploads.outbox.start(ticket.id)


def _is_to_be_completed(uploads: Uploads, ticket: Ticket) -> bool:
    """Reserves space for a paused upload, and completes it if it has all its bytes.

    Returns True if it has them, or if a later sweep has to find out.
    """
    try:
        uploads.paused.reserve_remaining(ticket)
        if not uploads.paused.is_complete(ticket):
            uploads.paused.found_incomplete(ticket)
            return False
    except IncomingError as exc:
        _retry_later(uploads, ticket, exc)
        return True
    uploads.retry_queue.add(ticket.id, uploads.context.clock.now_s() + RETRY_AFTER_S)
    uploads.context.runtime.spawn(_complete, uploads, ticket)  # it reads the whole file first
    return True


def _complete(uploads: Uploads, ticket: Ticket) -> None:
    try:
        uploads.paused.complete(ticket)
    except (UnknownTicket, WrongState, TakenOver):
        return  # its client, or another process, was faster
    except Exception as exc:
        defect = None if isinstance(exc, IncomingError) else exc
        _retry_later(uploads, ticket, exc, defect)


def _retry_later(uploads: Uploads, ticket: Ticket, exc: Exception, defect: Exception | None = None) -> None:
    about = ticket.for_log(error=exc)
    log.error("upload %(ticket)s: could not be completed yet: %(error)s", about, exc_info=defect)
    uploads.retry_queue.add(ticket.id, uploads.context.clock.now_s() + RETRY_AFTER_S)


def _forget(uploads: Uploads, ticket: Ticket) -> None:
    """Forgets a ticket. Deletes the server's files again, because the disk may have failed the first time.

    Where that may take long, it is done in the background.
    """
    if uploads.deletion.is_noted(ticket):
        uploads.deletion.forget(ticket, partial(_drop, uploads))
    else:
        uploads.deletion.delete(ticket)
        _drop(uploads, ticket)


def _drop(uploads: Uploads, ticket: Ticket) -> None:
    uploads.context.registry.forget(ticket.id)
    uploads.unsynced.discard(ticket.id)
    log.info("upload %(ticket)s: ticket removed", ticket.for_log())
