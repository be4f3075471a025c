"""The place for dropped files on the page about migrating, in front of the README's own backend."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.conftest import StartServer
from tests.e2e.test_readme import ReadmeApp
from tests.support.engines import Browser
from tests.support.server import ROOT
from tests.support.snippets import code_of
from tests.support.waiting import wait_until

ENGINES = ("chromium",)  # which takes a drop that a script has made
DROP: Final = """
    const dropped = new DataTransfer();
    for (const name of ["report.pdf", "notes.txt"]) dropped.items.add(new File([name], name));
    const event = new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true });
    document.getElementById("drop").dispatchEvent(event);
"""


def test_a_dropped_file_arrives_and_one_of_another_type_does_not(
    start_server: StartServer, clean_driver: Browser, tmp_path: Path
) -> None:
    server = start_server()
    (html,) = [block.code for block in code_of(ROOT / "docs/how-to/migrate.md") if block.language == "html"]
    app = ReadmeApp(tmp_path / "app", server.port)
    (app.folder / "page.html").write_text(html.replace("https://HOST", server.url), "utf-8")
    with app.running():
        clean_driver.get(app.url)
        clean_driver.execute_script(DROP)
        wait_until(lambda: list(app.uploads.iterdir()), "the file is there")
        (stored,) = app.uploads.iterdir()
        assert stored.read_bytes() == b"report.pdf"
    assert len(server.journaled()) == 1
