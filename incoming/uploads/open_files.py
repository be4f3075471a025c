"""Opens the files of uploads, takes out of them what does not count, and closes them.

The caller has the lock of the upload, except for `flush`: see `claims`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from incoming.core.errors import IncomingError, StorageFailed, TakenOver
from incoming.core.news import Interrupted
from incoming.core.ticket import Ticket
from incoming.uploads.admission import Admission
from incoming.uploads.claims import ClaimedUpload, Claims, LiveUpload
from incoming.uploads.context import UploadContext
from incoming.uploads.deletion import Deletion
from incoming.uploads.integrity import Integrity
from incoming.uploads.power_cut_check import PowerCutCheck
from incoming.uploads.unchecked_bytes import UncheckedBytes


@dataclass(slots=True, eq=False)
class OpenFiles:
    """The open files of this process: what a claim, a pause and an end do to them."""

    context: UploadContext
    claims: Claims
    admission: Admission
    integrity: Integrity
    unchecked: UncheckedBytes
    power_cut_check: PowerCutCheck
    deletion: Deletion

    def open(
        self, ticket: Ticket, length_bytes: int | None, live: LiveUpload, source: str = "",
        in_one_chunk: bool = False,
    ) -> None:  # fmt: skip
        """Opens the file; a takeover gets the open one. Raises StorageFull, TooMany, LengthMismatch."""
        if length_bytes is None:
            length_bytes = ticket.length_bytes
        if live.writer:
            if ticket.length_bytes is None and length_bytes is not None:
                writer = live.writer  # what is not durable will be discarded
                self.admission.ensure_space_for_length(ticket, length_bytes, writer, writer.durable_offset)
            self.admission.ensure_reserved(ticket, live.writer)
            self.admission.reserve(ticket, live.writer)
        else:
            live.writer = self.admission.open(ticket, length_bytes, source, in_one_chunk)

    def discard_untrusted(self, ticket: Ticket, live: LiveUpload, proves: bool) -> int:
        """Discards unchecked bytes. Returns how many of the others are right; see PowerCutCheck.

        Raises StorageFailed.
        """
        writer = live.require_writer()
        try:
            right_bytes = ticket.acknowledged_bytes(writer.taken_bytes)
            if ticket.checked_bytes is not None or right_bytes < writer.taken_bytes:
                if live.holder:  # its next chunk would have another offset
                    self.claims.hand_to(live, None, Interrupted(TakenOver()))
                self.unchecked.cut(ticket, live)
            stored_bytes = writer.durable_offset
            right_bytes = self.power_cut_check.apply(ticket, writer, proves)
        except IncomingError:
            if live.holder is None:
                self.close(ticket, live)
            raise
        if writer.durable_offset < stored_bytes:
            self.admission.reserve(ticket, writer)  # what was cut off is still to come
        return right_bytes

    def flush(self, claim: ClaimedUpload) -> None:
        """Makes all taken bytes survive a kill, and the claim too. Then `claim.acknowledged_bytes` has them.

        Does nothing if they survive already. Raises why the claim was lost,
        StorageFull, StorageFailed.
        """
        with self.claims.lock(claim.ticket.id) as live:
            self.claims.use(claim)
            self.context.registry.keep(claim.ticket.id)
            writer = live.writer
        if writer:  # else the file is finished
            writer.flush()  # it may take long, and a newer claim need not wait for it
            claim.check()
            claim.update_offsets(writer)

    def close(self, ticket: Ticket, live: LiveUpload) -> None:
        """Closes the file of an upload that is to resume."""
        live.close()
        with contextlib.suppress(StorageFailed):
            self.admission.reserve_remaining(ticket)

    def release(self, ticket_id: str, live: LiveUpload) -> None:
        """Closes the file of an upload that needs no more space, and ends its reservation."""
        live.close()
        self.admission.release(ticket_id)

    def abandon(self, ticket: Ticket, live: LiveUpload, had_file: bool) -> None:
        """Stores nothing more of an upload that another process has, or has ended.

        `had_file`: whether its file was open here, so that something of it may be stored late.
        """
        live.abort()
        self.admission.release(ticket.id)
        self.integrity.forget(ticket.id)
        if had_file:
            self.deletion.after_loss(ticket)
