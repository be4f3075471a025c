"""What may be uploaded: the ticket's state, the limits and the room on the disk decide that at the start."""

from __future__ import annotations

import logging
import uuid
from typing import Final
from urllib.parse import urlsplit

from incoming.budget import DiskBudget
from incoming.deliveries import failure
from incoming.errors import (
    BadParameter,
    IncomingError,
    LengthMismatch,
    StorageFailed,
    StorageFull,
    TooMany,
    UploadCancelled,
    UploadExpired,
    UploadTooLarge,
)
from incoming.lifecycle import RECEIVING, State
from incoming.networks import Networks, address, reached
from incoming.pace import Pace
from incoming.parameters import NewUpload
from incoming.parts import Parts
from incoming.storage import Writer
from incoming.ticket import Ticket

log = logging.getLogger(__name__)

MIB: Final = 1024 * 1024


class Admission:
    """Lets uploads in, and keeps room for those that are in."""

    def __init__(self, parts: Parts) -> None:
        self._settings = parts.settings
        self._clock = parts.clock
        self._registry = parts.registry
        self._storage = parts.storage
        self._refused = Networks(parts.settings.handover_refused)
        self._budget = DiskBudget(parts.settings.reservation_idle_s)
        self._paces: dict[str, Pace] = {}

    def new_ticket(self, request: NewUpload) -> Ticket:
        """Returns a ticket as it was asked for.

        Raises BadParameter for what this server does not do, TooMany when the app has too many already.
        """
        self._check_app(request.signal_finish_url)
        owner_uid = request.file_owner_uid
        if owner_uid is not None and not self._storage.can_give_to(owner_uid):
            raise BadParameter("fileOwnerUid", "this server can't give files to that user")
        now_s = self._clock.now_s()
        ticket = Ticket(
            id=str(uuid.uuid4()),
            signal_finish_url=request.signal_finish_url,
            secret=request.secret,
            secret_required=request.secret_required,
            remove_file_when_finished=request.remove_file_when_finished,
            file_owner_uid=owner_uid,
            wants_sha256=request.wants_sha256,
            metadata=request.metadata,
            max_bytes_per_s=request.max_bytes_per_s,
            max_bytes=request.max_bytes,
            issued_at_s=now_s,
            changed_at_s=now_s,
        )
        limit = self._settings.max_unfinished_per_app
        if limit and self._registry.unfinished(ticket.app) >= limit:
            raise TooMany("unfinished uploads of this app", limit)
        return ticket

    def _check_app(self, url: str) -> None:
        """Raises BadParameter. Where a name leads is looked at when it is called."""
        host = urlsplit(url).hostname
        found = address(host or "")
        if self._settings.handover_hosts and host not in self._settings.handover_hosts:
            raise BadParameter("signalFinishURL", "its host is not one that this server may call")
        if found and reached(found) in self._refused:
            raise BadParameter("signalFinishURL", "its address is not one that this server may call")

    def check(self, ticket: Ticket, length_bytes: int) -> None:
        """Raises the reason why a file of this length can't be (or go on to be) uploaded."""
        ends: dict[State, IncomingError] = {
            State.CANCELLED: UploadCancelled(),
            State.EXPIRED: UploadExpired(),
            State.FAILED: failure(ticket),
        }
        if ticket.state in ends:
            raise ends[ticket.state]
        limits = [limit for limit in (self._settings.max_upload_bytes, ticket.max_bytes) if limit]
        if limits and length_bytes > min(limits) and ticket.state in RECEIVING:
            raise UploadTooLarge(length_bytes, min(limits))
        if ticket.length_bytes not in (None, length_bytes):
            raise LengthMismatch(ticket.file_meant, length_bytes)

    def open(self, ticket: Ticket, length_bytes: int, source: str = "") -> Writer:
        """Opens the file if there is room for what is missing of it, on the disk and in the source's share.

        Raises StorageFull, StorageFailed, UploadTooLarge, TooMany.
        """
        missing_bytes = length_bytes - (self._storage.stored_bytes(ticket.id) or 0)
        if missing_bytes < 0:
            log.error("upload %(ticket)s: its file has grown beyond its length", ticket.for_log())
            raise StorageFailed
        now_s = self._clock.now_s()
        self._check_share(ticket, missing_bytes, source, now_s)
        free_bytes = self._storage.free_bytes() - self._settings.min_free_mib * MIB
        free_bytes -= self._budget.held_bytes(now_s, except_for=ticket.id)
        if missing_bytes > max(free_bytes, 0):
            about = ticket.for_log(missing_bytes=missing_bytes)
            log.warning("upload %(ticket)s: no room for %(missing_bytes)d more bytes", about)
            raise StorageFull(missing_bytes, max(free_bytes, 0))
        self._budget.hold(ticket.id, missing_bytes, now_s)
        self._budget.belongs(ticket.id, source)
        return self._storage.open(ticket.id, length_bytes)

    def _check_share(self, ticket: Ticket, missing_bytes: int, source: str, now_s: float) -> None:
        """Raises UploadTooLarge, TooMany when a source wants to bring more than it may."""
        limit_bytes = self._settings.max_unfinished_mib_per_source * MIB
        if not limit_bytes or not source:
            return
        if missing_bytes > limit_bytes:
            raise UploadTooLarge(missing_bytes, limit_bytes)
        if missing_bytes + self._budget.held_by(source, now_s, except_for=ticket.id) > limit_bytes:
            raise TooMany("bytes of unfinished uploads from this address", limit_bytes)

    def pace(self, ticket: Ticket) -> Pace:
        """Returns the ticket's limit of speed: the same one for each connection, so that none begins anew."""
        if not ticket.max_bytes_per_s or ticket.state not in RECEIVING:
            return Pace(0)
        return self._paces.setdefault(ticket.id, Pace(ticket.max_bytes_per_s))

    def hold(self, ticket: Ticket, allocated_bytes: int) -> None:
        """Keeps room for what the disk does not count as used by this upload yet."""
        missing_bytes = max((ticket.length_bytes or 0) - allocated_bytes, 0)
        self._budget.hold(ticket.id, missing_bytes, self._clock.now_s())

    def hold_rest(self, ticket: Ticket) -> None:
        """Keeps room for what is not stored of a file that was closed: what was reserved ahead is free again.

        Does nothing for a file that no room is kept for.
        """
        if not self._budget.holds(ticket.id):
            return
        stored_bytes = self._storage.stored_bytes(ticket.id)
        if stored_bytes is not None:
            self.hold(ticket, stored_bytes)

    def reserved_bytes(self) -> int:
        """Returns how many bytes unfinished uploads may still take of the free disk space."""
        return self._budget.held_bytes(self._clock.now_s())

    def release(self, ticket_id: str) -> None:
        """Keeps no room for this upload any more."""
        self._budget.release(ticket_id)
        self._paces.pop(ticket_id, None)
