"""The service: issue, claim, look, write, complete, finish, cancel, retry, expire.

Routes and transports call it, and it imports none of them. Most tasks have a module of their own, such as
`claiming` and `completion`. `Uploads` composes them.

A kill at any point loses nothing: bytes are acknowledged once they are in the file. The registry has each
state before any client or app is told, and before anything is deleted. `housekeeping.recover` repeats what a
kill may have prevented.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Final

from incoming.core.backend_requests import NewUpload
from incoming.core.due import state_timeouts_s
from incoming.core.errors import (
    BadFolder,
    ClaimForgotten,
    IncomingError,
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
from incoming.core.lifecycle import (
    CALLED_OFF,
    HAS_FILE,
    RECEIVING,
    Cancel,
    Claim,
    Expire,
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
from incoming.uploads.claiming import Claiming
from incoming.uploads.claims import ClaimedUpload, Claims, PendingClaim, has_forgotten, new_token
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
        self._claiming = Claiming(
            context, self.claims, self.admission, self._integrity, self._files, self.power_cut_check,
            self._left_out, self._proof, self.parts, self.paused, self.check_running,
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
        """See Claiming.claim."""
        return self._claiming.claim(ticket_id, claim, listener, source, lease_s)

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

    def name_digest(self, claim: ClaimedUpload, file_digest: str) -> None:
        """See FileProof.name_digest."""
        self._proof.name_digest(claim, file_digest)

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
            with self.claims.explained(claim):
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
            self.claims.use_often(claim)
            writer = live.require_writer()
            if writer.taken_bytes + size_bytes > claim.end_bytes:
                claim.end_bytes = self.admission.extend(claim.ticket, writer, size_bytes)
            self.admission.ensure_reserved(claim.ticket, writer)
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
        with self.claims.explained(claim):
            self._files.flush(claim)

    def begin_unchecked(self, claim: ClaimedUpload) -> None:
        """See UncheckedBytes.begin."""
        self._unchecked.begin(claim)

    def accept_unchecked(self, claim: ClaimedUpload) -> None:
        """See UncheckedBytes.accept."""
        with self.claims.explained(claim):
            self._unchecked.accept(claim)

    def discard_unchecked(self, claim: ClaimedUpload) -> None:
        """See UncheckedBytes.discard."""
        self._unchecked.discard(claim)

    def complete(self, claim: ClaimedUpload, crc: int | None = None) -> None:
        """See Completion.complete. What its client says of the file counts now, as when it sends bytes."""
        with self.claims.explained(claim):
            if claim.unproved:
                self._proof.prove_by_word(claim)
            self._completion.complete(claim, crc)

    def cancel_by_request(self, ticket_id: str, reason: str) -> None:
        """The user cancels with a request that claims nothing: a claim may need space that the disk lacks.

        Raises UnknownTicket, WrongState once the handover has begun, and as `check_resumable`.
        """
        ticket = self._registry.get(ticket_id)
        self.check_resumable(ticket)
        try:
            self._cancellations.call_off(ticket, Cancel(reason), UploadCancelled())
        except WrongState:
            self.check_resumable(self._registry.get(ticket_id))  # it may have ended meanwhile
            raise

    def cancel_by_client(self, claim: ClaimedUpload, reason: str) -> None:
        """The user cancels. Raises WrongState once the handover has begun, or why the claim was lost."""
        self._cancellations.call_off(claim.ticket, Cancel(reason), UploadCancelled(), claim)

    def release(self, claim: ClaimedUpload) -> None:
        """See Claiming.release."""
        self._claiming.release(claim)

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
        """See Claiming.end_expired_leases."""
        return self._claiming.end_expired_leases()

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

    def _part_is_complete(self, ticket_id: str) -> None:
        self.assemblies.part_is_complete(ticket_id)

    def _complete_paused(self, ticket: Ticket) -> None:
        self.paused.complete(ticket)

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
    if ticket.token == claim.token:
        return None
    return Interrupted(ClaimForgotten() if has_forgotten(ticket, claim) else TakenOver())
