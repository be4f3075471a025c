"""Completes uploads: makes all stored bytes durable, compares their checksums, and starts the handover.

The journal has the new state once the bytes are durable, and before the app is called.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from incoming.core.errors import (
    BadFolder,
    Damaged,
    DigestMismatch,
    IncomingError,
    UploadCancelled,
    WrongState,
)
from incoming.core.folder_manifest import check_begins
from incoming.core.lifecycle import RECEIVING, Cancel, Complete
from incoming.core.ticket import IllegalTransition, Ticket
from incoming.storage import Writer
from incoming.uploads.cancellations import Cancellations
from incoming.uploads.claims import ClaimedUpload, Claims, LiveUpload
from incoming.uploads.context import UploadContext
from incoming.uploads.integrity import Integrity
from incoming.uploads.left_out_files import LeftOutFiles
from incoming.uploads.open_files import OpenFiles
from incoming.uploads.outbox import Outbox

log = logging.getLogger(__name__)

OTHER_DIGEST: Final = "the file does not have the digest that its client named"


@dataclass(slots=True, eq=False)
class Completion:
    """Completes the uploads of this process. It raises IncomingError, and no other error on purpose."""

    context: UploadContext
    claims: Claims
    files: OpenFiles
    integrity: Integrity
    left_out: LeftOutFiles
    cancellations: Cancellations
    outbox: Outbox

    def complete(self, claim: ClaimedUpload, crc: int | None = None) -> None:
        """All bytes are stored: makes them durable and starts the handover.

        `crc`: the whole file's checksum, if its client says one. Raises:

        - why the claim was lost.
        - WrongState: bytes are missing or unchecked, the length is unknown, or the upload has arrived.
        - BadFolder: what came is too short to be a folder; see `Cancellations.refuse_folder`.
        - Damaged: the file does not have the checksum `crc`.
        - DigestMismatch: the file does not have the digest that its client has named. This ends the upload.
        - StorageFull, StorageFailed.
        """
        with self.claims.lock(claim.ticket.id) as live:
            self.claims.use(claim)
            if claim.ticket.state not in RECEIVING:
                raise IllegalTransition(claim.ticket.state, Complete())
            _check_whole(claim.ticket, live.require_writer())
        if claim.ticket.is_folder:
            self._check_is_folder(claim)
        has_small_files = self.context.storages.of(claim.ticket).small_files is not None
        if claim.acknowledged_bytes < claim.taken_bytes and not has_small_files:
            self.files.flush(claim)  # without the lock: a newer claim need not wait for it
        with self._lease_kept(claim):
            known_crc = self.integrity.whole_crc32c(claim.ticket)  # only this client waits for it
        claim.check()
        if crc not in (None, known_crc):
            self.integrity.suspect(claim.ticket.id)
            log.warning("upload %(ticket)s: the checksum of the file does not match", claim.ticket.for_log())
            raise Damaged
        self._read_finished(claim)
        if not self.integrity.has_named_digest(claim.ticket):
            self.cancellations.call_off(claim.ticket, Cancel(OTHER_DIGEST), UploadCancelled(), claim)
            raise DigestMismatch
        if self.context.storages.of(claim.ticket).stores_later:  # so it may take long
            self._finish_without_lock(claim)
        with self.claims.lock(claim.ticket.id) as live:
            self.claims.use(claim)  # the client waits for this, however long it takes
            claim.ticket = self.arrive(claim.ticket, live)
        self.outbox.start(claim.ticket.id)

    def _check_is_folder(self, claim: ClaimedUpload) -> None:
        try:
            check_begins(b"", claim.ticket.length_bytes)
        except BadFolder as exc:
            self.cancellations.refuse_folder(claim, exc)
            raise

    def arrive(self, ticket: Ticket, live: LiveUpload) -> Ticket:
        """Makes the stored bytes durable, then the state; then they may be handed over."""
        writer, storage = live.require_writer(), self.context.storages.of(ticket)
        _check_whole(ticket, writer)
        left_out = self.left_out.of(ticket, live)
        if self.context.settings.fsync or storage.survives_power_cuts:
            try:
                writer.finish()
            except IncomingError:
                self.integrity.forget(ticket.id)  # what is in the file now is read, and not remembered
                raise
            live.writer = None
        else:
            writer.flush()
        if ticket.file_owner_uid is not None and storage.ownership:
            storage.ownership.give_to(ticket.id, ticket.file_owner_uid)
        digest = self.integrity.whole(ticket)
        sha256 = digest.sha256 if ticket.wants_sha256 else ""
        event = Complete(digest.crc32c, sha256, self.integrity.file_digest(ticket), left_out)
        arrived = self.context.registry.change(ticket.id, event, ticket.token)
        self.integrity.forget(ticket.id)
        self.files.release(ticket.id, live)
        log.info("upload %(ticket)s: received all %(length_bytes)d bytes", ticket.for_log())
        return arrived

    def _read_finished(self, claim: ClaimedUpload) -> None:
        """Finishes a file that can be read only then, if a digest is wanted that has to read it."""
        if self.integrity.can_read(claim.ticket):
            return
        self._finish_without_lock(claim)
        with self._lease_kept(claim):
            self.integrity.whole(claim.ticket)
        claim.check()

    def _finish_without_lock(self, claim: ClaimedUpload) -> None:
        """Finishes a file without the lock: a newer claim need not wait for it.

        The claim then still holds the upload. Raises why it was lost, StorageFull, StorageFailed.
        """
        with self.claims.lock(claim.ticket.id) as live:
            self.claims.use(claim)
            writer = live.require_writer()
        try:
            with self._lease_kept(claim, anyway=True):
                writer.finish()
        except IncomingError:
            with self.claims.lock(claim.ticket.id):
                claim.check()
                self.integrity.forget(claim.ticket.id)  # what is in the file now is read, and not remembered
            raise
        claim.check()

    @contextlib.contextmanager
    def _lease_kept(self, claim: ClaimedUpload, anyway: bool = False) -> Iterator[None]:
        """Within it the claim's lease is renewed: to read a large file may take longer than a lease.

        `anyway`: also for a file that need not be read.
        """
        lease_s = claim.lease_s
        if lease_s is None or (self.integrity.is_known(claim.ticket.id) and not anyway):
            yield
            return

        def keep_on() -> None:
            with contextlib.suppress(IncomingError):  # it was lost, which its owner finds out
                while True:
                    self.context.runtime.sleep(lease_s / 3)
                    self.claims.use(claim)

        task = self.context.runtime.spawn(keep_on)
        try:
            yield
        finally:
            task.kill(block=False)


def _check_whole(ticket: Ticket, writer: Writer) -> None:
    """Raises WrongState when bytes are missing or unchecked."""
    checked_bytes = ticket.acknowledged_bytes(writer.taken_bytes)
    if checked_bytes != ticket.length_bytes:
        raise WrongState(f"The upload is not complete: it has {checked_bytes} bytes.")
