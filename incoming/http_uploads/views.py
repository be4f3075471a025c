"""The state of an upload, for the client of one request: as a page, as JSON, or in a sentence."""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import quote

from incoming.core.errors import HandoverFailed, IncomingError, UploadCancelled, UploadExpired
from incoming.core.lifecycle import State
from incoming.core.progress import Progress
from incoming.http_uploads import answers
from incoming.http_uploads.answers import Answer
from incoming.http_uploads.request import MAX_WAIT_S, UploadRequest
from incoming.http_uploads.transfers import Transfers
from incoming.http_uploads.upload_page import UploadPage, UploadView
from incoming.protocol.rules import upload_url
from incoming.runtime.static_files import STATIC_DIR

HTML: Final = "text/html"
JSON: Final = "application/json"
RETRY_AFTER_S: Final = 5
"""When a client may ask again whether the app has the file."""
FINISHED: Final = "The app has the file."
_SAID_BY_THE_PAGE: Final = (HandoverFailed, UploadCancelled, UploadExpired)
"""Errors that the page of their upload explains anyway."""
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?|\[[0-9a-fA-F:.]+](:[0-9]+)?")


class Views:
    """What clients may see of the uploads of one service."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers
        self._uploads = transfers.uploads
        self._public_url = transfers.uploads.context.settings.public_url
        self._page = UploadPage.load(STATIC_DIR)

    def of(self, ticket_id: str, progress: Progress) -> UploadView:
        """Returns what may be seen of an upload. Raises UnknownTicket."""
        ticket = self._uploads.ticket(ticket_id)
        return UploadView(
            progress.state,
            self._transfers.visible_offset_bytes(ticket_id, progress),
            progress.length_bytes,
            progress.name,
            progress.reason or self._uploads.why_no_answer(ticket_id, progress.state),
            ticket.return_url,
            self._uploads.stopping,
            ticket.is_folder,
        )

    def state(self, request: UploadRequest, progress: Progress) -> Answer:
        """Returns the page of an upload for a browser, or JSON. Raises UnknownTicket.

        Once the app has the file, a browser is sent to where the app wants its user to go.
        """
        view = self.of(request.ticket_id, progress)
        if not request.accepts(HTML):
            return _json(view)
        if view.state is State.FINISHED and view.return_url:
            return answers.text(303, f"{FINISHED}\n").add("Location", view.return_url)
        html, headers = self._page.render(view, request.location)
        return Answer(200, list(headers.items()), html.encode())

    def outcome(self, request: UploadRequest, progress: Progress) -> Answer:
        """Returns the answer to a request that has sent the last byte of a file. Raises UnknownTicket.

        It is 200 once the app has the file. Until then it is 202, and says where to ask.
        """
        has_app_the_file = progress.state is State.FINISHED
        if has_app_the_file:
            sentence = f"{FINISHED}\n"
        else:
            reason = self.of(request.ticket_id, progress).reason
            not_yet = (
                f"The file has arrived, and the app has not accepted it yet{f': {reason}' if reason else ''}."
            )
            sentence = f"{not_yet} Ask with: curl '{self.url(request)}?wait={MAX_WAIT_S}'\n"
        answer = self.sentence(request, progress, 200 if has_app_the_file else 202, sentence)
        return answer if has_app_the_file else answer.add("Retry-After", RETRY_AFTER_S)

    def sentence(self, request: UploadRequest, progress: Progress, status: int, sentence: str) -> Answer:
        """Returns this sentence, or JSON for a client that accepts it, with the offset and the address."""
        is_json = request.accepts(JSON)
        answer = _json(self.of(request.ticket_id, progress)) if is_json else answers.text(status, sentence)
        answer.status = status
        answer.add("Location", request.location)
        return answer.add("Upload-Offset", self._transfers.visible_offset_bytes(request.ticket_id, progress))

    def failure(self, request: UploadRequest, error: IncomingError) -> Answer:
        """Returns the answer for an error: a page for a browser, else as all answers for errors are."""
        answer = answers.failure(request, error)
        if not request.accepts(HTML):
            return answer
        try:
            view = self.of(request.ticket_id, self._uploads.look(request.ticket_id))
        except IncomingError:
            html, headers = self._page.render_error(str(error))
        else:
            wrong = "" if isinstance(error, _SAID_BY_THE_PAGE) else str(error)
            html, headers = self._page.render(view, request.location, wrong)
        return answer.with_content(list(headers.items()), html.encode())

    def url(self, request: UploadRequest) -> str:
        """Returns the address of the upload, for a person to use in a command.

        Without the setting `public_url` it is the one that the client itself has used, as far as that shows.
        """
        return upload_url(self._public_url or _front(request), request.path, request.ticket_id)


def _front(request: UploadRequest) -> str:
    """Returns what comes before the prefix, as the client has used it; without an origin if in doubt."""
    environ, host = request.environ, request.header("Host")
    schemes = (environ.get("wsgi.url_scheme"), request.header("X-Forwarded-Proto").lower())
    origin = f"{'https' if 'https' in schemes else 'http'}://{host}" if _HOST.fullmatch(host) else ""
    return origin + quote(str(environ.get("SCRIPT_NAME", "")), encoding="latin-1")


def _json(view: UploadView) -> Answer:
    content = {
        "state": view.state.value,
        "offset_bytes": view.offset_bytes,
        "length_bytes": view.length_bytes,
        "name": view.name,
        "reason": view.reason,
    }
    return Answer(200, [("Content-Type", JSON)], json.dumps(content).encode())
