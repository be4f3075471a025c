"""Takes the pictures of docs/gallery.md: `make gallery` runs this, and `make test` does not."""

from __future__ import annotations

import base64
import io
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

import pytest
from PIL import Image

from tests.conftest import StartServer
from tests.e2e.dropzone_page import DropzonePage
from tests.e2e.element_gallery import Gallery
from tests.e2e.element_page import ElementPage
from tests.e2e.stage import CRAWL_BYTES_PER_S, SLOW_BYTES_PER_S, Stage
from tests.e2e.test_dynamic import Page as DynamicPage
from tests.e2e.test_status import TOKEN, Clients, StatusPage
from tests.e2e.uppy_page import UppyPage
from tests.support.app import DONE, ScriptedApp
from tests.support.app import Reply as Answer
from tests.support.browser import Card
from tests.support.data import MIB
from tests.support.engines import WIDE, Chromium
from tests.support.server import ROOT
from tests.support.small_png import take
from tests.support.waiting import wait_until

ENGINES = ("chromium",)
FOLDER: Final = ROOT / "docs" / "assets" / "gallery"
BOTH: Final = ("light", "dark")
FIELD_PX: Final = 736
PAGE_PX: Final = 800
PHONE_PX: Final = 375
ONLY_THE_FIELD: Final = """
    const style = document.createElement('style');
    style.textContent = 'h1, h2 { display: none } main > div + h2 + div { margin-top: 24px }' + arguments[0];
    document.head.append(style);
"""
IS_READY: Final = """
    const uppy = document.querySelector('.uppy-Dashboard');
    return !uppy || uppy.dataset.uppyTheme === arguments[0];
"""
STAND_STILL: Final = """
    const shadows = [...document.querySelectorAll('*')].flatMap(({ shadowRoot }) => shadowRoot || []);
    for (const moving of [document, ...shadows].flatMap((root) => root.getAnimations())) {
      if (moving instanceof CSSTransition) {
        moving.finish();
      } else {
        moving.pause();
        moving.currentTime = 0;
      }
    }
"""
BOTTOM: Final = """
    const { bottom } = [...document.querySelectorAll(arguments[0])].pop().getBoundingClientRect();
    return Math.ceil(bottom + scrollY) + 16;
"""
NO_NEWS: Final = """
    Object.defineProperty(document, 'hidden', { value: true });
    document.dispatchEvent(new Event('visibilitychange'));
    document.querySelectorAll('tbody td:first-child').forEach((cell, index) => {
      const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
      for (let text = texts.nextNode(); text; text = texts.nextNode()) {
        text.data = text.data.replace(/\\b[0-9a-f]{8}\\b/, `${index + 1}f4c20a8`)
          .replace(/127[.]0[.]0[.]1:[0-9]+/, 'files.example.com');
      }
    });
"""
"""The page asks for nothing more, and the ids and addresses are the same in each run."""
TERMINAL: Final = """
    document.querySelector('h1').remove();
    document.querySelectorAll('form > button').forEach((button) => button.remove());
    const terminal = document.createElement('pre');
    terminal.style = 'margin: 16px 0 0; padding: 12px 16px; border-radius: 12px; height: 4.5em; ' +
      'font: 15px/1.5 "DejaVu Sans Mono", monospace; background: #12151b; color: #e9ecf3';
    document.querySelector('main').append(terminal);
    terminal.append('$ ');
    window.type_in = (line, after = '\\n$ ') => terminal.append(line + after);
"""
"""Below the field is what the person at the server types."""
PURPLE: Final = (
    "main > div { --incoming-accent: light-dark(rebeccapurple, #c9a7f5); --incoming-radius: 4px;"
    " --incoming-tint: light-dark(#f8f3ff, #2a2138); --incoming-line: light-dark(#dccdf0, #4a3b60);"
    " --incoming-font: Georgia, 'DejaVu Serif', serif }"
)


def take_in(
    driver: Chromium, name: str, width_px: int, schemes: tuple[str, ...] = BOTH, until: str = "main"
) -> None:
    """Takes pictures of the page as it is now, from its top to the end of the last element `until`."""
    away = {"type": "mouseMoved", "x": 0, "y": 0}  # nothing is under the mouse
    driver.execute_cdp_cmd("Input.dispatchMouseEvent", away)
    scale = 2 if width_px < PAGE_PX else 1200 / width_px
    for scheme in schemes:
        driver.look_like(scheme, width_px)
        size = {"width": width_px, "height": 1600, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)  # so high that nothing scrolls
        wait_until(partial(driver.execute_script, IS_READY, scheme), f"it is {scheme}")
        driver.execute_script(STAND_STILL)
        bottom_px: int = driver.execute_script(BOTTOM, until)
        take(driver, FOLDER / f"{name}-{scheme}.png", width_px, bottom_px, scale)
    driver.look_like("light", WIDE)


@pytest.mark.parametrize(
    ("name", "scenes", "width_px", "schemes"),
    [
        ("field-empty", ("empty, folders and camera",), FIELD_PX, BOTH),
        ("field-uploading", ("several",), FIELD_PX, BOTH),
        ("field-trouble", ("several, in trouble",), FIELD_PX, BOTH),
        ("field-failed", ("several, failed and refused",), FIELD_PX, BOTH),
        ("field-continue", ("continue",), FIELD_PX, BOTH),
        ("field-finished", ("many, finished",), FIELD_PX, BOTH),
        ("phone", ("several",), PHONE_PX, ("light",)),
    ],
)
def test_the_upload_field(
    gallery: Gallery, name: str, scenes: tuple[str, ...], width_px: int, schemes: tuple[str, ...]
) -> None:
    gallery.open(*scenes)
    gallery.driver.execute_script(ONLY_THE_FIELD, "")
    assert isinstance(gallery.driver, Chromium)
    take_in(gallery.driver, name, width_px, schemes)


def test_the_upload_field_in_other_looks(gallery: Gallery) -> None:
    assert isinstance(gallery.driver, Chromium)
    gallery.open("several", direction="rtl")
    gallery.driver.execute_script(ONLY_THE_FIELD, "")
    take_in(gallery.driver, "field-rtl", FIELD_PX, ("light",))
    gallery.open("several")
    gallery.driver.execute_script(ONLY_THE_FIELD, PURPLE)
    take_in(gallery.driver, "field-colours", FIELD_PX, ("light",))
    gallery.open("several", lang="de")
    gallery.driver.execute_script(ONLY_THE_FIELD, "")
    take_in(gallery.driver, "phone-german", PHONE_PX, ("dark",))


class MovingPicture:
    """Pictures of the page that become one."""

    def __init__(self, driver: Chromium, height_px: int) -> None:
        self.driver = driver
        self.clip = {"x": 0, "y": 0, "width": FIELD_PX, "height": height_px, "scale": 1}
        self.frames: list[Image.Image] = []
        self.durations_ms: list[int] = []

    def take(self, duration_ms: int) -> None:
        """Takes one picture. It is shown for so long."""
        options = {"format": "png", "captureBeyondViewport": True, "clip": self.clip}
        shot: str = self.driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"]
        frame = Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB")
        if self.frames and frame.tobytes() == self.frames[-1].tobytes():
            self.durations_ms[-1] += duration_ms
        else:
            self.frames.append(frame)
            self.durations_ms.append(duration_ms)

    def take_until(self, condition: Callable[[], object], what: str, beat_s: float = 0.25) -> None:
        """Takes pictures at short intervals, until the condition holds."""

        def holds() -> object:
            self.take(round(1000 * beat_s))
            time.sleep(beat_s)  # it is the beat of the moving picture, and no wait for anything
            return condition()

        wait_until(holds, what)

    def save(self, name: str) -> None:
        """Writes the moving picture, which begins again when it has ended."""
        first, *rest = self.frames
        first.save(
            FOLDER / f"{name}.webp", save_all=True, append_images=rest, duration=self.durations_ms, loop=0,
            lossless=True, method=6, minimize_size=True,
        )  # fmt: skip


def test_an_upload_survives_the_death_of_its_server(clean_driver: Chromium, dropzone: Stage) -> None:
    page = ElementPage(clean_driver, dropzone)
    clean_driver.look_like("light", FIELD_PX)
    page.js(TERMINAL)
    picture = MovingPicture(clean_driver, 272)
    path, sha256 = dropzone.file("holiday.mov", 48 * MIB)
    dropzone.network.bytes_per_s, dropzone.network.max_bytes = 8 * MIB, math.inf
    page.choose(path)
    page.wait_for("holiday.mov", "MB")
    percent = "return Number(root.querySelector('.row .bar').ariaValueNow)"
    picture.take_until(lambda: page.js(percent) >= 40, "a part is uploaded")
    page.js(f"type_in('kill -9 {dropzone.server.pid}  # the upload server')")
    dropzone.server.kill()
    picture.take_until(lambda: "Try now" in page.row("holiday.mov"), "the connection is lost")
    picture.take(2000)
    page.js("type_in('incoming', '')")
    dropzone.server.start()
    picture.take_until(lambda: "Uploaded" in page.row("holiday.mov"), "it is uploaded")
    picture.take(3000)
    assert dropzone.app.uploaded() == {"holiday.mov": sha256}
    picture.save("survives-a-kill")


def test_the_simple_example(clean_driver: Chromium, simple: Stage) -> None:
    clean_driver.get(simple.app.url)
    page = Card(clean_driver)
    simple.go_on()
    page.choose(simple.file("holiday.mov", 32 * MIB)[0])
    page.wait_for_fraction(0.5)
    page.wait_for_text("#amount", "MB/s, ")
    take_in(clean_driver, "example-simple", PAGE_PX)


def test_the_dynamic_example(clean_driver: Chromium, dynamic: Stage) -> None:
    page = DynamicPage(clean_driver, dynamic)
    (card,) = page.upload(dynamic.file("notes.txt", 5000)[0])
    card.wait_for_text(".output_state_msg", "Finished")
    dynamic.go_on()
    (card,) = page.upload(dynamic.file("holiday.mov", 32 * MIB)[0])
    card.wait_for_fraction(0.4)
    card.wait_for_text(".amount", "MB/s, ")
    take_in(clean_driver, "example-dynamic", PAGE_PX, until="article")


def test_the_dropzone(clean_driver: Chromium, dropzone: Stage) -> None:
    page = DropzonePage(clean_driver, dropzone)
    page.choose_files(dropzone.file("proposal.pdf", 4 * MIB)[0])
    page.wait_for_states("finished")
    names = ("holiday.mov", "field recording.wav", "drawings.zip", "results 2026.csv")
    files = [dropzone.file(name, (32 - n) * MIB, n)[0] for n, name in enumerate(names)]
    dropzone.network.bytes_per_s, dropzone.network.max_bytes = SLOW_BYTES_PER_S, math.inf
    page.choose_files(*files)
    for name in names[:3]:
        page.row(name).wait_for_fraction(0.2)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.row(names[1]).find(".go").click()
    page.row(names[1]).wait_for_text(".state", "Paused")
    page.wait_for_text("#numbers", "left")
    take_in(clean_driver, "example-dropzone", PAGE_PX, until="#rows")


def test_uppy(clean_driver: Chromium, uppy: Stage) -> None:
    page = UppyPage(clean_driver, uppy)
    uppy.network.bytes_per_s, uppy.network.max_bytes = 2 * MIB, math.inf
    names = ("proposal.pdf", "holiday.mov", "drawings.zip")
    page.choose(*(uppy.file(name, (8 + 8 * n) * MIB, n)[0] for n, name in enumerate(names)))
    wait_until(lambda: page.percent() >= 30, "a part is uploaded")
    take_in(clean_driver, "example-uppy", PAGE_PX, until=".uppy-Dashboard-inner")


def test_the_status_page(clean_driver: Chromium, start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(chunk_size_kib=64, backend_token=TOKEN, connection_timeout_s=60)
    answers = {"results.csv": Answer(404, "no"), "scan.tiff": Answer(503, "")}
    app.answers = [lambda delivery: answers.get(delivery.fields["filenameFromBrowser"], DONE)]
    with ExitStack() as stack:
        clients = Clients(server, app, stack, TOKEN)
        for name in ("proposal.pdf", *answers):
            clients.begin(name, 2 * MIB, 2 * MIB)
        clients.begin("drawings.zip", 40 * MIB, 18 * MIB).drop()
        client = clients.begin("holiday.mov", 64 * MIB, 8 * MIB)
        clean_driver.get(f"http://ann:{TOKEN}@127.0.0.1:{server.port}/incoming/status")
        page = StatusPage(clean_driver)
        row = page.row("holiday.mov")

        def shows_a_speed() -> bool:
            client.send_until_acked(client.acked_bytes + MIB // 2)
            time.sleep(0.1)  # the speed of a client on a usual link
            return client.acked_bytes > 24 * MIB and "B/s" in row.text("td:nth-child(4)")

        wait_until(shows_a_speed, "a speed")
        page.row("scan.tiff").wait_for_text(".state", "handed over")
        clean_driver.execute_script(NO_NEWS)
        take_in(clean_driver, "status", 960, until="tbody, #zone")
