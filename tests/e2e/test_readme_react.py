"""The React apps of the docs, as they stand there: built with Vite, in front of the README's own backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, cast

import pytest
from selenium.webdriver.remote.webelement import WebElement

from tests.conftest import StartServer
from tests.e2e.test_readme import ReadmeApp, the_block
from tests.support.browser import Card
from tests.support.data import FileBytes
from tests.support.engines import Browser
from tests.support.server import ROOT
from tests.support.snippets import code_of
from tests.support.vite import ViteApp, pack_library
from tests.support.waiting import wait_until

INDEX: Final = '<!DOCTYPE html><div id="root"></div><script type="module" src="/main.jsx"></script>'
MAX_LINES: Final = 15
CHOOSER: Final = """
    const { shadowRoot } = document.querySelector("incoming-upload");
    return shadowRoot && shadowRoot.querySelector("input[type=file]");
"""
ATTRIBUTES: Final = """
    const element = document.querySelector("incoming-upload");
    return [element.max_files, element.multiple, element.getAttribute("name")];
"""
VALUE: Final = "return document.querySelector('incoming-upload').value"


def test_the_react_app_has_fifteen_lines() -> None:
    lines = [line for line in the_block("jsx", "createRoot").splitlines() if line.strip()]
    assert len(lines) <= MAX_LINES


@pytest.fixture
def project(start_server: StartServer, tmp_path: Path) -> Iterator[Callable[[str, str], ViteApp]]:
    """Builds an app of a `main.jsx`, in a mode of Vite, and serves it beside the backend of the README."""
    server = start_server()
    backend = ReadmeApp(tmp_path / "backend", server.port)
    (tmp_path / "packed").mkdir()
    (tmp_path / "react").mkdir()
    app = ViteApp(tmp_path / "react", pack_library(tmp_path / "packed"))
    with ExitStack() as stack:

        def built(main: str, mode: str) -> ViteApp:
            files = {"main.jsx": main, "vite.config.js": the_block("js", "proxy"), "index.html": INDEX}
            for name, code in files.items():
                (app.folder / name).write_text(code, "utf-8")
            app.use_ports({4000: server.port, 8080: backend.port})
            app.build(mode)
            stack.enter_context(backend.running())
            stack.enter_context(app.served())
            return app

        yield built


def test_the_react_app_of_the_readme_uploads_files_into_the_app_of_the_readme(
    project: Callable[[str, str], ViteApp], clean_driver: Browser, tmp_path: Path
) -> None:
    page = project(the_block("jsx", "createRoot"), "production")
    chosen = [tmp_path / "holiday.mov", tmp_path / "notes.txt"]
    contents = [FileBytes(1_000_000 + number, number).read(0, 1_000_000) for number in range(len(chosen))]
    for path, content in zip(chosen, contents, strict=True):
        path.write_bytes(content)
    clean_driver.get(page.url)
    shown = Card(clean_driver)
    shown.choose(*chosen)
    for number, path in enumerate(chosen, 1):
        shown.wait_for_text(f"li:nth-child({number})", f"{path.name} Finished.")
    stored = [path.read_bytes() for path in (tmp_path / "backend" / "uploads").iterdir()]
    assert sorted(stored) == sorted(contents)


def test_the_component_is_the_web_component_with_props_of_react(
    project: Callable[[str, str], ViteApp], clean_driver: Browser, tmp_path: Path
) -> None:
    blocks = code_of(ROOT / "docs" / "how-to" / "react.md")
    (main,) = [block.code for block in blocks if "createRoot" in block.code and not block.source]
    page = project(main, "development")
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    clean_driver.get(page.url)
    wait_until(lambda: clean_driver.execute_script(CHOOSER), "the element is defined")
    chooser = cast(WebElement, clean_driver.execute_script(CHOOSER))
    assert clean_driver.execute_script(ATTRIBUTES) == ["5", True, "photos"]
    chooser.send_keys(str(tmp_path / "photo.jpg"))
    Card(clean_driver).wait_for_text("output", "1 photos")
    (stored,) = (tmp_path / "backend" / "uploads").iterdir()
    assert stored.read_bytes() == b"a photo"
    assert clean_driver.execute_script(VALUE) == [stored.name]
