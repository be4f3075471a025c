"""A page with every state of <incoming-upload>, drawn from plain values: nothing is uploaded."""

from __future__ import annotations

import base64
import contextlib
import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import quote

from tests.support.engines import WIDE, Browser, Chromium, Firefox
from tests.support.server import ROOT
from tests.support.waiting import wait_until

PICTURES: Final = ROOT / "tests" / "artifacts"
WIDTHS_PX: Final = (1280, 375)


class _Files(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Says nothing."""


class Gallery:
    """The page in a browser."""

    def __init__(self, driver: Browser, port: int) -> None:
        self.driver = driver
        self.url = f"http://127.0.0.1:{port}/tests/element/gallery.html"

    def open(self, *scenes: str, direction: str = "ltr", lang: str = "en") -> None:
        """Shows these scenes, or all."""
        self.driver.get(f"{self.url}?show={quote('|'.join(scenes))}&dir={direction}&lang={lang}")
        wait_until(lambda: self.driver.execute_script("return document.body.dataset.ready"), "all is drawn")

    def names(self) -> list[str]:
        """Returns the names of the scenes on the page."""
        names: list[str] = self.driver.execute_script(
            "return [...document.querySelectorAll('h2')].map((each) => each.textContent)"
        )
        return names

    def picture(self, name: str) -> None:
        """Keeps a picture of the whole page in tests/artifacts. WebKit's driver gives what is in sight."""
        folder = PICTURES / self.driver.engine / "element"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        if isinstance(self.driver, Chromium):
            shot = {"format": "png", "captureBeyondViewport": True}
            path.write_bytes(
                base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", shot)["data"])
            )
        elif isinstance(self.driver, Firefox):
            self.driver.get_full_page_screenshot_as_file(str(path))
        else:
            self.driver.get_screenshot_as_file(str(path))

    def pictures(self, name: str) -> None:
        """Keeps pictures in both themes, as wide as a computer and as a phone."""
        for scheme in ("light", "dark"):
            for width_px in WIDTHS_PX:
                self.driver.look_like(scheme, width_px)
                self.picture(f"{name}-{scheme}-{width_px}")
        self.driver.look_like("light", WIDE)

    def overflows(self) -> list[str]:
        """Returns what is wider than the page, or cut off, at its present width."""
        script = """
            const all = [...document.querySelectorAll('main > div')];
            const root_of = ({ shadowRoot }) => shadowRoot.querySelector('.root');
            const wide = all.filter((each) => root_of(each).scrollWidth > each.clientWidth)
              .map((each) => each.previousSibling.textContent);
            const narrow = 'button, .dropzone .text';
            const cut = all.flatMap((each) => [...each.shadowRoot.querySelectorAll(narrow)])
              .filter((each) => each.scrollWidth > each.clientWidth + 1 && each.checkVisibility())
              .map((each) => each.innerText);
            return document.documentElement.scrollWidth > innerWidth ? ['the page'] : [...wide, ...cut];
        """
        found: list[str] = self.driver.execute_script(script)
        return found

    def crooked(self) -> list[str]:
        """Returns icons that are not square, rows that overlap, and words that touch a bar."""
        script = """
            const crooked = [];
            for (const { shadowRoot, previousSibling } of document.querySelectorAll('main > div')) {
              const all = (what, where = shadowRoot) => (
                [...where.querySelectorAll(what)].filter((each) => each.checkVisibility()));
              const box = (each) => each.getBoundingClientRect();
              const note = (what) => crooked.push(`${previousSibling.textContent}: ${what}`);
              for (const { width, height } of all('svg').map(box)) {
                if (Math.abs(width - height) > 1) note(`an icon of ${width} by ${height}`);
              }
              all('.list').forEach((list) => all('.row', list).map(box).reduce((above, row) => {
                if (row.top < above.bottom - 1) note('a row over the one above it');
                return row;
              }));
              for (const bar of all('.row > .bar')) {
                const facts = bar.parentElement.querySelector('.facts');
                if (box(bar).top < box(facts).bottom + 3) note('words at a bar');
              }
            }
            return crooked;
        """
        found: list[str] = self.driver.execute_script(script)
        return found


@contextlib.contextmanager
def running_gallery(driver: Browser) -> Iterator[Gallery]:
    """Serves the page from the tree."""
    handler = functools.partial(_Files, directory=str(ROOT))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Gallery(driver, server.server_port)
        finally:
            driver.look_like("light", WIDE)
            server.shutdown()
