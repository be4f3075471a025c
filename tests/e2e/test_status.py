"""The status page, in a real browser, as an operator has it open."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from tests.conftest import StartServer
from tests.support.app import DONE, ScriptedApp
from tests.support.app import Reply as Answer
from tests.support.axe import grave
from tests.support.browser import Card, picture, press
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.cluster import Cluster, S3BackedServer, s3_settings
from tests.support.data import MIB, FileBytes
from tests.support.engines import WIDE, Browser, Chromium
from tests.support.redis_server import RedisServer
from tests.support.s3_server import S3Server
from tests.support.server import RunningServer, new_upload
from tests.support.waiting import wait_until

NASTY_NAME = "<img src=x onerror=window.hacked=1> \u202egpj.exe & 🎉.mov"
TOKEN = "t0ken"
NARROW_PX = 320
BROKEN_WORDS = """
    return [...document.querySelectorAll('td .state, td.number > *')].flatMap((part) => {
      const { firstChild: text } = part;
      const words = text?.nodeType === Node.TEXT_NODE ? [...text.data.matchAll(/[\\w.]+/g)] : [];
      const lines = ({ index, 0: word }) => {
        const place = document.createRange();
        place.setStart(text, index);
        place.setEnd(text, index + word.length);
        return place.getClientRects().length;
      };
      return words.filter((word) => lines(word) > 1).map(String);
    });
"""
ASKED_TIMES = "return performance.getEntriesByType('resource').length"


class StatusPage(Card):
    """The page, read as a person reads it."""

    def __init__(self, driver: Browser, server: RunningServer | None = None, live: bool = True) -> None:
        """Opens the page, unless it is open."""
        super().__init__(driver)
        self.driver = driver
        if server:
            driver.get(f"{server.url}/incoming/status")
        if live:
            self.wait_for_text("#link", "Live")

    def row(self, part_of_name: str) -> Card:
        """Returns the row of an upload as soon as it is there."""
        row = wait_until(lambda: self._row(part_of_name), f"a row of {part_of_name}")
        assert row
        return Card(row)

    def _row(self, part_of_name: str) -> WebElement | None:
        with contextlib.suppress(StaleElementReferenceException):  # the list has changed meanwhile
            return next((row for row in self.rows() if part_of_name in row.text), None)
        return None

    def rows(self) -> list[WebElement]:
        """Returns the rows that are shown; none if the list changes just now."""
        with contextlib.suppress(StaleElementReferenceException):
            return self.driver.find_elements(By.CSS_SELECTOR, "tbody tr")
        return []


class Clients:
    """Files that are on their way, each at the point where its test has left it."""

    def __init__(self, server: RunningServer, app: ScriptedApp, stack: ExitStack, token: str = "") -> None:
        self._server, self._app, self._stack, self._token = server, app, stack, token

    def begin(self, name: str, length_bytes: int, sent_bytes: int) -> ClientV1:
        """Returns a client that has uploaded so many bytes, and is connected."""
        url = f"{self._server.url}/incoming/backend/new_upload"
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        ticket = requests.post(url, {"signalFinishURL": self._app.url}, headers=headers, timeout=60)
        assert ticket.status_code == 200, ticket.text
        client = ClientV1(self._server.url, ticket.text, FileBytes(length_bytes))
        client.name = name
        self._stack.callback(client.drop)
        client.open().send_until_acked(sent_bytes)
        return client


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    return start_server(chunk_size_kib=64, send_ahead=1, connection_timeout_s=600)


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
    assert row.wait_for_fraction(0.49) == pytest.approx(0.5, abs=0.02)

    def shows_a_speed_while_it_moves() -> bool:
        client.send_until_acked(client.acked_bytes + 1)
        time.sleep(0.2)  # of a client so slow the rest is enough for a minute
        return "B/s" in row.text("td:nth-child(4)")

    wait_until(shows_a_speed_while_it_moves, "a speed")
    assert "at most" in page.text("#rates")
    assert "at most" in str(page.find("#plot").get_attribute("aria-label"))
    picture(clean_driver, "status")
    client.send_until_acked()
    page.row("gpj.exe").wait_for_text(".state", "finished")


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
    wait_until(lambda: len(page.rows()) == 1, "one is left")
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
    if isinstance(clean_driver, Chromium):  # others ask for another password, and their drivers wait for it
        clean_driver.get(f"http://ann:wrong@127.0.0.1:{server.port}/incoming/status")
        assert "Uploads" not in clean_driver.page_source
    clean_driver.get(f"http://ann:{TOKEN}@127.0.0.1:{server.port}/incoming/status")
    Card(clean_driver).wait_for_text("#link", "Live")


def test_an_operator_finds_cancels_and_retries_uploads_with_the_keyboard(
    clean_driver: Browser, start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(backend_token=TOKEN, allowed_backends="10.0.0.0/8", chunk_size_kib=64)
    app.answers = [Answer(404, "no"), DONE]
    with ExitStack() as stack:
        clients = Clients(server, app, stack, TOKEN)
        clients.begin("refused.txt", 100_000, 100_000)
        clients.begin("holiday film.zip", MIB, 300_000).drop()
        clients.begin("other.zip", MIB, 300_000).drop()
        clean_driver.get(f"http://ann:{TOKEN}@127.0.0.1:{server.port}/incoming/status")
        page = StatusPage(clean_driver)
        page.find("#search").send_keys("zip HOLI")
        wait_until(lambda: len(page.rows()) == 1, "one is left")
        assert page.row("holiday film.zip").text("time").count(":") >= 1
        assert "Times of day are in " in page.text("#zone")
        assert not page.find("#closed").is_displayed(), "it says how to get the buttons that are there"

        button = "td button:not([hidden])"
        page.find(button).send_keys(Keys.ENTER)
        assert page.find("#really").get_attribute("open")
        if isinstance(clean_driver, Chromium):
            assert grave(clean_driver) == []
        picture(clean_driver, "status-question")
        press(clean_driver, Keys.ESCAPE)
        time.sleep(0.1)
        assert page.row("holiday film.zip").text(".state") == "paused"
        assert clean_driver.switch_to.active_element == page.find(button)
        page.find(button).send_keys(Keys.ENTER)
        press(clean_driver, Keys.TAB, Keys.ENTER)
        page.wait_for_text("#result", "holiday film.zip was cancelled.")
        page.row("holiday film.zip").wait_for_text("td:nth-child(3)", "by the operator")
        assert "cancelled on the status page by ann at 127.0.0.1" in server.log_text()
        assert app.wait_for(2)[-1].fields["cancelReason"] == "cancelled by the operator of the upload server"

        page.find("#search").clear()
        page.find("#search").send_keys("refused")
        page.row("refused.txt").find("button").click()
        page.find("#yes").click()
        page.row("refused.txt").wait_for_text(".state", "finished")
        assert "tried again on the status page by ann" in server.log_text()


def test_without_a_token_the_page_has_no_buttons_and_says_why(
    clean_driver: Browser, server: RunningServer, clients: Clients
) -> None:
    clients.begin("paused.zip", MIB, 300_000).drop()
    page = StatusPage(clean_driver, server)
    page.row("paused.zip")
    assert not [b for b in clean_driver.find_elements(By.CSS_SELECTOR, "button") if b.is_displayed()]
    assert "backend_token" in page.text("#closed")


@pytest.mark.engines("chromium", "firefox")  # the window of WebKit can't be so narrow
def test_no_word_is_broken_on_a_narrow_screen(
    clean_driver: Browser, server: RunningServer, app: ScriptedApp, clients: Clients
) -> None:
    in_every_state(clients, server, app)
    clean_driver.look_like("light", NARROW_PX)
    page = StatusPage(clean_driver, server)
    page.row("gpj.exe").wait_for_text(".number", "nothing for")  # the widest words of this column
    assert clean_driver.execute_script(BROKEN_WORDS) == []
    assert clean_driver.execute_script("return document.documentElement.scrollWidth") <= NARROW_PX
    clean_driver.look_like("light", WIDE)


@pytest.mark.parametrize("name", ["   ", "\u200b\u2060", "\u3164", "\u2800\u00a0", "\u00ad"])
def test_a_name_that_nobody_can_see_is_told_in_words(
    clean_driver: Browser, server: RunningServer, clients: Clients, name: str
) -> None:
    clients.begin(name, MIB, 300_000)
    row = StatusPage(clean_driver, server).row("% of 1.0 MB")
    assert row.text("bdi") == "(a name without visible characters)"


def test_a_long_text_of_a_stranger_is_short_until_somebody_wants_to_read_it(
    clean_driver: Browser, server: RunningServer, clients: Clients
) -> None:
    reason, name = "I have another file now. " * 36, f"{'a long name ' * 20}end.zip"
    clients.begin(name, MIB, 300_000).cancel(reason)
    page = StatusPage(clean_driver, server)
    row = page.row("a long name")
    row.wait_for_text(".state", "cancelled")

    def height_px(part: str) -> int:
        return int(row.find(part).size["height"])

    for part, text in (("bdi", name), (".state + .small", reason.strip())):
        assert str(row.find(part).get_attribute("textContent")).strip() == text, "a screen reader reads all"
        short_px = height_px(part)
        assert short_px < 6 * 26
        picture(clean_driver, "status-long")
        row.find(part).click()
        assert height_px(part) > short_px
        page.find("#search").click()
        assert height_px(part) == short_px
    if isinstance(clean_driver, Chromium):
        assert grave(clean_driver) == []


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


def test_each_server_shows_the_uploads_of_both_and_an_outage_of_redis(
    clean_driver: Browser, s3_server: S3Server, app: ScriptedApp, tmp_path: Path
) -> None:
    with (
        RedisServer(tmp_path / "redis") as redis,
        Cluster(tmp_path, redis, s3_server, backend_token=TOKEN, connection_timeout_s=600) as cluster,
    ):
        first, second = cluster.servers
        page = StatusPage(clean_driver, first)
        clients = []
        for server, name in ((first, "lecture.mov"), (second, "holiday.mov")):
            client = ClientV2(server.url, cluster.new_ticket(app), FileBytes(60 * MIB))
            client.name = name
            clients.append(client.open())
            client.send_until_stored(10 * MIB)
        page.row("holiday.mov").wait_for_text("td:nth-child(1)", "on server-2")
        page.row("lecture.mov").wait_for_text("td:nth-child(1)", "on server-1")
        clients[1].send_until_stored(30 * MIB)
        page.row("holiday.mov").wait_for_text("td:nth-child(4)", "B/s")
        page.wait_for_text("#instances", "server-2")
        page.wait_for_text("#instances", "a call")
        page.wait_for_text("#rates", "MB/s")
        picture(clean_driver, "status-servers")
        if isinstance(clean_driver, Chromium):
            assert grave(clean_driver) == []
        page.find("#search").send_keys("server-2")
        wait_until(lambda: len(page.rows()) == 1, "one is found")
        answer = requests.post(
            f"{first.url}/incoming/status/cancel_upload", json={"id": clients[1].ticket_id[:8]},
            headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60,
        )  # fmt: skip
        assert answer.text == "ok"
        page.wait_for_text("#shown", "Nothing is found.")  # the other server has let go of it
        redis.kill()
        page.wait_for_text("#link", "Redis does not answer")
        picture(clean_driver, "status-without-redis")
        redis.start()
        page.wait_for_text("#link", "Live")
        for client in clients:
            client.drop()


def test_a_server_with_a_directory_and_s3_shows_where_each_upload_is(
    clean_driver: Browser, s3_server: S3Server, app: ScriptedApp, tmp_path: Path
) -> None:
    settings = {
        **s3_settings(s3_server, tmp_path.name),
        "storage_choice": "local,s3",
        "connection_timeout_s": 600,
    }
    with S3BackedServer(tmp_path / "storage", None, **settings) as server:
        page = StatusPage(clean_driver, server)
        with ExitStack() as stack:
            for storage, name in (("local", "lecture.mov"), ("s3", "holiday.mov")):
                client = ClientV2(server.url, new_upload(server, app.url, storage=storage), FileBytes(MIB))
                client.name = name
                client.open().send_chunk(1000)
                stack.callback(client.drop)
            page.row("lecture.mov").wait_for_text("td:nth-child(1)", "on disk")
            page.row("holiday.mov").wait_for_text("td:nth-child(1)", "in S3")
            page.wait_for_text("#totals", "Disk free")
            picture(clean_driver, "status-both-storages")


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
