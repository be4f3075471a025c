"""The service: issue, claim, write, complete, finish, cancel, retry, expire, recover.

Routes and transports call it and know nothing below it. Killed anywhere here, what is lost? Bytes are
acknowledged when they are in the file; the journal has each state before anybody outside is told, and before
anything is removed; `recover` does again what may not have been done.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from typing import Final
from urllib.parse import urlsplit

from incoming.budget import DiskBudget
from incoming.claims import ClaimedUpload, Claims, LiveUpload, NewsListener
from incoming.deliveries import Deliveries, failure
from incoming.errors import (
    BadParameter,
    IncomingError,
    LengthMismatch,
    Stopping,
    StorageFailed,
    StorageFull,
    TakenOver,
    UploadCancelled,
    UploadExpired,
    UploadTooLarge,
    WrongSecret,
)
from incoming.messages import bare_file_name
from incoming.parameters import NewUpload
from incoming.parts import Parts
from incoming.steps import CalledOff, Interrupted
from incoming.storage import Writer
from incoming.ticket import RECEIVING, Cancel, Claim, Complete, Expire, Release, Retry, State, Ticket

log = logging.getLogger(__name__)

MIB: Final = 1024 * 1024


class Uploads:
    """All uploads of this process. Methods raise IncomingError, and nothing else on purpose."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._registry = parts.registry
        self._storage = parts.storage
        self._claims = Claims(parts.runtime)
        self._budget = DiskBudget(parts.settings.reservation_idle_s)
        self.deliveries = Deliveries(parts, self._claims.tell)
        self._stopping = False

    # --- asked for by the app's backend ----------------------------------------------------------

    def issue(self, request: NewUpload) -> Ticket:
        """Returns a new ticket. Raises BadParameter, Stopping, StorageFull, StorageFailed."""
        self._check_running()
        hosts = self._settings.handover_hosts
        if hosts and urlsplit(request.signal_finish_url).hostname not in hosts:
            raise BadParameter("signalFinishURL", "its host is not one that this server may call")
        owner_uid = request.file_owner_uid
        if owner_uid is not None and not self._storage.can_give_to(owner_uid):
            raise BadParameter("fileOwnerUid", "this server can't give files to that user")
        now_s = self._parts.clock.now_s()
        ticket = Ticket(
            id=str(uuid.uuid4()),
            signal_finish_url=request.signal_finish_url,
            secret=request.secret,
            secret_required=request.secret_required,
            remove_file_when_finished=request.remove_file_when_finished,
            file_owner_uid=owner_uid,
            issued_at_s=now_s,
            changed_at_s=now_s,
        )
        self._registry.add(ticket)
        log.info("upload %s: ticket issued", ticket.short_id)
        return ticket

    def finish(self, ticket_id: str, secret: str) -> None:
        """The app has the file. Raises UnknownTicket, WrongSecret, WrongState."""
        self.deliveries.finish(self._with_secret(ticket_id, secret))

    def cancel_by_app(self, ticket_id: str, secret: str) -> None:
        """The app gives up. Raises UnknownTicket, WrongSecret, WrongState once the handover has begun."""
        ticket = self._with_secret(ticket_id, secret)
        if ticket.state is not State.CANCELLED:  # it may repeat a call whose answer was lost
            self._call_off(ticket, Cancel("cancelled by the app", by_app=True), UploadCancelled())

    def retry(self, ticket_id: str, secret: str) -> None:
        """Tries a failed handover again. Raises UnknownTicket, WrongSecret, WrongState."""
        ticket = self._with_secret(ticket_id, secret)
        self._registry.change(ticket.id, Retry())
        log.info("upload %s: the handover is tried again", ticket.short_id)
        self.deliveries.start(ticket.id)

    def _with_secret(self, ticket_id: str, secret: str) -> Ticket:
        ticket = self._registry.get(ticket_id)
        if not ticket.admits(secret):
            raise WrongSecret
        return ticket

    # --- asked for by a client's connection --------------------------------------------------------

    def claim(
        self, ticket_id: str, length_bytes: int, name: str, listener: NewsListener
    ) -> ClaimedUpload:
        """Gives the ticket to this connection, at once, whoever had it. `listener` hears its news.

        Raises UnknownTicket, LengthMismatch, UploadTooLarge, UploadCancelled, UploadExpired, HandoverFailed;
        retryable: StorageFull, StorageFailed, Stopping. Whoever had the ticket then keeps it.
        """
        self._check_running()
        self._check_claim(self._registry.get(ticket_id), length_bytes)
        with self._claims.lock(ticket_id) as live:
            ticket = self._registry.get(ticket_id)
            self._check_claim(ticket, length_bytes)
            if ticket.state in RECEIVING:
                self._open(ticket, length_bytes, live)
            try:
                ticket = self._registry.change(ticket_id, Claim(length_bytes, bare_file_name(name)))
            except IncomingError:
                if live.holder is None:
                    self._let_go(ticket_id, live)
                raise
            offset_bytes = live.writer.offset_bytes if live.writer else length_bytes
            claim = ClaimedUpload(ticket, offset_bytes, listener)
            self._claims.hand_to(live, claim, Interrupted(TakenOver()))
        log.info("upload %s: claimed at %d of %d bytes", ticket.short_id, offset_bytes, length_bytes)
        return claim

    def write(self, claim: ClaimedUpload, chunk: memoryview) -> None:
        """Appends the chunk. When it returns, the chunk may be acknowledged.

        Raises the reason for which the claim was lost, StorageFull, StorageFailed.
        """
        with self._claims.lock(claim.ticket.id) as live:
            claim.check()
            writer = _open_file(live)
            writer.write(chunk)
            self._hold(claim.ticket, writer.allocated_bytes)

    def complete(self, claim: ClaimedUpload) -> None:
        """All bytes are stored: makes them durable and starts the handover. Raises like `write`."""
        with self._claims.lock(claim.ticket.id) as live:
            claim.check()
            self._complete(claim.ticket, live)
        self.deliveries.start(claim.ticket.id)

    def cancel_by_client(self, claim: ClaimedUpload, reason: str) -> None:
        """The user gives up. Raises WrongState once the handover has begun; else like `write`."""
        self._call_off(claim.ticket, Cancel(reason), UploadCancelled(), claim)

    def release(self, claim: ClaimedUpload) -> None:
        """The connection is gone or pauses. Does nothing when the claim was lost. Raises nothing."""
        with self._claims.lock(claim.ticket.id) as live:
            if live.holder is not claim:
                return
            self._claims.hand_to(live, None)
            claim.lost = TakenOver()
            _close(live)
            try:
                ticket = self._registry.change(claim.ticket.id, Release())
            except IncomingError as exc:
                log.warning("upload %s: the release was not journaled: %s", claim.ticket.short_id, exc)
            else:
                log.info("upload %s: connection gone, %s", ticket.short_id, ticket.state.value)

    # --- asked for by housekeeping -----------------------------------------------------------------

    def expire(self, ticket: Ticket, reason: str) -> None:
        """Nobody came for too long."""
        self._call_off(ticket, Expire(reason), UploadExpired())

    def resume(self, ticket: Ticket, stored_bytes: int) -> None:
        """After a restart: counts a paused upload's bytes, and completes it when the last one is there."""
        length_bytes = ticket.length_bytes or 0
        self._hold(ticket, stored_bytes)
        if stored_bytes != length_bytes or not length_bytes:
            return  # an empty file is complete when its client has agreed to that
        with self._claims.lock(ticket.id) as live:
            if self._registry.get(ticket.id).state is not State.PAUSED:
                return  # its client, or a cancellation, was faster
            self._open(ticket, length_bytes, live)
            try:
                self._complete(ticket, live)
            finally:
                _close(live)
        self.deliveries.start(ticket.id)

    def stop(self) -> None:
        """Tells every client to come back later, and takes on nothing new."""
        self._stopping = True
        self.deliveries.stop()
        self._claims.tell_all(Interrupted(Stopping()))

    def claimed_count(self) -> int:
        """Returns how many uploads a connection holds."""
        return self._claims.count()

    # --- how -------------------------------------------------------------------------------------

    def _check_running(self) -> None:
        if self._stopping:
            raise Stopping

    def _check_claim(self, ticket: Ticket, length_bytes: int) -> None:
        """Raises the reason why a file of this length can't be (or go on to be) uploaded."""
        ends: dict[State, IncomingError] = {
            State.CANCELLED: UploadCancelled(),
            State.EXPIRED: UploadExpired(),
            State.FAILED: failure(ticket),
        }
        if ticket.state in ends:
            raise ends[ticket.state]
        limit_bytes = self._settings.max_upload_bytes
        if limit_bytes and length_bytes > limit_bytes and ticket.state in RECEIVING:
            raise UploadTooLarge(length_bytes, limit_bytes)
        if ticket.length_bytes not in (None, length_bytes):
            raise LengthMismatch(ticket.length_bytes or 0, length_bytes)

    def _open(self, ticket: Ticket, length_bytes: int, live: LiveUpload) -> None:
        """Opens the file unless it is; a takeover goes on with the open one. Raises StorageFull."""
        if live.writer:
            return
        missing_bytes = length_bytes - (self._storage.stored_bytes(ticket.id) or 0)
        if missing_bytes < 0:
            log.error("upload %s: its file has grown beyond its length", ticket.short_id)
            raise StorageFailed
        now_s = self._parts.clock.now_s()
        free_bytes = self._storage.free_bytes() - self._settings.min_free_mib * MIB
        free_bytes -= self._budget.held_bytes(now_s, except_for=ticket.id)
        if missing_bytes > max(free_bytes, 0):
            log.warning("upload %s: no room for %d more bytes", ticket.short_id, missing_bytes)
            raise StorageFull
        self._budget.hold(ticket.id, missing_bytes, now_s)
        live.writer = self._storage.open(ticket.id, length_bytes)

    def _hold(self, ticket: Ticket, allocated_bytes: int) -> None:
        missing_bytes = max((ticket.length_bytes or 0) - allocated_bytes, 0)
        self._budget.hold(ticket.id, missing_bytes, self._parts.clock.now_s())

    def _complete(self, ticket: Ticket, live: LiveUpload) -> None:
        """Makes the stored bytes durable, then the state; then they may be handed over."""
        writer = _open_file(live)
        if self._settings.fsync:
            writer.sync()
        if ticket.file_owner_uid is not None:
            self._storage.give_to(ticket.id, ticket.file_owner_uid)
        self._registry.change(ticket.id, Complete())
        self._let_go(ticket.id, live)
        log.info("upload %s: all %d bytes are here", ticket.short_id, ticket.length_bytes)

    def _call_off(
        self, ticket: Ticket, event: Cancel | Expire, error: UploadCancelled | UploadExpired,
        by: ClaimedUpload | None = None,
    ) -> None:  # fmt: skip
        """Journals the end, tells the client (unless it was `by` it), removes the file, tells the app."""
        with self._claims.lock(ticket.id) as live:
            if by:
                by.check()
            ended = self._registry.change(ticket.id, event)
            self._claims.hand_to(live, None, None if by is live.holder else CalledOff(error))
            if by:
                by.lost = error
            self._let_go(ticket.id, live)
        log.info("upload %s: %s: %s", ticket.short_id, ended.state.value, event.reason)
        self.deliveries.start(ticket.id)
        self._parts.try_to_clear_away(ended)

    def _let_go(self, ticket_id: str, live: LiveUpload) -> None:
        _close(live)
        self._budget.release(ticket_id)


def _open_file(live: LiveUpload) -> Writer:
    if live.writer is None:
        raise StorageFailed  # a claim of a ticket that has arrived writes nothing
    return live.writer


def _close(live: LiveUpload) -> None:
    """Closes the file. What is stored is stored, whatever the disk says to the rest."""
    writer = live.take_writer()
    if writer:
        with contextlib.suppress(StorageFull, StorageFailed):
            writer.close()


