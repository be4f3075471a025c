"""tus 1.0: creation, offsets, appends, termination, with all extensions; see `parts` for concatenation.

The address of a ticket is both the address that creates its upload and the address of the upload. So clients
may begin with a POST, or with a HEAD or PATCH where the app has said the length. `protocol/tus.py` reads the
headers; here is what they do.

Clients of tus take an offset that equals the length for success, also in the answer to a HEAD. So the last
bytes are withheld until the app has the file: see `protocol/withheld.py`. An empty file has no byte to
withhold, so its requests are answered with 423 until then.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Final

from incoming.core.errors import (
    BadHeader,
    BadParameter,
    IncomingError,
    InParts,
    LengthMismatch,
    MethodNotAllowed,
    OffsetMismatch,
    UnsupportedVersion,
    WrongFile,
    WrongState,
)
from incoming.core.lifecycle import State
from incoming.core.progress import Progress
from incoming.core.ticket import Ticket
from incoming.http_uploads import answers
from incoming.http_uploads.answers import Answer, Headers
from incoming.http_uploads.dialects import Dialect
from incoming.http_uploads.limits import limits_of
from incoming.http_uploads.parts import Concatenation, described
from incoming.http_uploads.request import UploadRequest
from incoming.http_uploads.transfer import FileDescription, Transfer
from incoming.http_uploads.transfers import Transfers
from incoming.protocol import tus
from incoming.protocol.digests import file_digest_follows, named_file_digest
from incoming.protocol.rules import CANCELLED_BY_CLIENT
from incoming.protocol.tus import Extension, FinalUpload, Header, PartialUpload

EXTENSIONS: Final = (
    Extension.CREATION,
    Extension.CREATION_WITH_UPLOAD,
    Extension.CREATION_DEFER_LENGTH,
    Extension.EXPIRATION,
    Extension.CHECKSUM,
    Extension.CHECKSUM_TRAILER,
    Extension.TERMINATION,
)
IN_PARTS: Final = (Extension.CONCATENATION, Extension.CONCATENATION_UNFINISHED)
"""The extensions of a storage that takes files in parts."""
LENGTH: Final = "length"
"""The field of an address that names the length of the client's file, which the upload does not know yet."""
OTHER_LENGTH: Final = (
    "Another client has begun this upload with a file of another length. Begin it with a POST."
)
NO_LENGTH: Final = "is missing, and nobody has begun the upload. Begin it with a POST"
LENGTH_TEXT: Final = re.compile(r"[0-9]{1,16}")


class Tus(Dialect):
    """See dialects.Dialect."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers
        self._uploads = transfers.uploads
        self._concatenation = Concatenation(transfers)

    def options(self, request: UploadRequest) -> Headers:
        """See dialects.Dialect."""
        limits = limits_of(self._uploads, request.ticket_id)
        extensions = EXTENSIONS + IN_PARTS if self._uploads.takes_parts(request.ticket_id) else EXTENSIONS
        return list(tus.capabilities(extensions, limits.max_bytes or 0).items())

    def answer(self, request: UploadRequest) -> Answer:
        """Answers POST, HEAD, PATCH and DELETE."""
        tus.check_version(request.find_header)
        if request.address.part_number is not None:
            answer = self._concatenation.answer(request, request.address.part_number)
            return self._with_expiry(answer, request.ticket_id).add(Header.RESUMABLE, tus.VERSION)
        request.check_names_upload()
        match request.method:
            case "POST":
                answer = self._create(request)
            case "HEAD":
                answer = self._head(request)
            case "PATCH":
                answer = self._append(request)
            case "DELETE":
                answer = self._terminate(request)
            case _:
                raise MethodNotAllowed(
                    "An upload of tus supports the methods OPTIONS, POST, HEAD, PATCH and DELETE.",
                    "OPTIONS, POST, HEAD, PATCH, DELETE",
                )
        return answer.add(Header.RESUMABLE, tus.VERSION)

    def failure(self, request: UploadRequest, error: IncomingError) -> Answer:
        """See dialects.Dialect."""
        answer = answers.failure(request, error).add(Header.RESUMABLE, tus.VERSION)
        match error:
            case WrongFile():
                answer.status = 400  # clients would try again after a 409
            case UnsupportedVersion():
                answer.add(Header.TUS_VERSION, tus.VERSION)
            case OffsetMismatch(expected_bytes=expected_bytes):
                answer.add(Header.OFFSET, expected_bytes)
        return answer

    # --- the methods -----------------------------------------------------------------------------------

    def _create(self, request: UploadRequest) -> Answer:
        """Begins the upload. It may be repeated: the bytes that are stored stay."""
        creation = tus.read_creation(request.find_header)
        match creation.concat:
            case PartialUpload():
                answer = self._concatenation.create_part(request, creation)
                return self._with_expiry(answer, request.ticket_id)
            case FinalUpload() as final:
                answer = self._concatenation.create_final(request, creation, final)
                return self._with_expiry(answer, request.ticket_id)
        checks = tus.read_checksums(request.find_header)
        metadata = creation.metadata
        has_content = creation.has_content
        file = FileDescription(
            creation.length_bytes,
            metadata.file_name,
            upload_metadata=metadata.raw,
            file_digest=named_file_digest(request.find_header),
            digest_follows=file_digest_follows(request.find_header),
        )
        with self._transfers.claim(request.ticket_id, file, request.source) as transfer:
            if has_content:
                transfer.repeat_from(0)
                transfer.receive(request.body, checks or None)
            answer = Answer(201).add("Location", self._address(request, creation, transfer.ticket))
            progress = self._handed_over(transfer, 0 if has_content else None)
        if has_content:
            answer.add(Header.OFFSET, self._transfers.visible_offset_bytes(request.ticket_id, progress))
        return self._with_expiry(answer, request.ticket_id)

    def _head(self, request: UploadRequest) -> Answer:
        """Tells how far the upload is. A client that is sending bytes loses the upload first."""
        progress = self._transfers.progress_to_resume(request.ticket_id, request.source)
        ticket = self._ticket(request.ticket_id)
        if final := self._concatenation.head_final(ticket):
            return self._with_expiry(final, request.ticket_id)
        length_bytes = self._said_bytes(request, ticket)
        if length_bytes is not None and progress.length_bytes is None:
            self._uploads.check_fits(ticket, length_bytes, progress.offset_bytes)
            progress = replace(progress, length_bytes=length_bytes)
        if progress.length_bytes == 0 and progress.state is not State.FINISHED:
            # The client takes the offset 0 for success, and may never send anything.
            with self._transfers.claim(request.ticket_id, source=request.source) as transfer:
                progress = self._handed_over(transfer)
        answer = Answer(200).add(
            Header.OFFSET, self._transfers.visible_offset_bytes(request.ticket_id, progress)
        )
        metadata = self._ticket(request.ticket_id).upload_metadata
        return self._with_expiry(described(answer, progress.length_bytes, metadata), request.ticket_id)

    def _append(self, request: UploadRequest) -> Answer:
        """Stores the body after what is stored."""
        append = tus.read_append(request.find_header)
        checks = tus.read_checksums(request.find_header)
        ticket = self._ticket(request.ticket_id)
        self._uploads.check_resumable(ticket)
        if ticket.is_assembled:
            raise InParts
        digest, follows = named_file_digest(request.find_header), file_digest_follows(request.find_header)
        said_bytes = self._said_bytes(request, ticket)
        is_begun = ticket.state is not State.ISSUED or ticket.length_bytes is not None
        if not is_begun and said_bytes is None and append.length_bytes is None:
            raise BadHeader(Header.LENGTH, NO_LENGTH)
        file = FileDescription(said_bytes, file_digest=digest, digest_follows=follows)
        with self._transfers.claim(request.ticket_id, file, request.source) as transfer:
            if transfer.missing_bytes == 0:
                transfer.complete()  # it was whole already, but a kill or the disk was in the way
            transfer.check_offset(append.offset_bytes)
            if append.length_bytes is not None:
                transfer.set_length(append.length_bytes)
            transfer.receive(request.body, checks or None)
            has_content = request.body.received_bytes > 0
            progress = self._handed_over(transfer, append.offset_bytes if has_content else None)
            is_withheld = transfer.missing_bytes == 0 and progress.state is not State.FINISHED
            if is_withheld and request.method != request.real_method:
                # The Java client gives up when the offset is not the one that it expects.
                raise transfer.app_not_ready
        answer = Answer(204).add(
            Header.OFFSET, self._transfers.visible_offset_bytes(request.ticket_id, progress)
        )
        return self._with_expiry(answer, request.ticket_id)

    def _terminate(self, request: UploadRequest) -> Answer:
        """Cancels the upload, as long as its file is not handed over."""
        self._uploads.cancel_by_request(request.ticket_id, CANCELLED_BY_CLIENT)
        return Answer(204)

    # --- how -------------------------------------------------------------------------------------------

    def _handed_over(self, transfer: Transfer, from_bytes: int | None = None) -> Progress:
        """Hands over a file that is whole, and waits for the app. Returns how far the upload is then.

        `from_bytes`: where the body of the request began, if it had one. Raises AppNotReady for an empty file
        that the app has not taken yet.
        """
        if transfer.missing_bytes != 0:
            return transfer.progress
        transfer.complete()
        ticket = transfer.ticket
        if from_bytes is not None:
            self._transfers.withheld.received(ticket.id, from_bytes, ticket.length_bytes or 0)
        progress = transfer.wait_for_app()
        if progress.state is not State.FINISHED and not progress.length_bytes:
            raise transfer.app_not_ready
        return progress

    def _address(self, request: UploadRequest, creation: tus.Creation, ticket: Ticket) -> str:
        """Returns the address of the upload for the client that has created it.

        Some bytes may be stored of which this client has shown none. Then it may have another file, so the
        address names the length of its file. The length counts once the client sends bytes to that address.
        The address also names it if another client has named another length, and does not know of this one.
        And so it does with a Redis, which may lose the creation in a failover. Its client would never say the
        length again, and report success at the end of a file whose length nobody knows.
        """
        known_bytes = ticket.length_bytes
        length_bytes = known_bytes if creation.length_bytes is None else creation.length_bytes
        is_certain = known_bytes is not None and not ticket.had_other_length
        if length_bytes is None or (is_certain and not self._uploads.context.settings.registry):
            return request.location
        return f"{request.location}?{LENGTH}={length_bytes}"

    @staticmethod
    def _said_bytes(request: UploadRequest, ticket: Ticket) -> int | None:
        """Returns the length of the file that the address of a request names; None if it names none.

        Raises BadParameter, LengthMismatch; WrongState if it has to name one.
        """
        text = request.query(LENGTH)
        if not text:
            if ticket.had_other_length:
                raise WrongState(OTHER_LENGTH)
            return None
        if not LENGTH_TEXT.fullmatch(text):
            raise BadParameter(LENGTH, "must be the length of the file in bytes")
        if ticket.length_bytes not in (None, int(text)):
            raise LengthMismatch(ticket.expected_file, int(text))
        return int(text)

    def _ticket(self, ticket_id: str) -> Ticket:
        return self._uploads.ticket(ticket_id)

    def _with_expiry(self, answer: Answer, ticket_id: str) -> Answer:
        """Adds when an unfinished upload will be expired, if its client does not come back."""
        expires_in_s = self._uploads.expires_in_s(self._ticket(ticket_id))
        if expires_in_s is not None:
            answer.add(Header.EXPIRES, tus.expires(time.time() + expires_in_s))
        return answer
