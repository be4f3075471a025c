"""Pages behind a real nginx, in Chromium over https: a site, a path prefix, restarts, a wrong set-up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
import requests

from tests.e2e.stage import RunningExample
from tests.support.app import ScriptedApp
from tests.support.browser import Card
from tests.support.data import MIB, FileBytes
from tests.support.engines import Chromium
from tests.support.forked import Launcher
from tests.support.nginx import Nginx
from tests.support.server import RunningServer, new_upload
from tests.support.site import serve_page
from tests.support.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
LENGTH_BYTES: Final = 24 * MIB
SLOW_BYTES_PER_S: Final = 2 * MIB
PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Upload</title><input type="file" id="file">
<script>
  const place = location.hash.slice(1);
  document.write(`<script src="${place}/incoming/frontend/incoming.js"></` + "script>");
</script>
<script>
  window.begin = (ticket, bytes_per_s) => {
    window.seen = [];
    window.uploader = incoming.Uploader(ticket, document.getElementById("file").files[0]);
    uploader.max_bytes_per_s = bytes_per_s;
    for (const name of ["onfinished", "oncancelled", "onerror"]) uploader[name] = () => { seen.push(name); };
    uploader.onprogress = ({ state_msg }) => {
      if (seen[seen.length - 1] !== state_msg) seen.push(state_msg);
    };
    uploader.start();
  };
</script>"""


@pytest.fixture(scope="module")
def app_port() -> Iterator[int]:
    """The port of an app with one page; its hash is what comes before the library's path."""
    with serve_page(PAGE) as url:
        yield urlsplit(url).port or 0


@dataclass
class Site:
    """All that an upload needs; nginx is for the test to start, and may be changed before that."""

    driver: Chromium
    server: RunningServer
    app: ScriptedApp
    nginx: Nginx
    file: Path
    sha256: str
    bytes_per_s: int = 0
    hostname: str = ""
    """What the page calls set_server_hostname with, if anything."""
    transport: str = ""
    """What the page sets as incoming.transport, if anything."""

    def upload(self, url: str) -> None:
        """Begins an upload in a page at this address."""
        self.driver.get("about:blank")  # else a new hash alone loads nothing
        self.driver.get(url)
        if self.hostname:
            self.driver.execute_script("incoming.set_server_hostname(arguments[0])", self.hostname)
        if self.transport:
            self.driver.execute_script("incoming.transport = arguments[0]", self.transport)
        Card(self.driver).choose(self.file)
        ticket = new_upload(self.server, self.app.url)
        self.driver.execute_script("begin(...arguments)", ticket, self.bytes_per_s)

    def acked_bytes(self) -> int:
        acked: int = self.driver.execute_script("return uploader.bytes_acked")
        return acked

    def seen(self) -> list[str]:
        """Returns the texts and ends so far."""
        seen: list[str] = self.driver.execute_script("return seen")
        return seen

    def wait_for(self, text: str) -> None:
        """Waits until the page has seen a text, or an end."""
        wait_until(lambda: any(text in line for line in self.seen()), text, 60.0)

    def has_arrived(self) -> bool:
        """Waits for the end; returns whether the app has the file then, without an error on the way."""
        self.wait_for("onfinished")
        return "onerror" not in self.seen() and self.app.wait_for(1)[0].sha256 == self.sha256


def write_file(folder: Path) -> tuple[Path, str]:
    """Returns a file to upload, and its SHA-256."""
    content = FileBytes(LENGTH_BYTES, 4711)
    path = folder / "holiday.mov"
    with path.open("wb") as target:
        target.writelines(content.blocks())
    return path, content.sha256


@pytest.fixture
def site(driver: Chromium, app: ScriptedApp, app_port: int, tmp_path: Path) -> Iterator[Site]:
    path, sha256 = write_file(tmp_path)
    with RunningServer(tmp_path / "storage") as server:
        yield Site(driver, server, app, Nginx(tmp_path / "nginx", server.port, app_port), path, sha256)
        driver.get("about:blank")


def test_a_whole_site_on_one_host_takes_an_upload_over_https(
    driver: Chromium, launcher: Launcher, tmp_path: Path
) -> None:
    path, sha256 = write_file(tmp_path)
    with ExitStack() as stack:
        server = stack.enter_context(RunningServer(tmp_path / "storage"))
        host = f"127.0.0.1:{server.port}"
        app = RunningExample(launcher, "1-simple", tmp_path, internal_incoming_host=host)
        nginx = Nginx(tmp_path / "nginx", server.port, app.port)
        app.options |= {"public_incoming_host": nginx.host, "internal_app_host": f"127.0.0.1:{app.port}"}
        stack.callback(app.stop)
        app.start()
        stack.enter_context(nginx)
        driver.get(nginx.url)
        Card(driver).choose(path)
        Card(driver).wait_for_text("#output_finished", "Finished")
        assert app.uploaded() == {"holiday.mov": sha256}


def test_below_a_path_the_library_finds_the_server_by_itself(site: Site) -> None:
    site.nginx.use_prefix()
    with site.nginx as nginx:
        site.upload(f"{nginx.url}/#/uploads")
        assert site.has_arrived()
        for closed in ("backend/uploads", "status", "metrics"):
            answer = requests.get(f"{nginx.url}/uploads/incoming/{closed}", verify=False, timeout=60)
            assert answer.text == PAGE, "it is the app's"


def test_a_page_of_another_host_says_the_path(site: Site) -> None:
    site.nginx.use_prefix()
    with site.nginx as nginx:
        site.hostname = f"{nginx.host}/uploads"
        site.upload(f"https://127.0.0.1:{nginx.port}/#//{site.hostname}")
        assert site.has_arrived()


def test_neither_a_reload_of_nginx_nor_a_restart_of_the_server_behind_it_is_an_error_in_the_page(
    site: Site,
) -> None:
    site.bytes_per_s = SLOW_BYTES_PER_S
    with site.nginx as nginx:
        site.upload(nginx.url)
        wait_until(lambda: site.acked_bytes() > MIB, "some bytes")
        nginx.reload()
        at_reload = site.acked_bytes()
        wait_until(lambda: site.acked_bytes() > at_reload + MIB, "more bytes")
        assert not any("onnection" in line for line in site.seen()), site.seen()
        site.server.kill()
        library = f"{nginx.url}/incoming/frontend/incoming.js"
        assert requests.get(library, verify=False, timeout=60).status_code == 502
        site.wait_for("The connection was lost.")
        site.wait_for("No connection to the server.")
        site.server.start()
        site.driver.execute_script("uploader.max_bytes_per_s = 0")
        assert site.has_arrived()


def test_the_page_says_that_a_proxy_does_not_pass_websockets_on_and_continues_once_it_does(
    site: Site,
) -> None:
    right = site.nginx.site
    site.transport = "websocket"
    site.nginx.change(r" *(proxy_http_version|proxy_set_header (Upgrade|Connection)) [^;]*;\n", "")
    with site.nginx as nginx:
        site.upload(nginx.url)
        site.wait_for("A proxy between you and the upload server blocks WebSockets. Trying again soon.")
        assert "drops Upgrade" in site.server.log_text()
        nginx.site = right
        nginx.reload()
        assert site.has_arrived()


def test_a_page_of_another_origin_may_ask_why(site: Site) -> None:
    site.transport = "websocket"
    site.nginx.change(r" *proxy_set_header Upgrade [^;]*;\n", "")
    with site.nginx as nginx:
        site.hostname = nginx.host
        site.upload(f"https://127.0.0.1:{nginx.port}/")
        site.wait_for("A proxy between you and the upload server blocks WebSockets.")


def test_a_server_that_is_down_behind_its_proxy_is_told_by_the_status(site: Site) -> None:
    with site.nginx as nginx:
        ticket = new_upload(site.server, site.app.url)
        site.driver.get(nginx.url)
        site.server.kill()
        Card(site.driver).choose(site.file)
        site.driver.execute_script("begin(arguments[0], 0)", ticket)
        site.wait_for("The address of the upload server answered with HTTP status 502.")
        site.server.start()
        assert site.has_arrived()
