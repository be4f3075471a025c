"""Resumable uploads of the IETF over HTTP: creation, appends, the offset and cancellation of one ticket.

`protocol.ietf_draft` knows what the headers mean in each version of the draft, `transfer` what happens to
the upload. A ticket's address is the resource that an upload is created at, and also the upload resource.

"Complete" is the app's word here, too. A final answer says that the upload is complete when the app has the
file, or has refused it. Until then a request that completes the upload is held. If the app needs longer, the
client is told to ask for the offset and to complete again, with a request that has no content.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from incoming.core import errors, file_digest
from incoming.core.file_digest import FileDigest
from incoming.core.lifecycle import CALLED_OFF, State
from incoming.core.networks import Networks
from incoming.core.progress import Progress
from incoming.http_uploads import answers
from incoming.http_uploads.answers import Answer, Headers
from incoming.http_uploads.dialects import Dialect
from incoming.http_uploads.limits import limits_of
from incoming.http_uploads.proxy_signs import is_proxied
from incoming.http_uploads.request import UploadRequest
from incoming.http_uploads.transfer import FileDescription, Transfer
from incoming.http_uploads.transfers import Transfers
from incoming.protocol import ietf_draft, problems, tus
from incoming.protocol.digests import (
    REPR_DIGEST,
    WANT_REPR_DIGEST,
    digest_value,
    file_digest_follows,
    named_file_digest,
    wanted_hash,
)
from incoming.protocol.ietf_draft import InconsistentLength, Limits
from incoming.protocol.rules import CANCELLED_BY_CLIENT, upload_url
from incoming.wire.content_disposition import file_name

PROGRESS_INTERVAL_S: Final = 1.0
"""The shortest time between two interim answers that tell the offset."""
MAX_REMEMBERED: Final = 10_000
"""For how many uploads the server remembers that their clients send them in parts."""
TOO_LONG: Final = "the client sent more bytes than the length that it had declared"
_FINAL: Final = (
    *(errors.UnknownTicket, errors.UploadCancelled, errors.UploadExpired),
    *(errors.HandoverFailed, errors.UploadTooLarge, errors.DigestMismatch, errors.WrongFile),
)
"""Errors that answer for the upload as a whole. After one of them no client needs to come back."""
_STATUSES: Final = {
    errors.AppNotReady.code: HTTPStatus.GATEWAY_TIMEOUT,  # 5xx: ask for the offset, and resume
    errors.ChecksumMismatch.code: HTTPStatus.BAD_REQUEST,  # 460 is a status of tus
    errors.WrongFile.code: HTTPStatus.BAD_REQUEST,  # after 409 a client appends the rest of its own file
    errors.TooManyBytes.code: HTTPStatus.BAD_REQUEST,  # after 413 a client sends the same in smaller parts
}
"""Where an error has another status than for other clients."""


class IetfDraft(Dialect):
    """See dialects.Dialect. The draft counts the bytes of a body as they are coded."""

    takes_codings = True

    def __init__(self, transfers: Transfers) -> None:
        self.transfers = transfers
        self.context = transfers.uploads.context
        self._proxies = Networks(self.context.settings.trusted_proxies)
        self._sent_in_parts: OrderedDict[str, None] = OrderedDict()

    def answer(self, request: UploadRequest) -> Answer:
        """Answers a request. Raises IncomingError, which `failure` then answers."""
        request.check_names_upload()
        exchange = _Exchange(self, request)
        match request.method:
            case "HEAD" | "GET":
                return exchange.tell_offset()
            case "DELETE":
                return exchange.cancel()
            case "POST" | "PUT" | "PATCH":
                return exchange.receive()
        raise errors.MethodNotAllowed(f"An upload supports the methods {answers.METHODS}.", answers.METHODS)

    def failure(self, request: UploadRequest, error: errors.IncomingError) -> Answer:
        """See dialects.Dialect."""
        return _Exchange(self, request).failure(error)

    def options(self, request: UploadRequest) -> Headers:
        """Returns the limits, which also say that an upload may be created here (4.1.4)."""
        return _Exchange(self, request).capabilities()

    def may_send_interim(self, request: UploadRequest) -> bool:
        """Returns whether interim answers of this protocol reach the client of a request."""
        setting = self.context.settings.interim_responses
        return setting == "on" or (setting == "auto" and not is_proxied(request.environ, self._proxies))

    # --- clients that send their files in parts --------------------------------------------------------

    def remember_parts(self, ticket_id: str) -> None:
        """The client of this upload sends it in parts, so it understands an answer to a part."""
        self._sent_in_parts[ticket_id] = None
        self._sent_in_parts.move_to_end(ticket_id)
        if len(self._sent_in_parts) > MAX_REMEMBERED:
            self._sent_in_parts.popitem(last=False)

    def forget_parts(self, ticket_id: str) -> None:
        """The upload has ended, or its client sends it as a whole."""
        self._sent_in_parts.pop(ticket_id, None)

    def sends_in_parts(self, ticket_id: str) -> bool:
        """Returns whether the client of this upload sends it in parts. A restart forgets that."""
        return ticket_id in self._sent_in_parts


class _Exchange:
    """One request and its answer, in the dialect of the client."""

    def __init__(self, draft: IetfDraft, request: UploadRequest) -> None:
        self._draft = draft
        self._context = draft.context
        self._transfers = draft.transfers
        self._request = request
        self._id = request.ticket_id
        self._find = request.find_header
        self._spoken = ietf_draft.spoken(request.find_header)
        self._dialect = self._spoken.dialect
        self._creates = False

    # --- the offset, and the end ----------------------------------------------------------------------

    def tell_offset(self) -> Answer:
        """Answers a request for the offset (4.3)."""
        ietf_draft.check_stateless(self._dialect, self._find)
        progress = self._transfers.progress_to_resume(self._id, self._request.source)
        if self._dialect.ends_at_length and progress.length_bytes == 0:
            # The client takes the offset 0 for success, and may never send anything.
            with self._transfers.claim(self._id, source=self._request.source) as transfer:
                progress = self._handed_over(transfer)
        if progress.state is State.ISSUED:
            self._draft.remember_parts(self._id)  # a client that sends all at once does not ask before
        answer = self._state(204, progress)
        answer.headers += ietf_draft.answer_headers(
            self._nameless, length_bytes=progress.length_bytes, limits=self._limits()
        )
        return answer

    def cancel(self) -> Answer:
        """Answers a request to cancel (4.5)."""
        ietf_draft.check_stateless(self._dialect, self._find)
        self._transfers.uploads.cancel_by_request(self._id, CANCELLED_BY_CLIENT)
        self._draft.forget_parts(self._id)
        return Answer(204, ietf_draft.answer_headers(self._spoken))

    def capabilities(self) -> Headers:
        """Returns what is said of this protocol in the answer to OPTIONS."""
        limits = ietf_draft.answer_headers(self._nameless, limits=self._limits())
        return [*limits, ("Accept-Patch", ietf_draft.MEDIA_TYPE)]

    # --- bytes ----------------------------------------------------------------------------------------

    def receive(self) -> Answer:
        """Answers a request that creates the upload (4.2), or appends to it (4.4)."""
        self._creates = ietf_draft.is_creation(self._dialect, self._request.method, self._find)
        read = ietf_draft.read_creation if self._creates else ietf_draft.read_append
        part = read(self._dialect, self._find, self._request.declared_body_bytes)
        check = tus.read_checksums(self._find) or None
        with self._transfers.claim(self._id, self._file(part), self._request.source) as transfer:
            self._begin(transfer, part)
            body = self._request.body
            if self._creates:
                self._skip_stored(transfer, part, has_digest=check is not None)
            is_receiving = transfer.is_receiving
            seen_bytes = transfer.progress.offset_bytes - part.offset_bytes
            try:
                transfer.receive(body, check, self._tells_progress(transfer))
            except errors.TooManyBytes:
                self._invalidate(transfer)
                raise
            if not is_receiving and body.received_bytes > seen_bytes:
                raise errors.TooManyBytes(seen_bytes)  # only a byte that was withheld may come again
            if self._is_end(transfer, part):
                return self._complete(transfer)
            return self._acknowledge(transfer.progress)

    def _file(self, part: ietf_draft.Transfer) -> FileDescription:
        """Returns what the client says of its file. An append says its length once its offset is right."""
        wanted = wanted_hash(self._find(WANT_REPR_DIGEST))
        asked = named_file_digest(self._find) or (FileDigest(wanted).text if wanted else "")
        follows = file_digest_follows(self._find)
        if not self._creates:
            return FileDescription(file_digest=asked, digest_follows=follows)
        metadata = tus.NO_METADATA  # tus-js-client sends its own header for it in this protocol, too
        with suppress(errors.BadHeader):
            metadata = tus.read_metadata(self._find)
        name = file_name(self._find("Content-Disposition")) or metadata.file_name
        return FileDescription(
            part.length_bytes,
            name,
            upload_metadata=metadata.raw,
            file_digest=asked,
            digest_follows=follows,
        )

    def _begin(self, transfer: Transfer, part: ietf_draft.Transfer) -> None:
        """Checks where the request belongs, before any of its content is read."""
        if self._creates:
            if part.is_last:
                self._draft.forget_parts(self._id)
            else:
                self._draft.remember_parts(self._id)
        else:
            self._check_offset(transfer, part.offset_bytes)
            transfer.prove()  # its offset is right
            if part.length_bytes not in (None, transfer.ticket.length_bytes):
                transfer.set_length(part.length_bytes)
        if transfer.missing_bytes == 0 and self._is_end(transfer, part):
            transfer.complete()  # it was whole already, but a kill or the disk was in the way
        if self._creates and self._sends_interim:
            told = ietf_draft.answer_headers(self._spoken, limits=self._limits())
            self._request.body.send_interim(ietf_draft.INTERIM_STATUS, [*told, self._location])

    def _is_end(self, transfer: Transfer, part: ietf_draft.Transfer) -> bool:
        """Returns whether the file ends with what is stored, by what the client says or does."""
        return part.is_last or (self._dialect.ends_at_length and transfer.missing_bytes == 0)

    def _skip_stored(self, transfer: Transfer, part: ietf_draft.Transfer, has_digest: bool) -> None:
        """The client begins once more, since it does not know where the upload is. Its bytes are compared.

        A digest is that of the whole content. So such a client, and one that sends a part, resumes by itself.
        """
        stored_bytes, content_bytes = transfer.progress.offset_bytes, self._request.declared_body_bytes
        if not stored_bytes or content_bytes == 0:
            return
        if has_digest or not part.is_last:
            raise errors.OffsetMismatch(self._visible(transfer.progress), part.offset_bytes)
        transfer.skip_stored(self._request.body)

    def _check_offset(self, transfer: Transfer, offset_bytes: int) -> None:
        """Raises OffsetMismatch unless the request begins where the client sees the end of what is stored."""
        if self._withholds:
            transfer.check_offset(offset_bytes)
        elif offset_bytes != transfer.progress.offset_bytes:
            raise errors.OffsetMismatch(transfer.progress.offset_bytes, offset_bytes)

    def _tells_progress(self, transfer: Transfer) -> Callable[[int], object]:
        """Returns what tells the client of progress, at most once in PROGRESS_INTERVAL_S (4.4.2)."""
        if not (self._dialect.reports_progress and self._sends_interim):
            return lambda _: None
        now_s = self._context.runtime.now_s
        told_at_s = now_s()

        def tell(_: int) -> None:
            nonlocal told_at_s
            if now_s() - told_at_s < PROGRESS_INTERVAL_S:
                return
            told_at_s = now_s()
            told = ietf_draft.answer_headers(self._spoken, offset_bytes=self._visible(transfer.progress))
            self._request.body.send_interim(ietf_draft.INTERIM_STATUS, told)

        return tell

    def _invalidate(self, transfer: Transfer) -> None:
        """More bytes came than the file has, by its length: the upload ends, since -08 (4.4.2).

        A request that says so in its Content-Length is only refused: none of it was processed.
        """
        is_found_late = self._request.declared_body_bytes is None and transfer.is_receiving
        if is_found_late and self._dialect.needs_flag:
            transfer.cancel(TOO_LONG)

    def _complete(self, transfer: Transfer) -> Answer:
        """The client says that this was the end of the file."""
        length_bytes = transfer.ticket.length_bytes
        if length_bytes is None:
            transfer.set_length(transfer.offset_bytes)
        elif transfer.missing_bytes and transfer.is_receiving:
            raise InconsistentLength(length_bytes, transfer.offset_bytes)
        progress = self._handed_over(transfer)
        if progress.state is not State.FINISHED:
            return self._acknowledge(progress)
        self._draft.forget_parts(self._id)
        answer = self._state(self._dialect.whole_status, progress)
        return answer.add(*self._location) if self._creates and self._dialect.withholds else answer

    def _handed_over(self, transfer: Transfer) -> Progress:
        """Hands over a file that is whole, and waits for the app. Returns how far the upload is then.

        Raises AppNotReady if the app has not answered, unless the client understands an answer to a part.
        """
        transfer.complete()
        progress = transfer.wait_for_app()
        understands_part = self._dialect.withholds and self._draft.sends_in_parts(self._id)
        if progress.state is State.FINISHED or (understands_part and progress.length_bytes):
            return progress
        raise transfer.app_not_ready

    # --- answers --------------------------------------------------------------------------------------

    def _acknowledge(self, progress: Progress) -> Answer:
        """Returns the answer to a part."""
        if not self._creates:
            return self._state(self._dialect.part_status, progress)
        answer = self._state(201, progress)
        answer.headers += ietf_draft.answer_headers(self._nameless, limits=self._limits())
        return answer.add(*self._location)

    def _state(self, status: int, progress: Progress) -> Answer:
        """Returns an answer with the offset of the upload, and whether the app has the file.

        Once all bytes are there, it has the digest that the client has named or asked for.
        """
        is_complete = progress.state is State.FINISHED
        headers = ietf_draft.answer_headers(
            self._spoken, is_complete=is_complete, offset_bytes=self._visible(progress)
        )
        digest = (
            file_digest.read(self._transfers.uploads.ticket(self._id).file_digest) if is_complete else None
        )
        if digest and digest.value is not None:
            headers.append((REPR_DIGEST, digest_value(digest.hash_name, digest.value)))
        return Answer(status, headers)

    def failure(self, error: errors.IncomingError) -> Answer:
        """Returns the answer for an error: problem details (RFC 9457), and where the upload is."""
        status = int(_STATUSES.get(error.code, answers.STATUSES.get(error.code, error.http_status)))
        if status == HTTPStatus.GONE and self._dialect.refuses_state:
            status = int(HTTPStatus.NOT_FOUND)  # these versions have no other for it
        members = problems.problem(error, status, HTTPStatus(status).phrase)
        answer = Answer(status, [("Content-Type", problems.MEDIA_TYPE)], json.dumps(members).encode())
        is_final = isinstance(error, _FINAL)
        progress = None if is_final else self._look()
        if progress and progress.state in CALLED_OFF:  # this request has ended it
            is_final, progress = True, None
        answer.headers += ietf_draft.answer_headers(
            self._spoken,
            is_complete=is_final,
            offset_bytes=self._visible(progress) if progress else None,
            limits=self._limits() if isinstance(error, errors.UploadTooLarge) else None,
        )
        return answers.with_error(answer, error)

    def _look(self) -> Progress | None:
        """Returns how far the upload is; None where that is not known at once."""
        with suppress(errors.IncomingError):
            if not self._transfers.uploads.needs_power_cut_check(self._id):
                return self._transfers.look(self._id)
        return None

    def _visible(self, progress: Progress) -> int:
        """Returns the offset that the client may know of."""
        if not self._withholds:
            return progress.offset_bytes
        return self._transfers.visible_offset_bytes(self._id, progress)

    @property
    def _withholds(self) -> bool:
        """Whether the client is told of the last byte only when the app has the file.

        A HEAD without a number of this protocol is a plain one, whose answer withholds the last byte. So
        all answers to a client that names none do.
        """
        return self._dialect.withholds or not self._spoken.is_named

    def _limits(self) -> Limits:
        return limits_of(self._transfers.uploads, self._id)

    @property
    def _nameless(self) -> ietf_draft.Spoken:
        """The dialect without its number, which other headers of the answer have already."""
        return ietf_draft.Spoken(self._dialect, is_named=False)

    @property
    def _location(self) -> tuple[str, str]:
        """The Location header: the same one in all answers to a request (4.2.2)."""
        if public_url := self._context.settings.public_url:
            return "Location", upload_url(public_url, self._request.path, self._id)
        return "Location", self._request.location

    @property
    def _sends_interim(self) -> bool:
        return self._spoken.is_named and self._draft.may_send_interim(self._request)
