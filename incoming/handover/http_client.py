"""Calls apps over HTTP: POSTs a form, and reads a response that is limited in time and size."""

from __future__ import annotations

import ssl
import time
import zlib
from contextlib import AbstractContextManager
from http.client import HTTPException, IncompleteRead
from typing import Final, Self
from urllib.parse import urlencode

from incoming import __version__
from incoming.core.networks import Networks
from incoming.handover import tls_trust
from incoming.handover.answers import (
    MAX_ANSWER_BYTES,
    Answer,
    FailureKind,
    NoAnswer,
    Refused,
    classify,
    no_answer,
)
from incoming.handover.connections import Connections, Endpoint, Target, target
from incoming.handover.failures import FAILURES, NOT_CONNECTED, CallTimeout, failed
from incoming.runtime.base import Lock, Runtime
from incoming.runtime.keyed_locks import KeyedLocks
from incoming.wire import answer_reader
from incoming.wire.http_status import retry_after_s

CONNECTIONS_AN_APP: Final = 32
"""The limit for a backlog of thousands of handovers, or for an app that hangs. It counts for an address and a
port, because a URL has many spellings and several names can have one address."""
MAX_ENDPOINTS: Final = 8
"""How many addresses of a host are tried in one call."""


class HttpClient:
    """Calls apps. Connections are kept alive; redirects are not followed; proxies are not used."""

    def __init__(
        self, connect_timeout_s: float, answer_timeout_s: float, runtime: Runtime,
        refused: tuple[str, ...] = (), ca_file: str = "",
    ) -> None:  # fmt: skip
        """`refused`: addresses and networks that are never called; `ca_file`: see `trust`.

        Raises BadSetting.
        """
        self._answer_timeout_s = answer_timeout_s
        self._call_timeout_s = connect_timeout_s + answer_timeout_s
        self._runtime = runtime
        self._ca_file = ca_file
        self._trusted = tls_trust.context(ca_file) if ca_file else None
        self._look_ups = KeyedLocks[str](runtime.lock)
        self._calls = KeyedLocks[tuple[str, int]](lambda: runtime.semaphore(CONNECTIONS_AN_APP))
        self._connections = Connections(runtime, Networks(refused), connect_timeout_s, self._trust)
        self._headers = {
            "User-Agent": f"incoming/{__version__}",
            "Accept": "*/*",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def _trust(self) -> ssl.SSLContext:
        """Reads the system's certificates when the first app needs them, because that takes 30 ms."""
        if self._trusted is None:
            self._trusted = self._runtime.in_pool(tls_trust.context, self._ca_file)
        return self._trusted

    def slot(self, url: str) -> CallSlot:
        """Returns a context manager for calls to this URL; entering it waits for a free slot."""
        return CallSlot(self, url)

    # --- what a slot needs -------------------------------------------------------------------------

    def look_up(self, url: str) -> tuple[Target, list[Endpoint]]:
        """Returns where a URL leads. Raises one of FAILURES."""
        where = target(url)
        with self._look_ups.of(where.host), self._time_limit():
            return where, self._connections.endpoints(where)[:MAX_ENDPOINTS]

    def lock_of(self, endpoint: Endpoint) -> Lock:
        """Returns the semaphore to hold during a call to an endpoint."""
        return self._calls.of(endpoint.key)

    def call(self, where: Target, endpoint: Endpoint, form: dict[str, str]) -> Answer:
        """Returns the app's answer to this form; NoAnswer if the call fails."""
        connected = False
        try:
            # Other timeouts are between two bytes. This one limits a response that comes slowly.
            with self._time_limit(), self._connections.to(where, endpoint) as connection:
                connected = True
                connection.sock.settimeout(self._answer_timeout_s)
                headers = self._headers | where.headers
                connection.request("POST", where.path, urlencode(form).encode(), headers)
                with connection.getresponse() as response:
                    body = _beginning(response)
                    connection.is_done = response.isclosed()
                    return _classified(response, body)
        except FAILURES as exc:
            return failed(exc, connected=connected)

    def _time_limit(self) -> AbstractContextManager[object]:
        return self._runtime.time_limit(self._call_timeout_s, CallTimeout("the time for a call is over"))


class CallSlot:
    """A slot for calls to one app, as a context manager. Entering it may wait for a long time."""

    def __init__(self, client: HttpClient, url: str) -> None:
        self._client = client
        self._url = url
        self._where: Target | None = None
        self._endpoints: list[Endpoint] = []
        self._failure: NoAnswer | None = None
        self._lock: Lock | None = None

    def __enter__(self) -> Self:
        try:
            self._where, self._endpoints = self._client.look_up(self._url)
        except FAILURES as exc:
            self._failure = failed(exc, connected=False)
        else:
            self._move_to(self._endpoints[0])
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._leave()

    def post(self, form: dict[str, str]) -> Answer:
        """Returns the app's answer to this form; NoAnswer if the call fails.

        If one address of the app accepts no connection, the next one is called, with its own slot.
        """
        answer: Answer | None = self._failure
        for number, endpoint in enumerate(self._endpoints):
            if number:
                self._move_to(endpoint)
            assert self._where
            answer = self._client.call(self._where, endpoint, form)
            if not (isinstance(answer, NoAnswer) and answer.kind in NOT_CONNECTED):
                break
        assert answer
        return answer

    def _move_to(self, endpoint: Endpoint) -> None:
        """Releases one slot before it waits for another, so there is no deadlock."""
        self._leave()
        lock = self._client.lock_of(endpoint)
        lock.__enter__()
        self._lock = lock

    def _leave(self) -> None:
        lock, self._lock = self._lock, None
        if lock:
            lock.__exit__(None, None, None)


def _classified(response: answer_reader.Answer, body: bytes) -> Answer:
    retry_after = response.getheader("Retry-After")
    answer = classify(response.status, body, retry_after, retry_after_s(retry_after, time.time()))
    if response.is_cut and isinstance(answer, Refused):
        return no_answer(FailureKind.CUT, answer.detail)
    return answer


def _beginning(response: answer_reader.Answer) -> bytes:
    """Returns the body, or its first MAX_ANSWER_BYTES. Raises OSError, HTTPException, zlib.error."""
    if len(set(response.headers.get_all("Content-Length", ()))) > 1:
        raise HTTPException("several lengths")  # http.client takes the first
    body = response.read(MAX_ANSWER_BYTES)
    if response.length and len(body) < MAX_ANSWER_BYTES:
        raise IncompleteRead(body, response.length)
    if response.getheader("Content-Encoding", "").strip().lower() in ("gzip", "x-gzip", "deflate"):
        return _unpacked(body)  # we did not ask for it
    return body


def _unpacked(body: bytes) -> bytes:
    """Returns what is compressed in a body, or its beginning. Raises zlib.error."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    data = unpacker.decompress(body, MAX_ANSWER_BYTES)
    if 0 < len(body) < MAX_ANSWER_BYTES and not unpacker.eof and not unpacker.unconsumed_tail:
        raise zlib.error("the compressed data is not whole")
    return data
