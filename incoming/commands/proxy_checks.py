"""The examinations of `incoming doctor`: requests to `frontend/probe`, and what came of them.

None of them needs a ticket or changes anything. Long bodies are declared and not sent: a proxy refuses them
for their Content-Length, and the server answers after their first byte.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from incoming.client.address import Address
from incoming.commands.probe import ROUTES, judge
from incoming.commands.proxy_findings import (
    Finding,
    Grade,
    Topic,
    Unreachable,
    judge_body_limit,
    judge_buffering,
    judge_interim,
    judge_slow_body,
    judge_timeout,
)
from incoming.commands.raw_request import ANSWER_TIMEOUT_S, NoAnswer, RawRequest, Reply, TimedOut
from incoming.protocol.rules import PROBE_ROUTE, UPLOAD_ROUTE
from incoming.runtime.logs import printable
from incoming.wire import handshake

PAUSE_S: Final = 1.0
"""How long a body pauses before its last byte."""
LONG_PAUSE_S: Final = 3.0
"""How long, the second time, where the first one says that bodies are kept: a busy server looks like that."""
FIRST_PIECE: Final = b"x" * 64 * 1024
"""More than a proxy may reasonably collect before it sends on."""
PAUSES: Final = 2
"""How many pauses a slow body makes. The server itself ends a body that is silent for 30 s."""
REFUSAL_WAIT_S: Final = 2.0
"""How long a refusal of a body's length may take. A proxy that keeps whole bodies says nothing at all."""
MIN_BITS: Final = 16
MAX_BITS: Final = 40
SIGNED_BITS: Final = 30
"""Rules of HAProxy and Apache read a length as a 32-bit number, for which 1 TiB is 0."""
COOKIE_BYTES: Final = 16 * 1000
METHODS: Final = ("PUT", "PATCH", "DELETE", "OPTIONS")
AT_ONCE: Final = 8
PING: Final = b"\x89\x80\x00\x00\x00\x00"
PONG: Final = b"\x8a\x00"
CLOSE: Final = b"\x88\x82\x00\x00\x00\x00\x03\xe8"  # 1000, under a mask of zeros
FEW_DAYS: Final = 14
OPEN_HERE: Final = (
    "Open to this machine, as its apps need them. Try the address that browsers use, from another machine."
)


class Doctor:
    """Examines the way to one server."""

    def __init__(self, address: Address, context: ssl.SSLContext, hold_s: int) -> None:
        """`hold_s`: for how long an answer is held to find out which timeouts there are."""
        self._address = address
        self._context = context
        self._hold_s = hold_s
        self._shows_proxy = False

    def examine(self) -> list[Finding]:
        """Returns the findings, in the order of the topics. Raises Unreachable."""
        seen = self._first_look()
        self._shows_proxy = bool(seen.get("shows_proxy"))
        checks: tuple[Callable[[], list[Finding]], ...] = (
            *(self._timeout, self._slow_body, self._backend, self._websocket, self._methods),
            *(self._buffering, self._chunked, self._body_limit, self._headers, self._responses),
            *(self._interim, self._tls),
        )
        with ThreadPoolExecutor(AT_ONCE) as pool:
            results = [pool.submit(check) for check in checks]
            found = [finding for result in results for finding in result.result()]
        found.append(_version(str(seen.get("http_version", ""))))
        order = list(Topic)
        return sorted(found, key=lambda finding: order.index(finding.topic))

    def _open(self, method: str, path: str, *lines: str) -> RawRequest:
        try:
            return RawRequest(self._address, self._context, method, path, *lines)
        except OSError as exc:
            raise NoAnswer("no connection opens") from exc

    def _ask(self, method: str, query: str = "", *lines: str, timeout_s: float = ANSWER_TIMEOUT_S) -> Reply:
        """Returns the answer to a request without a body. Raises NoAnswer."""
        path = f"{PROBE_ROUTE}?{query}" if query else PROBE_ROUTE
        with self._open(method, path, "Connection: close", *lines) as request:
            return request.reply(timeout_s)

    def _first_look(self) -> dict[str, object]:
        """Returns what the server saw of a plain request. Raises Unreachable."""
        where = str(self._address)
        try:
            with RawRequest(self._address, self._context, "GET", PROBE_ROUTE, "Connection: close") as request:
                reply = request.reply()
        except ssl.SSLCertVerificationError as exc:
            why = f"The certificate of {where} is not trusted: {exc.verify_message}. See --insecure."
            raise Unreachable(why) from exc
        except (OSError, NoAnswer) as exc:
            raise Unreachable(f"{where} does not answer: {exc}.") from exc
        if "location" in reply.headers:
            there = printable(reply.headers["location"])
            raise Unreachable(f"{where} redirects to {there}: examine that address.")
        if reply.content.get("server") != "Incoming!!":
            raise Unreachable(
                f"{where} answers HTTP {reply.status}, and not as this version of Incoming!! does. "
                "Is it the server's address, and does the proxy pass /incoming/frontend/ on?"
            )
        return reply.content

    def _timeout(self) -> list[Finding]:
        if not self._hold_s:
            return []
        begun_s, how = time.monotonic(), ""
        try:
            reply = self._ask("GET", f"hold={self._hold_s}", timeout_s=self._hold_s + ANSWER_TIMEOUT_S)
            how = _failure(reply)
        except NoAnswer as exc:
            how = str(exc)
        return [judge_timeout(self._hold_s, time.monotonic() - begun_s, how)]

    def _slow_body(self) -> list[Finding]:
        """Sends a body with pauses, as a bad line does."""
        if not self._hold_s:
            return []
        pause_s, length, how = self._hold_s / PAUSES, len(FIRST_PIECE) + PAUSES, ""
        try:
            with self._open("POST", PROBE_ROUTE, f"Content-Length: {length}", "Connection: close") as request:
                request.send(FIRST_PIECE)
                for _ in range(PAUSES):
                    time.sleep(pause_s)
                    request.send(b"x")
                how = _failure(request.reply())
        except NoAnswer as exc:
            how = str(exc)
        return [judge_slow_body(self._hold_s, pause_s, how)]

    def _backend(self) -> list[Finding]:
        found, peer = [], ""
        for route in ROUTES:
            lines = ("Accept: application/json", "Content-Length: 0", "Connection: close")
            try:
                with self._open("POST", route, *lines) as request:
                    peer, reply = request.peer, request.reply()
            except NoAnswer as exc:
                return [Finding(Topic.BACKEND, Grade.NOTE, f"They can't be tried: {exc}.")]
            found.append(judge(reply.status, reply.error_code))
        worst = max(found, key=lambda finding: finding.is_open)
        if not worst.is_open:
            return [Finding(Topic.BACKEND, Grade.OK, worst.sentence)]
        if ipaddress.ip_address(peer).is_loopback:
            return [Finding(Topic.BACKEND, Grade.NOTE, OPEN_HERE)]
        return [Finding(Topic.BACKEND, Grade.CHANGE, worst.sentence)]

    def _websocket(self) -> list[Finding]:
        return [self._try_websocket()]

    def _try_websocket(self) -> Finding:
        key = base64.b64encode(os.urandom(handshake.KEY_BYTES))
        lines = (
            *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
            f"Sec-WebSocket-Key: {key.decode()}",
        )
        fallback = "Pages upload over plain HTTP."
        try:
            with self._open("GET", UPLOAD_ROUTE, *lines) as request:
                opened = request.reply()
                if opened.status != HTTPStatus.SWITCHING_PROTOCOLS:
                    why = f"No WebSocket opens (HTTP {opened.status}). {fallback}"
                    return Finding(Topic.WEBSOCKET, Grade.CHANGE, why)
                if opened.headers.get("sec-websocket-accept") != handshake.accept(key).decode():
                    return Finding(Topic.WEBSOCKET, Grade.CHANGE, f"Something else answers. {fallback}")
                request.send(PING)
                if request.receive(len(PONG)) != PONG:
                    return Finding(Topic.WEBSOCKET, Grade.CHANGE, f"It opens, and is silent. {fallback}")
                request.send(CLOSE)
        except NoAnswer as exc:
            return Finding(Topic.WEBSOCKET, Grade.CHANGE, f"No WebSocket opens: {exc}. {fallback}")
        return Finding(Topic.WEBSOCKET, Grade.OK, "It opens, and frames pass both ways.")

    def _methods(self) -> list[Finding]:
        refused = []
        for method in METHODS:
            try:
                if failure := _failure(self._ask(method, "", "Content-Length: 0")):
                    refused.append(f"{method} ({failure})")
            except NoAnswer as exc:
                refused.append(f"{method} ({exc})")
        if refused:
            return [Finding(Topic.METHODS, Grade.CHANGE, f"Not all pass: {', '.join(refused)}.")]
        return [Finding(Topic.METHODS, Grade.OK, f"{', '.join(METHODS)} pass.")]

    def _buffering(self) -> list[Finding]:
        try:
            finding = self._try_buffering(PAUSE_S)
            if finding.grade is not Grade.OK:
                finding = self._try_buffering(LONG_PAUSE_S)
        except NoAnswer as exc:
            finding = Finding(Topic.BUFFERING, Grade.CHANGE, f"A body with a pause fails: {exc}.")
        return [finding]

    def _try_buffering(self, pause_s: float) -> Finding:
        length = len(FIRST_PIECE) + 1
        with self._open("POST", PROBE_ROUTE, f"Content-Length: {length}", "Connection: close") as request:
            request.send(FIRST_PIECE)
            time.sleep(pause_s)
            request.send(b"x")
            return _buffering(Topic.BUFFERING, request.reply(), pause_s)

    def _chunked(self) -> list[Finding]:
        try:
            findings = self._try_chunked(PAUSE_S)
            if findings[0].grade is not Grade.OK:
                findings = self._try_chunked(LONG_PAUSE_S)
        except NoAnswer as exc:
            findings = [Finding(Topic.CHUNKED, Grade.CHANGE, f"A body without a length fails: {exc}.")]
        return findings

    def _try_chunked(self, pause_s: float) -> list[Finding]:
        lines = ("Transfer-Encoding: chunked", "Trailer: Incoming-Probe", "Connection: close")
        with self._open("POST", PROBE_ROUTE, *lines) as request:
            request.send(b"%x\r\n%b\r\n" % (len(FIRST_PIECE), FIRST_PIECE))
            time.sleep(pause_s)
            request.send(b"1\r\nx\r\n0\r\nIncoming-Probe: 1\r\n\r\n")
            reply = request.reply()
        findings = [_buffering(Topic.CHUNKED, reply, pause_s)]
        if reply.content.get("has_trailer"):
            findings.append(Finding(Topic.TRAILERS, Grade.OK, "They pass."))
        elif reply.status == HTTPStatus.OK:
            why = "They do not pass. Clients have to send checksums in headers."
            findings.append(Finding(Topic.TRAILERS, Grade.NOTE, why))
        return findings

    def _body_limit(self) -> list[Finding]:
        for refused in (MAX_BITS, SIGNED_BITS):
            if how := self._refusal(1 << refused):
                break
        else:
            return [judge_body_limit(1 << MAX_BITS, None, "")]
        passes = MIN_BITS - 1
        while refused - passes > 1:
            middle = (passes + refused) // 2
            if why := self._refusal(1 << middle):
                refused, how = middle, why
            else:
                passes = middle
        return [judge_body_limit(1 << passes if passes >= MIN_BITS else 0, 1 << refused, how)]

    def _refusal(self, length: int) -> str:
        """Returns how a body of this length is refused; empty when it is not."""
        try:
            with self._open("POST", PROBE_ROUTE, f"Content-Length: {length}", "Connection: close") as request:
                request.send(b"x")
                return _failure(request.reply(REFUSAL_WAIT_S))
        except TimedOut:
            return ""
        except NoAnswer as exc:
            return str(exc)

    def _headers(self) -> list[Finding]:
        try:
            failure = _failure(self._ask("GET", "", f"Cookie: probe={'x' * COOKIE_BYTES}"))
        except NoAnswer as exc:
            failure = str(exc)
        if failure:
            why = f"A user with {COOKIE_BYTES // 1000} kB of cookies can't upload: {failure}."
            return [Finding(Topic.HEADERS, Grade.NOTE, why)]
        return [Finding(Topic.HEADERS, Grade.OK, f"Cookies of {COOKIE_BYTES // 1000} kB pass.")]

    def _responses(self) -> list[Finding]:
        try:
            reply = self._ask("GET", "stream=1")
        except NoAnswer as exc:
            return [Finding(Topic.RESPONSES, Grade.NOTE, f"An answer in two parts fails: {exc}.")]
        if reply.spread_s >= PAUSE_S / 2:
            return [Finding(Topic.RESPONSES, Grade.OK, "An answer reaches the client while it is sent.")]
        why = "An answer reaches the client only when all of it is there. Uploads do not need more."
        return [Finding(Topic.RESPONSES, Grade.NOTE, why)]

    def _interim(self) -> list[Finding]:
        passed, missing, broken, sent = list[int](), list[int](), list[int](), True
        for status in (103, 104):
            try:
                lines = ("Content-Length: 2", "Connection: close")
                with self._open("POST", f"{PROBE_ROUTE}?interim={status}", *lines) as request:
                    request.send(b"x")
                    time.sleep(PAUSE_S / 2)
                    request.send(b"x")
                    reply = request.reply()
            except NoAnswer:
                broken.append(status)
                continue
            if reply.content.get("received_bytes") != 2 or reply.interim_altered:
                broken.append(status)
                continue
            sent = sent and bool(reply.content.get("sends_interim"))
            (passed if status in reply.interim else missing).append(status)
        return [judge_interim(sent, passed, missing, broken, self._shows_proxy)]

    def _tls(self) -> list[Finding]:
        if not self._address.secure:
            why = "Everybody on the way can read tickets and files: the address is not https."
            return [Finding(Topic.TLS, Grade.NOTE, why)]
        try:
            with self._open("GET", PROBE_ROUTE, "Connection: close") as request:
                return [_tls(request)]
        except NoAnswer as exc:
            return [Finding(Topic.TLS, Grade.NOTE, f"It can't be tried: {exc}.")]


def _failure(reply: Reply) -> str:
    """Returns how a request to the probe failed; empty when the server answered it well."""
    if reply.status == HTTPStatus.OK:
        return ""
    return f"HTTP {reply.status}"


def _buffering(topic: Topic, reply: Reply, pause_s: float) -> Finding:
    first_s, last_s = reply.content.get("first_byte_s"), reply.content.get("last_byte_s")
    if reply.status != HTTPStatus.OK or first_s is None or last_s is None:
        what = "A body without a length" if topic is Topic.CHUNKED else "A body with a pause"
        return Finding(topic, Grade.CHANGE, f"{what} is refused: HTTP {reply.status}.")
    return judge_buffering(topic, first_s, last_s, pause_s)


def _version(version: str) -> Finding:
    if version == "HTTP/1.0":
        why = "HTTP/1.0 reaches the server: no WebSocket opens, and bodies need a length."
        return Finding(Topic.VERSION, Grade.CHANGE, why)
    return Finding(Topic.VERSION, Grade.OK, f"{printable(version)} reaches the server.")


def _tls(request: RawRequest) -> Finding:
    """Returns what the certificate and the version of TLS mean. Without verification little is known."""
    assert isinstance(request.socket, ssl.SSLSocket)
    version, certificate = request.socket.version(), request.socket.getpeercert()
    if not certificate:
        return Finding(Topic.TLS, Grade.NOTE, f"{version}. The certificate was not checked (--insecure).")
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    left_days = (until - datetime.now(UTC)).days
    grade = Grade.NOTE if left_days < FEW_DAYS else Grade.OK
    return Finding(Topic.TLS, grade, f"{version}. The certificate is valid for {left_days} more days.")
