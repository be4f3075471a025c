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
from tests.support.app import WAIT, Reply, ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.engines import Browser
from tests.support.nginx import PlainNginx
from tests.support.relay import Relay
from tests.support.server import RunningServer, finish_upload, new_upload
from tests.support.site import serve_page
from tests.support.waiting import DEADLINE_S, wait_until

SIZE_BYTES: Final = 24 * MIB
SLOW_BYTES_PER_S: Final = 4 * MIB
LARGE_BODIES: Final = "client_max_body_size 0;"
TAKEN_OVER_AT_LEAST_MS: Final = 5000
MAX_REFUSALS: Final = 10
"""A page may only see that its connection was lost, and concludes nothing from the first time. Chunks of
256 KiB may meet the limit twice, then those of 128 KiB, and again when the page tries more. That makes five
times two chunks."""
MANY: Final = 10
SMALL_BYTES: Final = 300_000
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

    def wait_for(self, condition: str, seconds: float = DEADLINE_S) -> None:
        """Waits for a condition, in JavaScript."""
        wait_until(lambda: self.run(f"return {condition}"), condition, seconds)

    def requests_for_websockets(self) -> int:
        """How often the proxy saw one: twice a try, because the library asks plain HTTP why it failed."""
        return (self.proxy.folder / "access.log").read_text().count("/frontend/upload_ws")

    def finish(self, deliveries: int = 1) -> None:
        """Lets it run at full speed, and looks at what arrives."""
        self.network.bytes_per_s = 0
        self.wait_for("uploader.endings.length")
        assert (self.get("endings"), self.get("error_msg")) == (["onfinished"], "")
        sha256 = hashlib.sha256(self.file.read_bytes()).hexdigest()
        assert self.app.wait_for(deliveries)[-1].sha256 == sha256


@pytest.fixture
def visit(driver: Browser, start_server: StartServer, app: ScriptedApp, tmp_path: Path) -> Iterator[Visit]:
    """A browser that shows the page."""
    with ExitStack() as stack:
        server = start_server(trusted_proxies="127.0.0.0/8", connection_timeout_s=120)
        proxy = stack.enter_context(PlainNginx(tmp_path / "nginx", server.port, LARGE_BODIES))
        network = stack.enter_context(Relay(proxy.port, SLOW_BYTES_PER_S))
        network.max_bytes = SIZE_BYTES // 8  # so it does not end while a test looks at it
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


def test_a_cut_in_the_middle_resumes_over_http_at_the_stored_byte(visit: Visit) -> None:
    visit.begin()
    visit.wait_for("uploader.frac_complete > 0.1")
    visit.network.stop()  # after a mere cut Chromium sends a request once more by itself
    visit.wait_for("uploader.retrying")
    acked_bytes = visit.get("bytes_acked")
    visit.network.start()
    visit.wait_for("uploader.connected && !uploader.retrying")
    assert visit.get("bytes_acked") >= acked_bytes > 0
    visit.finish()
    assert visit.requests_for_websockets() == 2, "it knows the way"


def test_a_server_that_was_killed_loses_no_acknowledged_byte(visit: Visit) -> None:
    visit.begin()
    visit.wait_for("uploader.frac_complete > 0.1")
    visit.server.kill()
    visit.wait_for("uploader.retrying")
    acked_bytes = visit.get("bytes_acked")
    visit.server.start()
    visit.run("dispatchEvent(new Event('online'))")  # no need to wait for the next try
    visit.wait_for("uploader.connected && !uploader.retrying")
    assert visit.get("bytes_acked") >= acked_bytes > 0
    visit.finish()


def test_an_upload_over_http_pauses_resumes_and_is_cancelled(visit: Visit) -> None:
    visit.begin()
    visit.wait_for("uploader.frac_complete > 0.1")
    visit.run("uploader.pause()")
    assert visit.run("return [uploader.paused, uploader.connected]") == [True, False]
    acked_bytes = visit.get("bytes_acked")
    visit.run("uploader.pause('unpause')")
    visit.wait_for(f"uploader.bytes_acked > {acked_bytes}")
    visit.run("uploader.cancel('I have changed my mind ü.')")
    visit.wait_for("uploader.cancelled")
    assert visit.get("endings") == ["oncancelled"]
    fields = visit.app.wait_for(1)[0].fields
    assert (fields["cancelled"], fields["cancelReason"]) == ("yes", "I have changed my mind ü.")


@pytest.mark.parametrize("answer", ["405", "403", "501", "444"], ids=lambda answer: answer)
def test_an_upload_is_cancelled_through_a_proxy_that_blocks_delete(visit: Visit, answer: str) -> None:
    visit.proxy.say(f"{LARGE_BODIES} if ($request_method = DELETE) {{ return {answer}; }}")  # 444: it closes
    visit.proxy.reload()
    visit.begin()
    visit.wait_for("uploader.frac_complete > 0.1")
    visit.run("uploader.cancel()")
    visit.wait_for("uploader.cancelled")
    assert visit.app.wait_for(1)[0].fields["cancelled"] == "yes"


def test_the_refusal_of_an_app_is_told_over_http(visit: Visit) -> None:
    visit.app.answers = [Reply(400, "no")]
    visit.network.bytes_per_s = 0
    visit.begin()
    visit.wait_for("uploader.endings.length")
    assert visit.run("return [uploader.endings[0], uploader.error_code]") == ["onerror", 32]
    assert "app" in visit.get("error_msg")


def test_finished_means_over_http_too_that_the_app_has_the_file(visit: Visit) -> None:
    visit.app.stop()
    visit.network.bytes_per_s = 0
    visit.begin()
    visit.wait_for("uploader.state_msg.includes('The server is trying again')")
    assert visit.run("return [uploader.frac_complete, uploader.finished]") == [1, False]
    visit.app.start()
    visit.finish()


def test_a_newer_session_takes_the_upload_over(visit: Visit) -> None:
    visit.begin()
    visit.wait_for("uploader.frac_complete > 0.1")
    other = ClientV2(visit.server.url, visit.ticket_id, FileBytes(SIZE_BYTES)).connect()
    other.send_message("MsgUploadReq", Version=2, Id=visit.ticket_id, LengthBytes=SIZE_BYTES)
    visit.wait_for("uploader.state_msg.startsWith('The upload continues in another window')")
    other.drop()
    assert visit.get("next_retry_at") - visit.run("return Date.now()") > TAKEN_OVER_AT_LEAST_MS
    visit.run("dispatchEvent(new Event('online'))")
    visit.finish()


def test_a_proxy_that_allows_only_small_requests_gets_small_ones(visit: Visit) -> None:
    visit.proxy.say("client_max_body_size 100k;")
    visit.proxy.reload()
    visit.network.bytes_per_s = 0
    visit.begin()
    visit.finish()
    log = (visit.proxy.folder / "access.log").read_text()
    assert '" 413 ' in log, "the limit was met"
    assert log.count('" 413 ') <= MAX_REFUSALS


def test_a_second_tab_follows_and_takes_over_an_upload_over_http(visit: Visit) -> None:
    home = visit.driver.current_window_handle
    visit.begin()
    visit.wait_for("uploader.frac_complete > 0.1")
    visit.driver.switch_to.new_window("tab")
    other = visit.driver.current_window_handle
    visit.open()
    visit.begin(visit.ticket_id)
    visit.wait_for("uploader.frac_complete > 0.1")
    visit.driver.switch_to.window(home)
    visit.driver.close()
    visit.driver.switch_to.window(other)
    visit.finish()


def test_many_uploads_at_once_share_the_connections_of_a_browser(visit: Visit) -> None:
    visit.app.answers = [WAIT]  # the app takes its time with all of them
    visit.network.bytes_per_s = 0
    tickets = [new_upload(visit.server, visit.app.url) for _ in range(MANY)]
    visit.run(f"""
        window.many = {tickets}.map((ticket) => {{
          return incoming.Uploader(ticket, new Blob([new Uint8Array({SMALL_BYTES}), ticket])).start();
        }});
    """)
    visit.wait_for(f"many.every((one) => one.bytes_acked === {SMALL_BYTES} + 36)")
    for delivery in visit.app.wait_for(MANY):
        finish_upload(visit.server, delivery.id)
    visit.wait_for("many.every((one) => one.finished)")
