"""The session of our own library where no WebSocket opens: messages of version 2 in requests of HTTP.

| request | body | answer |
|---|---|---|
| POST TICKET/session | MsgUploadReq | MsgUploadConf, and the session's token in Upload-Session |
| PUT TICKET/session | MsgAgree with its ranges in Compare | nothing |
| PATCH TICKET/session | a chunk, with Upload-Offset and Upload-Checksum | MsgStored |
| POST TICKET/session/complete | MsgComplete | MsgAllDone; MsgNews if the app fails, or after `?wait=25` s |
| GET TICKET/session | | the same; MsgPong while bytes are missing; `?wait=25` waits for something new |
| POST TICKET/session/cancel | MsgCancel | MsgCancelAck, or MsgNews when it is too late |
| DELETE TICKET/session | | the same; `?reason=` is for the app. Proxies block it. |

The token is that of the session's claim. Each request claims the upload with one that begins with it. After
the token comes the length of the file, which counts once the client has shown that it has the same file. So a
session ends when any other claim takes the upload, every process of the server can answer its requests, and
nothing of a session is kept between them. Two chunks may be on their way at a time: see
`transfer.SessionPosition`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Final

from incoming.core.errors import (
    BadHeader,
    BadMessage,
    IncomingError,
    LeaveOutRefused,
    MethodNotAllowed,
    NotFound,
    OffsetMismatch,
    TakenOver,
    WrongState,
)
from incoming.core.lifecycle import ARRIVED, RECEIVING, State
from incoming.core.progress import Progress
from incoming.core.resume_check import MAX_SAMPLED_BYTES, Ranges
from incoming.core.ticket import FOLDER
from incoming.http_uploads import answers
from incoming.http_uploads.answers import Answer
from incoming.http_uploads.dialects import Dialect
from incoming.http_uploads.request import MAX_WAIT_S, UploadRequest
from incoming.http_uploads.transfer import FileDescription, SessionPosition, Transfer
from incoming.http_uploads.transfers import Transfers
from incoming.protocol import messages, tus
from incoming.protocol.flow_control import Limits, limits_of
from incoming.protocol.rules import CANCELLED_BY_CLIENT, MAX_REASON_CHARS
from incoming.protocol.v2 import VERSION, error_message
from incoming.runtime.fair_scheduler import is_contended

TOKEN_HEADER: Final = "Upload-Session"
MAX_MESSAGE_BYTES: Final = 64 * 1024

OTHER_METHOD: Final = "This address of a session does not support this HTTP method."


class LibrarySession(Dialect):
    """See dialects.Dialect."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers
        self._uploads = transfers.uploads
        self._limits = limits_of(self._uploads.context.settings)

    def answer(self, request: UploadRequest) -> Answer:
        """Answers a request of a session."""
        match (request.method, *request.address.tail[1:]):
            case ("POST",):
                return self._open(request)
            case ("PUT",):
                return self._agree(request)
            case ("PATCH",):
                return self._chunk(request)
            case ("POST", "complete"):
                return self._complete(request)
            case ("GET",):
                return self._watch(request)
            case ("POST", "cancel"):
                return self._read_cancel(request)
            case ("DELETE",):
                return self._cancel(request, request.query("reason"))
            case (_,):
                raise MethodNotAllowed(OTHER_METHOD, "OPTIONS, POST, PUT, PATCH, GET, DELETE")
            case (_, "complete" | "cancel"):
                raise MethodNotAllowed(OTHER_METHOD, "OPTIONS, POST")
        raise NotFound("This is not an address of a session.")

    def failure(self, request: UploadRequest, error: IncomingError) -> Answer:
        """Returns the error as the message of version 2."""
        message = _answer(error_message(error))
        return answers.failure(request, error).with_content(message.headers, message.body)

    def _claim(self, request: UploadRequest, offset_bytes: int = 0) -> AbstractContextManager[Transfer]:
        """Claims the upload for one more request of a session. Raises BadHeader."""
        position, file = _read_position(request, offset_bytes)
        return self._transfers.claim(request.ticket_id, file, request.source, position)

    def _limits_for(self, transfer: Transfer) -> Limits:
        return self._limits.for_storage(transfer.window_bytes).for_rate(transfer.ticket.max_bytes_per_s)

    # --- the requests ---------------------------------------------------------------------------------

    def _open(self, request: UploadRequest) -> Answer:
        """Begins a session, which takes the upload over."""
        asked = messages.parse(_text(request))
        if isinstance(asked, messages.MsgLeaveOut):
            raise LeaveOutRefused
        if not isinstance(asked, messages.MsgUploadReq) or asked.version != VERSION:
            raise BadMessage(f"A session begins with MsgUploadReq in version {VERSION}.")
        file = FileDescription(asked.length_bytes, asked.name, asked.last_modified_ms, proves=True)
        with self._transfers.claim(request.ticket_id, file, request.source) as transfer:
            ticket = transfer.ticket
            limits = self._limits_for(transfer).for_connections(1)
            send_limits = limits.send_limits(self._transfers.buffers.in_use, is_contended())
            message = messages.MsgUploadConfV2(
                version=VERSION,
                offset=transfer.progress.offset_bytes,
                max_chunk_bytes=send_limits.chunk_bytes,
                max_window_bytes=send_limits.window_bytes,
                silence_s=limits.silence_s,
                idle_silence_s=limits.idle_silence_s,
                compare=transfer.to_compare,
                arrived=ticket.state in ARRIVED,
                file_last_modified_ms=ticket.last_modified_ms,
                file_name=ticket.name,
                dest_type=FOLDER if ticket.is_folder else "",
                left_out=transfer.left_out,
            )
            return _answer(message).add(TOKEN_HEADER, f"{transfer.session}.{asked.length_bytes}")

    def _agree(self, request: UploadRequest) -> Answer:
        """Compares the client's file with what is stored."""
        name, data = messages.read_envelope(_text(request))
        if name != messages.wire_type(messages.MsgAgreeOverHttp):
            raise BadMessage("This request must have a MsgAgree.")
        agree = messages.read_members(messages.MsgAgreeOverHttp, data, lowest=0)
        with self._claim(request) as transfer:
            if transfer.is_receiving:
                _check_ranges(agree, transfer.offset_bytes)
                transfer.compare(agree.compare, agree.crc32c)
        return Answer(204)

    def _chunk(self, request: UploadRequest) -> Answer:
        """Stores one chunk, once it is verified."""
        offset_bytes = tus.read_integer(request.find_header, tus.Header.OFFSET)
        checksums = tus.read_checksums(request.find_header)
        if offset_bytes is None:
            raise BadHeader(tus.Header.OFFSET, "is missing")
        if not checksums:
            raise BadHeader(tus.Header.CHECKSUM, "is missing")
        try:
            with self._claim(request, offset_bytes) as transfer:
                transfer.check_offset(offset_bytes)
                transfer.receive(request.body, checksums)
                limits = self._limits_for(transfer)
                now = limits.send_limits(self._transfers.buffers.in_use, is_contended())
                stored_bytes = transfer.progress.offset_bytes
        except TakenOver as exc:
            position, _ = _read_position(request, offset_bytes)
            if not position.has(self._uploads.ticket(request.ticket_id)):
                raise
            # A later chunk of the session has come to another process.
            progress = self._transfers.look(request.ticket_id)
            visible_bytes = self._transfers.visible_offset_bytes(request.ticket_id, progress)
            raise OffsetMismatch(visible_bytes, offset_bytes) from exc
        return _answer(messages.MsgStored(stored_bytes, now.chunk_bytes, now.window_bytes))

    def _complete(self, request: UploadRequest) -> Answer:
        """All chunks were stored: compares the whole file's checksum, and hands it over."""
        asked = messages.parse(_text(request))
        if not isinstance(asked, messages.MsgComplete):
            raise BadMessage("This request must have a MsgComplete.")
        wait_s = request.wait_s(MAX_WAIT_S)
        with self._claim(request) as transfer:
            transfer.complete(asked.crc32c)
            return self._result(request, transfer.wait_for_app(wait_s, to_tell=True))

    def _watch(self, request: UploadRequest) -> Answer:
        """Tells how the upload is; with `wait`, as soon as there is something new."""
        wait_s = request.wait_s()
        progress = self._transfers.look(request.ticket_id)
        if progress.state not in RECEIVING and wait_s:
            progress = self._transfers.watch(request.ticket_id, wait_s)
        return self._result(request, progress)

    def _result(self, request: UploadRequest, progress: Progress) -> Answer:
        """Returns the news of an upload in this state. Raises why it has failed or was called off."""
        ticket = self._uploads.ticket(request.ticket_id)
        self._uploads.check_resumable(ticket)
        if progress.state in RECEIVING:
            return _answer(messages.MsgPong())
        if progress.state is State.FINISHED:
            return _answer(messages.MsgAllDoneV2(True, ticket.crc32c or 0))
        if why := self._uploads.why_no_answer(ticket.id, ticket.state):
            return _answer(messages.MsgNews(messages.NEWS_WAITING_FOR_APP, why=why))
        return _answer(messages.MsgNews(messages.NEWS_HANDING_OVER))

    def _read_cancel(self, request: UploadRequest) -> Answer:
        asked = messages.parse(_text(request))
        if not isinstance(asked, messages.MsgCancel):
            raise BadMessage("This request must have a MsgCancel.")
        return self._cancel(request, asked.reason)

    def _cancel(self, request: UploadRequest, reason: str) -> Answer:
        reason = reason[:MAX_REASON_CHARS] or CANCELLED_BY_CLIENT
        try:
            self._uploads.cancel_by_request(request.ticket_id, reason)
        except WrongState:
            return self._result(request, self._transfers.look(request.ticket_id))
        return _answer(messages.MsgCancelAck(True))


def _answer(message: messages.ToClient) -> Answer:
    return Answer(200, [("Content-Type", "application/json")], messages.encode(message).encode())


def _read_position(request: UploadRequest, offset_bytes: int) -> tuple[SessionPosition, FileDescription]:
    """Returns where the body of a request belongs, and what its session knows of the file. Raises BadHeader.

    A session that an older server has begun has no length there.
    """
    token, dot, length = request.header(TOKEN_HEADER).partition(".")
    if not token:
        raise BadHeader(TOKEN_HEADER, "is missing")
    length_bytes = tus.read_integer({TOKEN_HEADER: length}.get, TOKEN_HEADER) if dot else None
    return SessionPosition(token, offset_bytes), FileDescription(length_bytes, proves=True)


def _check_ranges(agree: messages.MsgAgreeOverHttp, stored_bytes: int) -> None:
    """Raises BadMessage unless the ranges are in order, stored, and have a checksum each. There is one.

    Samples may overlap, but all ranges together are not much more than what is stored: they are read here.
    """
    ranges: Ranges = agree.compare
    in_file = all(0 <= start <= end <= stored_bytes for start, end in ranges)
    in_order = all(before[0] <= after[0] for before, after in pairwise(ranges))
    few = sum(end - start for start, end in ranges) <= stored_bytes + MAX_SAMPLED_BYTES
    if not (ranges and in_file and in_order and few and len(ranges) == len(agree.crc32c)):
        raise BadMessage("MsgAgree does not have the ranges that were asked for.")


def _text(request: UploadRequest) -> str:
    """Returns the message in a request's body. Raises BadMessage, IncompleteBody."""
    scratch, length_bytes = memoryview(bytearray(MAX_MESSAGE_BYTES + 1)), 0
    while count := request.read_into(scratch[length_bytes:]):
        length_bytes += count
        if length_bytes > MAX_MESSAGE_BYTES:
            raise BadMessage(f"A message has at most {MAX_MESSAGE_BYTES} bytes.")
    return bytes(scratch[:length_bytes]).decode("utf-8", "replace")
