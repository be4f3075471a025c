"""Uploads over a network gone mad: every one ends identical, or says exactly why not.

INCOMING_TEST_CHAOS_S says for how long in all (18 s unless set), INCOMING_TEST_SEED repeats a run.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.chaos import ChaosProxy, Climate
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.data import MIB, FileBytes
from tests.support.server import RunningServer, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until
from tests.support.websocket import PING, TEXT, ConnectionClosed, HandshakeRefused

CHAOS_S: Final = float(os.environ.get("INCOMING_TEST_CHAOS_S", "18"))
SEED: Final = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
SILENCE_S: Final = 2
MAX_WINDOW_BYTES: Final = MIB
SETTINGS: Final = {
    "connection_timeout_s": SILENCE_S,
    "max_window_mib": MAX_WINDOW_BYTES // MIB,
    "max_chunk_kib": 256,
    "handover_retry_first_s": 0.05,
    "handover_retry_max_s": 0.5,
}
AT_A_TIME: Final = 4
SIZES_BYTES: Final = (0, 1, 70_000, MIB + 1, 3 * MIB, 6 * MIB + 5)
FILES: Final = [FileBytes(size_bytes, seed) for seed, size_bytes in enumerate(SIZES_BYTES)]
AFTERWARDS_S: Final = 90.0
"""So long may what has been begun take to end once the weather is fine: clients wait for up to a minute."""
BAD_WEATHER: Final = Climate()
SPOILED: Final = Climate(weights={"cut": 1}, calm_s=3.0, flip_every_bytes=1_000_000, flip_texts=0.02)
"""Few connections are lost and much is spoiled, so that what comes of that is seen."""

PAGE: Final = """<!doctype html><meta charset="utf-8"><input type="file" id="files" multiple>
<script src="{server}/incoming/frontend/incoming.js"></script>
<script>
  incoming.set_server_hostname("{network}");
  const waiting = [], ended = [], begun = [];
  function upload([ticket, number]) {{
    return new Promise((resolve) => {{
      const uploader = incoming.Uploader(ticket, document.getElementById("files").files[number]);
      uploader.onfinished = () => resolve([ticket, "", ""]);
      uploader.onerror = () => resolve([ticket, `${{uploader.error_code}}`, uploader.error_msg]);
      uploader.oncancelled = () => resolve([ticket, "cancelled", uploader.cancel_msg]);
      uploader.start();
      begun.push([ticket, uploader]);
    }});
  }}
  async function lane() {{
    for (;;) {{
      if (waiting.length) ended.push(await upload(waiting.shift()));
      else await new Promise((resolve) => setTimeout(resolve, 20));
    }}
  }}
  for (let count = 0; count < {lanes}; count += 1) lane();
</script>"""

TELL_UNENDED: Final = """return begun
  .filter(([, its]) => !its.finished && !its.cancelled && its.error_code === null)
  .map(([ticket, its]) => [ticket, its.connected, its.state_msg, its.bytes_acked, its.bytes_tx].join(" "));"""


@dataclass
class Outcome:
    """How an upload ended: `said` is empty when it was finished, else the code and the words for it."""

    ticket_id: str
    data: FileBytes
    said: str


@dataclass
class Tempest:
    """A server, an app and the network between them and their clients."""

    server: RunningServer
    app: ScriptedApp
    network: ChaosProxy
    outcomes: list[Outcome] = field(default_factory=list)

    def new_ticket(self) -> str:
        """Returns the id of a new ticket."""
        return new_upload(self.server, self.app.url)

    def bad_weather_for(self, duration_s: float) -> threading.Event:
        """Lets the weather get fine after that time, and on a slow machine once it has done what it is for.

        The event is set when it gets fine.
        """
        fine = threading.Event()

        def get_fine() -> None:
            time.sleep(duration_s)
            with suppress(AssertionError):  # the test itself says what is missing
                wait_until(self.has_struck, "the weather has struck", AFTERWARDS_S)
            self.network.calm()
            fine.set()

        threading.Thread(target=get_fine, daemon=True).start()
        return fine

    def has_struck(self) -> bool:
        """Tells whether there was something to survive: in a climate that spoils, a byte that was spoiled."""
        happened = self.network.happened
        return happened["flip"] > 0 if self.network.climate.flip_every_bytes else bool(happened)

    def check(self) -> None:
        """Whatever was handed over is identical, and no byte was sent again but those that were under way."""
        self.report()
        for outcome in self.outcomes:
            delivered = {d.sha256 for d in self.app.about(outcome.ticket_id) if d.fields["cancelled"] == "no"}
            assert delivered <= {outcome.data.sha256}, "a file that is not identical was handed over"
            assert outcome.said or delivered, "it was told to be finished, and the app has not seen it"
            book = self.network.books.open(outcome.ticket_id)
            again_bytes = (max(book.connections - 1, 0) + book.rounds) * MAX_WINDOW_BYTES
            assert book.sent_though_stored_bytes <= again_bytes, (outcome, book)
            assert book.sent_bytes <= outcome.data.length_bytes + again_bytes, (outcome, book)
        what = "uploads through a network that cuts, freezes, delays and spoils"
        tally("fault", what, len(self.outcomes), "nothing arrived but what was sent")

    def check_that_all_have_finished(self) -> None:
        """There is no excuse, and there was something to survive."""
        assert {outcome.said for outcome in self.outcomes} == {""}
        assert self.has_struck(), "too fine a day"

    def check_that_most_have_finished(self) -> None:
        """Texts have no checksum: one that is spoiled can end an upload for good, with its reason."""
        failed = [outcome.said for outcome in self.outcomes if outcome.said]
        assert self.has_struck(), "too fine a day"
        assert len(failed) <= len(self.outcomes) / 5, failed

    def report(self) -> None:
        """Prints what happened."""
        books = [self.network.books.open(outcome.ticket_id) for outcome in self.outcomes]
        file_bytes = sum(outcome.data.length_bytes for outcome in self.outcomes)
        sent_bytes = sum(book.sent_bytes for book in books)
        print(f"\nINCOMING_TEST_SEED={SEED}; {dict(self.network.happened)}")
        print(f"{len(self.outcomes)} uploads: {dict(Counter(o.said or 'finished' for o in self.outcomes))}")
        print(f"{sum(b.connections for b in books)} connections, {sum(b.rounds for b in books)} resends,")
        print(f"{sent_bytes} bytes sent of {file_bytes} ({sent_bytes / max(file_bytes, 1):.2f}),")
        print(f"{sum(b.sent_though_stored_bytes for b in books)} of them after their acknowledgement")


@pytest.fixture
def tempest(start_server: StartServer, app: ScriptedApp, request: pytest.FixtureRequest) -> Iterator[Tempest]:
    """Everything for the climate that the test is parametrized with."""
    server = start_server(**SETTINGS)
    with ChaosProxy(server.port, request.param, SEED) as network:
        yield Tempest(server, app, network)


bad_weather = pytest.mark.parametrize("tempest", [BAD_WEATHER], indirect=True, ids=["bad weather"])
spoiled = pytest.mark.parametrize("tempest", [SPOILED], indirect=True, ids=["spoiled"])


# --- clients of the protocol ---------------------------------------------------------------------------


class StubbornClient(ClientV2):
    """Comes back whatever happens, and takes a message that makes no sense for a reason to."""

    def upload_or_say_why_not(self, deadline_s: float) -> str:
        """Uploads; returns "" or the code and words of the error that ended it."""
        give_up_at_s = time.monotonic() + deadline_s
        while time.monotonic() < give_up_at_s:
            try:
                self.open().finish()
            except UploadRefused as refused:
                if not refused.retryable:
                    return f"{refused.code}: {refused.error['Msg']}"
            except (ConnectionClosed, HandshakeRefused, OSError, AssertionError, ValueError, KeyError):
                time.sleep(0.05)
            else:
                return ""
            self.drop()
        raise AssertionError(f"{self.ticket_id} has not ended after {deadline_s} s")


def one_after_another(tempest: Tempest, numbers: Iterator[int], fine: threading.Event) -> None:
    """Uploads file after file until the weather is fine."""
    while not fine.is_set():
        ticket_id, data = tempest.new_ticket(), FILES[next(numbers) % len(FILES)]
        url = f"http://{tempest.network.host}"
        client = StubbornClient(url, ticket_id, data, f"film{data.seed}.mov", timeout_s=SILENCE_S)
        said = client.upload_or_say_why_not(CHAOS_S + 2 * AFTERWARDS_S)
        client.drop()
        tempest.outcomes.append(Outcome(ticket_id, data, said))


def clients_upload_for(tempest: Tempest, duration_s: float) -> None:
    """Keeps some uploads going for that time, then lets the weather get fine and the last ones end."""
    fine = tempest.bad_weather_for(duration_s)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        lanes = [
            pool.submit(one_after_another, tempest, itertools.count(lane, AT_A_TIME), fine)
            for lane in range(AT_A_TIME)
        ]
    for lane in lanes:
        lane.result()


@bad_weather
def test_whatever_the_network_does_every_upload_of_a_client_arrives_byte_for_byte(tempest: Tempest) -> None:
    clients_upload_for(tempest, CHAOS_S / 6)
    tempest.check()
    tempest.check_that_all_have_finished()


@spoiled
def test_whatever_is_spoiled_nothing_arrives_but_what_a_client_has_sent(tempest: Tempest) -> None:
    clients_upload_for(tempest, CHAOS_S / 6)
    tempest.check()
    tempest.check_that_most_have_finished()


class LastAcknowledgementBecomesPing(ChaosProxy):
    """Spoils a single bit, so that both sides wait for each other: the opcode of an acknowledgement."""

    def __init__(self, target_port: int, length_bytes: int) -> None:
        super().__init__(target_port, Climate(weights={}, refused=0.0), SEED)
        self._text = f'"MsgStored", "MsgData": {{"Offset": {length_bytes},'.encode()

    def _spoil(self, block: bytes) -> bytes:
        start = block.rfind(bytes([0x80 | TEXT]), 0, max(block.find(self._text), 0))
        if start < 0 or self.happened["flip"]:
            return block
        self.happened["flip"] += 1
        return block[:start] + bytes([0x80 | PING]) + block[start + 1 :]


def test_a_client_that_gets_nothing_but_pings_comes_back(start_server: StartServer, app: ScriptedApp) -> None:
    server, data = start_server(**SETTINGS), FILES[2]
    with LastAcknowledgementBecomesPing(server.port, data.length_bytes) as network:
        ticket_id = new_upload(server, app.url)
        url = f"http://{network.host}"
        client = StubbornClient(url, ticket_id, data, "film.mov", timeout_s=SILENCE_S)
        assert client.upload_or_say_why_not(AFTERWARDS_S) == ""
        client.drop()
        assert network.happened["flip"] == 1
    assert client.resumed_at == [0, data.length_bytes]
    assert [d.sha256 for d in app.about(ticket_id)] == [data.sha256]


# --- a page with the library ---------------------------------------------------------------------------


class Page:
    """A page in a real Chromium that uploads some files at a time."""

    def __init__(self, tempest: Tempest, driver: webdriver.Chrome, folder: Path) -> None:
        html = PAGE.format(server=tempest.server.url, network=tempest.network.host, lanes=AT_A_TIME)
        (folder / "page.html").write_text(html, "utf-8")
        driver.get((folder / "page.html").as_uri())
        paths = [folder / f"film{data.seed}.mov" for data in FILES]
        for path, data in zip(paths, FILES, strict=True):
            path.write_bytes(b"".join(data.blocks()))
        driver.find_element(By.ID, "files").send_keys("\n".join(map(str, paths)))
        self._tempest = tempest
        self._driver = driver
        self._given: dict[str, FileBytes] = {}
        self._numbers = itertools.count()

    def give(self, count: int) -> None:
        """Gives the page so many more files to upload."""
        numbers = [next(self._numbers) % len(FILES) for _ in range(count)]
        jobs = [(self._tempest.new_ticket(), number) for number in numbers]
        self._given |= {ticket_id: FILES[number] for ticket_id, number in jobs}
        self._driver.execute_script("waiting.push(...arguments[0])", jobs)

    def look(self) -> int:
        """Takes down what has ended; returns how many files wait for their turn."""
        ended, waiting = self._driver.execute_script("return [ended.splice(0), waiting.length]")
        for ticket_id, code, words in ended:
            assert not code or words, "an end without a word"
            said = f"{code}: {words}" if code else ""
            self._tempest.outcomes.append(Outcome(ticket_id, self._given[ticket_id], said))
        return int(waiting)

    def all_have_ended(self) -> bool:
        """Whether no upload is under way any more."""
        self.look()
        return len(self._tempest.outcomes) == len(self._given)

    def wait_for_all(self) -> None:
        """Raises AssertionError, which says what they are at, if some do not end."""
        try:
            wait_until(self.all_have_ended, "all uploads end", AFTERWARDS_S)
        except AssertionError as exc:
            self._tempest.report()
            unended = "; ".join(self._driver.execute_script(TELL_UNENDED))
            raise AssertionError(f"{exc}: seed {SEED}: {unended}") from None


def page_uploads_for(page: Page, tempest: Tempest, duration_s: float) -> None:
    """Keeps the page busy for that time, then lets the weather get fine and the last ones end."""
    fine = tempest.bad_weather_for(duration_s)
    while not fine.is_set():
        page.give(max(AT_A_TIME - page.look(), 0))
        time.sleep(0.1)
    page.wait_for_all()


@bad_weather
def test_whatever_the_network_does_every_upload_of_a_page_arrives_byte_for_byte(
    tempest: Tempest, driver: webdriver.Chrome, tmp_path: Path
) -> None:
    page_uploads_for(Page(tempest, driver, tmp_path), tempest, CHAOS_S / 3)
    tempest.check()
    tempest.check_that_all_have_finished()


@spoiled
def test_whatever_is_spoiled_nothing_arrives_but_what_a_page_has_sent(
    tempest: Tempest, driver: webdriver.Chrome, tmp_path: Path
) -> None:
    page_uploads_for(Page(tempest, driver, tmp_path), tempest, CHAOS_S / 3)
    tempest.check()
    tempest.check_that_most_have_finished()
