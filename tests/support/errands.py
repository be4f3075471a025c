"""Uploads of every kind that go on whatever happens to the server, and that hold it to what it has said.

An errand does what is left of it on each `go_on`, as a page and an app do together: it asks for a ticket,
uploads a small file with a pause in the middle, and sees what becomes of it. When the server dies it raises
`Died`; the test looks at what is on the disk (`after_a_death`), starts the server again, and lets it go on.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import ClassVar, Final

import requests

from incoming.storage.local import writer as local_writer
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.data import FileBytes
from tests.support.forked import ForkedServer
from tests.support.http_upload import HttpAnswer
from tests.support.server import call_backend
from tests.support.tus import TusUpload
from tests.support.websocket import ConnectionClosed, HandshakeRefused

KIB: Final = 1024
CHUNK_KIB: Final = 16
SETTINGS: Final[dict[str, object]] = {
    "chunk_size_kib": CHUNK_KIB,
    "reserve_ahead_mib": 1,
    "min_free_mib": 0,
    "handover_retry_first_s": 0.05,
    "handover_retry_max_s": 0.2,
}
LENGTH_BYTES: Final = 3 * CHUNK_KIB * KIB - 100
HALF_BYTES: Final = CHUNK_KIB * KIB
PATIENCE_S: Final = 60.0
RECEIVING: Final = ("issued", "uploading", "paused")
SECRET: Final = "hush"
LOST: Final = (ConnectionClosed, HandshakeRefused, OSError, requests.RequestException)


class Died(Exception):
    """The server is not there any more."""


class Backend:
    """The app: answers by ticket, and remembers what it was told."""

    def __init__(self, app: ScriptedApp) -> None:
        self.app = app
        self._errands: dict[str, Errand] = {}
        self.complaints: list[BaseException] = []
        """What the app has seen and must not have seen."""
        app.answers = [self._answer]

    def knows(self, errand: Errand) -> None:
        """From now on the errand's ticket is known."""
        self._errands[errand.ticket_id] = errand

    def _answer(self, delivery: Delivery) -> Reply:
        if delivery.id not in self._errands and not Path("/proc", delivery.headers["x-process"]).exists():
            return Reply(404, "")  # the last words of another test's server
        try:
            return self._errands[delivery.id].told(delivery)
        except BaseException as exc:
            self.complaints.append(exc)
            self._errands[delivery.id].server.shoot()  # the test ends at once
            raise


class Errand:
    """One upload. The phases are `ask`, `half`, `rest`, `result` and `done`."""

    version = 1
    params: ClassVar[dict[str, str]] = {}
    length_bytes = LENGTH_BYTES
    half_bytes = HALF_BYTES

    def __init__(self, server: ForkedServer, backend: Backend, seed: int) -> None:
        self.server = server
        self.backend = backend
        self.data = FileBytes(self.length_bytes + seed % 7, seed)
        self.phase = "ask"
        self.ticket_id = ""
        self.arrivals: list[Delivery] = []
        self.ends: list[Delivery] = []
        self.allowed = self.calls_needed()
        self.spare = 0
        """How many calls more there may be because an answer could not be journaled."""
        self.said: list[tuple[float, str]] = []
        """When the server has said that something is so: `ticket`, `finished`, `failed`, `cancelled`."""
        self.client: ClientV1 | ClientV2

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.ticket_id[:8]}, {self.phase}, {len(self.arrivals)} arrivals)"

    # --- what the app does -------------------------------------------------------------------------

    def told(self, delivery: Delivery) -> Reply:
        """The app hears of the upload."""
        if delivery.fields["cancelled"] == "yes":
            self.ends.append(delivery)
            return Reply(200, "")
        if delivery.headers["x-process"] != str(self.server.life):
            self.allowed += 1  # of a process that has died since
        self.arrivals.append(delivery)
        assert len(self.arrivals) <= self.allowed + self.spare, f"{self}: the app is called again"
        return self.decide(delivery)

    def decide(self, delivery: Delivery) -> Reply:
        """Returns what the app answers to an arrival; the file has to be whole."""
        assert delivery.sha256 == self.data.sha256, f"{self}: {delivery.fields}"
        return DONE

    # --- what happens, phase by phase ------------------------------------------------------------------

    def go_on(self) -> None:
        """Does all that is left. Raises Died."""
        give_up_at_s = time.monotonic() + PATIENCE_S
        while self.phase != "done":
            try:
                getattr(self, f"_{self.phase}")()
            except LOST as exc:
                self._lost(exc, give_up_at_s)
            except UploadRefused as exc:
                assert exc.retryable, f"{self}: {exc}"
                self._lost(exc, give_up_at_s)
        if self.ticket_id:
            self.client.drop()

    def _lost(self, exc: Exception, give_up_at_s: float) -> None:
        """The connection is lost, or the server can't just now."""
        if self.backend.complaints:
            raise self.backend.complaints[0]
        with contextlib.suppress(AttributeError):
            self.client.drop()
        for _ in range(20):  # a killed process closes its connections one by one
            if self.server.has_died:
                raise Died from exc
            time.sleep(0.001)
        if time.monotonic() > give_up_at_s:
            raise AssertionError(f"{self} does not come through: {exc!r}") from exc

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Waits. Raises Died."""
        give_up_at_s = time.monotonic() + PATIENCE_S
        while not condition():
            if self.server.has_died and not condition():
                raise Died
            assert time.monotonic() < give_up_at_s, f"{self}: {what}"
            time.sleep(0.002)

    def call(self, route: str) -> str:
        """Calls a backend route about the ticket, until it is answered. Raises Died via LOST."""
        answer = call_backend(self.server, route, id=self.ticket_id, backendSecret=SECRET)
        if answer.status_code in (500, 507):
            raise ConnectionClosed(1013, answer.text)
        return answer.text if answer.status_code == 200 else str(answer.status_code)

    def has_heard(self, what: str) -> bool:
        """Returns whether the server has said so."""
        return any(said == what for _, said in self.said)

    def says(self, what: str) -> None:
        """Notes that the server has said so."""
        self.said.append((time.monotonic(), what))

    def _ask(self) -> None:
        answer = call_backend(
            self.server, "new_upload",
            signalFinishURL=self.backend.app.url, backendSecret=SECRET, **self.params,
        )  # fmt: skip
        if answer.status_code in (500, 507):
            raise ConnectionClosed(1013, answer.text)
        assert answer.status_code == 200, answer.text
        self.ticket_id = answer.text
        self.says("ticket")
        self.backend.knows(self)
        self.client = self.new_client()
        self.client.may_be_cut = True
        self.phase = "half"

    def new_client(self) -> ClientV1 | ClientV2:
        """Returns the client of the upload."""
        if self.version == 1:
            return ClientV1(self.server.url, self.ticket_id, self.data, timeout_s=PATIENCE_S)
        client = ClientV2(self.server.url, self.ticket_id, self.data, timeout_s=PATIENCE_S)
        client.chunk_size_bytes = self.half_bytes
        return client

    def _half(self) -> None:
        """Sends the first chunk, and leaves."""
        self.client.open()
        if isinstance(self.client, ClientV2):
            self.client.send_until_stored(self.half_bytes)
        else:
            if not self.client.acked_bytes:
                self.client.send_chunk()
                self.client.receive_acks()
            self.client.send_message("MsgPause", Pause=True)
        self.client.drop()
        self.phase = "rest"

    def _rest(self) -> None:
        """Sends what is missing, and waits for what becomes of it."""
        self.client.open()
        if isinstance(self.client, ClientV2):
            self.client.finish()
        else:
            self.client.send_until_acked()
            self.client.receive_result()
        self.says("finished")
        self.phase = "result"

    def _result(self) -> None:
        self.assert_state("finished")
        assert self.arrivals, f"{self}: the app was never told"
        self.phase = "done"

    def assert_state(self, state: str) -> None:
        """The server, asked for the ticket, says so."""
        listed = requests.get(
            f"{self.server.url}/incoming/backend/uploads",
            params={"id": self.ticket_id, "backendSecret": SECRET}, timeout=PATIENCE_S,
        )  # fmt: skip
        assert listed.status_code == 200, f"{self} is forgotten: {listed.text}"
        (row,) = listed.json()["uploads"]
        assert row["state"] == state, f"{self}: {row}"

    # --- what has to be on the disk ----------------------------------------------------------------------

    def calls_needed(self) -> int:
        """Returns how often the app has yet to be called about an arrival, if nobody dies."""
        return 1

    def journaled(self) -> str:
        """Returns the state in the journal."""
        return self.server.journaled_state(self.ticket_id)

    def after_a_death(self) -> None:
        """Compares the disk with what was said, and says how often the app may still be called."""
        if not self.ticket_id:
            return
        state = self.journaled()
        for _, said in self.said:
            assert said == "ticket" or self.is_so(said, state), f"{self}: {said} was said, {state} is kept"
        if state in RECEIVING:
            assert not self.arrivals, f"{self}: the app was told before the journal"
            self._assert_stored()
        self.allowed = len(self.arrivals) + (0 if state in ("finished", "waiting") else self.calls_needed())

    def is_so(self, said: str, state: str) -> bool:
        """Returns whether the state in the journal agrees with what was said."""
        return said == state

    def _assert_stored(self) -> None:
        acked_bytes = self.acked_bytes
        if acked_bytes:
            stored = self.server.stored_file(self.ticket_id).read_bytes()
            assert len(stored) >= acked_bytes, f"{self}: {len(stored)} of {acked_bytes} are stored"
            assert stored == self.data.read(0, len(stored)), f"{self}: other bytes are stored"

    @property
    def acked_bytes(self) -> int:
        """How many bytes were acknowledged."""
        if isinstance(self.client, ClientV2):
            return self.client.stored_bytes
        return self.client.acked_bytes


class Taken(Errand):
    """Protocol version 1; the app takes the file and answers done."""


class Moved(Errand):
    """Version 2; the app moves the file away, answers done, and forgets the id at once."""

    version = 2
    params: ClassVar = {"removeFileWhenFinished": "false"}

    def decide(self, delivery: Delivery) -> Reply:
        """An existing app: it knows an id once, and answers the second call with 404."""
        file = Path(delivery.fields["filename"])
        if len(self.arrivals) > 1 and not file.exists():
            return Reply(404, "unknown id")
        assert delivery.sha256 == self.data.sha256, f"{self}: {delivery.fields}"
        self.place.parent.mkdir(exist_ok=True)
        file.replace(self.place)
        return DONE

    @property
    def place(self) -> Path:
        """Where the app keeps it."""
        return self.server.storage_dir.with_name("moved") / self.ticket_id

    def _result(self) -> None:
        assert hashlib.sha256(self.place.read_bytes()).hexdigest() == self.data.sha256
        super()._result()


class Large(Errand):
    """Version 2; space is reserved for it, it is written in slices, and written out before it is synced."""

    version = 2
    half_bytes = local_writer.SLICE_BYTES
    length_bytes = local_writer.SHORT_SYNC_BYTES + half_bytes - 100


class Waited(Errand):
    """Version 2; the app answers wait, and calls finish_upload."""

    version = 2
    finishing = False
    """Whether finish_upload was called. A call that was on its way then may find no file."""
    later_processes: frozenset[str] = frozenset()
    """Those that were started after that."""

    def decide(self, delivery: Delivery) -> Reply:
        """The file is looked at, and copied in the background."""
        is_of_later = delivery.headers["x-process"] in self.later_processes
        if delivery.size_bytes is None and self.finishing and not is_of_later:
            return WAIT
        super().decide(delivery)
        return WAIT

    def _rest(self) -> None:
        client = self.client
        assert isinstance(client, ClientV2)
        client.open()
        if not client.conf["Arrived"]:
            client.send_until_stored()
            client.complete()
        self.wait_for(
            lambda: self.arrivals or (client.ws.has_input and client.receive_next() is None), "a call"
        )
        self.finishing = True
        assert self.call("finish_upload") == "ok"
        self.says("finished")
        client.receive_result()
        self.phase = "result"

    def after_a_death(self) -> None:
        """A process that starts then calls only for a file that is there."""
        super().after_a_death()
        if self.finishing:
            self.later_processes |= {str(self.server.life)}


class Refused(Errand):
    """Version 1; the app refuses the file, and asks for it again later."""

    heard = False
    retrying = False

    def decide(self, delivery: Delivery) -> Reply:
        """Refuses until it has asked for it."""
        super().decide(delivery)
        return DONE if self.retrying else Reply(404, "no")

    def _rest(self) -> None:
        if not self.heard:
            try:
                self.client.open()
                assert isinstance(self.client, ClientV1)
                self.client.send_until_acked()
                self.client.receive_result()
            except UploadEnded as ended:
                assert "did not accept" in ended.text, ended
                self.heard = True
                self.says("failed")
        self._ask_again()
        assert self.call("retry_upload") in ("ok", "412")  # 412: the answer to the first one was lost
        super()._rest()

    def _ask_again(self) -> None:
        if not self.retrying:
            self.allowed = len(self.arrivals) + 1
            self.retrying = True

    def is_so(self, said: str, state: str) -> bool:
        """A failed handover that is tried again is under way or finished."""
        return said == state or (said == "failed" and self.retrying)

    def calls_needed(self) -> int:
        """Once to be refused, once to be taken."""
        if self.retrying:
            return 1
        return 1 if self.heard or (self.ticket_id and self.journaled() == "failed") else 2

    def after_a_death(self) -> None:
        """What was refused is not delivered again before somebody asks for it."""
        super().after_a_death()
        if self.ticket_id and self.journaled() == "failed" and not self.retrying:
            self.allowed = len(self.arrivals)


class Given(Errand):
    """Version 2; the user gives up in the middle."""

    version = 2
    event = "the user"

    def _rest(self) -> None:
        try:
            self.give_up()
            self.says("cancelled")
        except UploadRefused as exc:
            if exc.code != "cancelled":  # it counted, and the acknowledgement was lost
                raise
        self.wait_for(self.is_told, "the app is told of the end")
        self.phase = "result"

    def give_up(self) -> None:
        """Cancels the upload."""
        self.client.open()
        self.client.cancel()

    def is_told(self) -> bool:
        """Returns whether whoever has to know does."""
        return bool(self.ends)

    def decide(self, delivery: Delivery) -> Reply:
        """There is nothing to be handed over."""
        raise AssertionError(f"{self}: delivered")

    def calls_needed(self) -> int:
        """Never: there is no arrival."""
        return 0

    def _result(self) -> None:
        self.assert_state("cancelled")
        folder = self.server.stored_file(self.ticket_id).parent
        if not self.spare:  # else the disk may have refused that, and it is tried again later
            self.wait_for(lambda: not folder.exists(), "it is removed")
        self.phase = "done"


class CalledOff(Given):
    """Version 1; the app's backend gives up in the middle, and is not told about that."""

    version = 1

    def give_up(self) -> None:
        """Cancels the upload as the backend."""
        assert self.call("cancel_upload") == "ok"

    def is_told(self) -> bool:
        """It knows."""
        return not self.ends


class InParts(Errand):
    """tus: two parts, which make the file in the order of their creation, or (odd seeds) in the other one."""

    def __init__(self, server: ForkedServer, backend: Backend, seed: int) -> None:
        super().__init__(server, backend, seed)
        middle, end = self.length_bytes // 2, self.data.length_bytes
        self.ranges = [(0, middle), (middle, end)][:: -1 if seed % 2 else 1]
        """Where each part begins and ends in the file, in the order of creation."""
        self.acked = [0, 0]

    def part(self, number: int) -> TusUpload:
        """Returns the address of a part."""
        part = TusUpload(self.server.url, self.ticket_id)
        part.path += f"/parts/{number + 1}"
        return part

    def _head(self, number: int) -> int:
        """Returns the offset of a part, which is created if need be."""
        answer = self.part(number).head()
        if answer.status == 404:
            start, end = self.ranges[number]
            upload = TusUpload(self.server.url, self.ticket_id)
            made = upload.create(end - start, Upload_Concat="partial")
            self._check(made, 201)
            assert made.headers["location"].endswith(f"/parts/{number + 1}"), f"{self}: {made.headers}"
            return 0
        self._check(answer, 200)
        assert answer.offset_bytes >= self.acked[number], f"{self}: {answer.offset_bytes} of part {number}"
        return answer.offset_bytes

    def _check(self, answer: HttpAnswer, status: int) -> None:
        if answer.status in (409, 423, 503):  # to be tried again
            raise ConnectionClosed(1013, answer.text)
        assert answer.status == status, f"{self}: {answer.status} {answer.code} {answer.text}"

    def _send(self, number: int, length_bytes: int) -> None:
        """Sends a part up to this offset."""
        offset_bytes = self._head(number)
        if offset_bytes < length_bytes:
            content = self.data.read(self.ranges[number][0] + offset_bytes, length_bytes - offset_bytes)
            answer = self.part(number).append(offset_bytes, content)
            self._check(answer, 204)
            self.acked[number] = answer.offset_bytes

    def _length(self, number: int) -> int:
        start, end = self.ranges[number]
        return end - start

    def _half(self) -> None:
        """Sends a part of each part."""
        try:
            for number in (0, 1):
                self._send(number, self._length(number) // 2)
        except HTTPException as exc:
            raise ConnectionClosed(1006, str(exc)) from exc
        self.phase = "rest"

    def _rest(self) -> None:
        """Sends what is missing, and says which parts make the file."""
        try:
            for number in (0, 1):
                self._head(number)
            for number in (1, 0):
                self._send(number, self._length(number))
            order = sorted((0, 1), key=lambda number: self.ranges[number])
            urls = " ".join(self.part(number).url for number in order)
            upload = TusUpload(self.server.url, self.ticket_id)
            self._check(upload.send("POST", b"", Upload_Concat=f"final;{urls}"), 201)
        except HTTPException as exc:
            raise ConnectionClosed(1006, str(exc)) from exc
        self.says("finished")
        self.phase = "result"

    def _assert_stored(self) -> None:
        """The bytes of each part that were acknowledged are in its place."""
        file = self.server.stored_file(self.ticket_id)
        regions = file.with_name(f"{self.ticket_id}.parts")
        if not any(self.acked) or not regions.exists():
            return
        stored, at = regions.read_bytes(), 0
        for number, acked_bytes in enumerate(self.acked):
            expected = self.data.read(self.ranges[number][0], acked_bytes)
            assert stored[at : at + acked_bytes] == expected, f"{self}: part {number}"
            at += self._length(number)


KINDS: Final = (Taken, Moved, Large, Waited, Refused, Given, CalledOff, InParts)
