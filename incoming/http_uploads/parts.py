"""tus 1.0, "Concatenation": partial uploads, and the final one that is made of them.

The partial uploads of a ticket have the addresses TICKET/parts/1 and so on. The final one is that of the
ticket itself, so a ticket has one. It takes parts of its own ticket only.

A client may create the final upload before its parts are complete ("concatenation-unfinished"). The request
that makes it complete is held until the app has the file. There is no byte to withhold, so a client that has
to wait for longer is answered with 423, and repeats it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from incoming.core.errors import (
    AppNotReady,
    BadAssembly,
    IncomingError,
    InParts,
    LengthMismatch,
    MethodNotAllowed,
    OffsetMismatch,
    TooManyBytes,
    WrongState,
)
from incoming.core.lifecycle import RECEIVING, PlanAssembly, State
from incoming.core.parts import PARTS, Assembly, part_id, part_number, split_part_id
from incoming.core.ticket import Ticket
from incoming.http_uploads.answers import Answer
from incoming.http_uploads.request import UploadRequest
from incoming.http_uploads.transfers import Transfers
from incoming.protocol import tus
from incoming.protocol.tus import Creation, FinalUpload, Header

PARTIAL: Final = "partial"
OTHER_TICKET: Final = (
    "Upload-Concat names something other than parts of this ticket, whose addresses end with "
    "TICKET/parts/NUMBER."
)


class Concatenation:
    """Answers the requests of tus for partial and final uploads."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers
        self._uploads = transfers.uploads
        self._parts = transfers.uploads.parts

    # --- partial uploads -------------------------------------------------------------------------------

    def create_part(self, request: UploadRequest, creation: Creation) -> Answer:
        """Creates a part, with its first bytes or without. Raises what `PartUploads.create` raises."""
        checks = tus.read_checksums(request.find_header)
        about = creation.length_bytes, creation.metadata.raw
        upload_id = self._parts.create(request.ticket_id, *about, request.source)
        _, number = split_part_id(upload_id)
        answer = Answer(201).add("Location", f"{request.location}/{PARTS}/{number}")
        if not creation.has_content:
            return answer
        try:
            with self._transfers.claim_part(upload_id, request.source) as transfer:
                transfer.receive(request.body, checks or None)
                return answer.add(Header.OFFSET, transfer.offset_bytes)
        except BaseException:
            with suppress(IncomingError):
                self._parts.delete(upload_id)  # the client never learns its address
            raise

    def answer(self, request: UploadRequest, number: int) -> Answer:
        """Answers HEAD, PATCH and DELETE of a part."""
        upload_id = part_id(request.ticket_id, number)
        match request.method:
            case "HEAD":
                return self._head(upload_id, request.source)
            case "PATCH":
                return self._append(upload_id, request)
            case "DELETE":
                self._parts.delete(upload_id)
                return Answer(204)
        raise MethodNotAllowed(
            "A part of an upload supports the methods OPTIONS, HEAD, PATCH and DELETE.",
            "OPTIONS, HEAD, PATCH, DELETE",
        )

    def _head(self, upload_id: str, source: str) -> Answer:
        """Tells how far a part is. A client that is sending bytes of it loses it first."""
        progress = self._parts.look(upload_id)
        offset_bytes = progress.offset_bytes
        if offset_bytes != progress.length_bytes and self._uploads.is_in_use(upload_id):
            try:
                with self._transfers.claim_part(upload_id, source) as transfer:
                    offset_bytes = transfer.offset_bytes
            except WrongState as exc:
                offset_bytes = self._completed_meanwhile(upload_id, exc)
        answer = Answer(200).add(Header.OFFSET, offset_bytes).add(Header.CONCAT, PARTIAL)
        upload = self._parts.ticket(upload_id)
        return described(answer, upload.length_bytes, upload.upload_metadata)

    def _append(self, upload_id: str, request: UploadRequest) -> Answer:
        """Stores the body after what is stored of a part. All of it counts: nothing is withheld."""
        append = tus.read_append(request.find_header)
        checks = tus.read_checksums(request.find_header)
        with self._uploads.pending_claim(upload_id) as pending:
            progress = self._parts.look(upload_id)
            pending.check()  # the look may take long: a newer request has the part then
        if progress.offset_bytes == progress.length_bytes:
            return self._append_nothing(request, progress.offset_bytes, append)
        try:
            with self._transfers.claim_part(upload_id, request.source) as transfer:
                transfer.check_offset(append.offset_bytes)
                if append.length_bytes is not None:
                    transfer.set_length(append.length_bytes)
                transfer.receive(request.body, checks or None)
                return Answer(204).add(Header.OFFSET, transfer.offset_bytes)
        except WrongState as exc:
            return self._append_nothing(request, self._completed_meanwhile(upload_id, exc), append)

    def _completed_meanwhile(self, upload_id: str, error: WrongState) -> int:
        """Returns the length of a part that another request has completed since this one looked at it.

        The file is made of such a part, so it can't be claimed. Raises `error` if the part is not complete.
        """
        progress = self._parts.look(upload_id)
        if progress.offset_bytes != progress.length_bytes:
            raise error
        return progress.offset_bytes

    def _append_nothing(self, request: UploadRequest, length_bytes: int, append: tus.Append) -> Answer:
        """Answers a request for a complete part, without a claim: the file may be being made of it."""
        if append.offset_bytes != length_bytes:
            raise OffsetMismatch(length_bytes, append.offset_bytes)
        if append.length_bytes not in (None, length_bytes):
            upload = self._parts.ticket(part_id(request.ticket_id, request.address.part_number or 0))
            raise LengthMismatch(upload.expected_file, append.length_bytes or 0)
        if request.read_into(memoryview(bytearray(1))):
            raise TooManyBytes(0)
        return Answer(204).add(Header.OFFSET, length_bytes)

    # --- the final upload ------------------------------------------------------------------------------

    def create_final(self, request: UploadRequest, creation: Creation, final: FinalUpload) -> Answer:
        """Says which parts make the file. It may be repeated, and answers once the app has the file.

        Answers at once while parts are not complete. Raises what `Assemblies.plan` raises, and AppNotReady.
        """
        numbers, address = read_urls(final.urls, request.ticket_id)
        metadata = creation.metadata
        event = PlanAssembly(numbers, address, metadata.file_name, metadata.raw)
        if self._uploads.assemblies.plan(request.ticket_id, event):
            self._wait_for_app(request)
        return Answer(201).add("Location", request.location)

    def _wait_for_app(self, request: UploadRequest) -> None:
        """Returns when the app has the file. Raises AppNotReady when that takes too long."""
        runtime, hold_s = self._uploads.context.runtime, self._uploads.context.settings.http_hold_s
        until_s = runtime.now_s() + hold_s
        with self._uploads.pending_claim(request.ticket_id, waits=True) as pending:
            self._uploads.assemblies.wait(request.ticket_id, hold_s)
            pending.check()  # a newer request has the upload then
        if self._uploads.ticket(request.ticket_id).state in RECEIVING:
            raise AppNotReady
        with self._transfers.claim(request.ticket_id, source=request.source) as transfer:
            progress = transfer.wait_for_app(max(until_s - runtime.now_s(), 0.0))
            if progress.state is not State.FINISHED:
                raise transfer.app_not_ready

    def head_final(self, ticket: Ticket) -> Answer | None:
        """Answers HEAD of a final upload; None if it is not one. Raises InParts while there are only parts.

        There is an offset once the app has the file.
        """
        assembly = ticket.parts.assembly if ticket.parts else None
        if assembly is None:
            if ticket.is_in_parts:
                raise InParts
            return None
        answer = Answer(200).add(Header.CONCAT, final_header(ticket.id, assembly))
        if ticket.expected_bytes is not None:
            answer.add(Header.LENGTH, ticket.expected_bytes)
        if ticket.state is State.FINISHED:
            answer.add(Header.OFFSET, ticket.length_bytes)
        return answer.add(Header.METADATA, ticket.upload_metadata) if ticket.upload_metadata else answer


def described(answer: Answer, length_bytes: int | None, metadata: str) -> Answer:
    """Adds what HEAD tells of a file besides the offset: its length, or that it follows, and its metadata."""
    if length_bytes is None:
        answer.add(Header.DEFER_LENGTH, "1")
    else:
        answer.add(Header.LENGTH, length_bytes)
    return answer.add(Header.METADATA, metadata) if metadata else answer


def read_urls(urls: tuple[str, ...], ticket_id: str) -> tuple[tuple[int, ...], str]:
    """Returns the numbers of the parts with these addresses, and what comes before all of the numbers.

    An address may be absolute or relative, since a client may reach this server through a proxy. Raises
    BadAssembly for anything but parts of this ticket.
    """
    numbers: list[int] = []
    addresses: set[str] = set()
    for url in urls:
        *_, ticket, parts, text = ["", "", *url.rsplit("/", 3)]
        number = part_number(text)
        if (ticket, parts) != (ticket_id, PARTS) or number is None:
            raise BadAssembly(OTHER_TICKET)
        numbers.append(number)
        addresses.add(url.removesuffix(text))
    return tuple(numbers), addresses.pop() if len(addresses) == 1 else ""


def final_header(ticket_id: str, assembly: Assembly) -> str:
    """Returns Upload-Concat as its client has sent it, or with relative addresses if that is not known."""
    address = assembly.address or f"{ticket_id}/{PARTS}/"
    return "final;" + " ".join(f"{address}{number}" for number in assembly.order)
