"""Admission control: the ticket's state, the limits and the free disk space decide if an upload may start."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from incoming.core.backend_requests import NewUpload
from incoming.core.errors import (
    BadChunk,
    BadParameter,
    IncomingError,
    LengthMismatch,
    StorageFailed,
    StorageFull,
    TakenOver,
    TooMany,
    UploadCancelled,
    UploadExpired,
    UploadTooLarge,
)
from incoming.core.lifecycle import RECEIVING, State
from incoming.core.networks import Networks, address, reached
from incoming.core.rate_limit import Pace
from incoming.core.storage_kinds import KINDS
from incoming.core.ticket import FOLDER, Ticket, short_id
from incoming.core.units import MIB
from incoming.storage import FreeSpace, Storage, Writer
from incoming.uploads.context import UploadContext
from incoming.uploads.disk_budget import DiskBudget
from incoming.uploads.outbox import failure

log = logging.getLogger(__name__)

NO_LIMIT_BYTES: Final = 1 << 63
RESERVATION_STEP_BYTES: Final = 16 * MIB
"""How much more space is reserved each time for a file of unknown length."""
Why = StorageFailed | TakenOver | None
"""Why a storage has given up on bytes, if it has."""
UNUSED_AFTER_S: Final = 5.0
"""How long an upload without a byte keeps its reservation while others need the space. A client sends its
first chunk as soon as it is admitted."""


class Admission:
    """Admits uploads, and reserves disk space for them."""

    def __init__(
        self, context: UploadContext, is_sending: Callable[[str], bool] = lambda _: False,
        budgets: DiskBudgets | None = None, on_durable: Callable[[str, Why], object] = lambda *_: None,
    ) -> None:  # fmt: skip
        """`is_sending` says whether bytes of an upload are coming in now, by its id.

        `on_durable` hears what `Storage.open` tells of an upload, by its id.
        """
        self._is_sending = is_sending
        self._on_durable = on_durable
        self._settings = context.settings
        self._clock = context.clock
        self._registry = context.registry
        self._storages = context.storages
        self._shares = context.shares
        self._refused = Networks(context.settings.handover_refused)
        self.budgets = budgets or DiskBudgets(context)
        self._paces: dict[str, Pace] = {}

    def new_ticket(self, request: NewUpload) -> Ticket:
        """Returns a ticket as it was asked for.

        Raises BadParameter for what this server does not do, UploadTooLarge for a length that it does not
        take, TooMany when the app has too many already.
        """
        self._check_app(request.signal_finish_url)
        storage = self._storages.name(request.storage, request.dest_type == FOLDER)
        self._check_storage_options(request, self._storages.named(storage))
        now_s = self._clock.now_s()
        ticket = Ticket(
            id=str(uuid.uuid4()),
            signal_finish_url=request.signal_finish_url,
            secret=request.secret,
            secret_required=request.secret_required,
            remove_file_when_finished=request.remove_file_when_finished,
            file_owner_uid=request.file_owner_uid,
            wants_sha256=request.wants_sha256,
            metadata=request.metadata,
            max_bytes_per_s=request.max_bytes_per_s,
            max_bytes=request.max_bytes,
            length_bytes=request.length_bytes,
            return_url=request.return_url,
            destination=request.destination,
            dest_type=request.dest_type,
            storage=storage,
            issued_at_s=now_s,
            changed_at_s=now_s,
            issued_unix_s=round(time.time(), 1),
        )
        if request.length_bytes is not None and request.length_bytes > self.limit_bytes(ticket):
            raise UploadTooLarge(request.length_bytes, self.limit_bytes(ticket))
        limit = self._settings.max_unfinished_per_app
        if limit and self._registry.unfinished(ticket.app) >= limit:
            raise TooMany("unfinished uploads of this app", limit)
        return ticket

    @staticmethod
    def _check_storage_options(request: NewUpload, storage: Storage) -> None:
        """Raises BadParameter if an app asks for what the storage of its file can't do."""
        owner_uid, objects, ownership = request.file_owner_uid, storage.objects, storage.ownership
        if request.dest_type == FOLDER:
            _check_folder(request)
        if request.destination and objects is None:
            raise BadParameter("destinationKey", "is only for uploads that are stored in S3")
        if owner_uid is not None and objects:
            where = KINDS[storage.name].where
            raise BadParameter("fileOwnerUid", f"is only for files on a disk, and this one is stored {where}")
        if owner_uid is not None and not (ownership and ownership.can_give_to(owner_uid)):
            raise BadParameter("fileOwnerUid", "names a user that this server can't give files to")
        if request.destination and objects:
            objects.check_destination(request.destination)

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
        """Reserves space for the next chunk of an open file. Returns up to where bytes may come from now on.

        That is the length if it is known. Otherwise the reservation grows by a step, and each step checks the
        free space. Raises BadChunk, UploadTooLarge, StorageFull.
        """
        stored_bytes = writer.taken_bytes + chunk_bytes
        if ticket.length_bytes is not None:
            if stored_bytes > ticket.length_bytes:
                raise BadChunk(f"The file has {ticket.length_bytes} bytes, and this chunk goes beyond them.")
            return ticket.length_bytes
        limit_bytes = self.limit_bytes(ticket)
        if stored_bytes > limit_bytes:
            raise UploadTooLarge(stored_bytes, limit_bytes)
        self._ensure_space(ticket, RESERVATION_STEP_BYTES + chunk_bytes)
        return min(stored_bytes + RESERVATION_STEP_BYTES, limit_bytes)

    def ensure_space_for_length(
        self, ticket: Ticket, length_bytes: int, writer: Writer, stored_bytes: int
    ) -> None:
        """Makes sure that there is space for the rest of an open file, whose length was unknown until now.

        `stored_bytes` of it are part of the file, unless they are unchecked. Raises LengthMismatch,
        UploadTooLarge, TooMany, StorageFull.
        """
        self.check_stored(ticket, length_bytes, ticket.acknowledged_bytes(stored_bytes))
        missing_bytes = max(length_bytes - writer.accounted_bytes, 0)
        source = self.budget_of(ticket).source(ticket.id)
        self._check_share(ticket, missing_bytes, source, self._clock.now_s())
        self._ensure_space(ticket, missing_bytes)

    def check_stored(self, ticket: Ticket, length_bytes: int, stored_bytes: int) -> None:
        """Raises LengthMismatch when more is stored of a file of unknown length than this length."""
        if ticket.length_bytes is None and stored_bytes > length_bytes:
            raise LengthMismatch(replace(ticket.expected_file, min_bytes=stored_bytes), length_bytes)

    def open(
        self, ticket: Ticket, length_bytes: int | None, source: str = "", in_one_chunk: bool = False
    ) -> Writer:
        """Opens the file if the missing bytes fit, on the disk and in the source's share.

        `in_one_chunk`: the file will probably come as one chunk. While the length is unknown (None), one step
        is reserved. Raises StorageFull, StorageFailed, UploadTooLarge, TooMany, LengthMismatch.
        """
        storage, budget = self._storages.of(ticket), self.budget_of(ticket)
        size_bytes = self._size_bytes(ticket)
        stored_bytes = ticket.acknowledged_bytes(size_bytes or 0)
        if length_bytes is not None:
            self.check_stored(ticket, length_bytes, stored_bytes)
            if stored_bytes > length_bytes:
                log.error("upload %(ticket)s: the stored file is longer than declared", ticket.for_log())
                raise StorageFailed
        missing_bytes = _missing_bytes(length_bytes, self._accounted_bytes(ticket, size_bytes or 0))
        self.let_in(ticket, missing_bytes, source, begun=stored_bytes > 0)

        def on_reserve(accounted_bytes: int) -> None:
            budget.resize(ticket.id, _missing_bytes(length_bytes, accounted_bytes))

        small_files = storage.small_files if in_one_chunk and size_bytes is None else None
        if small_files and length_bytes and length_bytes <= small_files.max_bytes:
            on_durable = partial(self._on_durable, ticket.id)
            return small_files.open(ticket.id, length_bytes, on_reserve, on_durable)
        return self._open_file(ticket, length_bytes, on_reserve)

    def let_in(self, ticket: Ticket, missing_bytes: int, source: str, begun: bool) -> None:
        """Reserves `missing_bytes` for an upload. Raises StorageFull, UploadTooLarge, TooMany.

        `begun`: whether any byte of it has come.
        """
        self._check_share(ticket, missing_bytes, source, self._clock.now_s())
        self._ensure_space(ticket, missing_bytes)
        budget = self.budget_of(ticket)
        budget.reserve(ticket.id, missing_bytes, self._clock.now_s(), begun)
        budget.assign_source(ticket.id, source)

    def budget_of(self, ticket: Ticket) -> DiskBudget:
        """Returns the budget for this upload: each storage has a budget of its own."""
        return self.budgets.of(ticket)

    def source_of(self, ticket: Ticket) -> str:
        """Returns the address of the client that has it open in this process; empty if there is none."""
        return self.budget_of(ticket).source(ticket.id)

    def _size_bytes(self, ticket: Ticket) -> int | None:
        return self._storages.of(ticket).size(ticket.id)

    def _open_file(
        self, ticket: Ticket, length_bytes: int | None, on_reserve: Callable[[int], object]
    ) -> Writer:
        def on_durable(error: Why) -> None:
            self._on_durable(ticket.id, error)

        folders, key = self._storages.folders_of(ticket), ticket.destination
        if folders is None:
            storage = self._storages.of(ticket)
            return storage.open(ticket.id, length_bytes, on_reserve, on_durable, destination=key)
        writer = folders.open(ticket.id, length_bytes, on_reserve, on_durable, destination=key)
        if ticket.wants_sha256:
            writer.want_sha256()
        return writer

    def _accounted_bytes(self, ticket: Ticket, size_bytes: int | None = None) -> int:
        """Returns how much of a closed file the disk counts as used. Raises StorageFailed.

        `size_bytes`: its size, if that is known: to ask again may be a call over the network.
        """
        if space := self._storages.of(ticket).free_space:
            return space.accounted_bytes(ticket.id)
        if size_bytes is None:
            size_bytes = self._size_bytes(ticket)
        return size_bytes or 0

    def _ensure_space(self, ticket: Ticket, missing_bytes: int) -> None:
        """Makes sure that there is space. Displaces reservations of uploads without a byte if necessary.

        Raises StorageFull.
        """
        space = self._storages.of(ticket).free_space
        if space is None or self._fits(ticket, missing_bytes, self._available_bytes(space, ticket)):
            return
        if space.reclaim() and self._fits(ticket, missing_bytes, self._available_bytes(space, ticket)):
            return
        about = ticket.for_log(missing_bytes=missing_bytes)
        log.warning("upload %(ticket)s: no space for %(missing_bytes)d more bytes", about)
        raise StorageFull(missing_bytes, max(self._available_bytes(space, ticket), 0))

    def _available_bytes(self, space: FreeSpace, ticket: Ticket) -> int:
        """Returns the free space that is not reserved for others; below 0 if more is reserved than free."""
        others_bytes = self.budget_of(ticket).reserved_bytes(self._clock.now_s(), except_for=ticket.id)
        return space.free_bytes() - self._settings.min_free_mib * MIB - others_bytes

    def _fits(self, ticket: Ticket, missing_bytes: int, available_bytes: int) -> bool:
        """Returns whether the upload has space. If so, the reservations that it needs are displaced."""
        yielding, budget = [], self.budget_of(ticket)
        for other_id, size_bytes in budget.yielding(self._clock.now_s()):
            if missing_bytes <= available_bytes:
                break
            if other_id != ticket.id and not self._is_sending(other_id):
                yielding.append(other_id)
                available_bytes += size_bytes
        if missing_bytes > max(available_bytes, 0):
            return False
        for other_id in yielding:
            budget.lapse(other_id)
            about = {"ticket": short_id(other_id), "other": ticket.short_id}
            log.info("upload %(ticket)s: idle since its start, its reserved space goes to %(other)s", about)
        return True

    def ensure_reserved(self, ticket: Ticket, writer: Writer) -> None:
        """Reserves the rest of an open file again if another upload has displaced the reservation.

        Call it before bytes are stored. Raises StorageFull.
        """
        if not self.budget_of(ticket).has_reservation(ticket.id):
            self._ensure_space(ticket, _missing_bytes(ticket.length_bytes, writer.accounted_bytes))
            self.reserve(ticket, writer)

    def _check_share(self, ticket: Ticket, missing_bytes: int, source: str, now_s: float) -> None:
        """Raises UploadTooLarge or TooMany if a source would exceed its share."""
        limit_bytes = self._settings.max_unfinished_mib_per_source * MIB
        if not limit_bytes or not source:
            return
        if missing_bytes > limit_bytes:
            raise UploadTooLarge(missing_bytes, limit_bytes)
        if self._shares:
            fits = self._shares.admit(source, ticket.id, missing_bytes, limit_bytes)
        else:
            held_bytes = self.budgets.reserved_by(source, now_s, except_for=ticket.id)
            fits = missing_bytes + held_bytes <= limit_bytes
        if not fits:
            raise TooMany("bytes of unfinished uploads from this address", limit_bytes)

    def shares(self) -> dict[str, tuple[str, int]]:
        """Returns the source and the missing bytes of each upload here that counts for a source."""
        return self.budgets.shares(self._clock.now_s())

    def pace(self, ticket: Ticket) -> Pace:
        """Returns the ticket's rate limiter, which all of its claims share."""
        if not ticket.max_bytes_per_s or ticket.state not in RECEIVING:
            return Pace(0)
        return self._paces.setdefault(ticket.id, Pace(ticket.max_bytes_per_s))

    def reserve(self, ticket: Ticket, writer: Writer) -> None:
        """Reserves the bytes of an open file that the disk does not count as used yet."""
        self._reserve(ticket, writer.accounted_bytes, begun=writer.taken_bytes > 0)

    def reserve_remaining(self, ticket: Ticket, may_begin: bool = False, has_bytes: bool = True) -> None:
        """Reserves space for the missing bytes of a closed file.

        Does nothing for an upload whose reservation was displaced. `may_begin`: it may
        have none yet, as after a start. `has_bytes`: False if there is surely no file, and no
        need to look. Raises StorageFailed.
        """
        accounted_bytes = self._accounted_bytes(ticket) if has_bytes else 0
        budget = self.budget_of(ticket)
        if budget.has_reservation(ticket.id) or (may_begin and not budget.has_had_reservation(ticket.id)):
            self._reserve(ticket, accounted_bytes, begun=accounted_bytes > 0)

    def _reserve(self, ticket: Ticket, accounted_bytes: int, begun: bool) -> None:
        length_bytes = ticket.length_bytes  # each write comes here, so it calls no function for this
        missing_bytes = (
            RESERVATION_STEP_BYTES if length_bytes is None else max(length_bytes - accounted_bytes, 0)
        )
        self.budgets.of(ticket).reserve(ticket.id, missing_bytes, self._clock.now_s(), begun)

    def reserved_bytes(self) -> int:
        """Returns how many bytes unfinished uploads may still take of the free disk space."""
        return self.budgets.reserved_bytes(self._clock.now_s())

    def release(self, ticket_id: str) -> None:
        """Ends the reservation of this upload."""
        self.budgets.release(ticket_id)
        self._paces.pop(ticket_id, None)


class DiskBudgets:
    """A disk budget for each storage: the free space of one says nothing about another one."""

    def __init__(self, context: UploadContext) -> None:
        self._storages = context.storages
        idle_after_s = context.settings.reservation_idle_s
        self._by_storage = {
            storage: DiskBudget(idle_after_s, UNUSED_AFTER_S) for storage in context.storages.all
        }

    def of(self, ticket: Ticket) -> DiskBudget:
        """Returns the budget of the storage that has this upload."""
        return self._by_storage[self._storages.named_by(ticket)]

    def reserved_by(self, source: str, now_s: float, except_for: str) -> int:
        """Returns the sum of all reservations of a source, except one."""
        return sum(one.reserved_by(source, now_s, except_for) for one in self._by_storage.values())

    def shares(self, now_s: float) -> dict[str, tuple[str, int]]:
        """Returns the source and the size of each reservation that counts for a source."""
        found: dict[str, tuple[str, int]] = {}
        for budget in self._by_storage.values():
            found |= budget.shares(now_s)
        return found

    def reserved_bytes(self, now_s: float) -> int:
        """Returns the sum of all reservations that count against free space."""
        return sum(
            one.reserved_bytes(now_s) for storage, one in self._by_storage.items() if storage.free_space
        )

    def release(self, upload_id: str) -> None:
        """Ends the reservation of this upload, whichever storage has it."""
        for budget in self._by_storage.values():
            budget.release(upload_id)


def _check_folder(request: NewUpload) -> None:
    """Raises BadParameter for what is only possible for files."""
    if request.length_bytes is not None:
        raise BadParameter("lengthBytes", "is only for files: a folder has the list of its files, too")
    if request.return_url:
        raise BadParameter("returnURL", "is only for files: a form can't send a folder")


def _missing_bytes(length_bytes: int | None, allocated_bytes: int) -> int:
    """Returns how much to reserve for what the disk does not count as used by a file yet."""
    return RESERVATION_STEP_BYTES if length_bytes is None else max(length_bytes - allocated_bytes, 0)
