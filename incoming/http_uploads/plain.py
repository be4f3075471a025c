"""Requests that speak no protocol of uploads: HEAD tells how far an upload is, DELETE cancels it.

curl and scripts make them. HEAD has the headers of every protocol, which do not collide.
"""

from __future__ import annotations

from typing import Final

from incoming.core.errors import MethodNotAllowed
from incoming.core.lifecycle import State
from incoming.http_uploads import answers
from incoming.http_uploads.answers import Answer
from incoming.http_uploads.dialects import Dialect
from incoming.http_uploads.limits import limits_of
from incoming.http_uploads.request import UploadRequest
from incoming.http_uploads.transfers import Transfers
from incoming.protocol import ietf_draft
from incoming.protocol.rules import CANCELLED_BY_CLIENT

NEWEST: Final = ietf_draft.Spoken(ietf_draft.NEWEST, is_named=False)


class Plain(Dialect):
    """See dialects.Dialect."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers

    def answer(self, request: UploadRequest) -> Answer:
        """Answers HEAD and DELETE. Raises MethodNotAllowed for any other method."""
        match request.method:
            case "HEAD":
                return self._head(request)
            case "DELETE":
                self._transfers.uploads.cancel_by_request(request.ticket_id, CANCELLED_BY_CLIENT)
                return Answer(204)
        raise MethodNotAllowed(f"An upload supports the methods {answers.METHODS}.", answers.METHODS)

    def _head(self, request: UploadRequest) -> Answer:
        progress = self._transfers.progress_to_resume(request.ticket_id, request.source)
        answer = Answer(200)
        answer.add("Upload-Offset", self._transfers.visible_offset_bytes(request.ticket_id, progress))
        if progress.length_bytes is not None:
            answer.add("Upload-Length", progress.length_bytes)
        limits = limits_of(self._transfers.uploads, request.ticket_id)
        answer.headers += ietf_draft.answer_headers(NEWEST, limits=limits)
        return answer.add("Upload-Complete", "?1" if progress.state is State.FINISHED else "?0")
