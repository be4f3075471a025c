"""Which protocol a request for an upload speaks: the protocols share one address, the ticket's.

| the request | dialect |
|---|---|
| is for TICKET/session | our library |
| is for TICKET/parts/N | tus 1.0 |
| has Tus-Resumable, or is a PATCH that is not of the IETF draft | tus 1.0 |
| has a header of the IETF draft, or its media type: see `ietf_draft.is_spoken` | IETF draft |
| POST, PUT multipart/form-data | a form of a page |
| PUT, POST with any other body | the file as the body, as curl sends it |
| GET | the state |
| HEAD, DELETE, OPTIONS, anything else | plain: the headers of every protocol |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import ClassVar, Final

from incoming.core.errors import IncomingError
from incoming.http_uploads import answers
from incoming.http_uploads.answers import Answer, Headers
from incoming.http_uploads.request import UploadRequest
from incoming.protocol import ietf_draft, multipart_form

SESSION: Final = "session"


class DialectName(StrEnum):
    """What a request may speak."""

    TUS = "tus"
    IETF = "ietf"
    FORM = "form"
    BODY = "body"
    STATE = "state"
    PLAIN = "plain"
    LIBRARY = "library"


class Dialect(ABC):
    """Answers the requests of one protocol. `app.HttpUploads` lists the implementations."""

    takes_codings: ClassVar = False
    """Whether a body with a Content-Encoding is stored as it comes. Otherwise it is refused."""

    @abstractmethod
    def answer(self, request: UploadRequest) -> Answer:
        """Answers a request. Raises IncomingError, which `failure` then answers."""

    def failure(self, request: UploadRequest, error: IncomingError) -> Answer:
        """Returns the answer for an error in this protocol."""
        return answers.failure(request, error)

    def options(self, request: UploadRequest) -> Headers:
        """Returns what this protocol says of itself in the answer to OPTIONS."""
        return []


def dialect_of(request: UploadRequest) -> DialectName:
    """Returns the protocol that a request speaks; see the table above."""
    if request.address.tail[:1] == (SESSION,):
        return DialectName.LIBRARY
    if request.address.part_number is not None:
        return DialectName.TUS
    if request.find_header("Tus-Resumable") is not None:
        return DialectName.TUS
    if ietf_draft.is_spoken(request.find_header):
        return DialectName.IETF
    match request.method:
        case "PATCH":
            return DialectName.TUS
        case "POST" if request.find_header("Upload-Length") or request.find_header("Upload-Defer-Length"):
            return DialectName.TUS
        case "POST" | "PUT" if request.media_type == multipart_form.MEDIA_TYPE:
            return DialectName.FORM
        case "PUT" | "POST":
            return DialectName.BODY
        case "GET":
            return DialectName.STATE
    return DialectName.PLAIN
