"""Answers to requests for uploads: status, headers and a small body; errors as answers; CORS on all of them.

Browsers show a page no header of an answer from another origin unless the answer says so, and no error at
all. So every answer has these headers, and errors above all (Fetch standard, "CORS protocol").
"""

from __future__ import annotations

import http
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from incoming.core import errors
from incoming.http_uploads.body import RequestBody
from incoming.http_uploads.request import UploadRequest

Headers = list[tuple[str, str]]
METHODS: Final = "OPTIONS, GET, HEAD, POST, PUT, PATCH, DELETE"
EXPOSED: Final = (
    *("Location", "Retry-After"),
    *("Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Defer-Length", "Upload-Concat"),
    *(
        "Upload-Expires",
        "Upload-Complete",
        "Upload-Incomplete",
        "Upload-Limit",
        "Upload-Draft-Interop-Version",
    ),
    *("Tus-Version", "Tus-Resumable", "Tus-Max-Size", "Tus-Extension", "Tus-Checksum-Algorithm"),
    *("Repr-Digest", "Content-Digest", "Incoming-Error", "Upload-Session"),
)
"""The headers that pages of other origins may read."""
PREFLIGHT_MAX_AGE_S: Final = 86400
CHECKSUM_MISMATCH_STATUS: Final = 460
"""tus 1.0, "Checksum"."""
STATUSES: Final[dict[str, int]] = {
    errors.UnknownTicket.code: 404,
    errors.StorageFull.code: 503,
    errors.StorageFailed.code: 503,
    errors.ForeignKeys.code: 503,
    errors.DestinationTaken.code: 422,
    errors.BytesLost.code: 503,
    errors.TooMany.code: 503,
    errors.HandoverFailed.code: 422,
    errors.TakenOver.code: 400,
    errors.LengthMismatch.code: 400,
    errors.WrongState.code: 409,
}
"""Where an error has another HTTP status here than on the other routes.

Clients of tus and of the IETF draft take 404 and 410 for "the upload is gone". They take 409, 423 and 5xx for
"ask for the offset, and try again", and any other 4xx for the end. So an app's refusal is a 4xx. A request
that a newer one has taken over must not be repeated, so its status is 400 and not 409.
"""
ERROR_HEADER: Final = "Incoming-Error"
"""The header with the stable code of an error, even where the body is for people."""
_TOKENS: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*")
MAX_REQUEST_HEADERS_CHARS: Final = 1024
StartResponse = Callable[..., Any]


@dataclass(slots=True)
class Answer:
    """One answer."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Returns the value of a header; None when it is missing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def add(self, name: str, value: object) -> Answer:
        """Adds a header, unless it is there. Returns this answer."""
        if self.header(name) is None:
            self.headers.append((name, str(value)))
        return self

    def with_content(self, headers: Headers, body: bytes) -> Answer:
        """Returns this answer with another body, which has these headers."""
        answer = Answer(self.status, list(headers), body)
        for name, value in self.headers:
            answer.add(name, value)
        return answer

    @property
    def status_line(self) -> str:
        """The status with its phrase, as WSGI needs it."""
        if self.status == CHECKSUM_MISMATCH_STATUS:
            return f"{self.status} Checksum Mismatch"
        return f"{self.status} {http.HTTPStatus(self.status).phrase}"

    def send(self, request: UploadRequest, start_response: StartResponse) -> Iterable[bytes]:
        """Starts the answer to this request. Returns its body, as WSGI has it."""
        has_body = request.method != "HEAD" and self.status not in (204, 304)
        if has_body:
            self.add("Content-Length", len(self.body))
        self.add("Cache-Control", "no-store")
        self.add("X-Content-Type-Options", "nosniff")
        self.add("Referrer-Policy", "no-referrer")
        body = _body_of(request) if request.declares_body else None
        if body:
            body.skip_rest()
        if request.declares_body and not (body and body.keeps_alive):
            self.add("Connection", "close")
        start_response(self.status_line, [*self.headers, *cors(request)])
        parts = [self.body] if has_body and self.body and request.real_method != "HEAD" else []
        return body.until_sent(parts) if body else parts


def _body_of(request: UploadRequest) -> RequestBody | None:
    """Returns the body of a request; None if it can't be read."""
    try:
        return request.body
    except errors.IncomingError:
        return None


def cors(request: UploadRequest) -> Headers:
    """Returns the headers by which pages of any origin may make this request, and read its answer.

    No credentials are allowed: the ticket in the address is the right to upload.
    """
    headers: Headers = [
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", ", ".join(EXPOSED)),
    ]
    if request.real_method != "OPTIONS":
        return headers
    headers += [
        ("Access-Control-Allow-Methods", METHODS),
        ("Access-Control-Allow-Headers", _allowed_headers(request)),
        ("Access-Control-Max-Age", str(PREFLIGHT_MAX_AGE_S)),
        ("Vary", "Access-Control-Request-Headers"),
    ]
    if request.header("Access-Control-Request-Private-Network") == "true":
        headers.append(("Access-Control-Allow-Private-Network", "true"))
    return headers


def _allowed_headers(request: UploadRequest) -> str:
    """Returns the headers that a page asks for: apps add their own, and `*` does not cover Authorization."""
    asked = request.header("Access-Control-Request-Headers")
    is_list = len(asked) <= MAX_REQUEST_HEADERS_CHARS and _TOKENS.fullmatch(asked)
    return asked if is_list else "*"


def text(status: int, sentence: str) -> Answer:
    """Returns an answer with a sentence for people."""
    return Answer(status, [("Content-Type", "text/plain; charset=utf-8")], sentence.encode())


def failure(request: UploadRequest, error: errors.IncomingError) -> Answer:
    """Returns the answer for an error: a sentence, or JSON for a client that accepts it."""
    status = STATUSES.get(error.code, error.http_status)
    if request.accepts("application/json"):
        content = {"error": {"code": error.code, "message": str(error), "retryable": error.retryable}}
        answer = Answer(status, [("Content-Type", "application/json")], json.dumps(content).encode())
    else:
        answer = text(status, f"{error}\n")
    return with_error(answer, error)


def with_error(answer: Answer, error: errors.IncomingError) -> Answer:
    """Adds the headers that tell of an error, whatever the body is. Returns the answer."""
    answer.add(ERROR_HEADER, error.code)
    if error.retry_after_s:
        answer.add("Retry-After", error.retry_after_s)
    if isinstance(error, errors.MethodNotAllowed):
        answer.add("Allow", error.allow)
    if isinstance(error, errors.UnsupportedCoding):
        answer.add("Accept-Encoding", "identity")  # RFC 9110 section 15.5.16
    return answer
