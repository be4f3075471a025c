"""Admission control: the ticket's state, the limits and the free disk space decide if an upload may start."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from incoming.core.backend_requests import NewUpload
from incoming.core.errors import (
    BadChunk,
    BadParameter,
    ExpectedFile,
    IncomingError,
    LengthMismatch,
    StorageFailed,
    StorageFull,
    TooMany,
    UploadCancelled,
    UploadExpired,
    UploadTooLarge,
)
from incoming.core.lifecycle import RECEIVING, State
from incoming.core.networks import Networks, address, reached
from incoming.core.rate_limit import Pace
from incoming.core.ticket import Ticket
from incoming.storage import Room, Writer
from incoming.uploads.context import UploadContext
from incoming.uploads.disk_budget import DiskBudget
from incoming.uploads.outbox import failure

log = logging.getLogger(__name__)

MIB: Final = 1024 * 1024
NO_LIMIT_BYTES: Final = 1 << 63
PART_BYTES: Final = 16 * MIB
"""How much space is reserved at a time for a file of unknown length."""
UNUSED_AFTER_S: Final = 5.0
"""How long an upload without a byte keeps its reservation while others need the space. A client sends its
first chunk as soon as it is admitted."""


class Admission:
    """Admits uploads, and reserves disk space for them."""

    def __init__(
        self, context: UploadContext, is_sending: Callable[[str], bool] = lambda _: False,
        budget: DiskBudget | None = None,
    ) -> None:  # fmt: skip
        """`is_sending` says whether bytes of an upload are on their way in at the moment, by its id."""
        self._is_sending = is_sending
        self._settings = context.settings
        self._clock = context.clock
        self._registry = context.registry
        self._storage = context.storage
        self._refused = Networks(context.settings.handover_refused)
        self.budget = budget or DiskBudget(context.settings.reservation_idle_s, UNUSED_AFTER_S)
        self._paces: dict[str, Pace] = {}

    def new_ticket(self, request: NewUpload) -> Ticket:
        """Returns a ticket as it was asked for.

        Raises BadParameter for what this server does not do, UploadTooLarge for a length that it does not
        take, TooMany when the app has too many already.
        """
        self._check_app(request.signal_finish_url)
        owner_uid = request.file_owner_uid
        if owner_uid is not None and not self._can_give_to(owner_uid):
            raise BadParameter("fileOwnerUid", "names a user that this server can't give files to")
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
            length_bytes=request.length_bytes,
            return_url=request.return_url,
            issued_at_s=now_s,
            changed_at_s=now_s,
        )
        if request.length_bytes is not None and request.length_bytes > self.limit_bytes(ticket):
            raise UploadTooLarge(request.length_bytes, self.limit_bytes(ticket))
        limit = self._settings.max_unfinished_per_app
        if limit and self._registry.unfinished(ticket.app) >= limit:
            raise TooMany("unfinished uploads of this app", limit)
        return ticket

    def _can_give_to(self, owner_uid: int) -> bool:
        ownership = self._storage.ownership
        return ownership is not None and ownership.can_give_to(owner_uid)

    def _check_app(self, url: str) -> None:
        """Raises BadParameter. The addresses of a name are checked when it is called."""
        host = urlsplit(url).hostname
        found = address(host or "")
        if self._settings.handover_hosts and host not in self._settings.handover_hosts:
            raise BadParameter("signalFinishURL", "names a host that this server may not call")
        if found and reached(found) in self._refused:
            raise BadParameter("signalFinishURL", "names an address that this server may not call")

    def check(self, ticket: Ticket, length_bytes: int | None) -> None:
        """Raises the error if a file of this length (None: unknown) can't be uploaded, or resumed."""
        ends: dict[State, IncomingError] = {
            State.CANCELLED: UploadCancelled(),
            State.EXPIRED: UploadExpired(),
            State.FAILED: failure(ticket),
        }
        if ticket.state in ends:
            raise ends[ticket.state]
        if length_bytes is None:
            return
        limit_bytes = self.limit_bytes(ticket)
        if length_bytes > limit_bytes and ticket.state in RECEIVING:
            raise UploadTooLarge(length_bytes, limit_bytes)
        if ticket.length_bytes not in (None, length_bytes):
            raise LengthMismatch(ticket.expected_file, length_bytes)

    def limit_bytes(self, ticket: Ticket) -> int:
        """Returns how large the file of a ticket may be; NO_LIMIT_BYTES if that is not limited."""
        limits = [limit for limit in (self._settings.max_upload_bytes, ticket.max_bytes) if limit]
        return min(limits, default=NO_LIMIT_BYTES)

    def extend(self, ticket: Ticket, writer: Writer, chunk_bytes: int = 0) -> int:
        """Admits the part of an open file that the next chunk belongs to.

        Returns where the part ends, which is the length if it is known. Otherwise a part is short, and the
        free space is checked for each. Raises BadChunk, UploadTooLarge, StorageFull.
        """
        stored_bytes = writer.taken_bytes + chunk_bytes
        if ticket.length_bytes is not None:
            if stored_bytes > ticket.length_bytes:
                raise BadChunk(f"The file has {ticket.length_bytes} bytes, and this chunk is beyond them.")
            return ticket.length_bytes
        limit_bytes = self.limit_bytes(ticket)
        if stored_bytes > limit_bytes:
            raise UploadTooLarge(stored_bytes, limit_bytes)
        self._make_room(ticket, PART_BYTES + chunk_bytes)
        return min(stored_bytes + PART_BYTES, limit_bytes)

    def make_room_for_length(self, ticket: Ticket, length_bytes: int, writer: Writer) -> None:
        """Reserves space for the rest of an open file whose length was unknown until now.

        Raises LengthMismatch, UploadTooLarge, TooMany, StorageFull.
        """
        self._check_stored(ticket, length_bytes, ticket.acknowledged_bytes(writer.taken_bytes))
        missing_bytes = max(length_bytes - writer.accounted_bytes, 0)
        self._check_share(ticket, missing_bytes, self.budget.source(ticket.id), self._clock.now_s())
        self._make_room(ticket, missing_bytes)

    def _check_stored(self, ticket: Ticket, length_bytes: int, stored_bytes: int) -> None:
        """Raises LengthMismatch when more is stored of a file of unknown length than this length."""
        if ticket.length_bytes is None and stored_bytes > length_bytes:
            raise LengthMismatch(
                ExpectedFile(ticket.name, stored_bytes, ticket.last_modified_ms), length_bytes
            )

    def open(self, ticket: Ticket, length_bytes: int | None, source: str = "") -> Writer:
        """Opens the file if the missing bytes fit, on the disk and in the source's share.

        While the length is unknown (None), a part of the file counts as missing. Raises StorageFull,
        StorageFailed, UploadTooLarge, TooMany, LengthMismatch.
        """
        stored_bytes = ticket.acknowledged_bytes(self._stored_bytes(ticket.id))
        if length_bytes is not None:
            self._check_stored(ticket, length_bytes, stored_bytes)
            if stored_bytes > length_bytes:
                log.error("upload %(ticket)s: the stored file is longer than declared", ticket.for_log())
                raise StorageFailed
        missing_bytes = _missing_bytes(length_bytes, self._accounted_bytes(ticket.id))
        self.let_in(ticket, missing_bytes, source, begun=stored_bytes > 0)

        def on_reserve(accounted_bytes: int) -> None:
            self.budget.resize(ticket.id, _missing_bytes(length_bytes, accounted_bytes))

        return self._open_file(ticket.id, length_bytes, on_reserve)

    def let_in(self, ticket: Ticket, missing_bytes: int, source: str, begun: bool) -> None:
        """Keeps room for so many bytes of an upload. Raises StorageFull, UploadTooLarge, TooMany.

        `begun`: whether any byte of it has come.
        """
        self._check_share(ticket, missing_bytes, source, self._clock.now_s())
        self._make_room(ticket, missing_bytes)
        self.budget.hold(ticket.id, missing_bytes, self._clock.now_s(), begun)
        self.budget.belongs(ticket.id, source)

    def _stored_bytes(self, ticket_id: str) -> int:
        return self._storage.size(ticket_id) or 0

    def _open_file(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object]
    ) -> Writer:
        return self._storage.open(ticket_id, length_bytes, on_reserve)

    def _accounted_bytes(self, ticket_id: str) -> int:
        """Returns how much of a closed file the disk counts as used. Raises StorageFailed."""
        room = self._storage.room
        return room.accounted_bytes(ticket_id) if room else self._stored_bytes(ticket_id)

    def _make_room(self, ticket: Ticket, missing_bytes: int) -> None:
        """Displaces reservations of uploads without a byte if necessary. Raises StorageFull."""
        room = self._storage.room
        if room is None or self._fits(ticket, missing_bytes, self._room_bytes(room, ticket)):
            return
        if room.settle() and self._fits(ticket, missing_bytes, self._room_bytes(room, ticket)):
            return
        about = ticket.for_log(missing_bytes=missing_bytes)
        log.warning("upload %(ticket)s: no space for %(missing_bytes)d more bytes", about)
        raise StorageFull(missing_bytes, max(self._room_bytes(room, ticket), 0))

    def _room_bytes(self, room: Room, ticket: Ticket) -> int:
        """Returns the free space that nobody else keeps; below 0 if others keep more than is free."""
        others_bytes = self.budget.held_bytes(self._clock.now_s(), except_for=ticket.id)
        return room.free_bytes() - self._settings.min_free_mib * MIB - others_bytes

    def _fits(self, ticket: Ticket, missing_bytes: int, room_bytes: int) -> bool:
        """Returns whether the upload has room, and then has those yield that it needs to yield."""
        yielding = []
        for other_id, size_bytes in self.budget.yielding(self._clock.now_s()):
            if missing_bytes <= room_bytes:
                break
            if other_id != ticket.id and not self._is_sending(other_id):
                yielding.append(other_id)
                room_bytes += size_bytes
        if missing_bytes > max(room_bytes, 0):
            return False
        for other_id in yielding:
            self.budget.lapse(other_id)
            about = {"ticket": other_id[:8], "other": ticket.short_id}
            log.info("upload %(ticket)s: idle since its start, its reserved space goes to %(other)s", about)
        return True

    def keep_room(self, ticket: Ticket, writer: Writer) -> None:
        """Reserves the rest of an open file again if another upload has displaced the reservation.

        Has to be called before bytes are stored. Raises StorageFull.
        """
        if not self.budget.holds(ticket.id):
            self._make_room(ticket, _missing_bytes(ticket.length_bytes, writer.accounted_bytes))
            self.hold(ticket, writer)

    def _check_share(self, ticket: Ticket, missing_bytes: int, source: str, now_s: float) -> None:
        """Raises UploadTooLarge or TooMany if a source would exceed its share."""
        limit_bytes = self._settings.max_unfinished_mib_per_source * MIB
        if not limit_bytes or not source:
            return
        if missing_bytes > limit_bytes:
            raise UploadTooLarge(missing_bytes, limit_bytes)
        if missing_bytes + self.budget.held_by(source, now_s, except_for=ticket.id) > limit_bytes:
            raise TooMany("bytes of unfinished uploads from this address", limit_bytes)

    def pace(self, ticket: Ticket) -> Pace:
        """Returns the ticket's rate limiter, which all of its claims share."""
        if not ticket.max_bytes_per_s or ticket.state not in RECEIVING:
            return Pace(0)
        return self._paces.setdefault(ticket.id, Pace(ticket.max_bytes_per_s))

    def hold(self, ticket: Ticket, writer: Writer) -> None:
        """Reserves what the disk does not count as used by this open file yet."""
        self._hold(ticket, writer.accounted_bytes, begun=writer.taken_bytes > 0)

    def hold_rest(self, ticket: Ticket, anew: bool = False) -> None:
        """Reserves space for the rest of a closed file, and no longer for its writer's allocation.

        Does nothing for an upload that was displaced. `anew`: it may have no reservation yet, as at a start.
        Raises StorageFailed.
        """
        accounted_bytes = self._accounted_bytes(ticket.id)
        if self.budget.holds(ticket.id) or (anew and not self.budget.knows(ticket.id)):
            self._hold(ticket, accounted_bytes, begun=accounted_bytes > 0)

    def _hold(self, ticket: Ticket, accounted_bytes: int, begun: bool) -> None:
        length_bytes = ticket.length_bytes  # each write comes here: no call more than it needs
        missing_bytes = PART_BYTES if length_bytes is None else max(length_bytes - accounted_bytes, 0)
        self.budget.hold(ticket.id, missing_bytes, self._clock.now_s(), begun)

    def reserved_bytes(self) -> int:
        """Returns how many bytes unfinished uploads may still take of the free disk space."""
        return self.budget.held_bytes(self._clock.now_s())

    def release(self, ticket_id: str) -> None:
        """Keeps no room for this upload any more."""
        self.budget.release(ticket_id)
        self._paces.pop(ticket_id, None)


def _missing_bytes(length_bytes: int | None, allocated_bytes: int) -> int:
    """Returns how much to reserve for what the disk does not count as used by a file yet."""
    return PART_BYTES if length_bytes is None else max(length_bytes - allocated_bytes, 0)
