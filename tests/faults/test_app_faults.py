"""Apps that are down, slow, confused or hostile: no file is forgotten, none is handed over after its end.

The hours pass in a world whose time the test moves; what comes over the wire is real. INCOMING_TEST_ROUNDS
(1 unless set) scales how much is tried, INCOMING_TEST_SEED repeats a run.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
import requests

from incoming.core.errors import WrongState
from incoming.core.lifecycle import State
from incoming.handover.answers import Answer, Done, NoAnswer, Refused, WillFinish
from incoming.http_uploads.transfers import Transfers
from incoming.runtime.buffer_pool import BufferPool
from incoming.uploads.housekeeping import recover
from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.cpu_waits import Stopwatch
from tests.support.data import FileBytes
from tests.support.errands import LOST, RECEIVING, SETTINGS, Backend, Died, Errand
from tests.support.fakes import FakeApp
from tests.support.forked import ForkedServer, Launcher
from tests.support.http_errands import HTTP_KINDS
from tests.support.http_upload import HttpUpload
from tests.support.server import new_upload, retry_upload
from tests.support.tally import tally
from tests.support.uploads import House
from tests.support.waiting import wait_until

ROUNDS: Final = int(os.environ.get("INCOMING_TEST_ROUNDS", "1"))
SEED: Final = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
DOWN: Final = NoAnswer("the app could not be reached")
HOUR_S: Final = 3600.0


# --- an hour without the app -----------------------------------------------------------------------------


def test_an_hour_without_the_app_and_a_kill_in_its_middle_forget_no_file(tmp_path: Path) -> None:
    files = 20 * ROUNDS
    house = House(tmp_path, FakeApp(DOWN))
    ids = [house.new_ticket(removeFileWhenFinished="false") for _ in range(files)]
    for number, ticket_id in enumerate(ids):
        house.arrive(ticket_id, b"content %d" % number)
    house.pass_time(HOUR_S / 2)
    house = house.after_a_kill()
    house.pass_time(HOUR_S / 2)
    assert {house.state(ticket_id) for ticket_id in ids} == {State.HANDING_OVER}
    calls = Counter(form["id"] for form in house.app.forms)
    assert min(calls.values()) >= 20, "it is still tried every few minutes"
    assert max(calls.values()) <= 40, "and not more often"
    house.app.forms.clear()
    house.app.answers = [Done()]
    house.pass_time(400)
    assert {house.state(ticket_id) for ticket_id in ids} == {State.FINISHED}
    assert Counter(form["id"] for form in house.app.forms) == dict.fromkeys(ids, 1)
    for number, ticket_id in enumerate(ids):
        assert house.file(ticket_id).read_bytes() == b"content %d" % number
    tally("fault", "app down for an hour, server killed in the middle", files, "handed over once, complete")


def test_an_hour_without_the_app_expires_no_whole_file_and_shows_none_as_finished(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(DOWN), idle_timeout_s=HOUR_S / 10)
    content = b"the whole file"
    whole, half = house.new_ticket(), house.new_ticket()
    house.arrive(whole, content)
    left = house.claim(half, len(content))
    house.uploads.write(left.claim, memoryview(content)[:5])
    house.uploads.release(left.claim)
    for minute in range(60):
        house.pass_time(HOUR_S / 60)
        if minute == 30:
            house = house.after_a_kill()
        assert house.uploads.look(whole).state is State.HANDING_OVER
        assert visible_offset_bytes(house, whole) == len(content) - 1
    assert house.state(half) is State.EXPIRED, "an upload that lacks bytes is idle"
    house.app.answers = [Done()]
    house.pass_time(400)
    assert visible_offset_bytes(house, whole) == len(content)


def visible_offset_bytes(house: House, ticket_id: str) -> int:
    """Returns the offset that clients over HTTP may see."""
    transfers = Transfers(house.uploads, BufferPool(4096, 1 << 20))
    return transfers.visible_offset_bytes(ticket_id, transfers.look(ticket_id))


OUTAGE_S: Final = 7.0
IDLE_S: Final = 3.0
"""As short in relation to the outage as some minutes are to an hour."""


def test_no_client_over_http_is_told_of_success_by_a_server_that_restarts_while_the_app_is_down(
    launcher: Launcher, app: ScriptedApp, tmp_path: Path
) -> None:
    """Half of the clients come back all the time, and half of them when the app is there again."""
    settings = {**SETTINGS, "http_hold_s": 0.3, "idle_timeout_s": IDLE_S}
    server = ForkedServer(launcher, tmp_path / "storage", **settings)
    backend = Backend(app)
    app.stop()
    try:
        server.start_with({})
        errands = [kind(server, backend, seed) for kind in HTTP_KINDS for seed in (0, 1)]
        with ThreadPoolExecutor(len(errands)) as pool:
            runs = [pool.submit(insist, errand, is_patient=errand.data.seed == 0) for errand in errands]
            wait_until(lambda: all(is_whole(errand) for errand in errands), "all bytes are stored")
            whole_at_s = time.monotonic()
            time.sleep(OUTAGE_S / 2)
            server.shoot()
            server.bury()
            server.start_with({})
            time.sleep(OUTAGE_S / 2)
            assert not any(errand.has_heard("finished") for errand in errands)
            for errand in errands:
                assert told_state(errand) == "handing_over", f"{errand}"
            assert time.monotonic() - whole_at_s > 2 * IDLE_S
            app.start()
            for run in runs:
                run.result()
        assert not backend.complaints
    finally:
        server.bury()
    tally("fault", "app down while clients over HTTP wait, server killed in the middle", len(errands),
          "reported as finished once the app had the file, and not before")  # fmt: skip


def insist(errand: Errand, *, is_patient: bool) -> None:
    """Does the errand, whatever dies. A client that `is_patient` leaves when all bytes are stored."""
    while True:
        with contextlib.suppress(Died):
            if is_patient:
                send_whole(errand)
            errand.go_on()
            return
        time.sleep(0.05)


def send_whole(errand: Errand) -> None:
    """Sends all bytes, and comes back when the app is there again. Raises Died."""
    while not is_whole(errand):
        with contextlib.suppress(*LOST):
            if errand.phase in ("ask", "half", "rest"):
                getattr(errand, f"_{errand.phase}")()
    wait_until(lambda: errand.backend.app.is_up, "the app is there again")


def told_state(errand: Errand) -> str:
    """Returns the state of the upload as its address tells it."""
    url = HttpUpload(errand.server.url, errand.ticket_id).url
    return str(requests.get(url, headers={"Accept": "application/json"}, timeout=60).json()["state"])


def is_whole(errand: Errand) -> bool:
    """Returns whether all bytes are stored."""
    with contextlib.suppress(requests.RequestException):
        return bool(errand.ticket_id) and told_state(errand) not in RECEIVING
    return False


# --- an app that does anything ---------------------------------------------------------------------------


@dataclass
class WildApp:
    """Does whatever an app may do while it is called, and some of what it may not; knows what it has done."""

    house: House
    chance: random.Random
    keeps: Path
    has: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    heard_done: set[str] = field(default_factory=set)
    spoilt: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    def __call__(self, form: dict[str, str]) -> Answer:
        ticket_id = form["id"]
        self.calls[ticket_id] += 1
        if ticket_id in self.heard_done:
            self.spoilt.append(f"{ticket_id} was called after it had ended")
        self._look(form)
        if ticket_id in self.forgotten:
            return Refused("the app answered with status 404")
        actions: list[Callable[[dict[str, str]], Answer]] = [
            *(self._fails, self._takes, self._waits, self._refuses, self._moves_and_fails),
            *(self._finishes_first, self._cancels_too_late),
        ]
        return self.chance.choice(actions)(form)

    def _look(self, form: dict[str, str]) -> None:
        """The file is whole whenever the app is asked to take it, unless it has taken it already."""
        path = Path(form["filename"])
        if form["id"] not in self.has and path.read_bytes() != form["id"].encode():
            self.spoilt.append(f"{form['id']} is not what was uploaded")

    def _take(self, form: dict[str, str]) -> None:
        path = Path(form["filename"])
        if path.exists():
            path.rename(self.keeps / form["id"])
        self.has.add(form["id"])

    def _fails(self, _: dict[str, str]) -> Answer:
        return self.chance.choice([DOWN, NoAnswer("the app answered with status 503")])

    def _takes(self, form: dict[str, str]) -> Answer:
        self._take(form)
        self.heard_done.add(form["id"])
        return Done()

    def _refuses(self, _: dict[str, str]) -> Answer:
        return Refused(self.chance.choice(["the app answered with status 404", "neither done nor wait"]))

    def _moves_and_fails(self, form: dict[str, str]) -> Answer:
        """It has the file, its answer is lost, and perhaps it does not remember."""
        self._take(form)
        if self.chance.random() < 0.5:
            self.forgotten.add(form["id"])
        return self._fails(form)

    def _waits(self, form: dict[str, str]) -> Answer:
        """And finishes later: never, once or twice."""
        for delay_s in self.chance.choice([[], [30.0], [5.0, 5.0]]):
            self.house.runtime.spawn_later(delay_s, self._finish, form)
        return WillFinish()

    def _finishes_first(self, form: dict[str, str]) -> Answer:
        self._finish(form)
        answers: list[Answer] = [WillFinish(), Done(), DOWN]
        return self.chance.choice(answers)

    def _cancels_too_late(self, form: dict[str, str]) -> Answer:
        with pytest.raises(WrongState):
            self.house.uploads.cancel_by_app(form["id"], "")
        return self._fails(form)

    def _finish(self, form: dict[str, str]) -> None:
        with contextlib.suppress(WrongState):  # it has failed meanwhile
            self._take(form)
            self.house.uploads.finish(form["id"], "")
            self.heard_done.add(form["id"])


@pytest.mark.parametrize("turn", range(3 * ROUNDS))
def test_whatever_the_app_does_each_file_ends_where_both_sides_say(tmp_path: Path, turn: int) -> None:
    print(f"INCOMING_TEST_SEED={SEED}")
    chance = random.Random(SEED + turn)
    (tmp_path / "kept").mkdir()
    house = House(tmp_path / "house", FakeApp(), handover_wait_timeout_s=300.0, handover_retry_for_s=7200.0)
    wild = WildApp(house, chance, tmp_path / "kept")
    house.app.answers = [wild]
    ids = [house.new_ticket(removeFileWhenFinished="false") for _ in range(15)]
    for ticket_id in ids:
        house.arrive(ticket_id, ticket_id.encode())
    for _ in range(8):
        house.pass_time(chance.uniform(1, 900))
        if chance.random() < 0.4:
            house = wild.house = house.restarted()  # whom it calls, and not the dead one
            recover(house.uploads)
            house.runtime.settle()
    house.pass_time(4 * HOUR_S)
    assert wild.spoilt == []
    for ticket_id in ids:
        ended = house.state(ticket_id)
        assert ended in (State.FINISHED, State.FAILED), ended
        assert ended is not State.FAILED or ticket_id not in wild.heard_done
        assert ended is not State.FINISHED or ticket_id in wild.has
        place = wild.keeps / ticket_id if ticket_id in wild.has else house.file(ticket_id)
        assert place.read_bytes() == ticket_id.encode(), "wherever it is, it is whole"
    tally(
        "fault",
        "an app that confuses everything, with kills",
        len(ids),
        "server and app agreed, every file was complete",
    )


# --- an app that answers nonsense ------------------------------------------------------------------------

HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
BOMB: Final = zlib.compress(bytes(200 << 20), 1)
"""200 MiB of zeros in 0.9 MB."""
NONSENSE: Final[dict[str, tuple[bytes, bytes]]] = {
    # What is sent once, and what again and again.
    "an endless body": (HEAD + b"\r\n", b"x" * 65536),
    "an endless chunked body": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"8\r\nxxxxxxxx\r\n" * 4096),
    "endless headers": (HEAD, b"X-More: y\r\n" * 4096),
    "an endless header": (HEAD + b"X-More: ", b"y" * 65536),
    "endless promises": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4096),
    "an endless status line": (b"HTTP/1.1 200 ", b"O" * 65536),
    "a compressed bomb": (
        HEAD + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB, b""),
    "silence": (b"", b""),
    "half an answer": (HEAD + b"Content-Length: 4\r\n\r\ndo", b""),
    "rubbish": (b"\x00\xff\r\n\r\n" * 100, b""),
    "another protocol": (b"220 mail.example.org ESMTP\r\n", b""),
    "nested lengths": (HEAD + b"Content-Length: 4\r\nContent-Length: 400\r\n\r\ndone", b""),
    "a negative length": (HEAD + b"Content-Length: -4\r\n\r\ndone", b""),
    "a slow answer": (b"", b"H"),
}  # fmt: skip
TROUBLE_FOR_S: Final = 1.5


class NonsenseApp:
    """Answers nonsense to the first call for each path, and "done" to the others."""

    def __init__(self) -> None:
        self.called: Counter[str] = Counter()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, name: str) -> str:
        """Returns the address where this nonsense is answered."""
        return f"http://127.0.0.1:{self.port}/{name.replace(' ', '-')}"

    def close(self) -> None:
        """No more of it."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(60)
            request = connection.recv(65536).decode()
            name = request.split(" ")[1][1:].replace("-", " ")
            self.called[name] += 1
            if self.called[name] > 1:
                connection.sendall(HEAD + b"Content-Length: 4\r\nConnection: close\r\n\r\ndone")
                return
            once, again = NONSENSE[name]
            connection.sendall(once)
            until_s = time.monotonic() + TROUBLE_FOR_S
            while time.monotonic() < until_s:
                connection.sendall(again)
                time.sleep(0.0 if len(again) > 1 else 0.1)


@pytest.fixture
def nonsense() -> Iterator[NonsenseApp]:
    app = NonsenseApp()
    yield app
    app.close()


def resident_bytes(pid: int) -> int:
    """Returns how much memory the process has."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def test_an_app_that_answers_nonsense_gets_its_file_in_the_end_and_costs_nobody_anything(
    start_server: StartServer, nonsense: NonsenseApp
) -> None:
    server = start_server(
        handover_retry_first_s=0.1, handover_retry_max_s=0.2, handover_answer_timeout_s=0.8,
        handover_connect_timeout_s=0.5,
    )  # fmt: skip
    data = FileBytes(1_000, seed=2)
    before_bytes = resident_bytes(server.pid)
    ids = {}
    for name in NONSENSE:
        client = ClientV2(server.url, new_upload(server, nonsense.url(name)), data).open()
        client.send_until_stored()
        client.complete()
        ids[name] = client.ticket_id
    slowest_s = 0.0
    until_s = time.monotonic() + TROUBLE_FOR_S
    while time.monotonic() < until_s:
        stopwatch = Stopwatch(server.pid)
        requests.get(f"{server.url}/incoming/healthz", timeout=60).raise_for_status()
        slowest_s = max(slowest_s, stopwatch.worked_s())
        time.sleep(0.02)
    for name, ticket_id in ids.items():
        wait_until(lambda t=ticket_id: state_of(server.url, t) in ("finished", "failed"), name)  # type: ignore[misc]
        if state_of(server.url, ticket_id) == "failed":  # it was an answer, and not the right one
            assert retry_upload(server, ticket_id).text == "ok"
            wait_until(lambda t=ticket_id: state_of(server.url, t) == "finished", name)  # type: ignore[misc]
        assert nonsense.called[name] >= 2, name
    grown_bytes = resident_bytes(server.pid) - before_bytes
    print(f"the slowest answer took {slowest_s:.3f} s, memory grew by {grown_bytes >> 20} MiB")
    assert slowest_s < 1.0
    assert grown_bytes < 64 << 20
    assert "a defect" not in server.log_text()
    tally(
        "fault", "answers that make no sense, or never end", len(NONSENSE), "limits held; handed over later"
    )


def state_of(url: str, ticket_id: str) -> str:
    """Returns the state of an upload."""
    answer = requests.get(f"{url}/incoming/backend/uploads", params={"id": ticket_id}, timeout=60)
    return str(answer.json()["uploads"][0]["state"])
