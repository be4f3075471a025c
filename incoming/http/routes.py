"""The routes, as a Bottle app: read the parameters, call the service, respond. No logic.

Every route exists under `/incoming/` and under `/incoming/0.1/`. A success is the value alone, as plain
text. A failure is a sentence, or JSON with its code for clients that accept JSON.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from typing import Any, Final

import bottle

from incoming.core import errors
from incoming.http import library, parameters, status_page
from incoming.http.access import BackendAccess, operator_of
from incoming.http.callers import shown
from incoming.http.prometheus import CONTENT_TYPE, Metrics
from incoming.protocol.rules import PREFIXES, UPLOAD_PATHS, upload_url
from incoming.runtime.logs import LogRateLimit
from incoming.runtime.static_files import STATIC_DIR
from incoming.settings.table import Settings
from incoming.uploads import housekeeping
from incoming.uploads.operator import Operator
from incoming.uploads.overview import Overview
from incoming.uploads.refusals import Kind, Refusals
from incoming.uploads.service import Uploads
from incoming.wire import handshake

log = logging.getLogger(__name__)

PARAMETER_NAMES: Final = (
    *("signalFinishURL", "destType", "removeFileWhenFinished", "backendSecret", "signalFinishSecret"),
    *("fileOwnerUid", "digest", "metadata", "maxBytesPerS", "maxBytes"),
    *("lengthBytes", "returnURL", "storage", "destinationKey"),
    *("id", "by", "state", "start", "limit", "history", "search"),
)
WARNING_INTERVAL_S: Final = 300.0
"""How often the log says what a person has to mend, such as a proxy: pages and apps try again and again."""
BOM: Final = "\xef\xbb\xbf"
"""A UTF-8 byte order mark as Bottle has it in the name of a form's first field."""
TICKET_ID: Final = "incoming.ticket_id"
"""The key of a request's environ for the id of the ticket that it names."""
MISSPELT: Final = "incoming.misspelt"
"""The key of a request's environ for {name: known name} of its parameters that are ignored."""
MAX_FORM_BYTES: Final = 100 * 1024
"""The longest parameters together have a third of that. Bottle would write a larger form to a file."""
BASIC: Final = 'Basic realm="Incoming!!", charset="UTF-8"'

Route = Callable[[], object]
Check = Callable[[Mapping[str, object], str], None]
"""Gets the environ of a request and the local address; raises the error if the request is not allowed."""


def make_app(settings: Settings, uploads: Uploads, overview: Overview) -> bottle.Bottle:
    """Returns the app, which has all routes except the uploads themselves."""
    app = bottle.Bottle()
    app.default_error_handler = partial(_error_page, uploads.refusals)
    access = BackendAccess(
        settings.allowed_backends,
        settings.backend_token,
        settings.status_hosts,
        (*settings.backend_hosts, settings.host.lower()),
    )
    can_operate = bool(settings.backend_token)
    backend, reading = _backend_routes(uploads, settings.public_url), _reading_routes(overview, can_operate)
    operating = _operating_routes(Operator(uploads))
    files = library.load(STATIC_DIR)
    answering = partial(_answering, uploads.refusals, LogRateLimit(WARNING_INTERVAL_S))
    not_upgraded = _not_upgraded(LogRateLimit(WARNING_INTERVAL_S), uploads.refusals)
    for prefix in PREFIXES:
        for name, route in backend.items():
            app.post(f"{prefix}backend/{name}", callback=answering(_guarded(access.check, route)))
        for name, route in operating.items():
            app.post(f"{prefix}{name}", callback=answering(_guarded(access.check_operating, route)))
        for name, route in reading.items():
            app.get(f"{prefix}{name}", callback=answering(_guarded(access.check_reading, route)))
        app.get(f"{prefix}healthz", callback=answering(_health(overview)))
        for name, file in files.items():
            app.get(f"{prefix}frontend/{name}", callback=answering(_library(file)))
    for path in UPLOAD_PATHS:
        app.get(path, callback=answering(not_upgraded))
    return app


# --- the routes --------------------------------------------------------------------------------


def _backend_routes(uploads: Uploads, public_url: str) -> dict[str, Route]:
    def new_upload() -> object:
        ticket_id = uploads.issue(parameters.new_upload(_parameters())).id
        if not _accepts_json():
            return ticket_id
        front = public_url or bottle.request.script_name
        return _json(200, {"id": ticket_id, "url": upload_url(front, bottle.request.path, ticket_id)})

    def finish_upload() -> str:
        uploads.finish(*_id_and_secret())
        return "ok"

    def cancel_upload() -> str:
        by_operator = parameters.is_by_operator(_parameters())
        cancel = uploads.cancel_by_operator if by_operator else uploads.cancel_by_app
        cancel(*_id_and_secret())
        return "ok"

    def retry_upload() -> str:
        uploads.retry(*_id_and_secret())
        return "ok"

    def object_url() -> str:
        return uploads.object_url(*_id_and_secret())

    def sweep() -> str:
        touched = housekeeping.sweep(uploads)
        if not touched:  # it leaves what fails to the next time, and raises nothing
            with contextlib.suppress(errors.StorageFull):
                uploads.context.registry.check()
        return str(touched)

    routes = (new_upload, finish_upload, cancel_upload, retry_upload, object_url, sweep)
    return {route.__name__: route for route in routes}


def _operating_routes(operator: Operator) -> dict[str, Route]:
    """What the buttons of the status page do."""

    def cancel_on_status_page() -> str:
        operator.cancel(*_id_and_operator())
        return "ok"

    def retry_on_status_page() -> str:
        operator.retry(*_id_and_operator())
        return "ok"

    return {"status/cancel_upload": cancel_on_status_page, "status/retry_upload": retry_on_status_page}


def _reading_routes(overview: Overview, can_operate: bool) -> dict[str, Route]:
    metrics, status_html = Metrics(overview), status_page.load(STATIC_DIR, can_operate)

    def uploads() -> object:
        listed = overview.page(parameters.listing(_parameters()))
        return _private(json.dumps(listed), {"Content-Type": "application/json"})

    def status() -> object:
        return _private(status_html.html, status_html.headers)

    def prometheus() -> object:
        return _private(metrics.render(), {"Content-Type": CONTENT_TYPE})

    return {"backend/uploads": uploads, "status": status, "metrics": prometheus}


def _health(overview: Overview) -> Route:
    """For load balancers: open to everybody, and the response is one word."""

    def healthz() -> object:
        trouble = overview.trouble()
        return _text(503 if trouble else 200, trouble or "ok")

    return healthz


def _library(file: library.LibraryFile) -> Route:
    def library_file() -> object:
        status, headers, body = file.answer(bottle.request.headers)
        return bottle.HTTPResponse(body, status, headers)

    return library_file


def _not_upgraded(log_limit: LogRateLimit, refusals: Refusals) -> Route:
    def upload_ws() -> object:
        environ = bottle.request.environ
        spoilt = handshake.proxy_fault(environ)
        if spoilt:
            error = errors.UpgradeRequired(spoilt)
            refusals.count(Kind.REQUEST, error)
            if log_limit.allows(spoilt):
                log.warning("%(spoilt)s", {"spoilt": spoilt, "code": error.code})
            return _failure(error)
        raise handshake.refusal(environ) or errors.UpgradeRequired(
            "This web server can't hand over its connections: uploads need a gevent server."
        )

    return upload_ws


# --- parameters and answers ----------------------------------------------------------------------


def _parameters() -> Mapping[str, str]:
    """Returns the parameters of the request; they may come from the query string and from the body.

    Raises BadParameter for one that is not UTF-8: a secret that counted as absent would protect nothing.
    """
    query, form = bottle.request.query, _form()
    _note_misspelt(query)
    values = {name: _text_of(query, name) or form.get(name, "") for name in PARAMETER_NAMES}
    return {name: value for name, value in values.items() if value}


def _text_of(fields: Any, name: str) -> str:
    text: str | None = fields.getunicode(name)
    if text is None and name in fields:
        raise errors.BadParameter(name, "is not valid UTF-8")
    return text or ""


def _form() -> Mapping[str, str]:
    """Returns the parameters in the body: a form, or a JSON object.

    Raises BadRequest, BadParameter, FormTooLarge, HTTPError.
    """
    if bottle.request.chunked:  # some servers decode the chunks before Bottle does, and some don't
        raise errors.BadRequest("The body of the request needs a Content-Length header.")
    if bottle.request.content_length > MAX_FORM_BYTES:
        raise errors.FormTooLarge
    try:
        if bottle.request.content_type.lower().partition(";")[0].strip() == "application/json":
            found = parameters.from_json(bottle.request.body.read(MAX_FORM_BYTES) or b"{}")
            _note_misspelt(found)
            return parameters.as_texts(found, PARAMETER_NAMES)
        forms = bottle.request.forms
        _note_misspelt(forms)
        return {name: _text_of(forms, name) or _text_of(forms, BOM + name) for name in PARAMETER_NAMES}
    except bottle.HTTPResponse:
        raise  # Bottle makes the response
    except (OSError, ValueError, LookupError) as exc:
        # The caller is gone or too slow, or its Content-Type is not valid or names an unknown character set.
        raise errors.BadRequest("The body of the request could not be read.") from exc


def _note_misspelt(names: Iterable[str]) -> None:
    """Notes which of these names the developer of the app may have misspelt. They are ignored."""
    noted = bottle.request.environ.setdefault(MISSPELT, {})
    noted.update(parameters.misspelt(names, PARAMETER_NAMES))


def _id_and_secret() -> tuple[str, str]:
    values = _parameters()
    secret = values.get("backendSecret") or values.get("signalFinishSecret") or ""
    ticket_id = bottle.request.environ[TICKET_ID] = parameters.ticket_id(values)
    return ticket_id, secret


def _id_and_operator() -> tuple[str, str]:
    return parameters.ticket_id(_parameters()), operator_of(bottle.request.environ)


def _guarded(check: Check, route: Route) -> Route:
    @wraps(route)
    def guarded() -> object:
        environ = bottle.request.environ
        check(environ, environ.get("incoming.server_address", ""))
        return route()

    return guarded


def _answering(refusals: Refusals, warnings: LogRateLimit, route: Route) -> Route:
    """Returns the route with its result as plain text. Its errors become responses, and are recorded."""

    @wraps(route)
    def answering() -> object:
        try:
            result = route()
        except errors.IncomingError as exc:
            ticket_id = bottle.request.environ.get(TICKET_ID, "")
            refusals.record(Kind.REQUEST, exc, ticket_id, route.__name__)
            return _failure(exc)
        except bottle.HTTPResponse:
            raise
        except Exception:
            log.exception("a defect: %(route)s failed", {"route": route.__name__})
            return _failure(errors.InternalError())
        finally:
            _warn_of_misspelt(route.__name__, warnings)
        if isinstance(result, str):
            return _text(200, result)
        return result

    return answering


def _warn_of_misspelt(route: str, limit: LogRateLimit) -> None:
    for name, known in bottle.request.environ.get(MISSPELT, {}).items():
        if limit.allows(f"{route} {known}"):
            about = {"route": route, "parameter": name, "known": known}
            log.warning(
                "%(route)s: the parameter %(parameter)s is unknown, and is ignored. The name is %(known)s",
                about,
            )


def _text(status: int, text: str) -> bottle.HTTPResponse:
    headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return bottle.HTTPResponse(text, status, headers)


def _json(status: int, content: Mapping[str, object]) -> bottle.HTTPResponse:
    response = _text(status, json.dumps(content))
    response.set_header("Content-Type", "application/json")
    return response


def _accepts() -> str:
    return str(bottle.request.environ.get("HTTP_ACCEPT", ""))  # Bottle fails where it is not UTF-8


def _accepts_json() -> bool:
    return "application/json" in _accepts()


def _private(body: str | bytes, headers: Mapping[str, str]) -> bottle.HTTPResponse:
    """Returns a response that no cache stores and no other page can read."""
    closed = {
        "Cache-Control": "no-store",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
    return bottle.HTTPResponse(body, 200, {**closed, **headers})


def _failure(error: errors.IncomingError) -> bottle.HTTPResponse:
    """Returns the response for an error: a sentence, or JSON for clients that accept it."""
    if _accepts_json():
        response = _json(error.http_status, {"error": {"code": error.code, "message": str(error)}})
    else:
        response = _text(error.http_status, str(error))
    if error.retry_after_s:
        response.set_header("Retry-After", str(error.retry_after_s))
    if isinstance(error, errors.SignInNeeded):
        # A browser asks for a password when a person opens the page, and not each time that the page asks.
        person = "text/html" in _accepts()
        response.set_header("WWW-Authenticate", BASIC if person else "Bearer")
    if isinstance(error, errors.UpgradeRequired):
        response.set_header("Access-Control-Allow-Origin", "*")  # pages ask why no WebSocket opens
        response.set_header("Upgrade", "websocket")
        response.set_header("Connection", "Upgrade")
    return response


def _error_page(refusals: Refusals, http_error: Any) -> str:
    """Bottle's own errors (no such route, wrong method, unreadable request), in our form."""
    known: dict[int, errors.IncomingError] = {
        404: errors.NotFound("This page does not exist on this Incoming!! upload server."),
        405: errors.MethodNotAllowed("This address does not support this HTTP method.", ""),
    }
    status = http_error.status_code
    error = known.get(status) or (
        errors.BadRequest("The request could not be read.") if status < 500 else errors.InternalError()
    )
    if status >= 500:
        log.error("a defect: %(error)s", {"error": http_error.traceback or http_error.body})
    refusals.record(Kind.REQUEST, error, route=f"{bottle.request.method} {shown(bottle.request.path)}")
    answer = _failure(error)
    for name in ("Content-Type", "X-Content-Type-Options"):
        http_error.set_header(name, answer.get_header(name))
    return str(answer.body)
