"""Gives uploads to clients, and ends their claims.

A claim first takes the lease of its upload. Then the journal has its token, and then the file takes bytes of
no other claim. So no process stores bytes of an older claim after those of a newer one.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from msgspec import structs

from incoming.core.bounds import MAX_UPLOAD_METADATA_BYTES
from incoming.core.errors import (
    BadParameter,
    IncomingError,
    InParts,
    LengthMismatch,
    StorageFailed,
    TakenOver,
    UploadCancelled,
    UploadExpired,
)
from incoming.core.file_name import bare_file_name
from incoming.core.lifecycle import RECEIVING, Claim, Proved, State
from incoming.core.news import Interrupted
from incoming.core.parts import is_part_id
from incoming.core.ticket import Ticket
from incoming.registry import NewsListener
from incoming.uploads.admission import Admission
from incoming.uploads.claims import ClaimedUpload, Claims, Lease, LiveUpload, PendingClaim
from incoming.uploads.context import UploadContext
from incoming.uploads.file_proof import FileProof
from incoming.uploads.integrity import Integrity
from incoming.uploads.left_out_files import LeftOutFiles
from incoming.uploads.open_files import OpenFiles
from incoming.uploads.parts import PartUploads
from incoming.uploads.paused_uploads import PausedUploads
from incoming.uploads.power_cut_check import PowerCutCheck

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Claiming:
    """The beginning and the end of each claim of this process."""

    context: UploadContext
    claims: Claims
    admission: Admission
    integrity: Integrity
    files: OpenFiles
    power_cut_check: PowerCutCheck
    left_out: LeftOutFiles
    proof: FileProof
    parts: PartUploads
    paused: PausedUploads
    check_running: Callable[[], None]
    """Raises why nothing new may begin."""

    def claim(
        self, ticket_id: str, claim: Claim, listener: NewsListener, source: str = "",
        lease_s: float | None = None,
    ) -> ClaimedUpload:  # fmt: skip
        """Gives the upload to a client of `source`. The claim that held it before, if any, has lost it.

        `listener` hears the news of the upload. The claim lasts until it is released. With `lease_s` it also
        ends when it was not used for this time, so a client of many short requests need not release it after
        each of them. Unchecked bytes are discarded.

        If nothing of the file is stored, what the client says of it counts at once, and replaces what
        requests over HTTP have said before. Otherwise the client may have another file: see FileProof.

        After an error the claim before keeps the upload, unless it had unchecked bytes. Raises:

        - BadParameter: the metadata are too long.
        - UnknownTicket, UploadCancelled, UploadExpired, HandoverFailed: there is no such upload any more.
        - LengthMismatch, UploadTooLarge: the file can't be that of the ticket.
        - InParts: the file comes in parts.
        - TakenOver: a claim that began later was faster.
        - StorageFull, StorageFailed, Stopping, TooMany: the client may try again.
        """
        with self.claims.pending_claim(ticket_id) as pending:
            return self._claim(pending, ticket_id, claim, listener, source, lease_s)

    def _claim(  # noqa: PLR0913, PLR0917 - as `claim`
        self, pending: PendingClaim, ticket_id: str, claim: Claim, listener: NewsListener, source: str,
        lease_s: float | None,
    ) -> ClaimedUpload:  # fmt: skip
        self.check_running()
        if len(claim.upload_metadata.encode("utf-8", "replace")) > MAX_UPLOAD_METADATA_BYTES:
            raise BadParameter("Upload-Metadata", f"must have at most {MAX_UPLOAD_METADATA_BYTES} bytes")
        ticket = self.context.registry.get(ticket_id)
        self._check_admission(ticket, claim)
        self.power_cut_check.run(ticket)  # before the lock is taken: it may take long
        with self.claims.lock(ticket_id) as live:
            ticket = self.context.registry.get(ticket_id)
            is_of_other = self._check_admission(ticket, claim)
            pending.check()
            if is_of_other and live.writer:  # which was opened for another length
                self.admission.ensure_space_for_length(ticket, claim.length_bytes or 0, live.writer, 0)
                self.claims.hand_to(live, None, Interrupted(TakenOver()))
                live.abort()
            right_bytes = 0
            if ticket.state in RECEIVING:
                # A client of many requests sends a small file with the first of them.
                length_bytes = self._length_to_open(ticket, claim.length_bytes, live)
                self.files.open(ticket, length_bytes, live, source, in_one_chunk=lease_s is not None)
                right_bytes = self.files.discard_untrusted(ticket, live, claim.proves)
            event = self._claim_event(ticket, claim, right_bytes)
            # Many a small file comes in one request. Then its next change has all that is new.
            may_wait = lease_s is not None and live.writer is not None and not live.writer.durable_offset
            ticket, lease = self._take(ticket, live, event, lease_s, may_wait)
            if live.writer and ticket.state in RECEIVING:
                ticket, right_bytes = self._fence(ticket, live, lease, right_bytes, event)
            elif live.writer:
                # Another process was faster, and it has arrived.
                self.files.abandon(ticket, live, had_file=True)
            offset_bytes = live.writer.durable_offset if live.writer else ticket.length_bytes or 0
            storage = self.context.storages.of(ticket)
            claimed = ClaimedUpload(
                ticket,
                offset_bytes,
                listener,
                taken_bytes=offset_bytes,
                acknowledged_bytes=offset_bytes,
                end_bytes=offset_bytes if ticket.length_bytes is None else ticket.length_bytes,
                pace=self.admission.pace(ticket),
                lease_s=lease_s,
                window_bytes=storage.window_bytes,
                stores_later=storage.stores_later,
            )
            claimed.left_out = self.left_out.of(ticket, live)
            claimed.is_kept = lambda: self.context.registry.is_kept(ticket_id)
            claimed.on_lost = lambda: self.context.runtime.spawn(self.release, claimed)
            if live.writer:
                claimed.wait_for_capacity = live.writer.wait_for_capacity
            if ticket.would_learn(event):
                claimed.unproved = event
            if live.writer and claim.proves:
                claimed.right_bytes = right_bytes
                claimed.compare = self.proof.ranges_to_compare(
                    ticket, claim.last_modified_ms, right_bytes, offset_bytes
                )
            before = live.holder
            self.claims.overtake(ticket_id, pending)
            self.claims.hand_to(live, claimed, Interrupted(TakenOver()), lease)
        # A client of many requests makes a claim for each of them.
        is_next_request = before is not None and before.lease_s is not None and lease_s is not None
        about = ticket.for_log(offset_bytes=offset_bytes)
        level = logging.DEBUG if is_next_request else logging.INFO
        log.log(level, "upload %(ticket)s: claimed at %(offset_bytes)d of %(length_bytes)s bytes", about)
        return claimed

    def _take(
        self, ticket: Ticket, live: LiveUpload, event: Claim, lease_s: float | None, may_wait: bool
    ) -> tuple[Ticket, Lease]:
        """Takes the lease for a claim, and then makes its token that of the ticket.

        After an error the previous claim still has the upload, if it is of this process.
        """
        lease = None
        try:
            lease = self.claims.take_lease(ticket.id, event.token, lease_s)
            return self.context.registry.change(ticket.id, event, may_wait=may_wait), lease
        except IncomingError:
            if lease:
                self.claims.give_back(live, lease)
            if live.holder is None and ticket.state is State.ISSUED:
                self.files.release(ticket.id, live)
            elif live.holder is None and ticket.state in RECEIVING:
                self.files.close(ticket, live)
            self._check_admission(self.context.registry.get(ticket.id), event)  # refused just now
            raise

    def _fence(
        self, ticket: Ticket, live: LiveUpload, lease: Lease, right_bytes: int, event: Claim
    ) -> tuple[Ticket, int]:
        """Makes the file accept bytes of the newest claim only.

        Returns the ticket, and how many of the stored bytes are right. If nothing is stored, the ticket has
        what the client says of the file. No earlier claim may write from then on, because its next chunk
        would have another offset. Raises StorageFailed, StorageFull: then nobody holds the upload.
        """
        writer, before = live.require_writer(), live.holder
        taken_bytes, is_right = writer.taken_bytes, right_bytes == writer.durable_offset
        try:
            writer.fence(ticket.token)
            if ticket.length_bytes is not None and writer.durable_offset > ticket.length_bytes:
                raise StorageFailed
            if writer.durable_offset and ticket.has_other_length(event):
                raise LengthMismatch(ticket.expected_file, event.length_bytes or 0)  # it has come meanwhile
            if not writer.durable_offset and ticket.would_learn(event):
                if event.length_bytes is not None:
                    self.admission.ensure_space_for_length(ticket, event.length_bytes, writer, 0)
                ticket = self.context.registry.change(ticket.id, Proved(event, 0), ticket.token)
                self.admission.reserve(ticket, writer)
            self.integrity.begin(ticket, writer.durable_offset)
        except IncomingError:
            self.claims.hand_to(live, None, Interrupted(TakenOver()))
            self.claims.give_back(live, lease)
            live.abort()
            raise
        if before:
            before.lost = before.lost or TakenOver()
        if writer.taken_bytes != taken_bytes:
            self.admission.reserve(ticket, writer)
        return ticket, writer.durable_offset if is_right else right_bytes

    def _length_to_open(self, ticket: Ticket, length_bytes: int | None, live: LiveUpload) -> int | None:
        """Returns for which length a claim opens the file; None if what it says does not count yet.

        Raises LengthMismatch for a length below what is stored.
        """
        if length_bytes is None or ticket.length_bytes is not None or ticket.state is State.ISSUED:
            return length_bytes
        if live.writer:
            taken_bytes, stored_bytes = live.writer.taken_bytes, live.writer.durable_offset
        else:
            taken_bytes = stored_bytes = self.context.storages.of(ticket).size(ticket.id) or 0
        self.admission.check_stored(ticket, length_bytes, ticket.acknowledged_bytes(stored_bytes))
        return None if ticket.acknowledged_bytes(taken_bytes) else length_bytes

    def _check_admission(self, ticket: Ticket, claim: Claim) -> bool:
        """Returns whether another client has said another length, and has stored nothing."""
        is_of_other = ticket.has_other_length(claim) and self._has_nothing(ticket)
        self.admission.check(
            structs.replace(ticket, length_bytes=None) if is_of_other else ticket, claim.length_bytes
        )
        if ticket.is_in_parts:
            raise InParts
        return is_of_other

    def _has_nothing(self, ticket: Ticket) -> bool:
        stored_bytes = self.claims.offset(ticket)
        if stored_bytes is None:
            stored_bytes = self.context.storages.of(ticket).size(ticket.id)
        return not ticket.acknowledged_bytes(stored_bytes or 0)

    def _claim_event(self, ticket: Ticket, claim: Claim, right_bytes: int) -> Claim:
        """Returns the claim with what the service adds to it. A file has a name from its first claim on."""
        name = bare_file_name(claim.name) if claim.name or not ticket.name else ""
        boot_id = "" if self.power_cut_check.is_required(ticket.id) else self.context.boot_id
        return replace(claim, name=name, right_bytes=right_bytes, boot_id=boot_id)

    def release(self, claim: ClaimedUpload) -> None:
        """Ends a claim: its client is gone, or pauses. A lost claim is not an error. Raises nothing."""
        if is_part_id(claim.ticket.id):
            self.parts.release(claim)
            return
        if claim.acknowledged_bytes < claim.taken_bytes and not claim.lost:
            with contextlib.suppress(IncomingError):  # what is not stored is sent again
                self.files.flush(claim)  # without the lock: a newer claim need not wait for it
        with contextlib.suppress(IncomingError):  # then it stays left out, and the next client is told
            self.left_out.take_back(claim)
        with self.claims.lock(claim.ticket.id) as live:
            if live.holder is claim:
                try:
                    self._release(claim, live)
                finally:  # until then, nobody takes the upload for abandoned
                    self.claims.hand_to(live, None)

    def _release(self, claim: ClaimedUpload, live: LiveUpload, has_lapsed: bool = False) -> None:
        is_elsewhere = _has_ended_elsewhere(claim)
        self.claims.mark_ended(claim, has_lapsed)
        had_file = live.writer is not None
        try:
            ticket = None if is_elsewhere else self.paused.pause(claim.ticket, live, claim.token)
        except TakenOver:
            ticket = None
        except IncomingError as exc:
            about = claim.ticket.for_log(error=exc)
            log.warning("upload %(ticket)s: the release could not be journaled: %(error)s", about)
            return
        if ticket is None or ticket.state not in RECEIVING:  # it has ended there, if not here
            self.files.abandon(ticket or claim.ticket, live, had_file)
        if ticket is None:
            log.info("upload %(ticket)s: released, another process has it", claim.ticket.for_log())
        else:
            log.info("upload %(ticket)s: connection closed, %(state)s", ticket.for_log())

    def end_expired_leases(self) -> int:
        """Releases the uploads whose clients have not come back in time, as after a lost connection.

        Returns how many. Raises StorageFailed.
        """
        ended = 0
        self.claims.release_again()
        for ticket_id, token in self.context.leases.expired(self.context.clock.now_s()):
            if is_part_id(ticket_id):
                ended += self.parts.end_lease(ticket_id, token)
                continue
            with self.claims.lock(ticket_id) as live:
                now_s = self.context.clock.now_s()
                if not self.context.leases.release(ticket_id, token, expired_at_s=now_s):
                    continue  # it was used or taken over meanwhile
                ended += 1
                claim = live.holder
                if claim and claim.token == token:
                    self.claims.hand_to(live, None)
                    self._release(claim, live, has_lapsed=True)
        return ended


def _has_ended_elsewhere(claim: ClaimedUpload) -> bool:
    """Returns whether another process has ended this claim, which is about to be released.

    It holds its upload until then. What ends a claim within this process takes the upload from it at the same
    time. So a claim that still holds its upload can only have been ended by another process.
    """
    return isinstance(claim.lost, TakenOver | UploadCancelled | UploadExpired)
