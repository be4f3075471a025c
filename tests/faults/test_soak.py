"""Everything at once, for long, against one server; then quiet: nothing of it is left in the process.

INCOMING_TEST_SOAK_S says for how many seconds (none unless set: `make soak` takes half an hour).
INCOMING_TEST_SEED repeats a run, as far as threads let it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from incoming.runtime.gevent_runtime import POOL_THREADS, RESOLVER_THREADS
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.data import MIB, FileBytes
from tests.support.halfopen import vanish
from tests.support.server import (
    ROOT,
    RunningServer,
    call_backend,
    cancel_upload,
    finish_upload,
    new_upload,
    retry_upload,
)
from tests.support.tally import tally
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed, HandshakeRefused

SOAK_S: Final = float(os.environ.get("INCOMING_TEST_SOAK_S", "0"))
SEED: Final = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
LANES: Final = 5
RESTS: Final = 5
"""How often the load stops and what is left is looked at; the first time tells where the others begin."""
SOON_S: Final = 3.0
SETTINGS: Final[dict[str, Any]] = {
    "connection_timeout_s": 2, "handover_retry_first_s": 0.2, "handover_retry_max_s": 0.5,
    "handover_answer_timeout_s": 2, "result_retention_s": SOON_S, "failed_retention_s": SOON_S,
    "idle_timeout_s": 8, "log_level": "warning", "max_chunk_kib": 256, "reserve_ahead_mib": 4,
}  # fmt: skip
QUIET_WITHIN_S: Final = 120.0
GROWTH_BYTES: Final = 24 * MIB
"""What the allocator may keep beyond the first rest. 1 KB lost with each upload would be more."""
FILES: Final = [FileBytes(size, seed) for seed, size in enumerate((0, 1, 70_000, MIB + 1, 3 * MIB))]
LOST: Final = (ConnectionClosed, HandshakeRefused, OSError, UploadEnded, UploadRefused)


class InspectedServer(RunningServer):
    """A server that can be asked which greenlets it has."""

    def _command(self) -> list[str]:
        return [sys.executable, str(ROOT / "tests/support/inspected_server.py"), *super()._command()[2:]]

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"INSPECTED_INTO": str(self._report)}

    @property
    def _report(self) -> Path:
        return self.storage_dir.with_name("greenlets.json")

    def greenlets(self) -> Counter[str]:
        """Returns how many greenlets run what."""
        self._report.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR2)
        wait_until(self._report.exists, "the server reports")
        return Counter(json.loads(self._report.read_text()))


@dataclass(frozen=True)
class Left:
    """What the process has. Threads of the pools are apart, with two greenlets each: a pool starts one more
    when all are busy for the first time, which may be late, keeps it, and ends at its size."""

    resident_bytes: int
    descriptors: int
    pool_threads: int
    other_threads: int
    greenlets: Counter[str]

    def __str__(self) -> str:
        threads = f"{self.pool_threads} threads in pools and {self.other_threads} others"
        counts = f"{self.descriptors} descriptors, {threads}, {self.greenlets.total()} greenlets"
        return f"{self.resident_bytes / MIB:.1f} MiB, {counts}"


def look(server: InspectedServer) -> Left:
    """Returns what the server's process has now."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = dict(re.findall(r"^(\w+):\s+(\d+)", status, re.MULTILINE))
    descriptors = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
    greenlets = server.greenlets()
    pool_threads = greenlets.pop("threadpool.py:_begin", 0)
    greenlets["runs"] -= pool_threads
    other_threads = int(found["Threads"]) - pool_threads
    return Left(int(found["VmRSS"]) * 1024, descriptors, pool_threads, other_threads, greenlets)


# --- what happens ----------------------------------------------------------------------------------------


def upload_if_possible(client: Any) -> None:
    """Uploads; what becomes of it is for others to see."""
    with contextlib.suppress(*LOST):
        client.upload()


class Soak:
    """Things that users, apps, networks and strangers do, each of them once when it is called."""

    def __init__(self, server: InspectedServer, app: ScriptedApp) -> None:
        self.server = server
        self.app = app
        self.happened: Counter[str] = Counter()
        self.arrived: Counter[str] = Counter()
        self.lost: list[str] = []
        self._behaviours: dict[str, list[Reply | str]] = {}
        app.answers = [self._answer]
        self._chance = random.Random(SEED)
        self.things: list[Callable[[random.Random], None]] = [
            *(self.uploads, self.uploads, self.is_cut, self.is_cut, self.vanishes, self.is_taken_over),
            *(self.is_cancelled, self.is_never_used, self.is_refused, self.waits, self.meets_a_sick_app),
            *(self.is_looked_at, self.is_knocked_at, self.is_asked_nonsense),
        ]

    def _answer(self, delivery: Delivery) -> Reply:
        script = self._behaviours.get(delivery.id) or [DONE]
        answer = script.pop(0) if len(script) > 1 else script[0]
        if answer == "hang":
            time.sleep(2.5)
            return DONE
        assert isinstance(answer, Reply)
        if delivery.fields["cancelled"] == "no" and answer.body in ("done", "wait"):
            self.arrived[delivery.sha256] += 1
        return answer

    def client(self, chance: random.Random, *script: Reply | str) -> Any:
        """Returns a client of either version with a new ticket; the app will answer by the script."""
        ticket_id = new_upload(self.server, self.app.url)
        if script:
            self._behaviours[ticket_id] = list(script)
        client: Any = chance.choice((ClientV1, ClientV2))(self.server.url, ticket_id, chance.choice(FILES))
        client.chunk_size_bytes = 128 * 1024
        return client

    def uploads(self, chance: random.Random) -> None:
        """All goes well."""
        client = self.client(chance)
        client.upload()
        client.drop()
        if client.data.sha256 not in {d.sha256 for d in self.app.about(client.ticket_id)}:
            self.lost.append(client.ticket_id)

    def is_cut(self, chance: random.Random) -> None:
        """The connection breaks, more than once."""
        client = self.client(chance)
        for _ in range(chance.randrange(1, 4)):
            with contextlib.suppress(*LOST):
                client.open()
                for _ in range(chance.randrange(4)):
                    if client.sent_bytes < client.data.length_bytes:
                        client.send_chunk()
                chance.choice((client.ws.cut, client.ws.drop, client.ws.leave))()
        client.upload()

    def vanishes(self, chance: random.Random) -> None:
        """Nobody says that the connection is gone; perhaps the client comes again, perhaps not."""
        client = self.client(chance).open()
        if client.data.length_bytes:
            client.send_chunk()
        sock = client.ws.socket
        vanish(sock)
        if chance.random() < 0.5:
            client.upload()
        time.sleep(chance.uniform(0, 3))
        sock.close()

    def is_taken_over(self, chance: random.Random) -> None:
        """Two have the ticket."""
        first = self.client(chance).open()
        second = type(first)(self.server.url, first.ticket_id, first.data)
        second.chunk_size_bytes = first.chunk_size_bytes
        second.upload()
        first.drop()

    def is_cancelled(self, chance: random.Random) -> None:
        """By the user, or by the app."""
        client = self.client(chance)
        client.data = FILES[-1]  # an empty one has arrived before it can be cancelled
        client.open()
        if chance.random() < 0.5:
            client.cancel("enough of it")
        else:
            cancel_upload(self.server, client.ticket_id)
            client.drop()

    def is_never_used(self, chance: random.Random) -> None:
        """A page was loaded, and closed."""
        new_upload(self.server, self.app.url)

    def is_refused(self, chance: random.Random) -> None:
        """The app does not want it; perhaps it does later."""
        client = self.client(chance, Reply(404), DONE)
        client.upload()
        if chance.random() < 0.5:
            retry_upload(self.server, client.ticket_id)

    def waits(self, chance: random.Random) -> None:
        """The app takes its time."""
        client = self.client(chance, WAIT)
        done = threading.Thread(target=upload_if_possible, args=(client,))
        done.start()
        wait_until(lambda: self.app.about(client.ticket_id), "the app is called", 30)
        time.sleep(chance.uniform(0, 0.5))
        finish_upload(self.server, client.ticket_id)
        done.join(30)

    def meets_a_sick_app(self, chance: random.Random) -> None:
        """It fails, or hangs, and then it works."""
        client = self.client(chance, *chance.choice(([Reply(503), Reply(500), DONE], ["hang", DONE])))
        client.upload()

    def is_looked_at(self, chance: random.Random) -> None:
        """By people and programs."""
        for path in ("status", "metrics", "backend/uploads?history=300", "healthz", "frontend/incoming.js"):
            requests.get(f"{self.server.url}/incoming/{path}", timeout=60).raise_for_status()

    def is_knocked_at(self, chance: random.Random) -> None:
        """By strangers who say nothing, rubbish, or half of something."""
        words = (b"", b"GET", b"\x16\x03\x01" + chance.randbytes(200), b"GET / HTTP/1.1\r\nX: y\r\n",
                 b"POST /incoming/backend/new_upload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\nabc",
                 b"GET /incoming/frontend/upload_ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")  # fmt: skip
        address = ("127.0.0.1", self.server.port)
        with contextlib.suppress(OSError), socket.create_connection(address, 10) as sock:
            sock.sendall(chance.choice(words))
            time.sleep(chance.uniform(0, 1))

    def is_asked_nonsense(self, chance: random.Random) -> None:
        """By apps and by clients."""
        call_backend(self.server, "new_upload", signalFinishURL="nowhere")
        call_backend(self.server, "finish_upload", id="unknown")
        client = self.client(chance).connect()
        client.ws.send_frame(chance.randrange(256), chance.randbytes(100), masked=chance.random() < 0.5)
        client.drop()

    def lane(self, number: int, until_s: float) -> None:
        """Has one thing after the other happen until the time is up."""
        chance = random.Random(SEED * 1000 + number)
        while time.monotonic() < until_s:
            thing = chance.choice(self.things)
            try:
                thing(chance)
            except TimeoutError:
                raise  # a server that hangs
            except LOST as exc:
                self.happened[f"{thing.__name__}: {type(exc).__name__}"] += 1
            self.happened[thing.__name__] += 1


WORDS: Final = {
    "uploads": "uploads without any trouble",
    "is_cut": "uploads that are cut, more than once",
    "vanishes": "clients gone without a word",
    "is_taken_over": "takeovers",
    "is_cancelled": "cancellations, by users and by apps",
    "is_never_used": "tickets that nobody uses",
    "is_refused": "files that the app refuses",
    "waits": "apps that say wait",
    "meets_a_sick_app": "apps that fail or hang at first",
    "is_looked_at": "requests for status, list, metrics and library",
    "is_knocked_at": "silence, rubbish and half requests",
    "is_asked_nonsense": "nonsense from apps and clients",
}
"""What happened, in words."""


# --- and what is left of it ------------------------------------------------------------------------------


def totals(server: RunningServer) -> Any:
    """Returns what the server says of all its uploads."""
    answer = requests.get(f"{server.url}/incoming/backend/uploads?limit=1", timeout=60)
    return answer.json()["totals"]


def quiet(server: InspectedServer) -> None:
    """Every upload is forgotten, and every connection is gone."""

    def nothing_is_left() -> bool:
        call_backend(server, "sweep")
        time.sleep(0.5)
        seen = totals(server)
        return bool(seen["uploads"] == seen["connections"] == seen["reserved_bytes"] == 0)

    wait_until(nothing_is_left, "all uploads are forgotten", QUIET_WITHIN_S)
    assert not [path for path in (server.storage_dir / "data").iterdir() if path.is_dir()]
    time.sleep(6)  # connections that were closed from here are read to their end for 5 s


@pytest.fixture
def server(tmp_path: Path) -> Iterator[InspectedServer]:
    """The one server."""
    with InspectedServer(tmp_path / "storage", **SETTINGS) as running:
        yield running


@pytest.mark.skipif(not SOAK_S, reason="takes half an hour: `make soak`")
def test_after_half_an_hour_of_everything_nothing_is_left(server: InspectedServer, app: ScriptedApp) -> None:
    print(f"\nINCOMING_TEST_SEED={SEED}")
    soak = Soak(server, app)
    seen: list[Left] = []
    lanes = itertools.count()
    for _ in range(RESTS):
        until_s = time.monotonic() + SOAK_S / RESTS
        with ThreadPoolExecutor(LANES) as pool:
            for lane in [pool.submit(soak.lane, next(lanes), until_s) for _ in range(LANES)]:
                lane.result()
        app.deliveries.clear()
        quiet(server)
        seen.append(look(server))
        print(f"{sum(n for k, n in soak.happened.items() if ':' not in k)} things happened; left: {seen[-1]}")
    print(dict(soak.happened))
    first, last = seen[0], seen[-1]
    assert soak.lost == []
    assert last.descriptors <= first.descriptors + 3
    assert last.pool_threads <= POOL_THREADS + RESOLVER_THREADS
    assert last.other_threads <= first.other_threads + 2
    assert last.greenlets.total() <= first.greenlets.total() + 3, last.greenlets - first.greenlets
    assert last.resident_bytes <= first.resident_bytes + GROWTH_BYTES
    assert "Traceback" not in server.log_text()
    assert "a defect" not in server.log_text()
    for thing in WORDS:
        assert soak.happened[thing], f"{thing} never happened"
    note(soak, first, last)


def note(soak: Soak, first: Left, last: Left) -> None:
    """Notes what happened, and what was left of it."""
    left = f"left after {SOAK_S:.0f} s: {last} (at the first rest {first})"
    for thing, words in WORDS.items():
        tally("fault", words, soak.happened[thing], "left nothing behind")
    tally("fault", "one server, all of it at once", 1, left)
