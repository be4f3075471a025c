"""One upload that changes its way from step to step: both WebSocket versions and every protocol over HTTP.

Each way is a method that resumes the upload, sends a part of what is missing, and ends the connection as its
`Ending` says. What the server tells on any way is compared with what it has told before:

- It never asks again for a byte that it has acknowledged, and never claims to have one that was not sent.
- What a broken connection had delivered is stored to the last byte. Of a request with a checksum, nothing is.
- It says "success" only when the app has the file, and "refused" only when the app has refused it.
- A connection ends only because the server was stopped or killed.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import pairwise
from typing import Any, ClassVar, Final

from crc32c import crc32c

from incoming.protocol.withheld import WITHHELD_BYTES
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.client_v2 import ClientV2, Stopping, UploadRefused
from tests.support.data import FileBytes
from tests.support.halfopen import vanish
from tests.support.http_upload import HttpAnswer, HttpUpload, OpenRequest
from tests.support.ietf import VERSIONS, Exchange, IetfAnswer, IetfClient
from tests.support.server import RunningServer, finish_upload
from tests.support.tus import MEDIA_TYPE, VERSION, TusUpload, checksum, in_base64
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed, HandshakeRefused

REFUSED: Final = Reply(403, "no")
BUSY: Final = Reply(503, "busy")
CHUNK_BYTES: Final = 64 * 1024
BOUNDARY: Final = "a-boundary"
FORM_BEGIN: Final = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.mov"\r\n\r\n'.encode()
)
FORM_END: Final = f"\r\n--{BOUNDARY}--\r\n".encode()
LOST: Final = (ConnectionClosed, HandshakeRefused, OSError, http.client.HTTPException, Stopping)


class Lost(Exception):
    """The server was stopped or killed during a request."""


class Ending(Enum):
    """What becomes of a connection."""

    ANSWERED = auto()
    FIN = auto()
    RESET = auto()
    HALF_OPEN = auto()
    LEFT_OPEN = auto()
    KILL = auto()
    STOP = auto()
    """The server stops politely, and starts again."""


class Way(Enum):
    """How a part of the file is sent."""

    WEBSOCKET_1 = "WebSocket version 1"
    WEBSOCKET_2 = "WebSocket version 2"
    TUS = "tus"
    IETF = "IETF draft"
    PUT = "PUT"
    FORM = "form"
    SESSION = "session of the library"


class Outcome(Enum):
    """How an upload has ended."""

    FINISHED = auto()
    REFUSED = auto()


class Site:
    """A server that is killed and stopped now and then while several uploads run."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.kills = 0
        self.stops = 0
        self._lock = threading.Lock()
        self._downs_s: list[tuple[float, float]] = []

    @property
    def lives(self) -> int:
        """How often an end of the server has begun, or was over, so far.

        A server that is about to be killed may lose what it is sent until then.
        """
        return len(self._downs_s) + sum(up_s < float("inf") for _, up_s in self._downs_s)

    def restart(self, *, kill: bool) -> None:
        """Ends the server, with SIGKILL or politely, and starts it again."""
        with self._lock:
            self._downs_s.append((time.monotonic(), float("inf")))
            if kill:
                self.server.kill()
                self.kills += 1
            else:
                self.server.terminate()
                self.stops += 1
            self.server.start()
            self._downs_s[-1] = (self._downs_s[-1][0], time.monotonic())

    def was_down(self, from_s: float, to_s: float = float("inf")) -> bool:
        """Returns whether the server was down at a moment between these two."""
        return any(down_s <= to_s and up_s >= from_s for down_s, up_s in list(self._downs_s))

    def wait_until_up(self) -> None:
        """Returns once no restart is under way."""
        with self._lock:
            pass


class ForgetfulApp(ScriptedApp):
    """Answers the deliveries of each ticket from a script of its own, and knows which files it has."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.scripts: dict[str, list[Reply]] = {}
        self.slow: set[str] = set()
        self.has: set[str] = set()
        self._turn = threading.Lock()
        self._outage = threading.Lock()

    def answer(self, delivery: Delivery) -> Reply:
        """See ScriptedApp."""
        with self._turn:
            script = self.scripts[delivery.id]
            reply = script[min(len(self.about(delivery.id)), len(script) - 1)]
            self.deliveries.append(delivery)
        if delivery.id in self.slow:
            time.sleep(1.2)
        if reply is DONE:
            self.has.add(delivery.id)
        if reply is WAIT:
            threading.Thread(target=self._finish, args=(delivery.id,), daemon=True).start()
        return reply

    def _finish(self, ticket_id: str) -> None:
        """The app has taken the file in the background."""
        time.sleep(0.1)
        self.has.add(ticket_id)
        for _ in range(100):
            try:
                if finish_upload(self.site.server, ticket_id).status_code == 200:
                    return
            except OSError:
                self.site.wait_until_up()
            time.sleep(0.1)

    def go_down_for(self, duration_s: float) -> None:
        """Refuses connections for a while."""
        with self._outage:
            self.stop()
            time.sleep(duration_s)
            self.start()

    def check(self, ticket_id: str, sha256: str) -> None:
        """The app was told of a whole file, and again only if the server may not know its answer."""
        deliveries = self.about(ticket_id)
        assert deliveries, "the app was told"
        assert {delivery.sha256 for delivery in deliveries} == {sha256}
        script = self.scripts[ticket_id]
        for number, (one, next_one) in enumerate(pairwise(deliveries)):
            if script[min(number, len(script) - 1)] is not BUSY:
                at_s = one.received_at_s, next_one.received_at_s
                assert self.site.was_down(*at_s), "the app was called again, though its answer was known"


@dataclass
class MixedUpload:
    """One upload, and what was told of it so far. `history` says what happened, for the report."""

    site: Site
    app: ForgetfulApp
    ticket_id: str
    data: FileBytes
    chance: random.Random
    acked_bytes: int = 0
    sent_bytes: int = 0
    outcome: Outcome | None = None
    history: list[str] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)
    expected: tuple[int, int | None] | None = None
    """The offset that must be told next; only if the server is in this life, unless that is None."""
    is_begun: bool = False
    may_be_late: bool = False
    """Whether nothing shows that the server has read the head of a request that was left. It may read that
    after the next request, which then loses the upload."""

    @property
    def length_bytes(self) -> int:
        """The length of the file."""
        return self.data.length_bytes

    @property
    def http(self) -> HttpUpload:
        """The address of the upload."""
        return HttpUpload(self.site.server.url, self.ticket_id)

    def close(self) -> None:
        """Closes the connections that were left open."""
        for kept in self.kept:
            kept.close()

    def note(self, text: str) -> None:
        """Adds to the history."""
        self.history.append(f"{time.monotonic():.3f} life {self.site.lives}: {text}")

    # --- what the server tells ------------------------------------------------------------------------

    def saw_offset(self, offset_bytes: int) -> int:
        """The server has told where to resume. Returns that."""
        self.note(f"offset {offset_bytes}")
        withheld_from_bytes = max(self.length_bytes - WITHHELD_BYTES, 0)
        assert offset_bytes >= min(self.acked_bytes, withheld_from_bytes), (
            f"{self.acked_bytes} bytes were acknowledged, and now it has {offset_bytes}"
        )
        assert offset_bytes <= self.sent_bytes, f"{self.sent_bytes} bytes were sent, it has {offset_bytes}"
        if self.expected:
            expected_bytes, life = self.expected
            if life in (None, self.site.lives) and expected_bytes < withheld_from_bytes:
                assert offset_bytes == expected_bytes, f"it should have {expected_bytes} bytes"
            self.expected = None
        self.acked_bytes = max(self.acked_bytes, offset_bytes)
        return offset_bytes

    def saw_success(self) -> None:
        """A client was told that the app has the file."""
        self.note("success")
        assert self.ticket_id in self.app.has, "success was told before the app had the file"
        self.outcome = Outcome.FINISHED

    def saw_error(self, code: str, since_s: float) -> None:
        """A client was told of an error. Raises AssertionError unless there was a reason for it."""
        self.note(f"error {code}")
        if code == "handover_failed":
            assert REFUSED in self.app.scripts[self.ticket_id], "the app has not refused the file"
            assert self.app.about(self.ticket_id), "the app was not asked"
            self.outcome = Outcome.REFUSED
        elif code != "app_not_ready":
            assert code in ("stopping", "session_ended", "taken_over"), f"unexpected error: {code}"
            if code == "taken_over" and self.may_be_late:
                self.may_be_late = False  # a single time for each of them
                return
            assert self.site.was_down(since_s), f"{code}, though the server was not stopped"

    # --- steps ----------------------------------------------------------------------------------------

    def step(self, way: Way, to_bytes: int, ending: Ending) -> None:
        """Resumes on this way, sends what is missing up to this offset, and ends the connection."""
        self.note(f"-- {way.value} to {to_bytes} of {self.length_bytes}, {ending.name}")
        self.site.wait_until_up()
        began_s = time.monotonic()
        try:
            self._STEPS[way](self, to_bytes, ending)
        except TimeoutError:
            raise  # the server hangs
        except Lost:
            self.note("lost")
        except LOST as exc:
            self.note(f"lost: {exc!r}")
            assert self.site.was_down(began_s), f"the connection was lost: {exc!r}"
        self.is_begun = True

    def _end(self, sock: Any, ending: Ending) -> None:
        """Ends a connection, or the server. `sock`: what has a socket and can be closed."""
        match ending:
            case Ending.HALF_OPEN:
                vanish(sock.socket)
                self.kept.append(sock.socket)
            case Ending.KILL | Ending.STOP:
                self.kept.append(sock.socket)
                self.site.restart(kill=ending is Ending.KILL)
                raise Lost
            case _:
                self.kept.append(sock.socket)

    def _websocket(self, client: ClientV1 | ClientV2, to_bytes: int, ending: Ending) -> None:
        began_s = time.monotonic()
        client.may_be_cut = True
        try:
            client.connect().request()
            self.saw_offset(client.resumed_at[-1])
            client.agree()
            if ending is Ending.ANSWERED and to_bytes == self.length_bytes:
                self.sent_bytes = self.length_bytes
                client.finish()
                self.saw_success()
                return
            try:
                self._send_over_websocket(client, to_bytes)
            finally:
                acked = client.acked_bytes if isinstance(client, ClientV1) else client.stored_bytes
                self.acked_bytes = max(self.acked_bytes, acked)
                is_v1 = isinstance(client, ClientV1)  # which sends whole chunks only
                self.sent_bytes = max(self.sent_bytes, client.sent_bytes, 0 if is_v1 else to_bytes)
        except (UploadEnded, UploadRefused) as exc:
            is_failure = isinstance(exc, UploadEnded) or exc.code == "handover_failed"
            self.saw_error("handover_failed" if is_failure else str(exc.code), began_s)
            return
        match ending:
            case Ending.ANSWERED:
                client.ws.close()
            case Ending.FIN:
                client.drop()
            case Ending.RESET:
                client.ws.cut()
            case _:
                self._end(client.ws, ending)

    def _send_over_websocket(self, client: ClientV1 | ClientV2, to_bytes: int) -> None:
        """Sends up to this offset; the last chunks may be without an acknowledgement."""
        acked_to_bytes = self.chance.randint(min(client.sent_bytes, to_bytes), to_bytes)
        if isinstance(client, ClientV1):
            client.send_until_acked(acked_to_bytes)
        else:
            client.chunk_size_bytes = self.chance.choice([1000, 30_000, CHUNK_BYTES])
            client.send_until_stored(acked_to_bytes)
            while client.sent_bytes < to_bytes:
                size_bytes = min(client.chunk_size_bytes, to_bytes - client.sent_bytes)
                if client.sent_bytes + size_bytes - client.stored_bytes > client.max_window_bytes:
                    break
                client.send_chunk(size_bytes)

    def _websocket_1(self, to_bytes: int, ending: Ending) -> None:
        self._websocket(ClientV1(self.site.server.url, self.ticket_id, self.data), to_bytes, ending)

    def _websocket_2(self, to_bytes: int, ending: Ending) -> None:
        self._websocket(ClientV2(self.site.server.url, self.ticket_id, self.data), to_bytes, ending)

    # --- requests with a body -------------------------------------------------------------------------

    def _sends(  # noqa: PLR0913 - what a request may have
        self, request: OpenRequest, start_bytes: int, body: bytes, ending: Ending, *,
        is_checked: bool = False, is_chunked: bool = False, trailer: str = "", skipped_bytes: int = 0,
    ) -> bool:  # fmt: skip
        """Sends the body of a request, or a part of it. Returns whether its answer comes.

        The body belongs at `start_bytes` of the file, and the first `skipped_bytes` of it are stored already.
        """
        is_whole = not body or ending is Ending.ANSWERED or self.chance.random() < 0.25
        count = len(body) if is_whole else self.chance.randrange(len(body))
        before_bytes = start_bytes + skipped_bytes
        if is_whole or not is_checked:
            self.sent_bytes = min(max(self.sent_bytes, start_bytes + count), self.length_bytes)
        if not is_whole:
            life = None if is_checked else self.site.lives
            exact = is_checked or ending in (Ending.FIN, Ending.RESET)
            after_bytes = before_bytes if is_checked else max(before_bytes, start_bytes + count)
            self.expected = (after_bytes, life) if exact else None
        self.note(f"sends {count} of {len(body)} from {start_bytes}, checked: {is_checked}, {is_chunked=}")
        data = memoryview(body)[:count]
        while data:
            size = self.chance.choice([len(data), 1 + len(data) // 3, 1000])
            piece, data = bytes(data[:size]), data[size:]
            if is_chunked:
                request.send_chunk(piece)
            else:
                request.send(piece)
        if is_whole and is_chunked:
            request.send(f"0\r\n{trailer}\r\n".encode())
        if ending is Ending.ANSWERED:
            return True
        if ending in (Ending.FIN, Ending.RESET):
            request.break_off(reset=ending is Ending.RESET)
            self._await_expected()
        else:
            self._end(request, ending)
        self.may_be_late = is_checked or ending not in (Ending.FIN, Ending.RESET)
        return False

    def _await_expected(self) -> None:
        """Waits until the server has stored what a broken connection had delivered.

        A newer request would end the reading of it, and what was not read yet would have to come again.
        """
        if not self.expected:
            return
        expected_bytes, life = self.expected

        def is_stored() -> bool:
            state = json.loads(self.http.ask("GET", {"Accept": "application/json"}).body)
            return bool(state["offset_bytes"] == expected_bytes)

        if life is not None and expected_bytes < self.length_bytes - WITHHELD_BYTES:
            wait_until(lambda: self.site.lives != life or is_stored(), f"{expected_bytes} bytes are stored")

    def _ask_offset(self, answer: HttpAnswer | IetfAnswer, since_s: float) -> int | None:
        """Returns the offset in the answer to a HEAD; None if the upload has ended, or has to wait."""
        if answer.status >= 300:
            self.saw_error(answer.headers.get("incoming-error", str(answer.status)), since_s)
            return None
        return self.saw_offset(answer.offset_bytes)

    def _tus(self, to_bytes: int, ending: Ending) -> None:
        began_s = time.monotonic()
        upload = TusUpload(self.site.server.url, self.ticket_id)
        looked = upload.head()
        offset = self._ask_offset(looked, began_s)
        if offset is None:
            return
        if "upload-length" not in looked.headers or self.chance.random() < 0.2:
            created = upload.create(self.length_bytes, Upload_Metadata=f"filename {in_base64('a.mov')}")
            if created.status != 201:
                self.saw_error(created.code or str(created.status), began_s)
                return
            if not self.length_bytes:
                self.saw_success()
                return
            looked = upload.head()
            offset = self._ask_offset(looked, began_s)
            if offset is None:
                return
        if offset == self.length_bytes:
            self.saw_success()
            return
        body = self.data.read(offset, max(to_bytes - offset, 0))
        algorithm = self.chance.choice(["", "", "crc32c", "sha1", "sha256"])
        is_chunked = self.chance.random() < 0.3
        trailer, headers = "", {"Content-Length": str(len(body))}
        if is_chunked:
            headers = {"Transfer-Encoding": "chunked"}
        if algorithm and is_chunked and self.chance.random() < 0.5:
            headers["Trailer"] = "Upload-Checksum"
            trailer = f"Upload-Checksum: {checksum(algorithm, body)}\r\n"
        elif algorithm:
            headers["Upload-Checksum"] = checksum(algorithm, body)
        headers |= {**VERSION, "Content-Type": MEDIA_TYPE, "Upload-Offset": str(offset)}
        with_open = self.http.open("PATCH", headers)
        is_answered = self._sends(
            with_open,
            offset,
            body,
            ending,
            is_checked=bool(algorithm),
            is_chunked=is_chunked,
            trailer=trailer,
        )
        if is_answered:
            answer = _answer_of(with_open)
            told = self._ask_offset(answer, began_s)
            if told == self.length_bytes:
                self.saw_success()

    def _ietf(self, to_bytes: int, ending: Ending) -> None:
        began_s = time.monotonic()
        client = IetfClient(self.http, self.chance.choice([*VERSIONS, None]))
        self.note(f"version {client.version}")
        creates = not self.is_begun and self.chance.random() < 0.7
        offset: int | None = 0
        if not creates:
            looked = client.head()
            offset = self._ask_offset(looked, began_s)
            if offset is None:
                return
            if looked.is_complete:
                self.saw_success()
                return
        assert offset is not None
        body = self.data.read(offset, max(to_bytes - offset, 0))
        is_last = offset + len(body) == self.length_bytes
        more = {"Upload-Length": str(self.length_bytes)} if self.chance.random() < 0.6 else {}
        is_checked = bool(body) and self.chance.random() < 0.4
        if is_checked:
            more["Content-Digest"] = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
        is_chunked = self.chance.random() < 0.3
        more |= {"Transfer-Encoding": "chunked"} if is_chunked else {"Content-Length": str(len(body))}
        if creates:
            method, headers = "POST", client.headers(is_last, more)
        else:
            method, headers = "PATCH", client.append_headers(offset, is_last, more)
        request = self.http.open(method, headers)
        if self._sends(request, offset, body, ending, is_checked=is_checked, is_chunked=is_chunked):
            with Exchange(request, method) as exchange:
                answer = exchange.answer()
            if self._ask_offset(answer, began_s) is not None and answer.is_complete:
                self.saw_success()

    def _put(self, to_bytes: int, ending: Ending) -> None:
        began_s = time.monotonic()
        looked = self.http.ask("HEAD")
        offset = self._ask_offset(looked, began_s)
        if offset is None:
            return
        if looked.headers["upload-complete"] == "?1":
            assert offset == self.length_bytes
            self.saw_success()
            return
        headers = {}
        start, is_chunked = offset, False
        if to_bytes > offset and self.chance.random() < 0.5:
            headers["Content-Range"] = f"bytes {offset}-{to_bytes - 1}/{self.length_bytes}"
        else:
            start, to_bytes, is_chunked = 0, self.length_bytes, self.chance.random() < 0.4
        body = self.data.read(start, to_bytes - start)
        headers |= {"Transfer-Encoding": "chunked"} if is_chunked else {"Content-Length": str(len(body))}
        request = self.http.open("PUT", headers, "/a.mov")
        if self._sends(request, start, body, ending, is_chunked=is_chunked, skipped_bytes=offset - start):
            self._outcome(_answer_of(request), began_s)

    def _outcome(self, answer: HttpAnswer, since_s: float) -> None:
        if self._ask_offset(answer, since_s) is not None and answer.status == 200:
            self.saw_success()

    def _form(self, _: int, ending: Ending) -> None:
        began_s = time.monotonic()
        offset = self._ask_offset(self.http.ask("HEAD"), began_s)
        if offset is None:
            return
        body = FORM_BEGIN + self.data.read(0, self.length_bytes) + FORM_END
        headers = {
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(len(body)),
        }  # fmt: skip
        request = self.http.open("POST", headers)
        if self._sends(request, 0, body, ending, is_checked=True, skipped_bytes=offset):
            self._outcome(_answer_of(request), began_s)

    # --- the session of the library -------------------------------------------------------------------

    def _session(self, to_bytes: int, ending: Ending) -> None:
        began_s = time.monotonic()
        asked = {
            "Version": 2, "Id": self.ticket_id, "LengthBytes": self.length_bytes, "Name": "a.mov",
            "LastModifiedMs": self.chance.choice([0, 5, 6]),
        }  # fmt: skip
        opened = self.http.ask("POST", {}, _message("MsgUploadReq", asked), "/session")
        terms = self._member(opened, "MsgUploadConf", began_s)
        if terms is None:
            return
        token = {"Upload-Session": opened.headers["upload-session"]}
        offset = self.saw_offset(terms["Offset"])
        if terms["Compare"]:
            crcs = [crc32c(self.data.read(start, end - start)) for start, end in terms["Compare"]]
            agree = _message("MsgAgree", {"Crc32c": crcs, "Compare": terms["Compare"]})
            agreed = self.http.ask("PUT", token, agree, "/session")
            if agreed.status != 204:
                self.saw_error(agreed.code, began_s)
                return
        while offset < to_bytes:
            size = min(self.chance.choice([5000, 100_000, 1_000_000]), terms["MaxChunkBytes"])
            body = self.data.read(offset, min(size, to_bytes - offset))
            is_last = offset + len(body) == to_bytes
            headers = token | {
                "Upload-Offset": str(offset), "Upload-Checksum": checksum("crc32c", body),
                "Content-Length": str(len(body)),
            }  # fmt: skip
            request = self.http.open("PATCH", headers, "/session")
            now = ending if is_last else Ending.ANSWERED
            if not self._sends(request, offset, body, now, is_checked=True):
                return
            stored = self._member(_answer_of(request), "MsgStored", began_s)
            if stored is None:
                return
            offset = self.saw_offset(stored["Offset"])
        if offset == self.length_bytes:
            self._complete_session(token, began_s)

    def _complete_session(self, token: dict[str, str], since_s: float) -> None:
        crc = crc32c(self.data.read(0, self.length_bytes))
        complete = _message("MsgComplete", {"Crc32c": crc, "Round": 0})
        answer = self.http.ask("POST", token, complete, "/session/complete")
        for _ in range(2):
            kind = json.loads(answer.body)["MsgType"]
            self.note(kind)
            if kind == "MsgAllDone":
                self.saw_success()
                return
            if self._member(answer, "MsgNews", since_s) is None:
                return
            answer = self.http.ask("GET", below="/session?wait=2")

    def _member(self, answer: HttpAnswer, kind: str, since_s: float) -> dict[str, Any] | None:
        """Returns the members of the message in an answer; None if it is an error."""
        message = json.loads(answer.body)
        if message["MsgType"] == "MsgError":
            self.saw_error(message["MsgData"]["Code"], since_s)
            return None
        assert message["MsgType"] == kind, message
        members: dict[str, Any] = message["MsgData"]
        return members

    _STEPS: ClassVar[dict[Way, Callable[[MixedUpload, int, Ending], None]]] = {
        Way.WEBSOCKET_1: _websocket_1,
        Way.WEBSOCKET_2: _websocket_2,
        Way.TUS: _tus,
        Way.IETF: _ietf,
        Way.PUT: _put,
        Way.FORM: _form,
        Way.SESSION: _session,
    }


def _answer_of(request: OpenRequest) -> HttpAnswer:
    with request:
        return request.answer()


def _message(kind: str, members: dict[str, Any]) -> bytes:
    return json.dumps({"MsgType": kind, "MsgData": members}).encode()
