"""One upload that changes its way from step to step: both WebSocket versions and every protocol over HTTP.

Each way is a method that resumes the upload, sends a part of what is missing, and ends the connection as its
`Ending` says. What the server tells on any way is compared with what it has told before:

- It never asks again for a byte that it has acknowledged, and never claims to have one that was not sent.
- What a broken connection had delivered is stored to the last byte. Of a request with a checksum, nothing is.
- It says "success" only when the app has the file, and "refused" only when the app has refused it.
- It says "cancelled" only when somebody has cancelled, or the file lacks the digest that its client named.
- A connection ends only because the server was stopped or killed.

`mixed_parts` has the uploads that come in parts.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import pairwise
from typing import Any, ClassVar, Final, Literal

from crc32c import crc32c

from incoming.protocol.withheld import WITHHELD_BYTES
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.client_v2 import CLOSE_CODES, ClientV2, Stopping, UploadRefused
from tests.support.data import FileBytes
from tests.support.halfopen import vanish
from tests.support.http_upload import Headers, HttpAnswer, HttpUpload, OpenRequest
from tests.support.ietf import VERSIONS, Exchange, IetfAnswer, IetfClient
from tests.support.server import RunningServer, cancel_upload, finish_upload
from tests.support.tus import MEDIA_TYPE, VERSION, TusUpload, checksum, in_base64
from tests.support.waiting import DEADLINE_S, wait_until
from tests.support.websocket import ConnectionClosed, HandshakeRefused

Canceller = Literal["app", "client"]
REFUSED: Final = Reply(403, "no")
BUSY: Final = Reply(503, "busy")
CODES: Final = {
    30: "cancelled",
    32: "handover_failed",
    86: "digest_mismatch",
    80: "upload_in_parts",
}
"""What ends an upload for good, by the numbers that version 1 has for it."""
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
    CANCELLED = auto()


class Site:
    """A server that is killed and stopped now and then while several uploads run."""

    end_limit_s = 20.0
    """How long it may take until the app is told of the end of an upload, and its bytes are removed."""
    reads_in_order = True
    """Whether it reads the head of each request before that of a later one."""

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

    @property
    def life_of_late_requests(self) -> int:
        """In which life a request may still be read that is left now."""
        return self.lives

    @property
    def life_of_lost_requests(self) -> int | None:
        """The same for one that was under way when the server ended: nobody reads it."""
        return None

    @property
    def is_ending(self) -> bool:
        """Whether an end of the server has begun, and it does not run again."""
        return any(up_s == float("inf") for _, up_s in list(self._downs_s))

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

    def has_bytes(self, ticket_id: str) -> bool:
        """Returns whether bytes of an upload are stored."""
        return self.server.stored_file(ticket_id).parent.exists()


class ForgetfulApp(ScriptedApp):
    """Answers the deliveries of each ticket from a script of its own, and knows which files it has."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.scripts: dict[str, list[Reply]] = {}
        self.ends: list[Delivery] = []
        """The calls that tell of uploads that have ended without a file."""
        self.slow: set[str] = set()
        self.has: set[str] = set()
        self.without_file: list[Delivery] = []
        """The calls about files that the app had said to have, so that the server has removed them."""
        self._turn = threading.Lock()
        self._outage = threading.Lock()

    def answer(self, delivery: Delivery) -> Reply:
        """See ScriptedApp."""
        if delivery.fields["cancelled"] == "yes":
            self.ends.append(delivery)
            return DONE
        with self._turn:
            script = self.scripts[delivery.id]
            reply = script[min(len(self.about(delivery.id)), len(script) - 1)]
            self.deliveries.append(delivery)
        if delivery.size_bytes is None and delivery.id in self.has:
            self.without_file.append(delivery)
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

    def check_end(self, ticket_id: str, is_told: bool | None) -> None:
        """The app never had a file, and was told of the end if `is_told`, once unless the server died.

        None: nobody knows whether the app had cancelled before the upload ended for another reason.
        """
        assert not self.about(ticket_id), "a cancelled file was handed over"

        def ends() -> list[Delivery]:
            return [delivery for delivery in list(self.ends) if delivery.id == ticket_id]

        if is_told is False:
            assert not ends(), "the app is told what it has done itself"
        if is_told:
            wait_until(ends, "the app is told of the end", self.site.end_limit_s)
        for one, next_one in pairwise(ends()):
            assert self._may_be_unheard(one, next_one), "the app is told twice"

    def check(self, ticket_id: str, sha256: str) -> None:
        """The app was told of a whole file, and again only if the server may not know its answer."""
        deliveries = self.about(ticket_id)
        assert deliveries, "the app was told"
        assert ticket_id not in {delivery.id for delivery in list(self.ends)}, "told of its end as well"
        assert {one.sha256 for one in deliveries if one not in self.without_file} == {sha256}
        script = self.scripts[ticket_id]
        for number, (one, next_one) in enumerate(pairwise(deliveries)):
            if script[min(number, len(script) - 1)] is not BUSY:
                unheard = self._may_be_unheard(one, next_one)
                assert unheard, f"the app was called again, though its answer was known: {one}, {next_one}"

    def _may_be_unheard(self, one: Delivery, next_one: Delivery) -> bool:
        """Whether the server may not know the answer to `one`: it ended before, or before the next call."""
        return one.caller_has_gone or self.site.was_down(one.received_at_s, next_one.received_at_s)


LATE_S: Final = 5.0
"""How long to wait for the bytes of a request from which one that was left earlier may have taken over."""
EVERY_LIFE: Final = -1
"""For `Told.left_in_life`: the request may be read in any later life."""


@dataclass
class Told:
    """What was told so far of an upload, or of one of its parts."""

    length_bytes: int
    withheld_bytes: int = WITHHELD_BYTES
    """So many of the last bytes may be asked for again until the app has the file."""
    acked_bytes: int = 0
    sent_bytes: int = 0
    expected: tuple[int, int | None] | None = None
    """The offset that must be told next; only if the server is in this life, unless that is None."""
    left_in_life: int | None = None
    """The life of the server in which a request was left of which nothing shows that its head was read, or
    EVERY_LIFE. The server may read that after the next request, which then loses the upload, or finds more
    stored than its client was told."""

    def may_be_late(self, life: int) -> bool:
        """Returns whether such a request may still be read by a server in this life."""
        return self.left_in_life in (life, EVERY_LIFE)

    def saw(self, offset_bytes: int, life: int) -> int:
        """The server has told where to resume. Returns that."""
        withheld_from_bytes = max(self.length_bytes - self.withheld_bytes, 0)
        assert offset_bytes >= min(self.acked_bytes, withheld_from_bytes), (
            f"{self.acked_bytes} bytes were acknowledged, and now it has {offset_bytes}"
        )
        assert offset_bytes <= self.sent_bytes, f"{self.sent_bytes} bytes were sent, it has {offset_bytes}"
        expected, self.expected = self.expected, None
        if expected and expected[1] in (None, life) and expected[0] < withheld_from_bytes:
            assert offset_bytes == expected[0], f"it should have {expected[0]} bytes"
        self.acked_bytes = max(self.acked_bytes, offset_bytes)
        return offset_bytes


@dataclass
class MixedUpload:
    """One upload, and what was told of it so far. `history` says what happened, for the report."""

    site: Site
    app: ForgetfulApp
    ticket_id: str
    data: FileBytes
    chance: random.Random
    named_digest: bytes | None = None
    """The SHA-256 that clients of the IETF's draft name."""
    is_sent_whole: ClassVar[bool] = True
    """Whether it does not come in parts."""
    excused_codes: ClassVar[frozenset[str]] = frozenset({"stopping", "session_ended", "taken_over"})
    """The errors that a client may be told because a server was stopped or killed."""
    told: Told = field(init=False)
    outcome: Outcome | None = None
    history: list[str] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)
    is_begun: bool = False
    cancelled_by: Canceller | None = None
    """Who has tried to cancel."""
    may_have_digest: bool = False
    has_digest: bool = False
    """Whether the server may have, or surely has, the digest that a client named."""

    def __post_init__(self) -> None:
        self.told = Told(self.length_bytes)

    @property
    def length_bytes(self) -> int:
        """The length of the file."""
        return self.data.length_bytes

    @property
    def has_wrong_digest(self) -> bool:
        """Whether the digest that clients name is not that of the file."""
        return self.named_digest not in (None, bytes.fromhex(self.data.sha256))

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

    def saw_offset(self, offset_bytes: int, told: Told | None = None) -> int:
        """The server has told where to resume. Returns that."""
        self.note(f"offset {offset_bytes}")
        return (told or self.told).saw(offset_bytes, self.site.lives)

    def saw_success(self) -> None:
        """A client was told that the app has the file."""
        self.note("success")
        assert self.may_be_whole, "not all bytes were sent"
        self.told.acked_bytes = self.told.sent_bytes = self.length_bytes
        assert self.ticket_id in self.app.has, "success was told before the app had the file"
        assert not (self.has_digest and self.has_wrong_digest), "the file has another digest"
        self.outcome = Outcome.FINISHED

    def saw_error(self, code: str, since_s: float, told: Told | None = None) -> None:
        """A client was told of an error. Raises AssertionError unless there was a reason for it."""
        told = told or self.told
        self.note(f"error {code}")
        if code in ("cancelled", "digest_mismatch"):
            may_have_wrong_digest = self.may_have_digest and self.has_wrong_digest
            assert may_have_wrong_digest or (self.cancelled_by and code == "cancelled"), "nobody cancelled"
            self.outcome = Outcome.CANCELLED
            return
        if code == "handover_failed":
            assert REFUSED in self.app.scripts[self.ticket_id], "the app has not refused the file"
            assert self.app.about(self.ticket_id), "the app was not asked"
            self.outcome = Outcome.REFUSED
        elif code != "app_not_ready":
            if code in ("taken_over", "offset_mismatch") and told.left_in_life is not None:
                told.left_in_life = None  # a single time for each of them
                return
            assert code in self.excused_codes, f"unexpected error: {code}"
            assert self.site.was_down(since_s), f"{code}, though the server was not stopped"

    # --- steps ----------------------------------------------------------------------------------------

    def step(self, way: Way, to_bytes: int, ending: Ending) -> None:
        """Resumes on this way, sends what is missing up to this offset, and ends the connection."""
        what = f"{way.value} to {to_bytes} of {self.length_bytes}, {ending.name}"
        self.do(lambda: self._STEPS[way](self, to_bytes, ending), what)

    def do(self, act: Callable[[], None], what: str) -> None:
        """Takes a step. It may be lost while the server is down."""
        self.note(f"-- {what}")
        self.site.wait_until_up()
        began_s = time.monotonic()
        try:
            act()
        except TimeoutError:
            raise  # the server hangs
        except Lost:
            self.note("lost")
        except LOST as exc:
            self.note(f"lost: {exc!r}")
            assert self.site.was_down(began_s), f"the connection was lost: {exc!r}"
        self.is_begun = True

    def cancel(self, by: Canceller, *, kill: bool) -> None:
        """Cancels the upload, as its client does on any way, or as its app. `kill`: in the middle of that."""
        self.note(f"-- cancel by the {by}, {kill=}")
        self.site.wait_until_up()
        self.cancelled_by, began_s = by, time.monotonic()
        cancel = {"app": self._cancel_as_app, "client": self._cancel_as_client}[by]
        if kill:
            with ThreadPoolExecutor(1) as pool:
                request = pool.submit(self._may_be_lost, cancel, began_s)
                time.sleep(self.chance.random() * 0.01)
                self.site.restart(kill=True)
                request.result()
        else:
            self._may_be_lost(cancel, began_s)

    def _may_be_lost(self, act: Callable[[], str], since_s: float) -> None:
        """Cancels. An error that the server answers is one that a client may get now."""
        try:
            if code := act():
                self.saw_error(code, since_s)
        except TimeoutError:
            raise  # the server hangs
        except LOST as exc:
            self.note(f"lost: {exc!r}")
            assert self.site.was_down(since_s), f"the connection was lost: {exc!r}"

    def _cancel_as_app(self) -> str:
        """Returns the code of the error; empty if there is none."""
        answer = cancel_upload(self.site.server, self.ticket_id)
        codes = {412: "wrong_state", 500: "storage_failed", 503: "stopping"}
        code = codes.get(answer.status_code, answer.text)
        return self._saw_cancel(answer.status_code == 200, code)

    def _cancel_as_client(self) -> str:
        """Returns the code of the error; empty if there is none."""
        if self.is_sent_whole and self.chance.random() < 0.4:
            return self._cancel_over_websocket()
        version = IetfClient(self.http, self.chance.choice(VERSIONS)).headers()
        headers: Headers = self.chance.choice([{}, VERSION, version])
        below = "/session" if self.is_sent_whole and self.chance.random() < 0.3 else ""
        answer = self.http.ask("DELETE", headers, below=below)
        is_cancelled = answer.status == 204 or b"MsgCancelAck" in answer.body
        return self._saw_cancel(is_cancelled, "wrong_state" if answer.status == 200 else answer.code)

    def _cancel_over_websocket(self) -> str:
        kind = self.chance.choice([ClientV1, ClientV2])
        client = kind(self.site.server.url, self.ticket_id, self.data)
        client.may_be_cut = True
        try:
            client.connect().request()
            is_late = self.saw_offset(client.resumed_at[-1]) == self.length_bytes
            if not is_late:
                client.cancel()
        except UploadEnded as exc:
            return CODES[exc.code]
        except UploadRefused as exc:
            return exc.code
        finally:
            client.drop()
        return self._saw_cancel(not is_late, "wrong_state")

    def _saw_cancel(self, is_cancelled: bool, code: str) -> str:
        if is_cancelled:
            self.note("cancelled")
            self.outcome = Outcome.CANCELLED
            return ""
        if code == "wrong_state":
            self.note("too late")
            assert self.may_be_whole, "an upload that lacks bytes can be cancelled"
            return ""
        return code

    @property
    def is_app_told_of_end(self) -> bool | None:
        """Whether the app has to be told that the upload was cancelled; None if that can't be known."""
        if self.cancelled_by != "app":
            return True
        return None if self.may_have_digest and self.has_wrong_digest else False

    @property
    def may_be_whole(self) -> bool:
        """Whether all bytes were sent."""
        return self.told.sent_bytes == self.length_bytes

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

    def _leave(self, request: OpenRequest, ending: Ending, told: Told) -> None:
        """Ends the connection of a request that nobody reads the answer of, or the server. See `_end`."""
        try:
            self._end(request, ending)
        except Lost:
            told.left_in_life = self.site.life_of_lost_requests
            raise
        told.left_in_life = self.site.life_of_late_requests

    def _websocket(self, client: ClientV1 | ClientV2, to_bytes: int, ending: Ending) -> None:
        began_s = time.monotonic()
        client.may_be_cut = True
        try:
            client.connect().request()
            self.saw_offset(client.resumed_at[-1])
            client.agree()
            if ending is Ending.ANSWERED and to_bytes == self.length_bytes:
                self.told.sent_bytes = self.length_bytes
                client.finish()
                self.saw_success()
                return
            try:
                self._send_over_websocket(client, to_bytes)
            finally:
                acked = client.acked_bytes if isinstance(client, ClientV1) else client.stored_bytes
                told, is_v1 = self.told, isinstance(client, ClientV1)  # which sends whole chunks only
                told.acked_bytes = max(told.acked_bytes, acked)
                told.sent_bytes = max(told.sent_bytes, client.sent_bytes, 0 if is_v1 else to_bytes)
        except UploadEnded as exc:
            self.saw_error(CODES[exc.code], began_s)
            return
        except UploadRefused as exc:
            self.saw_error(exc.code, began_s)
            return
        except ConnectionClosed as exc:
            if exc.code != CLOSE_CODES["taken_over"]:
                raise
            self.saw_error("taken_over", began_s)  # version 1 has no other word for it
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
        part: Told | None = None,
    ) -> bool:  # fmt: skip
        """Sends the body of a request, or a part of it. Returns whether its answer comes.

        The body belongs at `start_bytes` of the file, or of a `part`, and the first `skipped_bytes` of it are
        stored already.
        """
        told = part or self.told
        is_whole = not body or ending is Ending.ANSWERED or self.chance.random() < 0.25
        count = len(body) if is_whole else self.chance.randrange(len(body))
        before_bytes = start_bytes + skipped_bytes
        if is_whole or not is_checked:
            told.sent_bytes = min(max(told.sent_bytes, start_bytes + count), told.length_bytes)
        if not is_whole:
            life = None if is_checked else self.site.lives
            exact = ending in (Ending.FIN, Ending.RESET) and not part  # no look leaves a part to its sender
            if is_checked:
                exact = not told.may_be_late(self.site.lives)
            after_bytes = before_bytes if is_checked else max(before_bytes, start_bytes + count)
            told.expected = (after_bytes, life) if exact and (is_checked or not self.site.is_ending) else None
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
            shows_more = told.expected is not None and told.expected[0] > before_bytes
            is_read = not part and self._await_expected() and shows_more
            told.left_in_life = None if is_read else self.site.life_of_late_requests
        else:
            self._leave(request, ending, told)
        return False

    def _await_expected(self) -> bool:
        """Waits until the server has stored what a broken connection had delivered. Returns whether it has.

        A newer request would end the reading of it, and what was not read yet would have to come again.
        """
        if not self.told.expected:
            return False
        expected_bytes, life = self.told.expected

        def is_stored() -> bool:
            return bool(self.http.look().get("offset_bytes") == expected_bytes)  # an error has none

        if life is None or expected_bytes >= self.length_bytes - WITHHELD_BYTES:
            return False
        may_have_lost = self.told.may_be_late(life) and not self.site.reads_in_order
        deadline_s = LATE_S if may_have_lost else DEADLINE_S
        try:
            wait_until(
                lambda: self.site.lives != life or is_stored(),
                f"{expected_bytes} bytes are stored",
                deadline_s,
            )
        except AssertionError:
            if not may_have_lost:
                raise
            self.note("an earlier request may have taken over from this one")
            self.told.expected = None
            return False
        return self.site.lives == life

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
        with_open = upload.open("PATCH", headers)
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
            answer = answer_of(with_open)
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
            if looked.is_complete and client.version is None:
                self.saw_success()  # a HEAD of no version is a plain one
                return
            if looked.is_complete:
                self._saw_whole(looked)
                return
        assert offset is not None
        body = self.data.read(offset, max(to_bytes - offset, 0))
        is_last = offset + len(body) == self.length_bytes
        more = {"Upload-Length": str(self.length_bytes)} if self.chance.random() < 0.6 else {}
        is_checked = bool(body) and self.chance.random() < 0.4
        if is_checked:
            more["Content-Digest"] = f"sha-256=:{in_base64(hashlib.sha256(body).digest())}:"
        names_digest = self.named_digest is not None and self.chance.random() < 0.6
        if names_digest and self.named_digest:
            more["Repr-Digest"] = f"sha-256=:{in_base64(self.named_digest)}:"
            self.may_have_digest = True
        counts = names_digest and not self.may_be_whole  # what comes after the last byte does not
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
            self.has_digest |= counts and answer.status < 300
            if self._ask_offset(answer, began_s) is not None and answer.is_complete:
                self._saw_whole(answer)

    def _saw_whole(self, answer: IetfAnswer) -> None:
        """The answer says that the app has the file, and has the digest that a client has named."""
        self.saw_success()
        told = answer.headers.get("repr-digest")
        assert told in (f"sha-256=:{in_base64(bytes.fromhex(self.data.sha256))}:", None)
        assert told or not self.has_digest, "the digest that was named is forgotten"

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
            self._outcome(answer_of(request), began_s)

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
            self._outcome(answer_of(request), began_s)

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
            stored = self._member(answer_of(request), "MsgStored", began_s)
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


def answer_of(request: OpenRequest) -> HttpAnswer:
    with request:
        return request.answer()


def _message(kind: str, members: dict[str, Any]) -> bytes:
    return json.dumps({"MsgType": kind, "MsgData": members}).encode()
