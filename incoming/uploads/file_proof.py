"""What a client says of its file, and the proof that it is the file with which the upload was begun.

Until the proof, what a client says counts only if nothing is stored. A client whose protocol has no proof is
believed once it sends bytes.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, cast

from incoming.core.checkpoints import Checkpoint, last
from incoming.core.checksum import checksum, combine
from incoming.core.errors import BytesLost, IncomingError, StorageFailed, WrongFile, WrongState
from incoming.core.lifecycle import Claim, Proved, Record, SetLength
from incoming.core.resume_check import Ranges, split_range
from incoming.core.ticket import Ticket
from incoming.storage import FolderWriter, Writer
from incoming.uploads.admission import Admission
from incoming.uploads.cancellations import Cancellations
from incoming.uploads.claims import ClaimedUpload, Claims
from incoming.uploads.context import UploadContext
from incoming.uploads.integrity import Integrity, stored_checksum
from incoming.uploads.left_out_files import LeftOutFiles
from incoming.uploads.power_cut_check import PowerCutCheck

log = logging.getLogger(__name__)

NOT_PROVED: Final = "The client has not shown yet that it has the same file."


@dataclass(slots=True, eq=False)
class FileProof:
    """Compares clients' files with what is stored. It raises IncomingError, and no other error on purpose."""

    context: UploadContext
    claims: Claims
    admission: Admission
    integrity: Integrity
    power_cut_check: PowerCutCheck
    left_out: LeftOutFiles
    cancellations: Cancellations

    def ranges_to_compare(
        self, ticket: Ticket, last_modified_ms: int, right_bytes: int, stored_bytes: int
    ) -> Ranges:
        """Returns what a client has to prove: samples of the right bytes, and all bytes that may be lost."""
        same_file = self.integrity.ranges_to_compare(ticket, right_bytes, last_modified_ms)
        return same_file + split_range(right_bytes, stored_bytes)

    def prove(self, claim: ClaimedUpload) -> None:
        """What the client of this claim has said of the file counts from now on, if it says anything new.

        The client has shown that it has the same file, or its protocol has no way to show that. Call it
        before the client sends bytes. Raises why the claim was lost, LengthMismatch, UploadTooLarge;
        retryable: TooMany, StorageFull, StorageFailed.
        """
        if claim.unproved is None:
            return
        with self.claims.lock(claim.ticket.id) as live:
            self.claims.use(claim)
            writer, hashes = live.require_writer(), claim.ticket.hashes
            event = Proved(claim.unproved, writer.taken_bytes)
            self._learn(claim, writer, event, claim.unproved.length_bytes)
            claim.unproved = None
            if claim.ticket.hashes != hashes:
                self.integrity.begin(claim.ticket, writer.taken_bytes)

    def name_digest(self, claim: ClaimedUpload, file_digest: str) -> None:
        """A client that has proved its file names its digest (see `core.file_digest`) after the bytes.

        Raises as `prove`.
        """
        ticket = claim.ticket
        claim.unproved = Claim(
            None, ticket.name, ticket.last_modified_ms, proves=ticket.needs_proof, file_digest=file_digest
        )
        self.prove(claim)

    def prove_by_word(self, claim: ClaimedUpload) -> None:
        """Believes what a client says of its file, if its protocol has no proof. The client sends bytes.

        Raises as `prove`, and WrongState if the client has still to prove what it says.
        """
        claim.check()
        if claim.unproved and claim.unproved.proves:
            raise WrongState(NOT_PROVED)
        self.prove(claim)

    def check_same(self, claim: ClaimedUpload, crcs: tuple[int, ...]) -> None:
        """Compares what the client says of `claim.compare` with what is stored. If that agrees, see `prove`.

        Raises WrongFile, BytesLost, StorageFailed, and as `prove`.
        """
        ticket = claim.ticket
        claim.check()
        expected = self.integrity.checksums(ticket, claim.compare)
        claim.check()  # reading them may have taken long
        agree = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(crcs, expected, strict=True)))
        if agree == len(expected):
            claim.is_same = True
            self.integrity.trust(ticket.id)
            self._note_proved(claim, expected)
            self.prove(claim)
            return
        if claim.compare[agree][0] >= claim.right_bytes:
            self._cut_off_what_is_lost(claim, claim.compare[agree][0])
            raise BytesLost
        self.left_out.take_back(claim)
        if self.integrity.is_suspect(ticket.id):
            self.cancellations.discard_all(claim, "it contained pieces of two files")
        log.info("upload %(ticket)s: the client's file is not the one it started with", ticket.for_log())
        raise WrongFile(ticket.expected_file)

    def _note_proved(self, claim: ClaimedUpload, crcs: tuple[int, ...]) -> None:
        """The client has proved the bytes after the last checkpoint, which have these checksums."""
        ticket = claim.ticket
        if not self.power_cut_check.is_required(ticket.id):
            return
        known = last(ticket.checkpoints)
        crc = known.crc32c
        for (start, end), of_piece in zip(claim.compare, crcs, strict=True):
            if start >= claim.right_bytes:
                crc = combine(crc, of_piece, end - start)
        self.power_cut_check.finish(ticket.id)
        if known.end_bytes != claim.right_bytes:
            return  # its client has left out a file since, so less is known; the next checkpoint says more
        proved = Checkpoint(claim.offset_bytes, crc)
        with contextlib.suppress(IncomingError):  # the next checkpoint says the same
            self.context.registry.change(ticket.id, Record(proved, self.context.boot_id), ticket.token)

    def _cut_off_what_is_lost(self, claim: ClaimedUpload, right_bytes: int) -> None:
        """Some of the bytes after the last checkpoint are not those of the client's file."""
        with self.claims.lock(claim.ticket.id) as live:
            claim.check()
            self.power_cut_check.cut(claim.ticket, live.require_writer(), right_bytes)
            self.integrity.forget(claim.ticket.id)

    def stored_checksum(self, claim: ClaimedUpload) -> int | None:
        """Returns the CRC-32C of all stored bytes if they can't be read; else None: see `has_stored`.

        Raises why the claim was lost, StorageFailed.
        """
        self.claims.use(claim)
        return self.integrity.stored_checksum(claim.ticket.id)

    def has_stored(self, claim: ClaimedUpload, start: int, data: memoryview) -> bool:
        """Returns whether the stored bytes from `start` on are `data`. All of that range is stored.

        Returns True where they can't be read: then the checksum of the file decides at the end. Raises why
        the claim was lost, StorageFailed.
        """
        self.claims.use(claim)
        if self.context.storages.of(claim.ticket).checksums:
            return True
        same = self.integrity.is_same(claim.ticket, start, data)
        claim.check()  # reading them may have taken long
        return same

    def has_in_file(self, ticket: Ticket, start: int, data: memoryview) -> bool:
        """Returns whether the file of an upload that has arrived has the bytes `data` from `start` on.

        Returns True if its app has taken the file.
        """
        storage = self.context.storages.of(ticket)
        try:
            stored_crc = stored_checksum(storage, ticket.id, start, start + len(data))
        except StorageFailed:
            return True
        return stored_crc == checksum(data)

    def set_length(self, claim: ClaimedUpload, length_bytes: int) -> None:
        """Sets the length of an upload that was claimed without one. It may be repeated.

        Raises why the claim was lost, LengthMismatch, UploadTooLarge, BadFolder if the list of a folder says
        another length; retryable: TooMany, StorageFull, StorageFailed.
        """
        with self.claims.lock(claim.ticket.id) as live:
            self.claims.use(claim)
            writer = live.require_writer()
            self._learn(claim, writer, SetLength(length_bytes, writer.taken_bytes), length_bytes)

    def _learn(
        self, claim: ClaimedUpload, writer: Writer, event: Proved | SetLength, length_bytes: int | None
    ) -> None:
        """Applies what a client says of its file. `length_bytes`: its length, if that is told.

        The caller has the lock. Raises as `set_length`.
        """
        if length_bytes is not None:
            self.admission.check(claim.ticket, length_bytes)
            self.admission.ensure_space_for_length(claim.ticket, length_bytes, writer, writer.taken_bytes)
            if claim.ticket.is_folder:
                cast(FolderWriter, writer).set_length(length_bytes)
        claim.ticket = self.context.registry.change(claim.ticket.id, event, claim.token)
        if length_bytes is not None:
            claim.end_bytes = length_bytes
            self.admission.reserve(claim.ticket, writer)
