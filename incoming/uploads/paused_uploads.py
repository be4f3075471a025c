"""Uploads without a client: pauses them, tells which are complete, and completes those.

An upload pauses with all its bytes if its completion has failed, or if its client left before asking for it.
Any process that finds such an upload completes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from incoming.core.errors import IncomingError, StorageFailed, UploadCancelled
from incoming.core.lifecycle import Cancel, FoundIncomplete, Release, State
from incoming.core.ticket import Ticket
from incoming.uploads.admission import Admission
from incoming.uploads.assemblies import Assemblies
from incoming.uploads.cancellations import Cancellations
from incoming.uploads.claims import Claims, LiveUpload
from incoming.uploads.completion import OTHER_DIGEST, Completion
from incoming.uploads.context import UploadContext
from incoming.uploads.deletion import Deletion
from incoming.uploads.integrity import Integrity
from incoming.uploads.open_files import OpenFiles
from incoming.uploads.outbox import Outbox
from incoming.uploads.parts import PartUploads
from incoming.uploads.power_cut_check import PowerCutCheck
from incoming.uploads.retry_queue import RetryQueue


@dataclass(slots=True, eq=False)
class PausedUploads:
    """The uploads that no client holds. It raises IncomingError, and no other error on purpose."""

    context: UploadContext
    claims: Claims
    admission: Admission
    files: OpenFiles
    integrity: Integrity
    power_cut_check: PowerCutCheck
    retry_queue: RetryQueue
    parts: PartUploads
    assemblies: Assemblies
    cancellations: Cancellations
    completion: Completion
    deletion: Deletion
    outbox: Outbox

    def pause(self, ticket: Ticket, live: LiveUpload, token: str) -> Ticket:
        """Closes the file of an upload whose claim has ended. Returns the ticket after that."""
        may_be_whole = live.writer is None or live.writer.taken_bytes == ticket.length_bytes
        if live.writer:
            self.files.close(ticket, live)
        is_unverified = self.power_cut_check.is_required(ticket.id)
        checkpoint = None if is_unverified else self.integrity.checkpoint(ticket.id)
        is_whole = may_be_whole and self._seems_whole(ticket)
        released = self.context.registry.change(ticket.id, Release(checkpoint, is_whole), token)
        if released.state is State.PAUSED and may_be_whole:
            # Its completion has failed, or its client left before asking for it.
            self.retry_queue.add_if_missing(ticket.id, self.context.clock.now_s())
        return released

    def _seems_whole(self, ticket: Ticket) -> bool:
        """Returns whether an upload has all its bytes; True also if that can't be found out now."""
        try:
            return not ticket.is_in_parts and self._has_all(ticket)
        except StorageFailed:
            return True

    def is_abandoned(self, ticket: Ticket) -> bool:
        """Returns whether an upload counts as being uploaded, though no connection holds it."""
        is_held = self.claims.is_held(ticket.id) or self.parts.is_held(ticket)
        return ticket.state is State.UPLOADING and not is_held

    def pause_abandoned(self, ticket: Ticket) -> Ticket:
        """Pauses an abandoned upload, as a start does. Raises TakenOver, IllegalTransition."""
        with self.claims.lock(ticket.id) as live:
            return self.pause(ticket, live, ticket.token)

    def reserve_remaining(self, ticket: Ticket, has_bytes: bool = True) -> None:
        """Reserves space for the missing bytes of a paused upload, after a start. Raises StorageFailed.

        `has_bytes`: see `Admission.reserve_remaining`.
        """
        if ticket.is_in_parts:
            self.parts.reserve_remaining(ticket)
        else:
            self.admission.reserve_remaining(ticket, may_begin=True, has_bytes=has_bytes)

    def is_complete(self, ticket: Ticket) -> bool:
        """Returns whether a paused upload has all its bytes, and needs nothing more from its client.

        One that needs a proof does, and so does an empty one. Raises StorageFailed.
        """
        return ticket.state is State.PAUSED and self._has_all(ticket)

    def found_incomplete(self, ticket: Ticket) -> None:
        """Notes that a paused upload lacks bytes, if it was taken for whole. Raises StorageFailed."""
        if ticket.is_whole:
            self.context.registry.change(ticket.id, FoundIncomplete(), seen=ticket)

    def _has_all(self, ticket: Ticket) -> bool:
        if ticket.needs_proof:
            return False
        if ticket.is_in_parts:
            return self.parts.are_complete(ticket)
        if not ticket.length_bytes and not ticket.is_assembled:
            return False
        stored_bytes = self.context.storages.of(ticket).size(ticket.id) or 0
        return ticket.acknowledged_bytes(stored_bytes) == ticket.length_bytes

    def complete(self, ticket: Ticket) -> None:
        """Completes a paused upload that has all its bytes, and no client. Raises StorageFull, StorageFailed.

        It makes the file of its parts, if it came in parts, and reads it, unless the digest is known.
        """
        if not self.is_complete(ticket):
            return
        if ticket.is_in_parts:
            assembled = self.assemblies.make(ticket.id)
            if assembled is None or not self.is_complete(assembled):
                return
            ticket = assembled
        elif ticket.is_assembled:
            self.assemblies.clean_up(ticket)  # a kill may have come before
        self.power_cut_check.run(ticket)
        length_bytes = ticket.length_bytes or 0
        self.integrity.begin(ticket, length_bytes)
        if self.context.storages.of(ticket).stores_later or not self.integrity.can_read(ticket):
            self._finish(ticket)
        self.integrity.whole(ticket)  # before the lock is taken: it may take long
        lacks_bytes = self.power_cut_check.right_bytes(ticket.id, length_bytes) < length_bytes
        if not lacks_bytes and not self.integrity.has_named_digest(ticket):
            self.cancellations.call_off(ticket, Cancel(OTHER_DIGEST), UploadCancelled(), seen=ticket)
            return
        with self.claims.lock(ticket.id) as live:
            ticket = self.context.registry.get(ticket.id)
            if not self.is_complete(ticket):
                return  # its client, or a cancellation, was faster
            self.files.open(ticket, length_bytes, live)
            try:
                live.require_writer().fence(ticket.token)
                if self.files.discard_untrusted(ticket, live, proves=False) < length_bytes:
                    return  # its client has to send some of it again
                self.completion.arrive(ticket, live)
            finally:
                live.close()
        self.outbox.start(ticket.id)

    def _finish(self, ticket: Ticket) -> None:
        """Finishes the file of a paused upload, without the lock: its client may come back meanwhile.

        Raises StorageFailed; TakenOver if the client did.
        """
        with self.claims.lock(ticket.id) as live:
            if not self.is_complete(self.context.registry.get(ticket.id)):
                return  # its client, or a cancellation, was faster
            self.files.open(ticket, ticket.length_bytes, live)
            writer = live.require_writer()
            try:
                writer.fence(ticket.token)
            except IncomingError:
                live.close()
                raise
        try:
            writer.finish()
        except IncomingError:
            self.deletion.after_loss(ticket)
            raise
        finally:
            with self.claims.lock(ticket.id) as live:
                if live.writer is writer and live.holder is None:
                    live.close()
