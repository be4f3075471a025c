"""A form of a page without a script, in real browsers: the documented form, and the page of the upload."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
from selenium.webdriver.common.by import By

from tests.clients.conftest import DEADLINE_S, LARGE_BYTES, matrix
from tests.conftest import StartServer
from tests.support.app import DONE, WAIT, Reply, ScriptedApp
from tests.support.axe import grave
from tests.support.browser import Card, picture
from tests.support.client_cases import EMPTY, LARGE, NOT_EARLY, REFUSAL, UPLOAD, case, of_client
from tests.support.data import FileBytes
from tests.support.engines import Browser, Chromium
from tests.support.ports import free_port
from tests.support.relay import Relay
from tests.support.server import ROOT, RunningServer, finish_upload, new_upload
from tests.support.waiting import wait_until
from tests.test_docs import code_blocks

pytestmark = of_client("a form in {engine}")

(FORM,) = code_blocks(ROOT / "docs/how-to/curl-and-forms.md", "html")
SIZE_BYTES: Final = 3_000_000
SLOW_BYTES_PER_S: Final = 300_000
NASTY_NAME: Final = "Ünnüz <b onclick=hacked()> & 'x' 漢.mov"
THANKS: Final = "<!doctype html><meta charset=utf-8><title>Thanks</title><h1>Thank you</h1>"


class AppPages:
    """The pages of an app, on another port than the server: so they are of another origin."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, str]] = {}
        pages = self.pages

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text, charset = pages.get(self.path, ("", "utf-8"))
                body = text.encode(charset)
                self.send_response(200 if text else 404)
                self.send_header("Content-Type", f"text/html; charset={charset}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def add(self, path: str, text: str, charset: str = "utf-8") -> str:
        """Adds a page, and returns its address. The host is another one, too."""
        self.pages[path] = (text, charset)
        return f"http://localhost:{self._http.server_port}{path}"

    def stop(self) -> None:
        """Stops serving them."""
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def pages() -> Iterator[AppPages]:
    running = AppPages()
    yield running
    running.stop()


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    return start_server(http_hold_s=0.3, handover_retry_first_s=0.05, handover_retry_max_s=0.2)


@pytest.fixture
def file(tmp_path: Path) -> tuple[Path, FileBytes]:
    """A file with a nasty name, and what it has to be."""
    data, path = FileBytes(SIZE_BYTES, 7), tmp_path / NASTY_NAME
    path.write_bytes(b"".join(data.blocks()))
    return path, data


def address(server: RunningServer, app: ScriptedApp, **params: str) -> tuple[str, str]:
    """Returns a new ticket, and its address."""
    ticket_id = new_upload(server, app.url, **params)
    return ticket_id, f"{server.url}/incoming/frontend/uploads/{ticket_id}"


def submit(driver: Browser, path: Path | None = None) -> Card:
    """Chooses a file and presses the button. Returns the page that follows, whatever it is then."""
    card = Card(driver)
    if path:
        card.choose(path)
    card.find("button").click()
    return card


def press_and_return(driver: Browser) -> None:
    """Presses the button, and does not wait until the next page is there, as a driver does."""
    driver.execute_script("setTimeout(() => document.querySelector('button').click(), 100)")


@case(UPLOAD, NOT_EARLY)
def test_the_documented_form_uploads_a_file_and_its_user_sees_when_the_app_has_it(
    clean_driver: Browser,
    server: RunningServer,
    app: ScriptedApp,
    pages: AppPages,
    file: tuple[Path, FileBytes],
) -> None:
    path, data = file
    app.answers = [WAIT]
    thanks = pages.add("/thanks", THANKS)
    ticket_id, url = address(server, app, returnURL=thanks)
    clean_driver.get(pages.add("/", f"<!doctype html><title>App</title>{FORM.replace('$URL', url)}"))
    page = submit(clean_driver, path)
    page.wait_for_text("body.waiting h1", "The file has arrived")
    assert page.text(".name") == NASTY_NAME
    (delivery,) = app.deliveries
    assert (delivery.sha256, delivery.fields["filenameFromBrowser"]) == (data.sha256, NASTY_NAME)
    clean_driver.execute_script("stop()")  # the page would load itself again while its pictures are taken
    picture(clean_driver, "form-arrived")
    clean_driver.get(url)
    page.wait_for_text("body.waiting h1", "The file has arrived")
    assert finish_upload(server, ticket_id).text == "ok"
    page.wait_for_text("h1", "Thank you")
    assert clean_driver.current_url == thanks


@case(UPLOAD)
def test_the_page_of_a_ticket_has_a_form_that_leads_to_the_page_of_the_app(
    clean_driver: Browser,
    server: RunningServer,
    app: ScriptedApp,
    pages: AppPages,
    file: tuple[Path, FileBytes],
) -> None:
    thanks = pages.add("/thanks", THANKS)
    _, url = address(server, app, returnURL=thanks)
    clean_driver.get(url)
    picture(clean_driver, "form-new")
    submit(clean_driver, file[0]).wait_for_text("h1", "Thank you")
    assert clean_driver.current_url == thanks
    assert app.deliveries[0].sha256 == file[1].sha256


def test_a_form_without_a_file_leads_to_one_that_uploads_and_a_reload_sends_nothing_again(
    clean_driver: Browser,
    server: RunningServer,
    app: ScriptedApp,
    pages: AppPages,
    file: tuple[Path, FileBytes],
) -> None:
    ticket_id, url = address(server, app)
    form = FORM.replace("$URL", url).replace(" required", "")
    clean_driver.get(pages.add("/", f"<!doctype html><title>App</title>{form}"))
    page = submit(clean_driver)
    page.wait_for_text(".wrong", "No file was chosen.")
    picture(clean_driver, "form-wrong")
    submit(clean_driver, file[0])
    page.wait_for_text("h1", "Finished")
    picture(clean_driver, "form-finished")
    clean_driver.refresh()
    page.wait_for_text("h1", "Finished")
    assert server.log_text().count(f"upload {ticket_id[:8]}: claimed") == 1


@case(REFUSAL)
def test_a_refusal_by_the_app_is_said_and_leads_back(
    clean_driver: Browser,
    server: RunningServer,
    app: ScriptedApp,
    pages: AppPages,
    file: tuple[Path, FileBytes],
) -> None:
    app.answers = [Reply(503), Reply(403)]
    _, url = address(server, app, returnURL=pages.add("/thanks", THANKS))
    clean_driver.get(url)
    page = submit(clean_driver, file[0])
    page.wait_for_text("h1", "The app did not accept the file")
    page.wait_for_text("p", "The reason is: the app answered with status 403.")
    picture(clean_driver, "form-refused")
    page.find("a").click()
    page.wait_for_text("h1", "Thank you")


def test_a_page_in_windows_1252_sends_a_name_that_is_understood(
    clean_driver: Browser, server: RunningServer, app: ScriptedApp, pages: AppPages, tmp_path: Path
) -> None:
    path = tmp_path / "Übung “€5”.txt"
    path.write_bytes(b"content")
    _, url = address(server, app)
    form = FORM.replace("$URL", url).replace(' accept-charset="utf-8"', "")
    clean_driver.get(pages.add("/", f"<!doctype html><title>App</title>{form}", "windows-1252"))
    submit(clean_driver, path).wait_for_text("h1", "Finished")
    assert app.deliveries[0].fields["filenameFromBrowser"] == path.name


@case(NOT_EARLY)
def test_an_app_that_is_down_is_waited_for_on_the_page(
    clean_driver: Browser, server: RunningServer, app: ScriptedApp, file: tuple[Path, FileBytes]
) -> None:
    app.answers = [DONE]
    _, url = address(server, app)
    app.stop()
    clean_driver.get(url)
    page = submit(clean_driver, file[0])
    page.wait_for_text("p", "The reason is: the app could not be reached")
    wait_until(lambda: not clean_driver.find_elements(By.CSS_SELECTOR, "form"), "the form is gone")
    app.start()
    page.wait_for_text("h1", "Finished")


@case(EMPTY)
@matrix
def test_an_empty_file_arrives(
    clean_driver: Browser, server: RunningServer, app: ScriptedApp, tmp_path: Path
) -> None:
    path = tmp_path / "empty.txt"
    path.touch()
    clean_driver.get(address(server, app)[1])
    submit(clean_driver, path).wait_for_text("h1", "Finished")
    assert app.deliveries[0].size_bytes == 0


@matrix
@pytest.mark.parametrize("trouble", ["cut", "kill"])
def test_a_form_that_broke_off_is_sent_again(
    clean_driver: Browser, server: RunningServer, app: ScriptedApp, file: tuple[Path, FileBytes], trouble: str
) -> None:
    ticket_id, url = address(server, app)
    with Relay(server.port, SLOW_BYTES_PER_S) as line:
        clean_driver.get(url.replace(f":{server.port}/", f":{line.port}/"))
        Card(clean_driver).choose(file[0])
        press_and_return(clean_driver)
        wait_until(lambda: f"upload {ticket_id[:8]}: claimed" in server.log_text(), "it has begun")
        line.stop()
        if trouble == "kill":
            server.restart()
    clean_driver.get(url)
    wait_until(lambda: clean_driver.find_elements(By.CSS_SELECTOR, "form"), "a form again")
    submit(clean_driver, file[0]).wait_for_text("h1", "Finished")
    (delivery,) = app.deliveries
    assert delivery.sha256 == file[1].sha256


@case(LARGE)
@matrix
def test_a_file_of_5_gib_arrives(
    clean_driver: Browser, server: RunningServer, app: ScriptedApp, tmp_path: Path
) -> None:
    path = tmp_path / "sparse.bin"
    with path.open("wb") as sparse:
        sparse.truncate(LARGE_BYTES)
    clean_driver.get(address(server, app)[1])
    Card(clean_driver).choose(path)
    press_and_return(clean_driver)
    Card(clean_driver).wait_for_text("h1", "Finished", DEADLINE_S)
    assert app.deliveries[0].size_bytes == LARGE_BYTES


class TestWithAxe:
    """What axe finds wrong with the page for those who hear it, or see little of it."""

    @pytest.fixture(autouse=True)
    def only_chromium(self, engine: str) -> None:
        """It reads the page, not the browser."""
        if engine != "chromium":
            pytest.skip("axe reads the page, not the browser")

    def test_axe_finds_nothing_serious_on_the_page_of_an_upload(
        self,
        clean_driver: Chromium,
        server: RunningServer,
        app: ScriptedApp,
        pages: AppPages,
        file: tuple[Path, FileBytes],
    ) -> None:
        app.answers = [WAIT]
        ticket_id, url = address(server, app)

        def found() -> list[str]:
            """What is wrong with a copy: the page itself loads anew again and again, perhaps meanwhile."""
            clean_driver.get(pages.add("/copy", clean_driver.page_source))
            return grave(clean_driver)

        clean_driver.get(url)
        assert found() == []
        clean_driver.get(url)
        submit(clean_driver, file[0]).wait_for_text("body.waiting h1", "The file has arrived")
        assert found() == []
        assert finish_upload(server, ticket_id).text == "ok"
        clean_driver.get(url)
        Card(clean_driver).wait_for_text("h1", "Finished")
        assert found() == []
