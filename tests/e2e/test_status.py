"""The status page, in a real browser, as an operator has it open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from tests.conftest import StartServer
from tests.support.app import DONE, ScriptedApp
from tests.support.app import Reply as Answer
from tests.support.axe import grave
from tests.support.browser import Card, picture
from tests.support.client_v1 import ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.engines import Browser, Chromium, WebKit
from tests.support.server import RunningServer, new_upload
from tests.support.waiting import wait_until

NASTY_NAME = "<img src=x onerror=window.hacked=1> \u202egpj.exe & 🎉.mov"
TOKEN = "t0ken"
ASKED_TIMES = "return performance.getEntriesByType('resource').length"


class StatusPage(Card):
    """The page, read as a person reads it."""

    def __init__(self, driver: Browser, server: RunningServer, live: bool = True) -> None:
        super().__init__(driver)
        self.driver = driver
        driver.get(f"{server.url}/incoming/status")
        if live:
            self.wait_for_text("#link", "Live")

    def row(self, part_of_name: str) -> Card:
        """Returns the row of an upload as soon as it is there."""
        row = wait_until(lambda: self._row(part_of_name), f"a row of {part_of_name}")
        assert row
        return Card(row)

    def _row(self, part_of_name: str) -> WebElement | None:
        rows = self.driver.find_elements(By.CSS_SELECTOR, "tbody tr")
        return next((row for row in rows if part_of_name in row.text), None)


class Clients:
    """Files that are on their way, each at the point where its test has left it."""

    def __init__(self, server: RunningServer, app: ScriptedApp, stack: ExitStack) -> None:
        self._server, self._app, self._stack = server, app, stack

    def begin(self, name: str, length_bytes: int, sent_bytes: int) -> ClientV1:
        """Returns a client that has uploaded so many bytes, and is connected."""
        client = ClientV1(self._server.url, new_upload(self._server, self._app.url), FileBytes(length_bytes))
        client.name = name
        self._stack.callback(client.drop)
        client.open().send_until_acked(sent_bytes)
        return client


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    return start_server(chunk_size_kib=64, send_ahead=1, connection_timeout_s=60)


@pytest.fixture
def clients(server: RunningServer, app: ScriptedApp) -> Iterator[Clients]:
    with ExitStack() as stack:
        yield Clients(server, app, stack)


def in_every_state(clients: Clients, server: RunningServer, app: ScriptedApp) -> ClientV1:
    """Makes uploads in as many states as can be seen; returns the one that is in progress."""
    answers = {"refused.txt": Answer(404, "no"), "down.bin": Answer(503, ""), "wait.iso": Answer(200, "wait")}
    app.answers = [lambda delivery: answers.get(delivery.fields["filenameFromBrowser"], DONE)]
    for name in (*answers, "finished.pdf"):
        clients.begin(name, 100_000, 100_000)
    clients.begin("paused.zip", MIB, 300_000).drop()
    clients.begin("cancelled.zip", MIB, 300_000).cancel("changed <b>my</b> mind")
    new_upload(server, app.url)
    return clients.begin(NASTY_NAME, 32 * MIB, 8 * MIB)


@pytest.mark.everywhere
def test_an_upload_is_seen_moving_and_a_nasty_name_is_only_a_text(
    clean_driver: Browser, server: RunningServer, app: ScriptedApp, clients: Clients
) -> None:
    client = in_every_state(clients, server, app)
    page = StatusPage(clean_driver, server)
    row = page.row("<img src=x onerror=window.hacked=1>")
    assert row.wait_for_fraction(0.2) == pytest.approx(0.25, abs=0.02)
    assert "uploading" in row.text(".state")
    assert "\u202e" not in row.text("bdi"), "it would turn gpj.exe into exe.jpg"
    assert not clean_driver.find_elements(By.CSS_SELECTOR, "td img, td b")
    page.row("refused.txt").wait_for_text(".state", "failed")
    page.row("cancelled.zip").wait_for_text("td:nth-child(3)", "changed <b>my</b> mind")

    client.send_until_acked(16 * MIB)
    assert row.wait_for_fraction(0.45) == pytest.approx(0.5, abs=0.02)

    def shows_a_speed_while_it_moves() -> bool:
        client.send_until_acked(client.acked_bytes + 1)
        time.sleep(0.05)  # of a client so slow the rest is enough for ten seconds
        return "B/s" in row.text("td:nth-child(4)")

    wait_until(shows_a_speed_while_it_moves, "a speed", deadline_s=10)
    assert "at most" in page.text("#rates")
    assert "at most" in str(page.find("#plot").get_attribute("aria-label"))
    picture(clean_driver, "status")
    client.send_until_acked()
    page.row("gpj.exe").wait_for_text(".state", "finished")


@pytest.mark.everywhere
def test_the_page_shows_that_the_server_is_unreachable_and_that_it_is_back(
    clean_driver: Browser, server: RunningServer
) -> None:
    page = StatusPage(clean_driver, server)
    server.kill()
    page.wait_for_text("#link", "not reachable")
    server.start()
    page.wait_for_text("#link", "Live")


def test_one_state_can_be_looked_at_alone(
    clean_driver: Browser, server: RunningServer, app: ScriptedApp, clients: Clients
) -> None:
    in_every_state(clients, server, app)
    page = StatusPage(clean_driver, server)
    page.row("finished.pdf")
    Select(page.find("#state")).select_by_value("paused")
    wait_until(lambda: len(clean_driver.find_elements(By.CSS_SELECTOR, "tbody tr")) == 1, "one is left")
    assert page.row("paused.zip").text("td:nth-child(2)") == "31 % of 1.0 MB"
    Select(page.find("#state")).select_by_value("expired")
    page.wait_for_text("#shown", "None")


def test_a_hidden_page_asks_for_nothing(clean_driver: Browser, server: RunningServer) -> None:
    StatusPage(clean_driver, server)
    hide = "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});"
    tell = "document.dispatchEvent(new Event('visibilitychange'));"
    clean_driver.execute_script(hide + tell, True)
    wait_until(lambda: asked_in(clean_driver, 2500) == 0, "it has stopped")
    before = clean_driver.execute_script(ASKED_TIMES)
    clean_driver.execute_script(hide + tell, False)
    wait_until(lambda: clean_driver.execute_script(ASKED_TIMES) > before, "it asks again")


def asked_in(driver: Browser, duration_ms: int) -> int:
    """Returns how often the page asks its server in this time."""
    wait = "const done = arguments[1]; setTimeout(() => done(), arguments[0])"
    before: int = driver.execute_script(ASKED_TIMES)
    driver.execute_async_script(wait, duration_ms)
    after: int = driver.execute_script(ASKED_TIMES)
    return after - before


def test_who_signs_in_sees_it_and_other_pages_do_not(
    clean_driver: Browser, start_server: StartServer
) -> None:
    server = start_server(backend_token=TOKEN, allowed_backends="10.0.0.0/8")
    if not isinstance(clean_driver, WebKit):  # it asks for another password, and its driver waits for that
        clean_driver.get(f"http://ann:wrong@127.0.0.1:{server.port}/incoming/status")
        assert "Uploads" not in clean_driver.page_source
    clean_driver.get(f"http://ann:{TOKEN}@127.0.0.1:{server.port}/incoming/status")
    Card(clean_driver).wait_for_text("#link", "Live")


@pytest.mark.parametrize("host", ["evil.localhost", "127.0.0.1"])
def test_neither_another_name_nor_a_link_from_elsewhere_opens_it(
    clean_driver: Browser, server: RunningServer, app: ScriptedApp, host: str
) -> None:
    clean_driver.get(f"http://localhost:{app.port}/")
    target = f"http://{host}:{server.port}/incoming/status"
    if host == "127.0.0.1":
        clean_driver.execute_script("location.href = arguments[0]", target)
        why = "Type it into the browser to open it"
    else:
        clean_driver.get(target)
        why = "The setting status_hosts allows it"
    Card(clean_driver).wait_for_text("body", why)


class TestWithAxe:
    """What axe finds wrong with it for those who hear it, or see little of it."""

    @pytest.fixture(autouse=True)
    def only_chromium(self, engine: str) -> None:
        """It reads the page, not the browser."""
        if engine != "chromium":
            pytest.skip("axe reads the page, not the browser")

    def test_nothing_grave_is_found_in_any_state(
        self, clean_driver: Chromium, server: RunningServer, app: ScriptedApp, clients: Clients
    ) -> None:
        page = StatusPage(clean_driver, server)
        page.wait_for_text("#shown", "None")
        assert grave(clean_driver) == []
        in_every_state(clients, server, app)
        page.row("down.bin").wait_for_text(".state", "handed over")
        assert grave(clean_driver) == []
        server.kill()
        page.wait_for_text("#link", "not reachable")
        assert grave(clean_driver) == []
