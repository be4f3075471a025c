"""GET of an upload: its state, as JSON for programs and as a page for people. It disturbs nobody.

The answer may be held until the state changes: `?wait=25`.
"""

from __future__ import annotations

import re
from typing import Final

from incoming.core.errors import BadParameter, IncomingError
from incoming.http_uploads.answers import Answer
from incoming.http_uploads.dialects import Dialect
from incoming.http_uploads.request import UploadRequest
from incoming.http_uploads.transfers import Transfers
from incoming.http_uploads.upload_page import LONGEST_WAIT_S
from incoming.http_uploads.views import Views

_SECONDS: Final = re.compile(r"[0-9]{1,6}")


class UploadStates(Dialect):
    """See dialects.Dialect."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers
        self._views = Views(transfers)

    def answer(self, request: UploadRequest) -> Answer:
        """Answers GET. Raises UnknownTicket, StorageFailed, BadParameter."""
        longest_s, watch, look = _wait_s(request), self._transfers.watch, self._transfers.look
        progress = watch(request.ticket_id, longest_s) if longest_s else look(request.ticket_id)
        return self._views.state(request, progress)

    def failure(self, request: UploadRequest, error: IncomingError) -> Answer:
        """See dialects.Dialect."""
        return self._views.failure(request, error)


def _wait_s(request: UploadRequest) -> int:
    """Returns for how many seconds the answer may be held. Raises BadParameter."""
    text = request.query("wait") or "0"
    if not _SECONDS.fullmatch(text):
        raise BadParameter("wait", f"must be a number of seconds; at most {LONGEST_WAIT_S} count")
    return min(int(text), LONGEST_WAIT_S)
