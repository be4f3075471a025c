"""The service: issue, claim, look, write, complete, finish, cancel, retry, expire.

Routes and transports call it, and it imports none of them. A kill at any point loses nothing: bytes are
acknowledged once they are in the file. The registry has each state before any client or app is told, and
before anything is deleted. `housekeeping.recover` repeats what may not have been done.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

from incoming.core.backend_requests import NewUpload
from incoming.core.bounds import MAX_UPLOAD_METADATA_BYTES
from incoming.core.due import state_timeouts_s
from incoming.core.errors import (
    BadFolder,
    BadParameter,
    IncomingError,
    InParts,
    LengthMismatch,
    Stopping,
    StorageFailed,
    StorageLost,
    TakenOver,
    UnknownTicket,
    UploadCancelled,
    UploadExpired,
    WrongSecret,
    WrongState,
)
from incoming.core.file_name import bare_file_name
from incoming.core.lifecycle import (
    CALLED_OFF,
    HAS_FILE,
    RECEIVING,
    Cancel,
    Claim,
    Expire,
    Proved,
    Retry,
    State,
)
from incoming.core.news import CalledOff, HandedOver, Interrupted, News, NotHandedOver
from incoming.core.parts import is_part_id
from incoming.core.progress import Progress
from incoming.core.ticket import Ticket
from incoming.registry import NewsListener
from incoming.uploads.admission import NO_LIMIT_BYTES, Admission
from incoming.uploads.assemblies import Assemblies
from incoming.uploads.cancellations import Cancellations
from incoming.uploads.checkpointer import Checkpointer
from incoming.uploads.claims import ClaimedUpload, Claims, Lease, LiveUpload, PendingClaim, new_token
from incoming.uploads.completion import Completion
from incoming.uploads.context import UploadContext
from incoming.uploads.deletion import Deletion
from incoming.uploads.file_proof import FileProof
from incoming.uploads.integrity import Integrity, Keep
from incoming.uploads.left_out_files import LeftOutFiles
from incoming.uploads.open_files import OpenFiles
from incoming.uploads.outbox import Outbox, failure
from incoming.uploads.parts import PartUploads
from incoming.uploads.paused_uploads import PausedUploads
from incoming.uploads.power_cut_check import PowerCutCheck, UnsyncedFiles
from incoming.uploads.refusals import Refusals
from incoming.uploads.retry_queue import RetryQueue
from incoming.uploads.unchecked_bytes import UncheckedBytes

log = logging.getLogger(__name__)

NOT_IN_PARTS: Final = "The upload does not come in parts, or its parts are complete."
NO_OBJECT: Final = "This upload has no object in S3."
SWEEP: Final = "sweep"
"""The name of the lease that one process has while it looks at all uploads."""
SWEEP_LEASE_S: Final = 60.0
BY_OPERATOR: Final = "cancelled by the operator of the upload server"


class Uploads:
    """All uploads. Its methods raise IncomingError, and no other error on purpose."""

    def __init__(self, context: UploadContext) -> None:
        self.context = context
        self._settings = context.settings
        self._registry = context.registry
        self._storages = context.storages
        self._runtime = context.runtime
        self.refusals = Refusals(context.counters, context.runtime.now_s)
        self.claims = Claims(context)
        self.admission = Admission(context, self.claims.is_sending, on_durable=self.claims.durable)
        self._integrity = Integrity(context)
        self._unchecked = UncheckedBytes(context, self.claims, self.admission, self._integrity)
        self.retry_queue = RetryQueue()
        self.deletion = Deletion(context, self.retry_queue)
        self.power_cut_check = PowerCutCheck(context, self._integrity)
        self._files = OpenFiles(
            context,
            self.claims,
            self.admission,
            self._integrity,
            self._unchecked,
            self.power_cut_check,
            self.deletion,
        )
        self._checkpointer = Checkpointer(context, self._integrity, self.power_cut_check)
        self._left_out = LeftOutFiles(
            context, self.claims, self.admission, self._integrity, self._checkpointer
        )
        self.unsynced = UnsyncedFiles(context)
        self.outbox = Outbox(context, self.claims.tell, self.deletion, self.unsynced, self.refusals)
        self.parts = PartUploads(
            context, self.claims, self.admission, self.check_running, self._part_is_complete
        )
        self.assemblies = Assemblies(self.parts, self._integrity, self.retry_queue, self._complete_paused)
        self._cancellations = Cancellations(
            context, self.claims, self.admission, self._integrity, self._files, self.power_cut_check,
            self.deletion, self.outbox, self.parts, self.assemblies,
        )  # fmt: skip
        self._proof = FileProof(
            context, self.claims, self.admission, self._integrity, self.power_cut_check, self._left_out,
            self._cancellations,
        )  # fmt: skip
        self._completion = Completion(
            context, self.claims, self._files, self._integrity, self._left_out, self._cancellations,
            self.outbox,
        )  # fmt: skip
        self.paused = PausedUploads(
            context, self.claims, self.admission, self._files, self._integrity, self.power_cut_check,
            self.retry_queue, self.parts, self.assemblies, self._cancellations, self._completion,
            self.deletion, self.outbox,
        )  # fmt: skip
        self.lost: StorageLost | None = None

    # --- for the transports -------------------------------------------------------------

    def ticket(self, ticket_id: str) -> Ticket:
        """Returns a ticket. Raises UnknownTicket."""
        return self._registry.get(ticket_id)

    def check_resumable(self, ticket: Ticket) -> None:
        """Raises why an upload has ended without success: UploadCancelled, UploadExpired, HandoverFailed."""
        self.admission.check(ticket, None)

    def check_fits(self, ticket: Ticket, length_bytes: int, stored_bytes: int) -> None:
        """Raises LengthMismatch if more is stored of a file of unknown length than it is said to have."""
        self.admission.check_stored(ticket, length_bytes, stored_bytes)

    def limit_bytes(self, ticket: Ticket) -> int | None:
        """Returns how large the file of a ticket may be; None if that is not limited."""
        limit_bytes = self.admission.limit_bytes(ticket)
        return None if limit_bytes == NO_LIMIT_BYTES else limit_bytes

    def takes_parts(self, ticket_id: str) -> bool:
        """Returns whether the file of this ticket may come in parts; of an unknown one, whether any may."""
        try:
            return self._storages.of(self._registry.get(ticket_id)).parts is not None
        except UnknownTicket:
            return any(storage.parts for storage in self._storages.all)

    def expires_in_s(self, ticket: Ticket) -> float | None:
        """Returns when an unfinished upload expires if its client does not come back; None if it has arrived.

        It is the time from now on, and 0 if it is over.
        """
        if ticket.state not in RECEIVING:
            return None
        idle_s = 0.0
        if ticket.state is not State.UPLOADING:
            idle_s = self.context.clock.now_s() - ticket.changed_at_s
        return max(state_timeouts_s(self._settings)[State.PAUSED] - idle_s, 0.0)

    def why_no_answer(self, ticket_id: str, state: State) -> str:
        """Returns why the app has not answered yet, for people; see `Outbox.why_no_answer`."""
        return self.outbox.why_no_answer(ticket_id, state)

    def pending_claim(self, upload_id: str, waits: bool = False) -> AbstractContextManager[PendingClaim]:
        """Within it a claim of an upload or of a part is pending: see `Claims.pending_claim`."""
        return self.claims.pending_claim(upload_id, waits)

    def is_in_use(self, upload_id: str) -> bool:
        """Returns whether a claim holds an upload or a part, or is pending. Raises StorageFailed."""
        return self.claims.is_in_use(upload_id)

    @contextlib.contextmanager
    def watching(self, ticket_id: str, listener: NewsListener) -> Iterator[None]:
        """Within it `listener` hears the news of an upload, without a claim."""
        token = new_token()
        self.context.news.listen(ticket_id, token, listener)
        try:
            yield
        finally:
            self.context.news.ignore(ticket_id, token)

    # --- for the app's backend ----------------------------------------------------------

    def issue(self, request: NewUpload) -> Ticket:
        """Returns a new ticket.

        Raises BadParameter, UploadTooLarge, TooMany, Stopping, StorageFull, StorageFailed.
        """
        self.check_running()
        ticket = self.admission.new_ticket(request)
        self._registry.add(ticket)
        log.info("upload %(ticket)s: ticket issued", ticket.for_log())
        return ticket

    def finish(self, ticket_id: str, secret: str) -> None:
        """The app has the file. Raises UnknownTicket, WrongSecret, WrongState."""
        self.outbox.finish(self.with_secret(ticket_id, secret))

    def cancel_by_app(self, ticket_id: str, secret: str) -> None:
        """The app cancels. Raises UnknownTicket, WrongSecret, WrongState once the handover has begun."""
        ticket = self.with_secret(ticket_id, secret)
        if ticket.state is not State.CANCELLED:  # it may repeat a call whose answer was lost
            self._cancellations.call_off(
                ticket, Cancel("cancelled by the app", by_app=True), UploadCancelled()
            )

    def cancel_by_operator(self, ticket_id: str, secret: str) -> None:
        """The operator of this server cancels; the app is called. Raises like `cancel_by_app`."""
        ticket = self.with_secret(ticket_id, secret)
        if ticket.state is not State.CANCELLED:
            self._cancellations.call_off(ticket, Cancel(BY_OPERATOR), UploadCancelled())

    def retry(self, ticket_id: str, secret: str) -> None:
        """Tries a failed handover again. Raises UnknownTicket, WrongSecret, WrongState."""
        ticket = self.with_secret(ticket_id, secret)
        self._registry.change(ticket.id, Retry())
        log.info("upload %(ticket)s: the handover starts again on request", ticket.for_log())
        self.outbox.start(ticket.id)

    def object_url(self, ticket_id: str, secret: str) -> str:
        """Returns a new URL of an object that the app has not finished with.

        Raises UnknownTicket, WrongSecret; WrongState where files are not objects, or there is no file (any
        more).
        """
        ticket = self.with_secret(ticket_id, secret)
        address = self.outbox.object_address(ticket) if ticket.state in HAS_FILE else None
        if address is None:
            raise WrongState(NO_OBJECT)
        return address.url

    def with_secret(self, ticket_id: str, secret: str) -> Ticket:
        """Returns the ticket, if the caller has its secret. Raises UnknownTicket, WrongSecret."""
        ticket = self._registry.get(ticket_id)
        if not ticket.admits(secret):
            raise WrongSecret
        return ticket

    # --- for clients --------------------------------------------------------

    def claim(
        self, ticket_id: str, claim: Claim, listener: NewsListener, source: str = "",
        lease_s: float | None = None,
    ) -> ClaimedUpload:  # fmt: skip
        """Gives the upload to a client of `source`. The claim that held it before, if any, has lost it.

        `listener` hears the news of the upload. The claim lasts until it is released. With `lease_s` it also
        ends when it was not used for this time, so a client of many short requests need not release it after
        each of them. Unchecked bytes are discarded.

        If nothing of the file is stored, what the client says of it counts at once, and replaces what
        requests over HTTP have said before. Otherwise the client may have another file: see `prove`.

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
        ticket = self._registry.get(ticket_id)
        self._check_admission(ticket, claim)
        self.power_cut_check.run(ticket)  # before the lock is taken: it may take long
        with self.claims.lock(ticket_id) as live:
            ticket = self._registry.get(ticket_id)
            is_of_other = self._check_admission(ticket, claim)
            pending.check()
            if is_of_other and live.writer:  # which was opened for another length
                self.admission.make_room_for_length(ticket, claim.length_bytes or 0, live.writer, 0)
                self.claims.hand_to(live, None, Interrupted(TakenOver()))
                live.abort()
            right_bytes = 0
            if ticket.state in RECEIVING:
                # A client of many requests sends a small file with the first of them.
                length_bytes = self._length_to_open(ticket, claim.length_bytes, live)
                self._files.open(ticket, length_bytes, live, source, in_one_chunk=lease_s is not None)
                right_bytes = self._files.discard_untrusted(ticket, live, claim.proves)
            event = self._claim_event(ticket_id, claim, right_bytes)
            # Many a small file comes in one request. Then its next change has all that is new.
            may_wait = lease_s is not None and live.writer is not None and not live.writer.durable_offset
            ticket, lease = self._take(ticket, live, event, lease_s, may_wait)
            if live.writer and ticket.state in RECEIVING:
                ticket, right_bytes = self._fence(ticket, live, lease, right_bytes, event)
            elif live.writer:
                # Another process was faster, and it has arrived.
                self._files.abandon(ticket, live, had_file=True)
            offset_bytes = live.writer.durable_offset if live.writer else ticket.length_bytes or 0
            storage = self._storages.of(ticket)
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
            claimed.left_out = self._left_out.of(ticket, live)
            claimed.is_kept = lambda: self._registry.is_kept(ticket_id)
            claimed.on_lost = lambda: self._runtime.spawn(self.release, claimed)
            if live.writer:
                claimed.wait_for_capacity = live.writer.wait_for_capacity
            if ticket.would_learn(event):
                claimed.unproved = event
            if live.writer and claim.proves:
                claimed.right_bytes = right_bytes
                claimed.compare = self._proof.ranges_to_compare(
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
            return self._registry.change(ticket.id, event, may_wait=may_wait), lease
        except IncomingError:
            if lease:
                self.claims.give_back(live, lease)
            if live.holder is None and ticket.state is State.ISSUED:
                self._files.release(ticket.id, live)
            elif live.holder is None and ticket.state in RECEIVING:
                self._files.close(ticket, live)
            self._check_admission(self._registry.get(ticket.id), event)  # refused just now
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
                    self.admission.make_room_for_length(ticket, event.length_bytes, writer, 0)
                ticket = self._registry.change(ticket.id, Proved(event, 0), ticket.token)
                self.admission.reserve(ticket, writer)
            self._integrity.begin(ticket, writer.durable_offset)
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
            taken_bytes = stored_bytes = self._storages.of(ticket).size(ticket.id) or 0
        self.admission.check_stored(ticket, length_bytes, ticket.acknowledged_bytes(stored_bytes))
        return None if ticket.acknowledged_bytes(taken_bytes) else length_bytes

    def _part_is_complete(self, ticket_id: str) -> None:
        self.assemblies.part_is_complete(ticket_id)

    def _complete_paused(self, ticket: Ticket) -> None:
        self.paused.complete(ticket)

    def _check_admission(self, ticket: Ticket, claim: Claim) -> bool:
        """Returns whether another client has said another length, and has stored nothing."""
        is_of_other = ticket.has_other_length(claim) and self._has_nothing(ticket)
        self.admission.check(
            replace(ticket, length_bytes=None) if is_of_other else ticket, claim.length_bytes
        )
        if ticket.is_in_parts:
            raise InParts
        return is_of_other

    def _has_nothing(self, ticket: Ticket) -> bool:
        stored_bytes = self.claims.offset(ticket)
        if stored_bytes is None:
            stored_bytes = self._storages.of(ticket).size(ticket.id)
        return not ticket.acknowledged_bytes(stored_bytes or 0)

    def look(self, ticket_id: str) -> Progress:
        """Returns how far an upload has come. Claims nothing and writes nothing.

        After a power cut it reads the file first, which may take long. Raises UnknownTicket, StorageFailed.
        """
        ticket = self._registry.get(ticket_id)
        offset_bytes = self._resumes_at(ticket) if ticket.state in RECEIVING else 0
        ticket = self._registry.get(ticket_id)  # the look at the file may have taken long
        if ticket.state not in RECEIVING:
            offset_bytes = 0 if ticket.state in CALLED_OFF else ticket.length_bytes or 0
        about = ticket.expected_bytes, ticket.name, ticket.last_modified_ms, ticket.reason
        return Progress(ticket.state, offset_bytes, *about)

    def _resumes_at(self, ticket: Ticket) -> int:
        """Returns how many of the stored bytes are right, without taking the upload's lock."""
        if ticket.is_in_parts:
            return self.parts.stored_bytes(ticket)
        self.power_cut_check.run(ticket)
        if not self._registry.is_kept(ticket.id):
            return 0  # a kill would leave it as it was issued
        stored_bytes = self.claims.offset(ticket)
        if stored_bytes is None:
            stored_bytes = self._storages.sizes([ticket])[ticket.id] or 0
        ticket = self._registry.get(ticket.id)  # both looks may have taken long
        return self.power_cut_check.right_bytes(ticket.id, ticket.acknowledged_bytes(stored_bytes))

    def needs_power_cut_check(self, ticket_id: str) -> bool:
        """Returns whether its file is read before a claim is granted, which may take long."""
        return self.power_cut_check.is_required(ticket_id)

    def prove(self, claim: ClaimedUpload) -> None:
        """See FileProof.prove."""
        self._proof.prove(claim)

    def check_same(self, claim: ClaimedUpload, crcs: tuple[int, ...]) -> None:
        """See FileProof.check_same."""
        self._proof.check_same(claim, crcs)

    def stored_checksum(self, claim: ClaimedUpload) -> int | None:
        """See FileProof.stored_checksum."""
        return self._proof.stored_checksum(claim)

    def has_stored(self, claim: ClaimedUpload, start: int, data: memoryview) -> bool:
        """See FileProof.has_stored."""
        return self._proof.has_stored(claim, start, data)

    def has_in_file(self, ticket: Ticket, start: int, data: memoryview) -> bool:
        """See FileProof.has_in_file."""
        return self._proof.has_in_file(ticket, start, data)

    def set_length(self, claim: ClaimedUpload, length_bytes: int) -> None:
        """See FileProof.set_length."""
        self._proof.set_length(claim, length_bytes)

    def write(
        self, claim: ClaimedUpload, chunk: memoryview, crc: int | None = None, keep: Keep | None = None
    ) -> float:
        """Appends the chunk, whose checksum is `crc` if that is known.

        Then `claim.acknowledged_bytes` may be acknowledged. That is less than what was taken while the
        storage waits for more, see `flush`, and while bytes are unchecked.

        Returns for how many seconds its client has to wait before the next chunk: the ticket's rate limit.
        See Integrity.stored for `keep`. It may take long while the storage has too much to store.

        After an error nothing of the chunk is stored. Raises:

        - why the claim was lost.
        - BadChunk, UploadTooLarge: the bytes go beyond the end.
        - WrongState: the client has still to prove that it has the same file.
        - BadFolder: see `refuse_folder`. While bytes are unchecked, the caller first has to find out whether
          they came as they were sent.
        - StorageFull, StorageFailed.
        """
        try:
            return self._write(claim, chunk, crc, keep)
        except BadFolder as exc:
            if claim.ticket.checked_bytes is None:
                self.refuse_folder(claim, exc)
            raise

    def refuse_folder(self, claim: ClaimedUpload, error: BadFolder) -> None:
        """See Cancellations.refuse_folder."""
        self._cancellations.refuse_folder(claim, error)

    def _write(self, claim: ClaimedUpload, chunk: memoryview, crc: int | None, keep: Keep | None) -> float:
        size_bytes = len(chunk)
        if claim.unproved:
            self._proof.prove_by_word(claim)
        claim.wait_for_capacity()
        with self.claims.lock(claim.ticket.id) as live:
            self.claims.use(claim)
            writer = live.require_writer()
            if writer.taken_bytes + size_bytes > claim.end_bytes:
                claim.end_bytes = self.admission.extend(claim.ticket, writer, size_bytes)
            self.admission.keep_room(claim.ticket, writer)
            if writer.taken_bytes + size_bytes != claim.ticket.length_bytes:
                self._registry.keep(claim.ticket.id)  # else its completion is next, or `flush`
            writer.write(chunk, crc)
            self.context.counters.stored_bytes += size_bytes
            self.claims.moved(claim.ticket.id, live, self.context.clock.now_s())
            self._integrity.stored(claim.ticket, chunk, crc, keep)
            self.admission.reserve(claim.ticket, writer)
            claim.update_offsets(writer)
        return claim.pace.delay_s(size_bytes, self._runtime.now_s())

    def leave_out(self, claim: ClaimedUpload, index: int) -> None:
        """See LeftOutFiles.leave_out."""
        self._left_out.leave_out(claim, index)

    def flush(self, claim: ClaimedUpload) -> None:
        """See OpenFiles.flush."""
        self._files.flush(claim)

    def begin_unchecked(self, claim: ClaimedUpload) -> None:
        """See UncheckedBytes.begin."""
        self._unchecked.begin(claim)

    def accept_unchecked(self, claim: ClaimedUpload) -> None:
        """See UncheckedBytes.accept."""
        self._unchecked.accept(claim)

    def discard_unchecked(self, claim: ClaimedUpload) -> None:
        """See UncheckedBytes.discard."""
        self._unchecked.discard(claim)

    def complete(self, claim: ClaimedUpload, crc: int | None = None) -> None:
        """See Completion.complete. What its client says of the file counts now, as when it sends bytes."""
        if claim.unproved:
            self._proof.prove_by_word(claim)
        self._completion.complete(claim, crc)

    def cancel_in_parts(self, ticket_id: str, reason: str) -> None:
        """The user cancels an upload that comes in parts, of which nobody has a claim as a whole.

        Raises UnknownTicket, WrongState once the parts have become the file.
        """
        ticket = self._registry.get(ticket_id)
        if not ticket.is_in_parts:
            raise WrongState(NOT_IN_PARTS)
        self._cancellations.call_off(ticket, Cancel(reason), UploadCancelled())

    def cancel_by_client(self, claim: ClaimedUpload, reason: str) -> None:
        """The user cancels. Raises WrongState once the handover has begun, or why the claim was lost."""
        self._cancellations.call_off(claim.ticket, Cancel(reason), UploadCancelled(), claim)

    def release(self, claim: ClaimedUpload) -> None:
        """Ends a claim: its client is gone, or pauses. A lost claim is not an error. Raises nothing."""
        if is_part_id(claim.ticket.id):
            self.parts.release(claim)
            return
        if claim.acknowledged_bytes < claim.taken_bytes and not claim.lost:
            with contextlib.suppress(IncomingError):  # what is not stored is sent again
                self.flush(claim)  # without the lock: a newer claim need not wait for it
        with contextlib.suppress(IncomingError):  # then it stays left out, and the next client is told
            self._left_out.take_back(claim)
        with self.claims.lock(claim.ticket.id) as live:
            if live.holder is claim:
                try:
                    self._release(claim, live)
                finally:  # until then, nobody takes the upload for abandoned
                    self.claims.hand_to(live, None)

    def _release(self, claim: ClaimedUpload, live: LiveUpload) -> None:
        is_elsewhere = _has_ended_elsewhere(claim)
        self.claims.mark_ended(claim)
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
            self._files.abandon(ticket or claim.ticket, live, had_file)
        if ticket is None:
            log.info("upload %(ticket)s: released, another process has it", claim.ticket.for_log())
        else:
            log.info("upload %(ticket)s: connection closed, %(state)s", ticket.for_log())

    def release_all(self) -> None:
        """Releases in the background all uploads that clients of this process hold."""
        for claim in self.claims.holders():
            self.context.runtime.spawn(self.release, claim)

    # --- for housekeeping -----------------------------------------------------------------

    @contextlib.contextmanager
    def sweeping(self) -> Iterator[bool]:
        """Within it this process may sweep all uploads, if the value is True; else another one does.

        Two sweeps at once are not an error, only double work.
        """
        now_s, leases, token = self.context.clock.now_s(), self.context.leases, new_token()
        is_ours = False
        with contextlib.suppress(StorageFailed):
            is_ours = leases.acquire(SWEEP, token, now_s + SWEEP_LEASE_S, now_s)
        try:
            yield is_ours
        finally:
            if is_ours:
                with contextlib.suppress(StorageFailed):
                    leases.release(SWEEP, token)

    def expire(self, ticket: Ticket, reason: str) -> None:
        """Expires an idle upload. Raises IllegalTransition if the ticket has changed."""
        self._cancellations.call_off(ticket, Expire(reason), UploadExpired(), seen=ticket)

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
                    self._release(claim, live)
        return ended

    def keep_checkpoints(self) -> int:
        """See Checkpointer.journal_moved."""
        return self._checkpointer.journal_moved()

    def repeat_news(self, arrived_only: bool = False) -> None:
        """Tells clients of this process what other processes have done, in case that news were lost.

        A client may wait for an app that another process was calling when it ended: that call is made again.
        With `arrived_only` it is about clients that wait for their app, which are few.
        """
        for claim in self.claims.holders():
            if is_part_id(claim.ticket.id) or (arrived_only and claim.ticket.state in RECEIVING):
                continue
            with contextlib.suppress(IncomingError):  # the next call does better
                ticket = self._registry.get(claim.ticket.id)
                news = _missed_news(claim, ticket)
                if news:
                    claim.hear(news)
                if self.outbox.is_missing(ticket):
                    self.outbox.start(ticket.id)
            self._runtime.yield_if_due()

    def stop(self) -> None:
        """Tells every client to come back later, and accepts no new uploads."""
        self.outbox.stop()
        self.claims.stop()
        for claim in self.claims.holders():
            if claim.lease_s is not None:  # its client may not be connected at the moment
                self._runtime.spawn(self.release, claim)

    def lose(self, error: StorageLost) -> None:
        """Ends all work, because another process may have the storage: it stores and acknowledges nothing."""
        self.lost = error
        self.outbox.stop()
        self.claims.end_all(Interrupted(error))

    # --- how -------------------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether the server stops: it accepts no new uploads."""
        return self.claims.stopping

    def check_running(self) -> None:
        """Raises Stopping, or why the process has lost its storage."""
        if self.lost:
            raise self.lost
        if self.stopping:
            raise Stopping

    def _claim_event(self, ticket_id: str, claim: Claim, right_bytes: int) -> Claim:
        """Returns the claim with what the service adds to it."""
        boot_id = "" if self.power_cut_check.is_required(ticket_id) else self.context.boot_id
        return replace(claim, name=bare_file_name(claim.name), right_bytes=right_bytes, boot_id=boot_id)


def _missed_news(claim: ClaimedUpload, ticket: Ticket) -> News | None:
    """Returns what the holder of a claim should have heard of its ticket as it is now; None if nothing."""
    match ticket.state:
        case State.FINISHED:
            return HandedOver(ticket.crc32c or 0)
        case State.FAILED:
            return NotHandedOver(failure(ticket))
        case State.CANCELLED:
            return CalledOff(UploadCancelled())
        case State.EXPIRED:
            return CalledOff(UploadExpired())
    return None if ticket.token == claim.token else Interrupted(TakenOver())


def _has_ended_elsewhere(claim: ClaimedUpload) -> bool:
    """Returns whether another process has ended a claim that still holds its upload in this process.

    Whatever ends a claim within this process takes the upload from it at the same time. So the reason of the
    loss can only have come from another process.
    """
    return isinstance(claim.lost, TakenOver | UploadCancelled | UploadExpired)
