"""Requests a ticket from the app, as its pages do."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from incoming.client.address import is_http
from incoming.client.request_failure import why
from incoming.core.quoted_text import unquoted
from incoming.wire.answer_reader import Answer

TIMEOUT_S: Final = 30.0
MAX_BODY_BYTES: Final = 16 * 1024
"""How much of a body is read. A ticket is shorter, and of an error's page the status is enough."""
ID_NAMES: Final = ("ticket", "upload_id", "id")


class NoTicket(Exception):
    """The app gave no ticket; the text says why."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The app's answer; `server` is empty if the app named none."""

    id: str
    server: str = ""


class _BoundedAnswer(Answer):
    """All of it comes within TIMEOUT_S. An app could send interim responses, or one byte after another."""

    def __init__(self, sock: Any, *_: Any, method: str | None = None, **__: Any) -> None:
        self._end_s = time.monotonic() + TIMEOUT_S
        super().__init__(sock, self._check_time, method)

    def _check_time(self) -> None:
        if time.monotonic() > self._end_s:
            raise TimeoutError


class _Http(HTTPConnection):
    response_class = _BoundedAnswer


class _Https(HTTPSConnection):
    response_class = _BoundedAnswer


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _Trusting(HTTPAdapter):
    """Trusts what the context trusts besides what Requests does, and skips interim responses."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


def ask(url: str, method: str, context: ssl.SSLContext, fields: Mapping[str, str] | None = None) -> Ticket:
    """Returns the ticket that the app gives at this address, by GET or POST. Raises NoTicket.

    `fields` are sent as those of a form: in the body of a POST, and in the query of a GET.
    """
    if not is_http(url):
        raise NoTicket(f"{url} is not an http address.")
    with requests.Session() as session:
        for scheme in ("https://", "http://"):
            session.mount(scheme, _Trusting(context))
        session.trust_env = False  # use no proxies or passwords from the environment
        try:
            answer = session.request(
                method,
                url,
                params=fields if method == "GET" else None,
                data=fields if method != "GET" else None,
                timeout=TIMEOUT_S,
                allow_redirects=False,
                stream=True,
            )
            body = answer.raw.read(MAX_BODY_BYTES, decode_content=True)
        except (requests.RequestException, HTTPError, HTTPException, OSError) as exc:
            raise NoTicket(f"{_host(url)} gave no ticket: {why(exc)}.") from exc
    _check_status(answer, url, method)
    return read(body.decode("utf-8", "replace"))


def _check_status(answer: requests.Response, url: str, method: str) -> None:
    """Raises NoTicket unless the status is 2xx."""
    status = answer.status_code
    if status == 405:
        other = "GET" if method == "POST" else "POST"
        raise NoTicket(f"{_host(url)} does not accept {method} there (status 405). Try --method {other}.")
    if 300 <= status < 400:
        where = answer.headers.get("Location", "elsewhere")
        raise NoTicket(f"{_host(url)} redirects to {where} (status {status}) instead of giving a ticket.")
    if status in (401, 403):
        raise NoTicket(f"{_host(url)} requires authentication (status {status}).")
    if not 200 <= status < 300:
        raise NoTicket(f"{_host(url)} answers with status {status} instead of a ticket.")


def read(answer: str) -> Ticket:
    """Returns the ticket in the app's answer: a UUID as text, or JSON with one. Raises NoTicket."""
    text = unquoted(answer.strip()).strip()
    if is_ticket(text):
        return Ticket(text)
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        ids = [found[name] for name in ID_NAMES if isinstance(found.get(name), str)]
        server = found.get("server", "")
        if ids and is_ticket(ids[0]):
            return Ticket(ids[0], server if isinstance(server, str) else "")
    names = " or ".join(f'"{name}"' for name in ID_NAMES)
    raise NoTicket(f"The app's answer is not a ticket: neither an id nor JSON with {names}.")


def is_ticket(text: str) -> bool:
    """Returns whether a text is a ticket id in the form that servers use."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _host(url: str) -> str:
    """Returns the host alone: the path may hold secrets."""
    return urlsplit(url).hostname or url
