"""Bytes whose checksum comes after them, in the same request.

Until it has come and agrees, they count as not stored for everybody, and the next claim discards them. A
ticket has a mark where they begin, unless its storage keeps them apart from what is durable.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from incoming.core.errors import IncomingError
from incoming.core.lifecycle import BeginUnchecked, EndUnchecked
from incoming.core.ticket import Ticket
from incoming.uploads.admission import Admission
from incoming.uploads.claims import ClaimedUpload, Claims, LiveUpload
from incoming.uploads.context import UploadContext
from incoming.uploads.integrity import Integrity

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class UncheckedBytes:
    """The unchecked bytes of all uploads. Its methods raise IncomingError, and no other error on purpose."""

    context: UploadContext
    claims: Claims
    admission: Admission
    integrity: Integrity

    def begin(self, claim: ClaimedUpload) -> None:
        """Begins a range of unchecked bytes, whose checksum comes after them.

        Until `accept` or `discard`, they count as not stored. Raises why the claim was lost, WrongState while
        bytes are unchecked already, StorageFull, StorageFailed.
        """
        with self.claims.lock(claim.ticket.id) as live:
            self.claims.use(claim)
            writer = live.require_writer()
            event = BeginUnchecked(writer.taken_bytes)
            claim.ticket = self._marked(claim, event)
            writer.begin_unchecked()
            self.integrity.begin_unchecked(claim.ticket.id)

    def accept(self, claim: ClaimedUpload) -> None:
        """Ends a range of unchecked bytes that agree with their checksum: they are stored like all others.

        Does nothing when there are none. Raises why the claim was lost; StorageFull, StorageFailed: then they
        are still unchecked.
        """
        with self.claims.lock(claim.ticket.id) as live:
            self.claims.use(claim)
            writer = live.require_writer()
        if claim.ticket.checked_bytes is not None:
            writer.accept_unchecked()  # without the lock: a newer claim need not wait for it
        with self.claims.lock(claim.ticket.id):
            claim.check()
            if claim.ticket.checked_bytes is not None:
                checkpoint = self.integrity.unchecked_checkpoint(claim.ticket.id)
                claim.ticket = self._marked(claim, EndUnchecked(checkpoint))
                self.integrity.accept_unchecked(claim.ticket.id)
            claim.update_offsets(writer)

    def discard(self, claim: ClaimedUpload) -> None:
        """Discards the unchecked bytes. The next chunk goes to `claim.taken_bytes`.

        Does nothing when there are none. Raises why the claim was lost; StorageFull, StorageFailed: then the
        claim is lost for the same reason, and the next one discards them.
        """
        with self.claims.lock(claim.ticket.id) as live:
            self.claims.use(claim)
            writer = live.require_writer()
            if claim.ticket.checked_bytes is not None:
                try:
                    self.cut(claim.ticket, live)
                    claim.ticket = self._marked(claim, EndUnchecked())
                except IncomingError as exc:
                    claim.lost = claim.lost or exc  # its client may not send more after an old mark
                    raise
            claim.update_offsets(writer)

    def cut(self, ticket: Ticket, live: LiveUpload) -> None:
        """Cuts the file off at the mark, which the journal still has. Raises StorageFull, StorageFailed.

        A kill may also have left bytes of a claim that the journal has not: all of them are cut off.
        """
        writer, checked_bytes = live.require_writer(), ticket.checked_bytes
        if checked_bytes is None:
            checked_bytes = ticket.acknowledged_bytes(writer.taken_bytes)
        discarded_bytes = writer.taken_bytes - checked_bytes
        if discarded_bytes > 0 or self.context.storages.of(ticket).keeps_unchecked_apart:
            about = ticket.for_log(discarded_bytes=discarded_bytes)
            writer.truncate(checked_bytes)
            self.admission.reserve(ticket, writer)  # they are still to come
            log.info("upload %(ticket)s: discarded %(discarded_bytes)d unchecked bytes", about)
        self.integrity.discard_unchecked(ticket, writer.taken_bytes)

    def _marked(self, claim: ClaimedUpload, event: BeginUnchecked | EndUnchecked) -> Ticket:
        """Returns the claim's ticket after this event.

        Nobody else need know of the mark where no unchecked byte becomes durable.
        """
        if self.context.storages.of(claim.ticket).keeps_unchecked_apart:
            return claim.ticket.apply(event, self.context.clock.now_s())
        return self.context.registry.change(claim.ticket.id, event, claim.token)
