"""tus-js-client and Uppy's plugin Tus in Chromium, on a page whose origin is not that of the server."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from selenium.webdriver.common.by import By

from tests.clients.conftest import DEADLINE_S, DiskFile, Issued
from tests.clients.node_upload import PATIENT, Seen
from tests.support.engines import Browser
from tests.support.ports import free_port
from tests.support.server import ROOT
from tests.support.waiting import wait_until

CLIENTS: Final = ("tus-js-client", "Uppy")
PAGE: Final = (
    "<!doctype html><meta charset=utf-8><title>Clients</title><link rel=icon href='data:,'>"
    "<input type=file multiple><script type=module src=page.js></script>"
)


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Says nothing."""


@contextmanager
def page_served(folder: Path) -> Iterator[str]:
    """Bundles the page into a folder, as an app's developer would, and serves it. Yields its address."""
    script = Path(__file__).with_suffix(".mjs")
    esbuild = ROOT / "node_modules" / ".bin" / "esbuild"
    command = [str(esbuild), str(script), "--bundle", "--format=esm", f"--outfile={folder}/page.js"]
    subprocess.run([*command, "--log-level=error"], check=True, cwd=ROOT)
    (folder / "index.html").write_text(PAGE)
    http = ThreadingHTTPServer(("127.0.0.1", free_port()), partial(_Silent, directory=str(folder)))
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://localhost:{http.server_port}/"
    finally:
        http.shutdown()
        http.server_close()


class BrowserUpload:
    """A client in the page, and what it has told so far. `load` it, then `begin`."""

    def __init__(self, driver: Browser, address: str, client: str) -> None:
        self.driver = driver
        self.client = client
        self._address = address
        self.load()
        driver.execute_script("localStorage.clear()")

    def load(self) -> None:
        """Loads the page, whatever it was doing."""
        self.driver.get(self._address)
        wait_until(lambda: self.driver.execute_script("return Boolean(window.begin)"), "the page is ready")

    def begin(self, *uploads: tuple[DiskFile, Issued], **options: Any) -> None:
        """Uploads each file with its ticket."""
        chooser = self.driver.find_element(By.CSS_SELECTOR, "input")
        chooser.send_keys("\n".join(str(file.path) for file, _ in uploads))
        endpoints = [ticket.url for _, ticket in uploads]
        self.driver.execute_script(
            "begin(...arguments)", self.client, endpoints, {"retryDelays": PATIENT, **options}
        )

    @property
    def seen(self) -> list[Seen]:
        """What it told."""
        seen: list[Seen] = self.driver.execute_script("return window.seen")
        return seen

    def events(self, name: str) -> list[Seen]:
        """Returns what it told of this kind."""
        return [one for one in self.seen if one["event"] == name]

    def end(self, count: int = 1) -> list[str]:
        """Waits until so many uploads have ended, and returns the last word about each."""

        def words() -> list[str]:
            return [one["event"] for one in self.seen if one["event"] in ("success", "error")]

        try:
            wait_until(lambda: len(words()) >= count, f"the end of {count} uploads", DEADLINE_S)
        except AssertionError as exc:
            raise AssertionError(f"{exc}; it saw {self.seen}") from None
        return words()

    def call(self, function: str) -> None:
        """Calls `pause` or `resume` of the page."""
        self.driver.execute_script(f"window.{function}()")
