"""The file as the body of a request, as curl sends it: `curl -T FILE URL`, or a POST with a plain body.

A body without Content-Range is the whole file. If some of it is stored already, that part is compared and the
rest is stored. So a client that can only start again, such as `curl --retry`, loses nothing but traffic.

With the Content-Range of a part (`curl -C OFFSET`) the body has to begin where the stored bytes end. RFC 9110
section 14.5 allows that where the server says so. Every answer tells the state of the upload in words.

A Content-Digest is that of the body, and a Repr-Digest that of the whole file (RFC 9530). The headers of tus
may not contradict the request: see `body_place`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from incoming.core import errors
from incoming.core.errors import IncomingError, LengthRequired, NotFound, OffsetMismatch, WrongMediaType
from incoming.http_uploads import answers
from incoming.http_uploads.answers import Answer
from incoming.http_uploads.body import RequestBody
from incoming.http_uploads.dialects import Dialect
from incoming.http_uploads.request import UploadRequest
from incoming.http_uploads.transfer import FileDescription, Transfer
from incoming.http_uploads.transfers import Transfers
from incoming.http_uploads.views import JSON, Views
from incoming.protocol import tus
from incoming.protocol.body_place import check_upload_headers
from incoming.protocol.content_range import HEADER, read_content_range
from incoming.protocol.digests import file_digest_follows, named_file_digest
from incoming.protocol.multipart_form import MEDIA_TYPE as FORM
from incoming.protocol.request_checksum import RequestChecksums
from incoming.wire import content_disposition

PLAIN_BODY: Final = "application/octet-stream"
NOT_A_FILE: Final = ("", "application/x-www-form-urlencoded")
"""What a POST has that means no file, such as a form without an enctype: it has the name of the file only."""
STATUSES: Final = {errors.LengthMismatch.code: 409, errors.ChecksumMismatch.code: 400}
"""Where an error has another HTTP status than for clients of tus, which would try again."""


class WholeBodies(Dialect):
    """See dialects.Dialect."""

    def __init__(self, transfers: Transfers, views: Views) -> None:
        self._transfers, self._views = transfers, views

    def answer(self, request: UploadRequest) -> Answer:
        """Stores the body of a PUT or POST. Raises IncomingError."""
        request.check_query_is_whole()
        name, body_bytes = _name(request), _body_bytes(request)
        part = read_content_range(request.find_header(HEADER), body_bytes)
        is_whole = part is None or part.is_whole
        start_bytes, file_bytes = (part.start_bytes, part.file_bytes) if part else (0, body_bytes)
        file_bytes = check_upload_headers(request.find_header, start_bytes, file_bytes)
        checks = tus.read_checksums(request.find_header)
        named, follows = named_file_digest(request.find_header), file_digest_follows(request.find_header)
        file = FileDescription(file_bytes, name, file_digest=named, digest_follows=follows)
        with self._transfers.claim(request.ticket_id, file, request.source) as transfer:
            if part and not is_whole:
                transfer.check_offset(part.start_bytes)
                transfer.receive(request.body, checks or None)
                if not part.is_last:
                    return self._stored_part(request, transfer)
            else:
                receive_whole(transfer, request.body, checks)
            transfer.complete()
            return self._views.outcome(request, transfer.wait_for_app())

    def _stored_part(self, request: UploadRequest, transfer: Transfer) -> Answer:
        progress = transfer.progress
        of = "" if progress.length_bytes is None else f" of {progress.length_bytes}"
        sentence = f"Stored {progress.offset_bytes} bytes{of}. The rest of the file is still missing.\n"
        return self._views.sentence(request, progress, 202, sentence)

    def failure(self, request: UploadRequest, error: IncomingError) -> Answer:
        """See dialects.Dialect. A client that began at a wrong offset gets the command that resumes."""
        answer = answers.failure(request, error)
        answer.status = STATUSES.get(error.code, answer.status)
        if isinstance(error, OffsetMismatch):
            answer.add("Upload-Offset", error.expected_bytes)
            if not request.accepts(JSON):
                command = f"curl -T FILE -C {error.expected_bytes} {self._views.url(request)}"
                answer.body += f"Resume with: {command}\n".encode()
        return answer


class WholeFile:
    """See transfer.BodyCheck. A body that is stored as a whole or not at all has the length of the upload.

    It also has the checksums that its client names.
    """

    def __init__(self, transfer: Transfer, checks: RequestChecksums) -> None:
        self._transfer, self._checks, self._length_bytes = transfer, checks, 0
        self.is_fast = checks.is_fast

    def update(self, data: memoryview) -> None:
        """See transfer.BodyCheck."""
        self._length_bytes += len(data)
        self._checks.update(data)

    def verify(self, trailers: Mapping[str, str]) -> None:
        """See transfer.BodyCheck. Raises LengthMismatch, ChecksumMismatch."""
        ticket = self._transfer.ticket
        if ticket.length_bytes not in (None, self._length_bytes):
            raise errors.LengthMismatch(ticket.expected_file, self._length_bytes)
        self._checks.verify(trailers)


def receive_whole(
    transfer: Transfer, body: RequestBody, checks: RequestChecksums, may_break_off: bool = True
) -> None:
    """Stores a body that is a whole file. The part that is stored already is compared.

    `may_break_off`: what has arrived of a body that breaks off is stored. Nothing of it is stored if it has
    `checks`, or if its length shows only at its end, and has to be that of the upload.

    Raises WrongFile, LengthMismatch, ChecksumMismatch, and as `Transfer.receive`.
    """
    shows_length_late = body.length_bytes is None and transfer.ticket.length_bytes is not None
    is_checked = checks or shows_length_late or not may_break_off
    check = WholeFile(transfer, checks) if is_checked else None
    transfer.skip_stored(body, check)
    transfer.receive(body, check)
    if transfer.missing_bytes:
        raise errors.LengthMismatch(transfer.ticket.expected_file, transfer.offset_bytes)
    transfer.set_length(transfer.offset_bytes)


def _name(request: UploadRequest) -> str:
    """Returns the name of the file: `curl -T FILE URL/` appends it to the address. Raises NotFound."""
    tail = request.address.tail
    if len(tail) > 1:
        raise NotFound("The address of an upload ends with its ticket, or with the name of the file.")
    name = tail[0] if tail and tail[0] != request.ticket_id else ""
    return name or content_disposition.file_name(request.find_header("Content-Disposition"))


def _body_bytes(request: UploadRequest) -> int | None:
    """Returns the length of the body; None for a chunked one. Raises WrongMediaType, LengthRequired.

    An empty file is a file. So a request that has no body by mistake must not be taken for one.
    """
    if request.method == "POST" and request.media_type in NOT_A_FILE:
        raise WrongMediaType(f"{PLAIN_BODY} for a file, or {FORM} for a form")
    if request.declared_body_bytes is not None and not request.header("Content-Length"):
        raise LengthRequired("The request needs a Content-Length, even if the file is empty.")
    if request.declared_body_bytes is None and request.find_header(HEADER) is not None:
        raise LengthRequired(f"A request with a {HEADER} needs a Content-Length.")
    return request.declared_body_bytes
