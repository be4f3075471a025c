"""Several uploaders of one ticket in a real browser: in two tabs, and in a page that mounts twice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from selenium.webdriver.common.by import By

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.data import MIB
from tests.support.engines import Browser
from tests.support.relay import Relay
from tests.support.server import RunningServer, new_upload
from tests.support.site import serve_page
from tests.support.waiting import DEADLINE_S, wait_until

SIZE_BYTES: Final = 24 * MIB
SLOW_BYTES_PER_S: Final = MIB // 2
PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Upload</title><input type="file" id="file">
<script src="{server}/incoming/frontend/incoming.js"></script>
<script>
  incoming.set_server_hostname("{network}");
  window.begin = (ticket) => {{
    window.uploader = incoming.Uploader(ticket, document.getElementById("file").files[0]);
    const endings = uploader.endings = [];
    for (const name of ["onfinished", "oncancelled", "onerror"]) uploader[name] = () => endings.push(name);
    return uploader.start();
  }};
</script>"""
SHOWN: Final = "return [uploader.connected, uploader.paused, uploader.can_pause, uploader.state_msg]"


@dataclass
class Visit:
    """Tabs with the page, a slow network, the server and the app."""

    driver: Browser
    url: str
    server: RunningServer
    network: Relay
    app: ScriptedApp
    file: Path

    def __post_init__(self) -> None:
        self.home = self.driver.current_window_handle
        self.ticket_id = new_upload(self.server, self.app.url)

    def open(self) -> None:
        """Opens the page in this tab, and chooses the file."""
        self.driver.get(self.url)
        self.driver.find_element(By.ID, "file").send_keys(str(self.file))

    def open_tab(self) -> str:
        """Opens the page in a new tab, and chooses the file. Returns the tab's handle."""
        self.driver.switch_to.new_window("tab")
        self.open()
        return self.driver.current_window_handle

    def go_to(self, tab: str) -> None:
        """Shows a tab."""
        self.driver.switch_to.window(tab)

    def close_tab(self) -> None:
        """Closes this tab, and shows the first one."""
        self.driver.close()
        self.go_to(self.home)

    def begin(self) -> None:
        """Starts an upload of the ticket in this tab."""
        self.run(f"begin('{self.ticket_id}')")

    def run(self, script: str) -> Any:
        """Runs a script in this tab and returns what it returns."""
        return self.driver.execute_script(script)

    def wait_for(self, condition: str, seconds: float = DEADLINE_S) -> None:
        """Waits for a condition, in JavaScript, of this tab."""
        wait_until(lambda: self.run(f"return {condition}"), condition, seconds)

    def claims(self) -> int:
        """How often the server was asked to go on with an upload."""
        return self.server.log_text().count("claimed at")

    def finish(self) -> None:
        """Lets it run at full speed, and looks at what arrives."""
        self.network.bytes_per_s = 0
        self.wait_for("uploader.finished")
        assert self.run("return uploader.endings") == ["onfinished"]
        assert self.app.wait_for(1)[-1].sha256 == hashlib.sha256(self.file.read_bytes()).hexdigest()


@pytest.fixture
def visit(driver: Browser, start_server: StartServer, app: ScriptedApp, tmp_path: Path) -> Iterator[Visit]:
    """A browser with one tab, which shows the page."""
    with ExitStack() as stack:
        server = start_server(connection_timeout_s=120)
        network = stack.enter_context(Relay(server.port, SLOW_BYTES_PER_S))
        network.max_bytes = SIZE_BYTES // 8  # so it does not end while a test looks at it
        url = stack.enter_context(serve_page(PAGE.format(server=server.url, network=network.host)))
        file = tmp_path / "film.bin"
        file.write_bytes(os.urandom(SIZE_BYTES))
        visit = Visit(driver, url, server, network, app, file)
        visit.open()
        yield visit
        for tab in set(driver.window_handles) - {visit.home}:
            visit.go_to(tab)
            driver.close()
        visit.go_to(visit.home)
        driver.get("about:blank")


def test_a_second_tab_shows_the_upload_of_the_first_and_takes_over_when_that_is_closed(visit: Visit) -> None:
    other = visit.open_tab()
    visit.begin()
    visit.wait_for("uploader.frac_complete > 0.02")
    visit.go_to(visit.home)
    visit.begin()
    visit.wait_for("uploader.frac_complete > 0.02")
    visit.wait_for("uploader.state_msg === 'Uploading.'")
    assert visit.run(SHOWN) == [True, False, True, "Uploading."]
    assert visit.run("return incoming.unfinished()") == []
    visit.run("uploader.pause()")
    visit.go_to(other)
    visit.wait_for("uploader.paused")
    visit.run("uploader.pause('unpause')")
    visit.wait_for("uploader.state_msg === 'Uploading.'")
    visit.go_to(visit.home)
    visit.wait_for("uploader.state_msg === 'Uploading.'")
    acked_bytes = visit.run("return uploader.bytes_acked")
    assert acked_bytes > 0
    assert visit.claims() == 2, "at the start and after the pause, and both by the other tab"
    visit.go_to(other)
    visit.close_tab()
    wait_until(lambda: visit.claims() == 3, "this tab takes over")
    visit.wait_for("uploader.state_msg === 'Uploading.'")
    assert visit.run("return uploader.bytes_acked") >= acked_bytes
    visit.finish()
    assert visit.claims() == 3


def test_a_second_tab_is_told_that_the_first_one_has_finished(visit: Visit) -> None:
    other = visit.open_tab()
    visit.begin()
    visit.wait_for("uploader.frac_complete > 0.02")
    visit.go_to(visit.home)
    visit.begin()
    visit.wait_for("uploader.frac_complete > 0.02")
    visit.finish()
    visit.go_to(other)
    visit.wait_for("uploader.finished")
    assert visit.run("return uploader.endings") == ["onfinished"]
    assert visit.claims() == 1


def test_a_reload_ends_the_upload_of_a_tab_and_its_list_offers_it_at_once(visit: Visit) -> None:
    visit.begin()
    visit.wait_for("uploader.bytes_acked > 0")
    visit.wait_for("incoming.unfinished().length === 0 && localStorage.length > 0")
    visit.open()
    assert [begun["upload_id"] for begun in visit.run("return incoming.unfinished()")] == [visit.ticket_id]
    visit.begin()
    visit.finish()


MOUNTS: Final = {
    "forgets the first uploader": "begin(ticket); return begin(ticket);",
    "pauses the first uploader": "begin(ticket).pause(); return begin(ticket);",
    "pauses the first uploader later": """
        const first = begin(ticket);
        setTimeout(() => { first.pause(); begin(ticket); }, 50);
    """,
}


@pytest.mark.parametrize("script", MOUNTS.values(), ids=MOUNTS)
def test_a_page_that_mounts_twice_uploads_once(visit: Visit, script: str) -> None:
    visit.run(f"const ticket = '{visit.ticket_id}'; {script.replace('return ', '')}")
    visit.wait_for("uploader.frac_complete > 0.02")
    assert visit.claims() <= 2
    visit.finish()
    assert visit.claims() <= 2
    assert "newer connection" not in visit.server.log_text()


def other_tabs(visit: Visit, count: int, each: Callable[[], None]) -> list[str]:
    """Opens so many tabs, and does that in each. Returns their handles."""
    handles = []
    for _ in range(count):
        handles.append(visit.open_tab())
        each()
    return handles


def test_of_four_tabs_that_are_closed_one_after_another_there_is_always_one_that_uploads(
    visit: Visit,
) -> None:
    visit.begin()
    visit.wait_for("uploader.frac_complete > 0")
    tabs = other_tabs(visit, 3, visit.begin)
    visit.go_to(visit.home)
    visit.open()  # its upload ends
    visit.begin()
    for tab in tabs:
        visit.go_to(tab)
        visit.close_tab()
        before = visit.run("return uploader.bytes_acked")
        visit.wait_for(f"uploader.bytes_acked > {before}")
    visit.finish()
    assert visit.claims() <= 1 + len(tabs) + 1
