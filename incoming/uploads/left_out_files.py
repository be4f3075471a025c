"""Files of a folder that are left out, because its client can't read them any more.

That changes bytes which were acknowledged, so its order matters. First the journal drops their checkpoints.
Then the storage notes that the file is left out, and deletes what it has of it.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import cast

from incoming.core.errors import BadParameter, StorageFailed, StorageFull
from incoming.core.lifecycle import HAS_FILE, LeaveOut
from incoming.core.ticket import Ticket
from incoming.storage import FolderWriter
from incoming.uploads.admission import Admission
from incoming.uploads.checkpointer import Checkpointer
from incoming.uploads.claims import ClaimedUpload, Claims, LiveUpload
from incoming.uploads.context import UploadContext
from incoming.uploads.integrity import Integrity, stored_checksum

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class LeftOutFiles:
    """Leaves files out, and takes that back. It raises IncomingError, and no other error on purpose."""

    context: UploadContext
    claims: Claims
    admission: Admission
    integrity: Integrity
    checkpointer: Checkpointer

    def leave_out(self, claim: ClaimedUpload, index: int) -> None:
        """Leaves a file of a folder out, by its number in the list: its client can't read it any more.

        From now on the stream has zeros in its place. `claim.acknowledged_bytes` is then after them. All
        bytes that its client has sent are stored.

        A client that has still to prove that it has the same folder may leave out only a file that is stored
        in part. It can't read the file any more, so it could never prove it. This becomes final once the
        client has proved the other bytes. If the proof fails, or the client goes before, it is taken back: a
        client with another folder leaves out nothing.

        Raises why the claim was lost, StorageFull, StorageFailed; BadParameter if the next byte belongs to
        another file.
        """
        ticket = claim.ticket
        start, end = self._range_of(claim, index)
        is_early = bool(claim.compare) and not claim.is_same
        if is_early and not start < claim.taken_bytes < end:
            raise BadParameter("Index", "may name only a file that is stored in part, before the comparison")
        storage, stored_crc = self.context.storages.of(ticket), 0
        if storage.checksums is None:  # which needs no help. Nobody writes meanwhile: the client waits
            stored_crc = stored_checksum(storage, ticket.id, start, claim.taken_bytes)
        with self.checkpointer.suspended(ticket.id), self.claims.lock(ticket.id) as live:
            self.claims.use(claim)
            writer = live.require_writer()
            # No checkpoint may speak of what the storage is about to drop, whenever a kill comes.
            claim.ticket = self.context.registry.change(ticket.id, LeaveOut(start), claim.token)
            try:
                cast(FolderWriter, writer).leave_out(index)
            except (StorageFull, StorageFailed) as exc:
                claim.lost = claim.lost or exc  # what the storage has now is found out by the next claim
                self.integrity.forget(ticket.id)
                live.abort()
                raise
            self.integrity.left_out(claim.ticket, start, end, stored_crc)
            claim.left_out = (*claim.left_out, index)
            claim.left_out_from = start if is_early else None
            self.context.counters.files_left_out += 1
            self.claims.moved(ticket.id, live, self.context.clock.now_s())
            self.admission.reserve(claim.ticket, writer)
            claim.update_offsets(writer)
        about = ticket.for_log(file_number=index + 1)
        log.info("upload %(ticket)s: its client has left out file %(file_number)d of the folder", about)

    def take_back(self, claim: ClaimedUpload) -> None:
        """Takes back that a file was left out before the proof, which has failed or never came.

        The file has to come again. Does nothing if no file was left out. Raises why the claim was lost,
        StorageFull, StorageFailed.
        """
        ticket, start = claim.ticket, claim.left_out_from
        if start is None or claim.is_same:
            return
        with self.checkpointer.suspended(ticket.id), self.claims.lock(ticket.id) as live:
            claim.check()
            writer = live.require_writer()
            claim.ticket = self.context.registry.change(
                ticket.id, LeaveOut(start), claim.token
            )  # no checkpoint
            writer.truncate(start)
            claim.left_out_from = None
            claim.left_out = cast(FolderWriter, writer).left_out
            self.integrity.forget(ticket.id)
            self.admission.reserve(claim.ticket, writer)
            claim.update_offsets(writer)
        log.info("upload %(ticket)s: a file of the folder is not left out after all", ticket.for_log())

    def of(self, ticket: Ticket, live: LiveUpload) -> tuple[int, ...]:
        """Returns which files of a folder are left out.

        Once its app has the folder, there are none if the ticket could not remember them: see `Ticket`.
        """
        folders = self.context.storages.folders_of(ticket)
        if folders and live.writer:
            return cast(FolderWriter, live.writer).left_out
        if folders and ticket.state in HAS_FILE and not ticket.left_out:
            with contextlib.suppress(StorageFailed):  # only the page would like to know
                return folders.left_out(ticket.id)
        return ticket.left_out

    def _range_of(self, claim: ClaimedUpload, index: int) -> tuple[int, int]:
        """Returns where a file that may be left out begins and ends. Raises BadParameter, StorageFailed."""
        claim.check()
        folders = self.context.storages.folders_of(claim.ticket)
        manifest = folders.manifest_of(claim.ticket.id) if folders else None
        if manifest is None:
            raise BadParameter("Index", "is only for the files of a folder, whose list has come")
        if index < len(manifest.entries):
            start, end = manifest.range_of(index)
            if start <= claim.taken_bytes <= end:
                return start, end
        raise BadParameter("Index", "is not the number of the file to which the next byte belongs")
