"""`frontend/probe`: tells a client what the server saw of its request, for `incoming doctor`.

It needs no ticket, stores nothing, and repeats nothing of what it was sent. Its answer says when the first
and the last byte of the body came, which version of HTTP and which coding reached the server, and whether
anything shows a proxy. What a query asks for besides:

| field | |
|---|---|
| `hold` | how many seconds the answer is held |
| `interim` | 103 or 104: that interim answer precedes the final one |
| `stream` | 1: the answer comes in two parts, a second apart |

A body that is declared longer than `MAX_BODY_BYTES` is answered after its first byte, and is not read. So a
client finds out which lengths a proxy refuses without sending them.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from incoming.core.client_limits import ClientLimits
from incoming.core.errors import (
    BadParameter,
    IncomingError,
    InternalError,
    MethodNotAllowed,
    Stopping,
    TooMany,
)
from incoming.core.networks import Networks
from incoming.http_uploads import answers
from incoming.http_uploads.answers import METHODS, Answer
from incoming.http_uploads.app import Environ, WsgiApp
from incoming.http_uploads.body import BodyBroken, RequestBody
from incoming.http_uploads.proxy_signs import is_proxied
from incoming.http_uploads.request import UploadAddress, UploadRequest
from incoming.protocol.rules import PREFIXES, PROBE_MAX_HOLD_S, PROBE_ROUTE
from incoming.uploads.refusals import Kind
from incoming.uploads.service import Uploads

log = logging.getLogger(__name__)

PATHS: Final = frozenset(f"{prefix}{PROBE_ROUTE}" for prefix in PREFIXES)
MAX_AT_ONCE: Final = 32
"""How many of these requests the server answers at the same time: they may take long."""
MAX_AT_ONCE_PER_SOURCE: Final = 16
"""How many of them may be of one source, so that it leaves some to the others. `incoming doctor` needs 8."""
MAX_BODY_BYTES: Final = 1024 * 1024
BUFFER_BYTES: Final = 64 * 1024
STREAM_PAUSE_S: Final = 1.0
HOLD_STEP_S: Final = 0.5
"""How soon a held answer notices that the server stops."""
INTERIM: Final = {"": 0, "103": 103, "104": 104}
TRAILER: Final = "incoming-probe"
"""The name of the trailer that the answer tells about."""
SERVER: Final = "Incoming!!"
_SECONDS: Final = re.compile(r"[0-9]{1,3}")


class ProxyProbe:
    """Answers requests for `frontend/probe`."""

    def __init__(self, uploads: Uploads, source_of: Callable[[Environ], str]) -> None:
        """`source_of`: what the limits of a request's client are counted by; see `ClientLimits`."""
        self._uploads = uploads
        self._source_of = source_of
        self._runtime = uploads.context.runtime
        self._trusted = Networks(uploads.context.settings.trusted_proxies)
        self._refusals = uploads.refusals
        self._limits = ClientLimits((), MAX_AT_ONCE_PER_SOURCE)
        self._running = 0

    def wrap(self, app: WsgiApp) -> WsgiApp:
        """Returns a WSGI app that answers requests for the probe, and has `app` answer all others."""

        def front(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            if environ.get("PATH_INFO") not in PATHS:
                return app(environ, start_response)
            request = UploadRequest(environ, UploadAddress(), self._source_of(environ))
            if request.method == "GET" and request.query("stream") == "1" and not request.declares_body:
                headers = [("Content-Type", "text/plain"), ("Cache-Control", "no-store")]
                start_response("200 OK", headers)
                return self._stream(request.source)
            return self._checked_answer(request).send(request, start_response)

        return front

    def _stream(self, source: str) -> Iterator[bytes]:
        """Yields two parts, a second apart; only the second part where the server has too much to do."""
        try:
            with self._counted(source):
                yield b"first\n"
                self._runtime.sleep(STREAM_PAUSE_S)
        except TooMany:
            yield b"too many\n"
        yield b"last\n"

    @contextmanager
    def _counted(self, source: str) -> Iterator[None]:
        """Counts a request as long as it is answered. Raises TooMany."""
        if self._running >= MAX_AT_ONCE:
            raise TooMany("requests for the probe", MAX_AT_ONCE)
        if not self._limits.admit(source):
            raise TooMany("requests for the probe from this address", MAX_AT_ONCE_PER_SOURCE)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._limits.leave(source)

    def _checked_answer(self, request: UploadRequest) -> Answer:
        try:
            _check_method(request)
            with self._counted(request.source):
                return self._answer(request)
        except IncomingError as exc:
            self._refusals.record(Kind.REQUEST, exc, route="frontend/probe")
            return answers.failure(request, exc)
        except Exception:
            log.exception("a defect: a request for the probe failed")
            return answers.failure(request, InternalError())

    def _answer(self, request: UploadRequest) -> Answer:
        """Reads the body and tells about it. Raises BadParameter, LengthRequired, IncompleteBody."""
        hold_s, interim = _hold_s(request), INTERIM.get(request.query("interim"))
        if interim is None:
            raise BadParameter("interim", "must be 103 or 104")
        seen = self._read(request, interim)
        self._hold(hold_s)
        headers = [("Content-Type", "application/json")]
        return Answer(200, headers, json.dumps(seen).encode() + b"\n")

    def _hold(self, hold_s: int) -> None:
        """Waits for this time. Raises Stopping once the server stops."""
        until_s = self._runtime.now_s() + hold_s
        while (left_s := until_s - self._runtime.now_s()) > 0:
            if self._uploads.stopping:
                raise Stopping
            self._runtime.sleep(min(left_s, HOLD_STEP_S))

    def _read(self, request: UploadRequest, interim: int) -> dict[str, object]:
        """Returns what the answer tells. Nothing is read of a request that declares no body."""
        seen: dict[str, object] = {
            "server": SERVER,
            "http_version": str(request.environ.get("SERVER_PROTOCOL", "")),
            "method": request.method,
            "shows_proxy": is_proxied(request.environ, self._trusted),
        }
        return seen | self._read_body(request, interim) if request.declares_body else seen

    def _read_body(self, request: UploadRequest, interim: int) -> dict[str, object]:
        """Returns what the answer tells of a body. Raises LengthRequired, IncompleteBody, BadRequest."""
        body, begun_s, buffer = request.body, self._runtime.now_s(), memoryview(bytearray(BUFFER_BYTES))
        request.read_into(buffer[:1])
        first_byte_s = last_byte_s = self._runtime.now_s() - begun_s
        sends_interim = bool(interim) and request.environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
        if sends_interim:
            _send_interim(body, interim)
        is_read = body.length_bytes is None or body.length_bytes <= MAX_BODY_BYTES
        while is_read and body.received_bytes < MAX_BODY_BYTES and request.read_into(buffer):
            last_byte_s = self._runtime.now_s() - begun_s
        return {
            "coding": "chunked" if body.length_bytes is None else "length",
            "received_bytes": body.received_bytes,
            "first_byte_s": round(first_byte_s, 3),
            "last_byte_s": round(last_byte_s, 3),
            "has_trailer": TRAILER in body.trailers,
            "sends_interim": sends_interim,
        }


def _check_method(request: UploadRequest) -> None:
    """Raises MethodNotAllowed for a method that no upload has."""
    if request.real_method not in METHODS.split(", "):
        raise MethodNotAllowed("The probe does not support this HTTP method.", METHODS)


def _send_interim(body: RequestBody, status: int) -> None:
    """Sends an interim answer. Raises IncompleteBody."""
    try:
        body.send_interim(status, ())
    except BodyBroken as exc:
        raise exc.error from exc


def _hold_s(request: UploadRequest) -> int:
    """Returns for how many seconds the answer is held. Raises BadParameter."""
    text = request.query("hold") or "0"
    if not _SECONDS.fullmatch(text) or int(text) > PROBE_MAX_HOLD_S:
        raise BadParameter("hold", f"must be a number of seconds, {PROBE_MAX_HOLD_S} at most")
    return int(text)
