"""Uploads in a real browser where no WebSocket opens: behind an nginx that passes no upgrade on."""

from __future__ import annotations

import hashlib
import os
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
from tests.support.engines import Browser
from tests.support.nginx import PlainNginx
from tests.support.relay import Relay
from tests.support.server import RunningServer, new_upload
from tests.support.site import serve_page
from tests.support.waiting import wait_until

SIZE_BYTES: Final = 24 * MIB
SLOW_BYTES_PER_S: Final = 4 * MIB
LARGE_BODIES: Final = "client_max_body_size 0;"
PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Upload</title><input type="file" id="file">
<script src="{server}/incoming/frontend/incoming.js"></script>
<script>
  incoming.set_server_hostname("{network}");
  window.begin = (ticket) => {{
    window.uploader = incoming.Uploader(ticket, document.getElementById("file").files[0]);
    uploader.endings = [];
    uploader.texts = [];
    uploader.onprogress = () => {{
      const {{ texts, state_msg }} = uploader;
      if (texts[texts.length - 1] !== state_msg) texts.push(state_msg);
    }};
    for (const name of ["onfinished", "oncancelled", "onerror"]) {{
      uploader[name] = () => uploader.endings.push(name);
    }}
    uploader.start();
  }};
</script>"""


@dataclass
class Visit:
    """A page, a slow network, a proxy that knows no WebSockets, the server and the app."""

    driver: Browser
    url: str
    network: Relay
    proxy: PlainNginx
    server: RunningServer
    app: ScriptedApp
    file: Path
    ticket_id: str = ""

    def open(self) -> None:
        """Opens the page, and chooses the file."""
        self.driver.get(self.url)
        self.driver.find_element(By.ID, "file").send_keys(str(self.file))

    def begin(self, ticket_id: str = "") -> None:
        """Starts an upload, with a new ticket unless one is given."""
        self.ticket_id = ticket_id or new_upload(self.server, self.app.url)
        self.run(f"begin('{self.ticket_id}')")

    def run(self, script: str) -> Any:
        """Runs a script in the page and returns what it returns."""
        return self.driver.execute_script(script)

    def get(self, name: str) -> Any:
        """Returns a property of the uploader."""
        return self.run(f"return uploader.{name}")

    def wait_for(self, condition: str, seconds: float = 20) -> None:
        """Waits for a condition, in JavaScript."""
        wait_until(lambda: self.run(f"return {condition}"), condition, seconds)

    def requests_for_websockets(self) -> int:
        """How often the proxy saw one: twice a try, because the library asks plain HTTP why it failed."""
        return (self.proxy.folder / "access.log").read_text().count("/frontend/upload_ws")

    def finish(self, deliveries: int = 1) -> None:
        """Lets it run at full speed, and looks at what arrives."""
        self.network.bytes_per_s = 0
        self.wait_for("uploader.endings.length", 60)
        assert (self.get("endings"), self.get("error_msg")) == (["onfinished"], "")
        sha256 = hashlib.sha256(self.file.read_bytes()).hexdigest()
        assert self.app.wait_for(deliveries)[-1].sha256 == sha256


@pytest.fixture
def visit(driver: Browser, start_server: StartServer, app: ScriptedApp, tmp_path: Path) -> Iterator[Visit]:
    """A browser that shows the page."""
    with ExitStack() as stack:
        server = start_server(trusted_proxies="127.0.0.0/8")
        proxy = stack.enter_context(PlainNginx(tmp_path / "nginx", server.port, LARGE_BODIES))
        network = stack.enter_context(Relay(proxy.port, SLOW_BYTES_PER_S))
        url = stack.enter_context(serve_page(PAGE.format(server=server.url, network=network.host)))
        file = tmp_path / "film.bin"
        file.write_bytes(os.urandom(SIZE_BYTES))
        visit = Visit(driver, url, network, proxy, server, app, file)
        visit.open()
        yield visit
        driver.get("about:blank")


@pytest.mark.everywhere
def test_an_upload_arrives_over_http_and_the_next_one_tries_a_websocket_first(visit: Visit) -> None:
    visit.network.bytes_per_s = 0
    visit.begin()
    visit.finish()
    arrived = "All data has arrived. Waiting for the app to accept the file."
    assert visit.get("texts") == ["Connecting.", "Uploading.", arrived, "Finished."]
    assert visit.requests_for_websockets() == 2
    visit.begin()
    visit.finish(2)
    assert visit.requests_for_websockets() == 4
