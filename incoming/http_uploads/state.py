"""GET of an upload: its state, as JSON for programs and as a page for people. It interrupts nothing.

The answer may be held until the state, or why the app is late, changes: `?wait=25`.
"""

from __future__ import annotations

from incoming.core.errors import IncomingError
from incoming.http_uploads.answers import Answer
from incoming.http_uploads.dialects import Dialect
from incoming.http_uploads.request import UploadRequest
from incoming.http_uploads.transfers import Transfers
from incoming.http_uploads.views import Views


class UploadStates(Dialect):
    """See dialects.Dialect."""

    def __init__(self, transfers: Transfers, views: Views) -> None:
        self._transfers, self._views = transfers, views

    def answer(self, request: UploadRequest) -> Answer:
        """Answers GET. Raises UnknownTicket, StorageFailed, BadParameter."""
        if request.part_count:
            return Answer(204)  # resumable.js asks whether a part is stored, and takes 200 for a yes
        max_s, watch, look = request.wait_s(), self._transfers.watch, self._transfers.look
        progress = watch(request.ticket_id, max_s) if max_s else look(request.ticket_id)
        return self._views.state(request, progress)

    def failure(self, request: UploadRequest, error: IncomingError) -> Answer:
        """See dialects.Dialect."""
        return self._views.failure(request, error)
