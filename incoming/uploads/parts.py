"""Uploads in parts: creates parts, and lets clients claim, write and discard them.

A part is claimed, written and taken over like a whole upload, by an id of its own. The ticket is UPLOADING
while a client holds one of its parts. Nobody can claim it as a whole until its parts have become the file:
see `assemblies`.

The lock of a ticket is taken before those of its parts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from incoming.core.errors import (
    FilesOnly,
    IncomingError,
    NotInParts,
    StorageFailed,
    TakenOver,
    UnknownPart,
    UploadCancelled,
    UploadTooLarge,
    WrongState,
)
from incoming.core.lifecycle import (
    CALLED_OFF,
    AddPart,
    Claim,
    ClaimPart,
    Release,
    RemovePart,
    SetPartLength,
    State,
)
from incoming.core.news import CalledOff, Interrupted
from incoming.core.parts import NO_PARTS, UploadParts, part_id, split_part_id
from incoming.core.progress import Progress
from incoming.core.ticket import Ticket
from incoming.registry import NewsListener
from incoming.storage import PartWriter, Writer
from incoming.uploads.admission import Admission
from incoming.uploads.claims import ClaimedUpload, Claims, LiveUpload, PendingClaim
from incoming.uploads.context import UploadContext
from incoming.uploads.integrity import Keep
from incoming.uploads.part_admission import PartAdmission

log = logging.getLogger(__name__)

WHOLE_FILES_ONLY: Final = "The storage of this server takes whole files only."
COMPLETE: Final = "The parts of this upload are complete: they become the file, or have become it."


class PartUploads:
    """The parts of all uploads. Its methods raise IncomingError, and no other error on purpose."""

    def __init__(
        self, context: UploadContext, claims: Claims, whole: Admission, check_running: Callable[[], None],
        on_complete: Callable[[str], None],
    ) -> None:  # fmt: skip
        """`whole`: lets whole uploads in. `check_running` raises why nothing new may begin.

        `on_complete` is called with the id of a ticket when one of its parts has become complete.
        """
        self.context = context
        self.claims = claims
        self.whole = whole
        self.check_running = check_running
        self.admission = PartAdmission(context, whole, claims)
        self._on_complete = on_complete
        self._examined: set[str] = set()
        """The uploads in parts that were looked at since the start, which may have been after a power cut."""
        self._registry = context.registry
        self._storages = context.storages

    # --- for clients: one part ---------------------------------------------------------------------------

    def ticket(self, upload_id: str) -> Ticket:
        """Returns what would be the ticket of this part. Raises UnknownTicket, UnknownPart.

        A ticket that was called off has forgotten its parts.
        """
        ticket_id, number = split_part_id(upload_id)
        ticket = self._registry.get(ticket_id)
        return replace(ticket, id=upload_id) if ticket.state in CALLED_OFF else ticket.of_part(number)

    def create(self, ticket_id: str, length_bytes: int | None, upload_metadata: str, source: str = "") -> str:
        """Adds a part to an upload. Returns the id of the part. Each call adds another one.

        Raises UnknownTicket, UploadCancelled, UploadExpired, HandoverFailed, NotInParts, FilesOnly,
        TooManyParts, UploadTooLarge; retryable: StorageFull, StorageFailed, Stopping, TooMany.
        """
        self.check_running()
        ticket = self._registry.get(ticket_id)
        if ticket.is_folder:
            raise FilesOnly("An upload in parts")
        if self._storages.of(ticket).parts is None:
            raise NotInParts(WHOLE_FILES_ONLY)
        self.examine(ticket_id)
        with self.claims.lock(ticket_id):
            ticket = self._registry.get(ticket_id)
            self.whole.check(ticket, None)
            if ticket.is_assembled or (ticket.is_in_parts and self.are_complete(ticket)):
                raise NotInParts(COMPLETE)
            event = AddPart(length_bytes, upload_metadata)
            upload = _newest_part(ticket.apply(event, self.context.clock.now_s()))
            self.admission.let_new_part_in(upload, source)
            try:
                upload = _newest_part(self._registry.change(ticket_id, event, seen=ticket))
            except IncomingError:
                self.admission.release(upload.id)
                raise
        about = upload.for_log(part=split_part_id(upload.id)[1])
        log.info("upload %(ticket)s: part %(part)d created, of %(length_bytes)s bytes", about)
        return upload.id

    def claim(
        self, upload_id: str, claim: Claim, listener: NewsListener, source: str = "",
        lease_s: float | None = None,
    ) -> ClaimedUpload:  # fmt: skip
        """Gives a part to a client; see `Uploads.claim`.

        Raises UnknownPart, WrongState once the file is being made of the parts, and what `Uploads.claim`
        raises.
        """
        with self.claims.pending_claim(upload_id) as pending:
            return self._claim(pending, upload_id, claim, listener, source, lease_s)

    def _claim(  # noqa: PLR0913, PLR0917 - as `claim`
        self, pending: PendingClaim, upload_id: str, claim: Claim, listener: NewsListener, source: str,
        lease_s: float | None,
    ) -> ClaimedUpload:  # fmt: skip
        self.check_running()
        ticket_id, number = split_part_id(upload_id)
        self.examine(ticket_id)
        with self.claims.lock(ticket_id), self.claims.lock(upload_id) as live:
            ticket = self._registry.get(ticket_id)
            upload = self._claimable(ticket, number, claim.length_bytes)
            pending.check()
            writer = self._open(upload, live, source)
            try:
                ticket = self._registry.change(ticket_id, ClaimPart())
                if claim.length_bytes is not None:
                    ticket = self._measure(ticket, upload, writer, claim.length_bytes)
            except IncomingError:
                if live.holder is None:
                    self._close(upload, live)
                self._pause_if_idle(ticket_id)
                raise
            upload = replace(ticket.of_part(number), token=claim.token)
            offset_bytes = writer.durable_offset
            claimed = ClaimedUpload(
                upload,
                offset_bytes,
                listener,
                end_bytes=offset_bytes if upload.length_bytes is None else upload.length_bytes,
                pace=self.whole.pace(ticket),
                lease_s=lease_s,
            )
            claimed.update_offsets(writer)
            self.claims.overtake(upload_id, pending)
            self.claims.hand_to(live, claimed, Interrupted(TakenOver()))
        about = upload.for_log(part=number, offset_bytes=offset_bytes)
        log.info("upload %(ticket)s: part %(part)d claimed at %(offset_bytes)d bytes", about)
        return claimed

    def _claimable(self, ticket: Ticket, number: int, length_bytes: int | None) -> Ticket:
        """Returns what would be the ticket of a part that may be claimed. Raises as `claim`."""
        self.whole.check(ticket, None)
        upload = ticket.of_part(number)
        if not ticket.is_in_parts or self.are_complete(ticket):
            raise WrongState(COMPLETE)
        for known_bytes in (upload.length_bytes, length_bytes):
            self.admission.check(upload, known_bytes)
        return upload

    def _open(self, upload: Ticket, live: LiveUpload, source: str) -> Writer:
        """Opens a part; a takeover gets the open one. Raises StorageFull, StorageFailed, TooMany."""
        writer = live.writer
        if writer is None:
            live.writer = writer = self.admission.open(upload, upload.length_bytes, source)
            return writer
        if writer.durable_offset < writer.taken_bytes:
            writer.truncate(writer.durable_offset)  # the rest waits for a checksum that nobody sends any more
        self.admission.ensure_reserved(upload, writer)
        self.admission.reserve(upload, writer)
        return writer

    def write(
        self, claim: ClaimedUpload, chunk: memoryview, crc: int | None = None, keep: Keep | None = None
    ) -> float:
        """Appends the chunk to a part; see `Uploads.write`. `crc` and `keep` are not used."""
        upload = claim.ticket
        with self.claims.lock(upload.id) as live:
            writer = self._writer(claim, live)
            if writer.taken_bytes + len(chunk) > claim.end_bytes:
                claim.end_bytes = self.admission.extend(upload, writer, len(chunk))
            self.admission.ensure_reserved(upload, writer)
            writer.write(chunk)
            self.context.counters.stored_bytes += len(chunk)
            self.claims.moved(upload.id, live, self.context.clock.now_s())
            self.admission.reserve(upload, writer)
            claim.update_offsets(writer)
            is_complete = writer.durable_offset == upload.length_bytes
        if is_complete:
            self._on_complete(split_part_id(upload.id)[0])
        return claim.pace.delay_s(len(chunk), self.context.runtime.now_s())

    def _writer(self, claim: ClaimedUpload, live: LiveUpload) -> PartWriter:
        """Returns the open file of a claim that still holds its part. Raises why it does not."""
        self.claims.use(claim)
        return live.require_writer()

    def set_length(self, claim: ClaimedUpload, length_bytes: int) -> None:
        """Sets the length of a part that was created without one. It may be repeated.

        Raises why the claim was lost, LengthMismatch, UploadTooLarge; retryable: TooMany, StorageFull,
        StorageFailed.
        """
        upload = claim.ticket
        ticket_id, number = split_part_id(upload.id)
        with self.claims.lock(ticket_id), self.claims.lock(upload.id) as live:
            writer = self._writer(claim, live)
            ticket = self._measure(self._registry.get(ticket_id), upload, writer, length_bytes)
            claim.ticket = replace(ticket.of_part(number), token=claim.token)
            claim.end_bytes = length_bytes
            self.admission.reserve(claim.ticket, writer)
            is_complete = writer.durable_offset == length_bytes
        if is_complete:
            self._on_complete(split_part_id(upload.id)[0])

    def prove(self, claim: ClaimedUpload) -> None:
        """Does nothing: what is said of a part with its claim counts at once; see `Uploads.prove`."""

    def _measure(self, ticket: Ticket, upload: Ticket, writer: Writer, length_bytes: int) -> Ticket:
        """Returns the ticket with the length of one part. Raises as `set_length`."""
        self.admission.check(upload, length_bytes)
        event = SetPartLength(split_part_id(upload.id)[1], length_bytes, writer.durable_offset)
        self.check_length(ticket.apply(event, self.context.clock.now_s()))
        self.admission.ensure_space_for_length(upload, length_bytes, writer, writer.taken_bytes)
        return self._registry.change(ticket.id, event, seen=ticket)

    def check_length(self, ticket: Ticket) -> None:
        """Raises UploadTooLarge if the file of these parts is too large, which may have one of them twice."""
        parts, limit_bytes = ticket.parts or NO_PARTS, self.whole.limit_bytes(ticket)
        length_bytes = parts.length_bytes if parts.assembly else None
        if length_bytes is not None and length_bytes > limit_bytes:
            raise UploadTooLarge(length_bytes, limit_bytes)

    def flush(self, claim: ClaimedUpload) -> None:
        """Makes all taken bytes survive a kill, but for unchecked ones; see `Uploads.flush`."""
        if _has_all(claim):
            return  # they do, and the part may be in the file already
        with self.claims.lock(claim.ticket.id) as live:
            writer = self._writer(claim, live)
        writer.flush()
        claim.check()
        claim.update_offsets(writer)

    # --- bytes whose checksum comes after them -------------------------------------------------------------

    def begin_unchecked(self, claim: ClaimedUpload) -> None:
        """The next bytes do not count before `accept_unchecked`: no claim, kill or restart keeps them.

        Raises why the claim was lost.
        """
        with self.claims.lock(claim.ticket.id) as live:
            self._writer(claim, live).begin_unchecked()

    def accept_unchecked(self, claim: ClaimedUpload) -> None:
        """All stored bytes count. Raises why the claim was lost, StorageFull, StorageFailed."""
        with self.claims.lock(claim.ticket.id) as live:
            writer = self._writer(claim, live)
            writer.accept_unchecked()
            claim.update_offsets(writer)
            is_complete = writer.durable_offset == claim.ticket.length_bytes
        if is_complete:
            self._on_complete(split_part_id(claim.ticket.id)[0])

    def discard_unchecked(self, claim: ClaimedUpload) -> None:
        """Discards the bytes that do not count. Raises why the claim was lost, StorageFailed."""
        with self.claims.lock(claim.ticket.id) as live:
            writer = self._writer(claim, live)
            writer.truncate(writer.durable_offset)
            claim.update_offsets(writer)
            self.admission.reserve(claim.ticket, writer)

    # --- the end of a claim, and of a part -----------------------------------------------------------------

    def release(self, claim: ClaimedUpload) -> None:
        """Ends a claim of a part; see `Uploads.release`. Raises nothing."""
        ticket_id, _ = split_part_id(claim.ticket.id)
        with self.claims.lock(ticket_id), self.claims.lock(claim.ticket.id) as live:
            if live.holder is claim:
                self._let_go(ticket_id, claim, live)

    def end_lease(self, upload_id: str, token: str) -> bool:
        """Releases a part whose client has not come back in time. Returns False if it did meanwhile."""
        ticket_id, _ = split_part_id(upload_id)
        with self.claims.lock(ticket_id), self.claims.lock(upload_id) as live:
            now_s = self.context.clock.now_s()
            if not self.context.leases.release(upload_id, token, expired_at_s=now_s):
                return False
            if live.holder and live.holder.token == token:
                self._let_go(ticket_id, live.holder, live, has_lapsed=True)
        return True

    def _let_go(
        self, ticket_id: str, claim: ClaimedUpload, live: LiveUpload, has_lapsed: bool = False
    ) -> None:
        """Ends a claim, and pauses the upload if no part of it is held any more."""
        self.claims.mark_ended(claim, has_lapsed)
        self.claims.hand_to(live, None)
        self._close(claim.ticket, live)
        self._pause_if_idle(ticket_id)

    def _pause_if_idle(self, ticket_id: str) -> None:
        with suppress(IncomingError):  # else a sweep finds that nobody holds it
            ticket = self._registry.get(ticket_id)
            if ticket.is_in_parts and ticket.state is State.UPLOADING and not self.is_held(ticket):
                self._registry.change(ticket_id, Release())
                log.info("upload %(ticket)s: no part is being sent any more", ticket.for_log())

    def _close(self, upload: Ticket, live: LiveUpload) -> None:
        live.close()
        with suppress(StorageFailed, UnknownPart):
            self.admission.reserve_remaining(upload)

    def delete(self, upload_id: str) -> None:
        """Discards a part. Raises UnknownTicket, UnknownPart, and WrongState if the file is made of it."""
        ticket_id, number = split_part_id(upload_id)
        with self.claims.lock(ticket_id), self.claims.lock(upload_id) as live:
            ticket = self._registry.get(ticket_id)
            self.whole.check(ticket, None)
            part = (ticket.parts or NO_PARTS).get(number)
            if not ticket.is_in_parts:
                raise WrongState(COMPLETE)
            self._registry.change(ticket_id, RemovePart(number))
            self.claims.hand_to(live, None, CalledOff(UploadCancelled()))
            live.abort()
            self.admission.release(upload_id)
            storage = self._storages.of(ticket).parts
            if storage:
                with suppress(IncomingError):  # what stays goes with the ticket
                    storage.delete(ticket_id, part)
            self._pause_if_idle(ticket_id)
            self._examined.discard(ticket_id)
        log.info("upload %(ticket)s: part %(part)d deleted", ticket.for_log(part=number))

    def look(self, upload_id: str) -> Progress:
        """Returns how far a part has come. Claims nothing.

        All bytes of a part are there once the file was made. Raises UnknownTicket, UnknownPart,
        UploadCancelled, UploadExpired, HandoverFailed, StorageFailed.
        """
        upload = self.ticket(upload_id)
        self.whole.check(upload, None)
        ticket_id, number = split_part_id(upload_id)
        offset_bytes = upload.length_bytes or 0
        whole = self._registry.get(ticket_id)
        if whole.is_in_parts:
            (offset_bytes,) = self.admission.sizes(whole, [(whole.parts or NO_PARTS).get(number)])
        return Progress(upload.state, offset_bytes, upload.length_bytes, "", 0, upload.reason)

    def examine(self, ticket_id: str) -> None:
        """Reads all parts after a power cut: that may take long, so no lock is held. Raises StorageFailed."""
        if ticket_id not in self._examined:
            ticket = self._registry.get(ticket_id)
            self.admission.sizes(ticket, (ticket.parts or NO_PARTS).present)
            self._examined.add(ticket_id)

    def forget(self, ticket: Ticket) -> None:
        """Drops what is known of the parts of an upload, which are the file now, or gone."""
        self._examined.discard(ticket.id)
        for one in part_ids(ticket):
            self.admission.release(one)

    # --- for the service -----------------------------------------------------------------------------------

    def parts_of(self, ticket_id: str) -> UploadParts:
        """Returns the parts of a ticket. Raises UnknownTicket."""
        return self._registry.get(ticket_id).parts or NO_PARTS

    def is_held(self, ticket: Ticket) -> bool:
        """Returns whether a claim of any process holds one of the parts."""
        return any(self.claims.is_held(one) for one in part_ids(ticket))

    def stored_bytes(self, ticket: Ticket) -> int:
        """Returns how many bytes are stored of all parts that matter. Raises StorageFailed."""
        parts = ticket.parts or NO_PARTS
        return sum(self.admission.sizes(ticket, parts.listed or parts.present))

    def reserve_remaining(self, ticket: Ticket) -> None:
        """Reserves space for the missing bytes of all parts, after a start. Raises StorageFailed."""
        for part in (ticket.parts or NO_PARTS).present:
            self.admission.reserve_remaining(ticket.of_part(part.number), may_begin=True)

    def are_complete(self, ticket: Ticket) -> bool:
        """Returns whether all parts that make the file are complete. Raises StorageFailed."""
        listed = (ticket.parts or NO_PARTS).listed
        lengths = tuple(part.length_bytes for part in listed)
        return bool(listed) and None not in lengths and self.admission.sizes(ticket, listed) == lengths

    def end_claims(self, ticket_id: str) -> None:
        """Ends all claims of parts. The parts that make the file are complete, and no other one counts.

        The client of a complete part hears nothing. It may still be waiting for the answer to its last bytes.
        """
        with self.claims.lock(ticket_id):
            for one in part_ids(self._registry.get(ticket_id)):
                with self.claims.lock(one) as live:
                    claim = live.holder
                    is_done = claim is not None and _has_all(claim)
                    self.claims.hand_to(live, None, None if is_done else Interrupted(TakenOver()))
                    if claim:
                        self._close(claim.ticket, live)
            self._pause_if_idle(ticket_id)

    def end(self, ticket: Ticket, news: CalledOff) -> None:
        """The upload was called off: ends all claims of its parts, and tells them. The lock is held."""
        for one in part_ids(ticket):
            with self.claims.lock(one) as live:
                self.claims.hand_to(live, None, news)
                live.abort()
        self.forget(ticket)


def part_ids(ticket: Ticket) -> list[str]:
    """Returns the ids of the parts of a ticket."""
    return [part_id(ticket.id, part.number) for part in (ticket.parts or NO_PARTS).present]


def _has_all(claim: ClaimedUpload) -> bool:
    """Returns whether all bytes of a part are stored and acknowledged, by what its claim knows."""
    return claim.acknowledged_bytes == claim.ticket.length_bytes


def _newest_part(ticket: Ticket) -> Ticket:
    return ticket.of_part((ticket.parts or NO_PARTS).created)
