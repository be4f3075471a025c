"""A page whose network has as many connections as it may: it waits, says why, and goes on in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.data import FileBytes
from tests.support.outside import PublicServer, own_address
from tests.support.relay import Relay
from tests.support.server import RunningServer, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until

PLACES: Final = 3
CONTENT: Final = b"a small file"
PAGE: Final = """<!doctype html><meta charset="utf-8"><input type="file" id="file">
<script src="{server}/incoming/frontend/incoming.js"></script>
<script>
  incoming.set_server_hostname("{host}");
  Math.random = () => 0.5;  // pauses of 1, 2, 4, ... s
  const {{ now }} = Date;
  let this_ms = 0;
  Date.now = () => {{  // stands still within a task: what it takes on a busy machine is no pause
    if (!this_ms) queueMicrotask(() => {{ this_ms = 0; }});
    return this_ms ||= now();
  }};
  window.seen = [];
  function begin(ticket) {{
    window.uploader = incoming.Uploader(ticket, document.getElementById("file").files[0]);
    uploader.onprogress = () => {{
      const {{ state_msg, next_retry_at }} = uploader;
      if (next_retry_at && (!seen.length || seen.at(-1).next_retry_at !== next_retry_at)) {{
        seen.push({{ next_retry_at, pause_ms: next_retry_at - Date.now(), state_msg }});
      }}
    }};
    uploader.start();
  }}
</script>"""


class Visit:
    """A page that is turned away."""

    def __init__(self, driver: webdriver.Chrome, folder: Path, server: RunningServer, host: str) -> None:
        self._driver = driver
        page, file = folder / "page.html", folder / "note.txt"
        page.write_text(PAGE.format(server=server.url, host=host), "utf-8")
        file.write_bytes(CONTENT)
        driver.get(page.as_uri())
        driver.find_element(By.ID, "file").send_keys(str(file))

    def begin(self, ticket_id: str) -> None:
        """Starts the upload."""
        self._driver.execute_script("begin(arguments[0])", ticket_id)

    def get(self, what: str) -> Any:
        """Returns what a script says."""
        return self._driver.execute_script(f"return {what}")

    def waits_longer_each_time(self, tries: int) -> None:
        """Waits for so many tries, and looks at the pauses after them."""
        wait_until(lambda: self.get("seen.length") >= tries, "it has tried so often")
        for number, seen in enumerate(self.get("seen")[:tries]):
            assert seen["pause_ms"] == 1000 * 2**number, seen
        assert self.get("[uploader.error_msg, uploader.retrying, uploader.can_cancel]") == ["", True, True]


@contextmanager
def places_taken(server: RunningServer, app: ScriptedApp, url: str) -> Iterator[None]:
    """Within it all connections that one address may have are there."""
    with ExitStack() as stack:
        for _ in range(PLACES):
            client = ClientV2(url, new_upload(server, app.url), FileBytes(1000)).connect()
            stack.callback(client.drop)
            client.request()
        yield


def test_behind_a_proxy_the_page_shows_the_words_of_the_server_and_continues_when_there_is_room(
    driver: webdriver.Chrome, start_server: StartServer, app: ScriptedApp, tmp_path: Path
) -> None:
    server = start_server(
        trusted_proxies="127.0.0.0/8", max_connections_per_source=PLACES, connection_timeout_s=600
    )
    with Relay(server.port, source="203.0.113.5") as proxy:
        visit = Visit(driver, tmp_path, server, proxy.host)
        with places_taken(server, app, f"http://{proxy.host}"):
            visit.begin(new_upload(server, app.url))
            visit.waits_longer_each_time(2)
            words = "Too many connections from this address: the limit is 3."
            assert visit.get("seen[1].state_msg") == f"{words} Trying again soon."
        wait_until(lambda: visit.get("uploader.finished"), "the upload")
        driver.get("about:blank")
    assert app.wait_for(1)[0].size_bytes == len(CONTENT)
    tally("attack", "a page beyond the connections of its address", 1, "waits, says why, and resumes")


def test_without_a_proxy_the_page_finds_out_why_no_connection_opens_and_continues_when_there_is_room(
    driver: webdriver.Chrome, app: ScriptedApp, tmp_path: Path
) -> None:
    host = own_address()
    with PublicServer(
        tmp_path / "storage", max_connections_per_source=PLACES, connection_timeout_s=600
    ) as server:
        visit = Visit(driver, tmp_path, server, f"{host}:{server.port}")
        with places_taken(server, app, f"http://{host}:{server.port}"):
            visit.begin(new_upload(server, app.url))
            visit.waits_longer_each_time(3)
            words = "Your network has too many connections to the upload server at the moment."
            wait_until(lambda: words in visit.get("uploader.state_msg"), "it says why")
        visit.get("dispatchEvent(new Event('online'))")  # a pause of 4 s is enough to know
        wait_until(lambda: visit.get("uploader.finished"), "the upload")
        driver.get("about:blank")
    assert app.wait_for(1)[0].size_bytes == len(CONTENT)
