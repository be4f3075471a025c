"""The examples for React, Vue and Svelte, built with Vite: progress, pause, and a component that is left."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest
from selenium.webdriver.common.by import By

from tests.e2e.stage import CRAWL_BYTES_PER_S, Stage
from tests.support.browser import Card, picture
from tests.support.data import MIB
from tests.support.engines import Browser, in_make_engines
from tests.support.server import ROOT
from tests.support.snippets import code_of
from tests.support.vite import ViteApp, pack_library
from tests.support.waiting import wait_until

SIZE_BYTES: Final = 12 * MIB
PAGES: Final = {"react": ("react", "uppy", "migrate"), "vue": ("vue",), "svelte": ("svelte",)}
"""The pages of the docs whose code is built with each example, besides what they quote of it."""
MODES: Final = {"react": "development", "vue": "production", "svelte": "production"}
"""React mounts each component twice in StrictMode, in its development build."""
WATCH: Final = """
    window.intervals = new Set();
    const { setInterval: begin, clearInterval: end } = window;
    window.setInterval = (...given) => { const id = begin(...given); intervals.add(id); return id; };
    window.clearInterval = (id) => { intervals.delete(id); end(id); };
"""
HELD: Final = """
    const done = arguments[0];
    navigator.locks.query().then(({ held }) => done([intervals.size, held.length]));
"""
"""How many timers run, and how many locks are held. A worker has the connections: the server knows them."""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tarball of the npm package."""
    return pack_library(tmp_path_factory.mktemp("packed"))


def add_code_of_the_docs(app: Path, pages: Iterable[str]) -> int:
    """Adds the code that pages do not quote to an app: to be built, and not to be run. Returns how much."""
    (main,) = app.glob("src/main.*")
    blocks = [block for page in pages for block in code_of(ROOT / "docs" / "how-to" / f"{page}.md")]
    own = [block for block in blocks if not block.source and block.language != "html"]
    with main.open("a") as code:
        for number, block in enumerate(own):
            name = f"documented_{number}.{block.language}"
            (main.parent / name).write_text(block.code, "utf-8")
            code.write(f'\nif (location.hash) import("./{name}");')
    return len(own)


@pytest.fixture(
    params=[pytest.param(name, marks=in_make_engines if name != "react" else ()) for name in MODES]
)
def app(request: pytest.FixtureRequest, dropzone: Stage, library: Path, tmp_path: Path) -> Iterator[ViteApp]:
    """The example for a framework, with the backend of the dropzone."""
    name: str = request.param
    folder = tmp_path / "frameworks" / name
    ignored = shutil.ignore_patterns("node_modules", "dist")
    shutil.copytree(ROOT / "examples" / "frameworks" / name, folder, ignore=ignored)
    assert add_code_of_the_docs(folder, PAGES[name]) >= 2
    built = ViteApp(folder, library)
    built.use_ports({4000: dropzone.network.port, 4003: dropzone.app.port})
    built.build(MODES[name])
    with built.served():
        yield built


def row(page: Card) -> Card:
    """Returns the row of the page's one file, as soon as it is there."""
    page.wait_for_text("li", ".mov")
    return Card(page.find("li"))


def press(page: Card, label: str) -> None:
    """Presses the button with this text."""
    page.root.find_element(By.XPATH, f"//button[.='{label}']").click()


def test_a_file_is_uploaded_paused_resumed_left_and_continued(
    clean_driver: Browser, app: ViteApp, dropzone: Stage
) -> None:
    path, sha256 = dropzone.file("holiday.mov", SIZE_BYTES)
    stage, page = dropzone, Card(clean_driver)
    name = app.folder.name
    clean_driver.get(app.url)
    clean_driver.execute_script(WATCH)
    stage.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(path)
    stage.hold_at(0.2, row(page))
    page.wait_for_text(".facts", "Uploading")
    picture(clean_driver, f"{name}-1-uploading")

    press(page, "Pause")
    page.wait_for_text(".facts", "Paused")
    stage.let_go()  # what was under way arrives
    (ticket_id,) = stage.server.journaled()
    wait_until(lambda: stage.server.journaled_state(ticket_id) == "paused", "the server has no client")
    held = stage.stored_bytes()
    picture(clean_driver, f"{name}-2-paused")
    assert 0.2 * SIZE_BYTES < stage.stored_bytes() == held < SIZE_BYTES

    stage.network.bytes_per_s = CRAWL_BYTES_PER_S
    press(page, "Resume")
    page.wait_for_text(".facts", "Uploading")
    wait_until(lambda: stage.stored_bytes() > held, "more is stored")
    assert min(clean_driver.execute_async_script(HELD)) > 0
    press(page, "Leave")
    wait_until(lambda: clean_driver.execute_async_script(HELD) == [0, 0], "nothing is left")
    stage.let_go()
    wait_until(lambda: stage.server.journaled_state(ticket_id) == "paused", "the server has no client")
    left = stage.stored_bytes()

    press(page, "Come back")
    page.choose(path)
    page.wait_for_text("[role=status]", "1 of 1 finished")
    picture(clean_driver, f"{name}-3-finished")
    assert left < SIZE_BYTES
    assert stage.app.uploaded() == {"holiday.mov": sha256}
    assert len(stage.server.journaled()) == 1, "one ticket, and one upload"
