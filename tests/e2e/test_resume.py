"""Uploads that continue after a reload with a kept file handle, and those of other tabs, in real browsers.

A page may read a file of its origin's private file system without asking. The handle of such a file is a real
one. So these tests need no question to the user, which no driver can answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from selenium.webdriver.common.by import By

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.data import MIB
from tests.support.engines import HIGH, WIDE, Browser, Chromium
from tests.support.relay import Relay
from tests.support.server import RunningServer, new_upload
from tests.support.site import serve_page
from tests.support.waiting import DEADLINE_S, wait_until

SIZE_BYTES: Final = 3 * MIB
SLOW_BYTES_PER_S: Final = MIB // 4
DAY_MS: Final = 86_400_000
PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Upload</title>
<button>Continue</button>
<script src="{server}/incoming/frontend/incoming.js"></script>
<script type="module">
  import * as resume from "{server}/incoming/frontend/resume.mjs";
  incoming.set_server_hostname("{network}");
  Object.assign(window, {{ resume }});
  window.make_file = async (bytes, name = "film.bin") => {{
    const folder = await navigator.storage.getDirectory();
    const handle = await folder.getFileHandle(name, {{ create: true }});
    if (!(await handle.getFile()).size) {{
      const stream = await handle.createWritable(), all = new Uint8Array(bytes);
      await stream.write(all.map((_, i) => (i * 31 + (i >>> 8) * 7 + (i >>> 16) * 13) & 255));
      await stream.close();
    }}
    return handle;
  }};
  window.upload = (ticket, file) => {{ window.uploader = incoming.Uploader(ticket, file).start(); }};
  window.begin = async (ticket, bytes) => {{
    const handle = await make_file(bytes);
    resume.remember(ticket, handle);
    upload(ticket, await handle.getFile());
  }};
  window.ask = async (ticket) => {{
    const [{{ file, handle, path }}] = await resume.pick_files();
    window.picked = [path, file.size, handle];
    upload(ticket, file);
  }};
  document.ondragover = (event) => event.preventDefault();
  document.ondrop = async (event) => {{
    event.preventDefault();
    const handle = await event.dataTransfer.items[0].getAsFileSystemHandle();
    await resume.remember("dropped", handle);
    window.dropped = handle.name;
  }};
  window.seen = [];
  resume.watch_unfinished((uploads) => window.seen.push(uploads));
</script>"""
LISTED: Final = (
    "return resume.unfinished().then((all) => all.map((each) => [each.upload_id, !!each.handle, each.live]))"
)
CONTINUE: Final = """
    const [ticket, done] = arguments;
    document.querySelector("button").onclick = async () => {
      const file = await resume.reopen(await resume.recall(ticket));
      upload(ticket, file);
      done(file.name);
    };
    document.querySelector("button").click();
"""
HELD: Final = "locks.filter((lock) => !lock.released).length"
WATCH_LOCKS: Final = """
    window.locks = [];
    const { wakeLock } = navigator;
    const request = wakeLock.request.bind(wakeLock);
    wakeLock.request = async (kind) => {
      const sentinel = await request(kind);
      locks.push(sentinel);
      return sentinel;
    };
"""
NO_DIALOG: Final = """
    addEventListener("click", (event) => event.target.type === "file" && event.preventDefault(), true);
"""
ROWS: Final = """
    const [change, done] = arguments;
    const opening = indexedDB.open("incoming");
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction("handles", "readwrite");
      const rows = transaction.objectStore("handles");
      const reading = rows.getAll();
      reading.onsuccess = () => reading.result.forEach((row) => rows.put({ ...row, ...change }));
      transaction.oncomplete = () => { database.close(); done(reading.result.map((row) => row.upload_id)); };
    };
"""


def content(length_bytes: int) -> bytes:
    """Returns what `make_file` of the page writes."""
    return bytes((i * 31 + (i >> 8) * 7 + (i >> 16) * 13) & 255 for i in range(length_bytes))


@dataclass
class Visit:
    """A browser at the page, a slow network, the server and the app."""

    driver: Browser
    url: str
    server: RunningServer
    network: Relay
    app: ScriptedApp

    def __post_init__(self) -> None:
        self.home = self.driver.current_window_handle
        self.ticket_id = new_upload(self.server, self.app.url)

    def open(self) -> None:
        """Opens the page in this tab."""
        self.driver.get(self.url)
        self.wait_for("window.resume")

    def open_tab(self) -> None:
        """Opens the page in a new tab."""
        self.driver.switch_to.new_window("tab")
        self.open()

    def go_home(self) -> None:
        """Closes this tab, and shows the first one."""
        self.driver.close()
        self.driver.switch_to.window(self.home)

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs a script in this tab and returns what it returns; waits for a promise."""
        return self.driver.execute_script(script, *arguments)

    def wait_for(self, condition: str, seconds: float = DEADLINE_S) -> None:
        """Waits for a condition, in JavaScript, of this tab."""
        wait_until(lambda: self.run(f"return {condition}"), condition, seconds)

    def begin(self) -> None:
        """Begins an upload in this tab, and keeps the file's handle."""
        self.run("return begin(arguments[0], arguments[1])", self.ticket_id, SIZE_BYTES)
        self.wait_for("uploader.bytes_acked > 0")

    def kept(self, **change: object) -> list[str]:
        """Returns the ids of the uploads whose handles are kept, and changes what is kept with them."""
        ids: list[str] = self.driver.execute_async_script(ROWS, change)
        return ids

    def finish(self) -> None:
        """Lets it run at full speed, and looks at what arrives."""
        self.network.bytes_per_s = 0
        self.wait_for("uploader.finished")
        assert self.app.wait_for(1)[-1].sha256 == hashlib.sha256(content(SIZE_BYTES)).hexdigest()


with_handles = pytest.mark.engines("chromium", "firefox")
"""For tests that keep a handle of a file, which WebKit does not have here."""


@pytest.fixture
def visit(driver: Browser, start_server: StartServer, app: ScriptedApp) -> Iterator[Visit]:
    """A browser with one tab, which shows the page."""
    with ExitStack() as stack:
        server = start_server()
        network = stack.enter_context(Relay(server.port, SLOW_BYTES_PER_S))
        network.max_bytes = SIZE_BYTES // 4  # so it does not end while a test looks at it
        url = stack.enter_context(serve_page(PAGE.format(server=server.url, network=network.host)))
        visit = Visit(driver, url, server, network, app)
        visit.open()
        yield visit
        for tab in set(driver.window_handles) - {visit.home}:
            driver.switch_to.window(tab)
            driver.close()
        driver.switch_to.window(visit.home)
        driver.get("about:blank")


@with_handles
def test_after_a_reload_one_click_continues_an_upload_and_its_end_drops_the_handle(visit: Visit) -> None:
    visit.begin()
    assert visit.run(LISTED) == [], "it is this page's own"
    visit.open()
    assert visit.run(LISTED) == [[visit.ticket_id, True, False]]
    acked_bytes = visit.run("return incoming.unfinished()[0].bytes_acked")
    assert visit.driver.execute_async_script(CONTINUE, visit.ticket_id) == "film.bin"
    visit.wait_for("uploader.bytes_acked > 0")
    assert visit.run("return uploader.bytes_acked") >= acked_bytes > 0
    assert visit.kept() == [visit.ticket_id]
    visit.finish()
    wait_until(lambda: visit.kept() == [], "the handle is dropped")
    assert visit.run(LISTED) == []
    assert visit.run(f"return resume.recall('{visit.ticket_id}')") is None


@with_handles
def test_the_upload_of_another_tab_is_shown_as_live_with_its_progress_until_that_tab_is_closed(
    visit: Visit,
) -> None:
    visit.open_tab()
    visit.begin()
    other = visit.driver.current_window_handle
    visit.driver.switch_to.window(visit.home)
    visit.wait_for("seen.filter((uploads) => uploads.length && uploads[0].live).length >= 3")
    shown = visit.run("return seen.filter((uploads) => uploads.length).map(([upload]) => upload.bytes_acked)")
    assert shown == sorted(set(shown)), "each call tells something new"
    assert visit.run(LISTED) == [[visit.ticket_id, True, True]]
    visit.driver.switch_to.window(other)
    visit.go_home()
    visit.wait_for("seen[seen.length - 1].some((upload) => !upload.live)")
    visit.driver.execute_async_script(CONTINUE, visit.ticket_id)
    visit.finish()
    visit.wait_for("seen[seen.length - 1].length === 0")


@with_handles
def test_handles_of_uploads_that_are_not_listed_any_more_are_dropped_after_a_day(visit: Visit) -> None:
    visit.run("return make_file(9, 'small').then((handle) => resume.remember('waits', handle))")
    visit.begin()
    visit.open()
    now_ms = visit.run("return Date.now()")
    visit.kept(kept_at_ms=now_ms - 2 * DAY_MS)
    visit.run("return resume.unfinished()")
    wait_until(lambda: visit.kept() == [visit.ticket_id], "what is not on the list is dropped")
    visit.run(
        "for (const key of Object.keys(localStorage)) localStorage.setItem(key, localStorage.getItem(key)"
        '.replace(/("seen_at_ms":)\\d+/, (_, name) => name + (Date.now() - 31 * 86400e3)))'
    )
    assert visit.run(LISTED) == []
    wait_until(lambda: visit.kept() == [], "what was not used for 30 days is dropped")


@with_handles
def test_forgetting_an_upload_drops_it_from_the_list_and_its_handle(visit: Visit) -> None:
    visit.begin()
    visit.open()
    visit.wait_for("seen.some((uploads) => uploads.length === 1)")
    visit.run(f"return resume.forget('{visit.ticket_id}')")
    assert (visit.kept(), visit.run(LISTED)) == ([], [])
    visit.wait_for("seen[seen.length - 1].length === 0")


@pytest.mark.engines("chromium")  # others give no handle of what is dropped
def test_the_handle_of_a_dropped_file_is_kept_over_a_reload(visit: Visit, tmp_path: Path) -> None:
    assert isinstance(visit.driver, Chromium)
    file = tmp_path / "film.bin"
    file.write_bytes(b"film")
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    for step in ("dragEnter", "dragOver", "drop"):
        event = {"type": step, "x": 100, "y": 100, "data": data}
        visit.driver.execute_cdp_cmd("Input.dispatchDragEvent", event)
    visit.wait_for("window.dropped === 'film.bin'")
    visit.open()
    assert visit.run("return resume.recall('dropped').then((handle) => handle.name)") == "film.bin"
    permission = "return resume.recall('dropped').then((handle) => handle.queryPermission({ mode: 'read' }))"
    assert visit.run(permission) == "prompt", "so the click that continues has to ask"
    assert visit.run("return resume.recall('dropped').then(resume.reopen)") is None, "this is no click"


@pytest.mark.engines("chromium")  # whose driver grants the permission
def test_the_screen_is_kept_on_while_an_upload_is_sent_and_the_page_is_visible(visit: Visit) -> None:
    driver = visit.driver
    assert isinstance(driver, Chromium)
    wake_lock = {"permission": {"name": "screen-wake-lock"}, "setting": "granted"}
    driver.execute_cdp_cmd("Browser.setPermission", wake_lock)
    visit.run(WATCH_LOCKS)
    visit.begin()
    assert visit.run(f"return {HELD}") == 0, "only on request"
    visit.run("resume.keep_awake(uploader)")
    visit.wait_for(f"{HELD} === 1")
    driver.minimize_window()
    visit.wait_for(f"document.hidden && {HELD} === 0")
    driver.set_window_rect(0, 0, WIDE, HIGH)
    visit.wait_for(f"!document.hidden && {HELD} === 1")
    visit.run("uploader.pause()")
    visit.wait_for(f"{HELD} === 0")
    visit.run("uploader.pause('unpause')")
    visit.wait_for(f"{HELD} === 1")
    visit.finish()
    visit.wait_for(f"{HELD} === 0")


def test_where_no_handle_is_kept_the_page_asks_for_the_file_by_its_name(visit: Visit, tmp_path: Path) -> None:
    """WebKit has no handles here, Firefox none of what the user picks, Chromium's picker is taken away."""
    file = tmp_path / "film.bin"
    file.write_bytes(content(SIZE_BYTES))
    visit.run(NO_DIALOG)
    button = visit.driver.find_element(By.TAG_NAME, "button")
    visit.run(
        "showOpenFilePicker = undefined; document.querySelector('button').onclick = () => ask(arguments[0])",
        visit.ticket_id,
    )
    button.click()
    visit.driver.find_element(By.CSS_SELECTOR, "input").send_keys(str(file))
    visit.wait_for("window.uploader && uploader.bytes_acked > 0")
    assert visit.run("return picked") == ["film.bin", SIZE_BYTES, None]
    assert visit.run("return document.querySelector('input')") is None
    visit.run("resume.keep_awake(uploader)")
    visit.open()
    assert visit.run(LISTED) == [[visit.ticket_id, False, False]]
