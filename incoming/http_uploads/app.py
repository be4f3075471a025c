"""Uploads over HTTP as a WSGI app, which gets a request before the routes do.

Bottle is not used here: it reads a body as a whole before a route sees it. Here each body is read from the
connection, and stored as it comes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from incoming.core.client_limits import ClientLimits
from incoming.core.errors import IncomingError, InternalError, NotFound
from incoming.http_uploads.answers import Answer
from incoming.http_uploads.dialects import Dialect, DialectName, dialect_of
from incoming.http_uploads.form import Forms
from incoming.http_uploads.ietf import IetfDraft
from incoming.http_uploads.library_session import LibrarySession
from incoming.http_uploads.plain import Plain
from incoming.http_uploads.put import WholeBodies
from incoming.http_uploads.request import UploadRequest, upload_address
from incoming.http_uploads.state import UploadStates
from incoming.http_uploads.transfers import Transfers
from incoming.http_uploads.tus import Tus
from incoming.http_uploads.views import Views
from incoming.runtime.buffer_pool import BufferPool
from incoming.uploads.refusals import Kind
from incoming.uploads.service import Uploads

log = logging.getLogger(__name__)

Environ = MutableMapping[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class HttpUploads:
    """All uploads over HTTP of one service."""

    def __init__(self, uploads: Uploads, buffers: BufferPool, client_limits: ClientLimits) -> None:
        """`buffers`: a body with a checksum that fits into one is verified before it is stored."""
        self._refusals = uploads.refusals
        self._client_limits = client_limits
        transfers = Transfers(uploads, buffers)
        views = Views(transfers)
        self._dialects: dict[DialectName, Dialect] = {
            DialectName.TUS: Tus(transfers),
            DialectName.FORM: Forms(transfers, views),
            DialectName.BODY: WholeBodies(transfers, views),
            DialectName.STATE: UploadStates(transfers, views),
            DialectName.IETF: IetfDraft(transfers),
            DialectName.PLAIN: Plain(transfers),
            DialectName.LIBRARY: LibrarySession(transfers),
        }

    def wrap(self, app: WsgiApp) -> WsgiApp:
        """Returns a WSGI app that answers requests for uploads, and has `app` answer all others."""

        def front(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            address = upload_address(str(environ.get("PATH_INFO", "")))
            if address is None:
                return app(environ, start_response)
            request = UploadRequest(environ, address, self._client_limits.source_of(environ))
            return self._answer(request).send(request, start_response)

        return front

    def _answer(self, request: UploadRequest) -> Answer:
        if request.real_method == "OPTIONS":
            return Answer(200, [header for one in self._dialects.values() for header in one.options(request)])
        name = dialect_of(request)
        dialect = self._dialects[name]
        try:
            _check_ticket(request)
            if not dialect.takes_codings:
                request.check_coding()
            return dialect.answer(request)
        except IncomingError as exc:
            self._refusals.record(Kind.CLAIM, exc, request.ticket_id)
            return dialect.failure(request, exc)
        except Exception:
            log.exception("a defect: a request of %(dialect)s failed", {"dialect": name.value})
            return dialect.failure(request, InternalError())


def _check_ticket(request: UploadRequest) -> None:
    """Raises NotFound for a request that names no ticket."""
    if not request.ticket_id:
        raise NotFound("The address names no ticket: .../frontend/uploads/TICKET.")
