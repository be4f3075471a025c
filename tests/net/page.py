"""A page with the real library in a real Chromium at one end of the link, and its web server at the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from selenium.webdriver.common.by import By

from tests.net.bare import Transfer
from tests.net.network import SERVER_ADDRESS, Network
from tests.support.engines import Browser
from tests.support.site import serve_page
from tests.support.waiting import wait_until

HTML: Final = """<!doctype html><meta charset="utf-8"><title>An upload</title><input type="file" id="file">
<script src="http://{host}/incoming/frontend/incoming.js"></script>
<script>
  incoming.set_server_hostname("{host}");
  const now_s = () => performance.now() / 1000;
  function upload(ticket, set) {{
    window.points = [];
    window.events = {{}};
    window.uploader = Object.assign(incoming.Uploader(ticket, document.getElementById("file").files[0]), set);
    const begun_s = now_s();
    const note = () => points.push([now_s() - begun_s, uploader.bytes_acked, uploader.bytes_ahead,
                                    uploader.bytes_per_s ?? null, uploader.connected]);
    clearInterval(window.noting);
    window.noting = setInterval(note, 50);
    window.ended = () => ["onfinished", "oncancelled", "onerror"].some((ending) => ending in events);
    window.mark = (name) => {{ events[name] ??= now_s() - begun_s; }};
    uploader.onprogress = () => {{
      note();
      if (uploader.cancelled) mark("cancelled");
      if (!uploader.connected) mark("disconnected");
    }};
    for (const ending of ["onfinished", "oncancelled", "onerror"]) {{
      uploader[ending] = () => {{ clearInterval(noting); mark(ending); }};
    }}
    uploader.start();
  }}
</script>"""


@contextlib.contextmanager
def site(network: Network, server_port: int) -> Iterator[str]:
    """Serves the page at the server's end; yields its address."""
    html = HTML.format(host=f"{SERVER_ADDRESS}:{server_port}")
    with network.server.inside(), serve_page(html, SERVER_ADDRESS) as url:
        yield url


@dataclass(frozen=True)
class Point:
    """What the page saw of its upload at a time (s after its start)."""

    at_s: float
    bytes_acked: int
    bytes_ahead: int
    bytes_per_s: float | None
    connected: bool


class Page:
    """One upload at a time, and how it went."""

    def __init__(self, driver: Browser, url: str) -> None:
        self.driver = driver
        self.url = url

    def upload(self, file: Path, ticket_id: str, **properties: object) -> None:
        """Opens the page afresh, picks the file, and starts its upload with these properties set."""
        self.driver.get(self.url)
        self.driver.find_element(By.ID, "file").send_keys(str(file))
        self.driver.execute_script("upload(arguments[0], arguments[1])", ticket_id, properties)

    def do(self, script: str) -> Any:
        """Runs a script with the uploader in `uploader` and returns what it returns."""
        return self.driver.execute_script(script)

    def wait_for(self, condition: str, deadline_s: float = 30.0) -> None:
        """Waits until a JavaScript expression about `uploader` is true."""
        wait_until(lambda: self.do(f"return {condition}"), condition, deadline_s)

    def wait_until_s(self, at_s: float) -> None:
        """Waits until the upload has been under way for so long. AssertionError if it ends before."""
        self.wait_for(f"points.at(-1)?.[0] > {at_s} || ended()", at_s + 30)
        assert not self.do("return ended()"), self.do(
            "return [events, uploader.error_msg, uploader.state_msg]"
        )

    def points(self) -> list[Point]:
        """Returns the upload's history so far: 20 times a second and at each change."""
        return [Point(*point) for point in self.do("return points")]

    def transfer(self) -> Transfer:
        """Returns what was acknowledged when."""
        return Transfer([(point.at_s, point.bytes_acked) for point in self.points()])

    def event(self, name: str, deadline_s: float = 30.0) -> float:
        """Waits for an event of the upload and returns when it was (s after its start)."""
        self.wait_for(f"events.{name} !== undefined", deadline_s)
        at_s: float = self.do(f"return events.{name}")
        return at_s
