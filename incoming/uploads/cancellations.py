"""Calls uploads off, and discards what can't become the file.

The journal has the end before the client hears of it, and before anything is deleted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

from incoming.core.errors import BadFolder, UploadCancelled, UploadExpired
from incoming.core.lifecycle import Cancel, Expire, StartAgain, State
from incoming.core.news import CalledOff
from incoming.core.ticket import Ticket
from incoming.uploads.admission import Admission
from incoming.uploads.assemblies import Assemblies
from incoming.uploads.claims import ClaimedUpload, Claims
from incoming.uploads.context import UploadContext
from incoming.uploads.deletion import Deletion
from incoming.uploads.integrity import Integrity
from incoming.uploads.open_files import OpenFiles
from incoming.uploads.outbox import Outbox
from incoming.uploads.parts import PartUploads
from incoming.uploads.power_cut_check import PowerCutCheck

log = logging.getLogger(__name__)

PATH_CHARS: Final = 500
"""How much of a path the reason of a refusal shows."""


@dataclass(slots=True, eq=False)
class Cancellations:
    """Ends uploads before their handover. Its methods raise IncomingError, and no other error on purpose."""

    context: UploadContext
    claims: Claims
    admission: Admission
    integrity: Integrity
    files: OpenFiles
    power_cut_check: PowerCutCheck
    deletion: Deletion
    outbox: Outbox
    parts: PartUploads
    assemblies: Assemblies

    def call_off(
        self, ticket: Ticket, event: Cancel | Expire, error: UploadCancelled | UploadExpired,
        by: ClaimedUpload | None = None, seen: Ticket | None = None,
    ) -> None:  # fmt: skip
        """Journals the end, tells the client (unless it was `by` it), removes the file, tells the app."""
        with self.claims.lock(ticket.id) as live:
            if by:
                by.check()
            before = self.context.registry.get(ticket.id)
            event = replace(event, to_delete=self.deletion.is_noted(ticket))
            ended = self.context.registry.change(ticket.id, event, by.token if by else None, seen)
            told = CalledOff(error) if by is None or by is not live.holder else None
            self.claims.hand_to(live, None, told)
            if by:
                by.lost = error
            live.abort()
            if before.is_in_parts:
                self.parts.end(before, CalledOff(error))
            self.admission.release(ticket.id)
            self.integrity.forget(ticket.id)
            self.power_cut_check.finish(ticket.id)
        log.info("upload %(ticket)s: %(state)s: %(reason)s", ended.for_log())
        self.outbox.start(ticket.id)
        was_in_use = before.state is State.UPLOADING
        self.assemblies.after(ticket.id, lambda: self.deletion.after_end(ended, was_in_use))

    def refuse_folder(self, claim: ClaimedUpload, error: BadFolder) -> None:
        """Ends the upload of a folder that can't be stored, and tells its app.

        Does not end it if the list of the folder was damaged, or another file came. Then what has come is
        discarded, and the right list may still come; see BadFolder. Raises why the claim was lost,
        StorageFull, StorageFailed.
        """
        if error.reason == BadFolder.DAMAGED:
            self.discard_all(claim, "the list of its folder came damaged")
            return
        if error.reason == BadFolder.NOT_A_FOLDER:
            self._start_again(claim, error)
            return
        about = f" Its path is: {error.path[:PATH_CHARS]}" if error.path else ""
        self.call_off(claim.ticket, Cancel(f"{error}{about}"), UploadCancelled(), claim)

    def discard_all(self, claim: ClaimedUpload, why: str) -> None:
        """Discards all stored bytes. Its client has to claim the upload once more."""
        with self.claims.lock(claim.ticket.id) as live:
            claim.check()
            writer = live.require_writer()
            writer.truncate(0)
            self.integrity.forget(claim.ticket.id)
            claim.update_offsets(writer)
        about = claim.ticket.for_log(why=why)
        log.warning("upload %(ticket)s: restarted, because %(why)s", about)

    def _start_again(self, claim: ClaimedUpload, error: BadFolder) -> None:
        """Discards all that came and that was said of it, and ends the claim."""
        with self.claims.lock(claim.ticket.id) as live:
            claim.check()
            writer = live.require_writer()
            writer.truncate(0)
            claim.update_offsets(writer)
            issued = self.context.registry.change(claim.ticket.id, StartAgain(), claim.token)
            self.claims.hand_to(live, None)
            claim.lost = error
            self.files.release(issued.id, live)
            self.integrity.forget(issued.id)
        log.info("upload %(ticket)s: issued once more, because what came is not a folder", issued.for_log())
