"""A form of a page without a script: `<form method="post" enctype="multipart/form-data" action="URL">`.

The file is stored as it comes, and never written to another place first. A form that breaks off can't resume:
nothing of it is kept. At the end the browser is sent to a page. It is the one that the app has chosen
with `returnURL` once it has the file, else the state of the upload. So a reload sends no form again.
"""

from __future__ import annotations

from incoming.core.errors import ChecksumMismatch, FilesOnly, IncomingError, TakenOver, UploadTooLarge
from incoming.core.lifecycle import RECEIVING, State
from incoming.core.progress import Progress
from incoming.http_uploads import answers
from incoming.http_uploads.answers import Answer
from incoming.http_uploads.body import BodyBroken, BodyInterrupted
from incoming.http_uploads.dialects import Dialect
from incoming.http_uploads.form_body import FormBody
from incoming.http_uploads.put import receive_whole
from incoming.http_uploads.request import UploadRequest
from incoming.http_uploads.transfer import FileDescription
from incoming.http_uploads.transfers import Transfers
from incoming.http_uploads.views import FINISHED, HTML, Views
from incoming.protocol import tus
from incoming.protocol.body_place import check_whole
from incoming.protocol.digests import content_digests, file_digest_follows, named_file_digest
from incoming.protocol.multipart_form import MAX_OTHER_BYTES, FormReader
from incoming.protocol.request_checksum import RequestChecksums


class Forms(Dialect):
    """See dialects.Dialect."""

    def __init__(self, transfers: Transfers, views: Views) -> None:
        self._transfers, self._views = transfers, views

    def answer(self, request: UploadRequest) -> Answer:
        """Stores the file in a form. Raises IncomingError."""
        self._check(request)
        length_bytes = check_whole(request.find_header)
        reader = FormReader(request.header("Content-Type"))
        form = FormBody(request.body, reader, tus.read_checksums(request.find_header))
        with self._transfers.uploads.pending_claim(request.ticket_id) as pending:
            name, find = _read_name(form), reader.find_file_header
            checks = RequestChecksums(content_digests(find))
            digest = named_file_digest(find) or named_file_digest(request.find_header)
            check_whole(find)
            follows = file_digest_follows(request.find_header)
            file = FileDescription(length_bytes, name, file_digest=digest, digest_follows=follows)
            pending.check()  # its name may come late: a newer request has the upload then
        with self._transfers.claim(request.ticket_id, file, request.source) as transfer:
            try:
                receive_whole(transfer, form, checks, may_break_off=False)
                transfer.complete()
            except IncomingError:
                transfer.release()
                raise
            progress = transfer.wait_for_app()
        if not request.accepts(HTML):
            return self._views.outcome(request, progress)
        return self._see_other(request, progress)

    def _check(self, request: UploadRequest) -> None:
        """Raises what refuses any file, before the form is read."""
        request.check_query_is_whole()
        uploads = self._transfers.uploads
        ticket = uploads.ticket(request.ticket_id)
        uploads.check_resumable(ticket)
        if ticket.is_folder:
            raise FilesOnly("A form")
        min_bytes = (request.declared_body_bytes or 0) - MAX_OTHER_BYTES
        limit_bytes = uploads.limit_bytes(ticket)
        if limit_bytes is not None and min_bytes > limit_bytes and ticket.state in RECEIVING:
            raise UploadTooLarge(min_bytes, limit_bytes)

    def _see_other(self, request: UploadRequest, progress: Progress) -> Answer:
        """Returns where the browser is sent; it makes a GET there (RFC 9110 section 15.4.4)."""
        return_url = self._views.of(request.ticket_id, progress).return_url
        has_app_the_file = progress.state is State.FINISHED
        target = return_url if has_app_the_file and return_url else request.location
        sentence = FINISHED if has_app_the_file else "The file has arrived."
        return answers.text(303, f"{sentence}\n").add("Location", target)

    def failure(self, request: UploadRequest, error: IncomingError) -> Answer:
        """See dialects.Dialect."""
        answer = self._views.failure(request, error)
        if isinstance(error, ChecksumMismatch):
            answer.status = 400  # 460 is a status of tus
        return answer


def _read_name(form: FormBody) -> str:
    """Returns the name of the file once it begins. Raises BadForm, FormTooLarge, IncompleteBody."""
    try:
        return form.read_name()
    except BodyBroken as exc:
        raise exc.error from exc
    except BodyInterrupted as exc:
        raise TakenOver from exc
