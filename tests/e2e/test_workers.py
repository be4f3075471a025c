"""Workers that a browser ends, or that never worked, in a real browser: the upload finishes all the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from selenium.webdriver.common.by import By

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.data import MIB
from tests.support.engines import Browser
from tests.support.relay import Relay
from tests.support.server import new_upload
from tests.support.site import serve_page
from tests.support.waiting import wait_until

SIZE_BYTES: Final = 24 * MIB
SLOW_BYTES_PER_S: Final = 4 * MIB
PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Upload</title><input type="file" id="file">
<script src="{server}/incoming/frontend/incoming.js"></script>
<script>
  incoming.set_server_hostname("{network}");
  const TrueWorker = Worker;
  window.made = [];
  Worker = class extends TrueWorker {{
    constructor(url) {{
      super(url);
      made.push(this);
    }}
  }};
  function begin(ticket) {{
    window.said = [];
    window.uploader = incoming.Uploader(ticket, document.getElementById("file").files[0]);
    uploader.onprogress = () => {{
      if (said.at(-1) !== uploader.state_msg) said.push(uploader.state_msg);
    }};
    uploader.start();
  }}
</script>"""
OF_SCRIPT: Final = (
    "Worker = class extends TrueWorker {{ constructor() {{ super('data:text/javascript,{}'); }} }};"
)
NO_WORKERS: Final = {
    "an object of an extension": "Worker = class {};",
    "a worker that does nothing": OF_SCRIPT.format(""),
    "a worker that is busy for ever": OF_SCRIPT.format("for (;;);"),
    "a worker that throws at its start": OF_SCRIPT.format("throw 1"),
    "a worker that throws at each message": OF_SCRIPT.format("onmessage = () => { throw 1 }"),
}


class Visit:
    """A page that uploads one file after another over a slow network."""

    def __init__(self, driver: Browser, network: Relay, file: Path) -> None:
        self._driver = driver
        self._network = network
        self._file = file

    def begin(self, ticket_id: str) -> None:
        """Chooses the file and starts the upload."""
        self._driver.find_element(By.ID, "file").send_keys(str(self._file))
        self.run(f"begin('{ticket_id}')")

    def run(self, script: str) -> object:
        """Runs a script in the page and returns what it returns."""
        return self._driver.execute_script(script)

    def wait_until_under_way(self) -> None:
        """Waits until some of it has arrived."""
        wait_until(lambda: self.run("return uploader.frac_complete > 0.1"), "some of it has arrived")

    def finish(self, app: ScriptedApp) -> None:
        """Lets it run at full speed, and looks at what arrives."""
        self._network.bytes_per_s = 0
        wait_until(lambda: self.run("return uploader.finished"), "the upload finishes")
        assert app.wait_for(1)[-1].sha256 == hashlib.sha256(self._file.read_bytes()).hexdigest()


@pytest.fixture
def visit(driver: Browser, start_server: StartServer, app: ScriptedApp, tmp_path: Path) -> Iterator[Visit]:
    """A page that is ready to upload a file."""
    with ExitStack() as stack:
        server = start_server(connection_timeout_s=120)
        network = stack.enter_context(Relay(server.port, SLOW_BYTES_PER_S))
        network.max_bytes = SIZE_BYTES // 4  # so it does not end while a test looks at it
        page = PAGE.format(server=server.url, network=network.host)
        file = tmp_path / "film.bin"
        file.write_bytes(os.urandom(SIZE_BYTES))
        driver.get(stack.enter_context(serve_page(page)))
        visit = Visit(driver, network, file)
        visit.begin(new_upload(server, app.url))
        yield visit
        driver.get("about:blank")
        driver.errors.clear()  # what the workers threw


def test_an_upload_whose_worker_the_browser_ends_resumes_with_another_one(
    visit: Visit, app: ScriptedApp
) -> None:
    visit.wait_until_under_way()
    visit.run("window.made.forEach((worker) => worker.terminate())")
    wait_until(lambda: visit.run("return window.made.length > 1"), "there is another worker")
    visit.finish(app)
    said = visit.run("return said")
    assert isinstance(said, list)
    assert "The browser stopped the background worker of this page. Trying again soon." in said


@pytest.mark.parametrize("script", NO_WORKERS.values(), ids=NO_WORKERS)
def test_where_a_page_has_no_worker_that_works_its_thread_uploads(
    driver: Browser, start_server: StartServer, app: ScriptedApp, tmp_path: Path, script: str
) -> None:
    server = start_server()
    file = tmp_path / "film.bin"
    file.write_bytes(os.urandom(MIB))
    network = Relay(server.port)
    page = PAGE.format(server=server.url, network=server.url.partition("//")[2])
    page = page.replace("function begin", script + "\n  function begin")
    with network, serve_page(page) as url:
        driver.get(url)
        visit = Visit(driver, network, file)
        visit.begin(new_upload(server, app.url))
        visit.finish(app)
        driver.get("about:blank")
        driver.errors.clear()  # what the worker threw
