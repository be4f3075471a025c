"""Folders in <incoming-upload>: each is one upload."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.e2e.element_page import ElementPage
from tests.e2e.stage import CRAWL_BYTES_PER_S, Stage
from tests.e2e.test_dropzone_drop import make_folder
from tests.support.data import MIB
from tests.support.engines import Browser

DIALOG: Final = """
    const looks = { type: 'file', multiple: true, id: 'dialog' };
    const input = Object.assign(document.createElement('input'), looks);
    input.onchange = () => host.add([...input.files].map((file, at) => ({ path: arguments[0][at], file })));
    document.body.append(input);
"""


def choose_folder(page: ElementPage, folder: Path) -> None:
    """Chooses a folder, as the dialog does. Only Chromium's driver can: elsewhere, the page has its files."""
    if page.driver.engine == "chromium":
        page.choose(folder, part="folder-input")
        return
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    page.js(DIALOG, [str(path.relative_to(folder.parent)) for path in files])
    dialog = page.driver.find_element("id", "dialog")
    dialog.send_keys("\n".join(map(str, files)))
    page.js("document.getElementById('dialog').remove()")


def test_a_folder_is_one_upload_that_is_continued_by_choosing_it_again(
    clean_driver: Browser, dropzone: Stage, tmp_path: Path
) -> None:
    wanted = make_folder(dropzone, tmp_path / "album", ["a.txt", "sub/b.bin", "sub/c.txt"], 2 * MIB)
    page = ElementPage(clean_driver, dropzone, "directory required")
    assert page.button("choose_folder").text == "Choose a folder"
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    choose_folder(page, tmp_path / "album")
    page.wait_for_bytes("album")
    assert "3 files · a.txt" in page.row("album")
    assert not page.js("return host.checkValidity()"), "the form waits for it"
    page.press("pause", "album")
    page.wait_for("album", "[Resume]")
    page.press("resume", "album")
    page.wait_for("album", "[Pause]")
    ticket = page.js("return host.queue.items[0].upload_id")

    page.open()
    line = page.wait_for("album", "[Choose the folder]")
    assert " of 6.3 MB" in line and "3 files" in line
    (tmp_path / "album" / "d.txt").write_text("new")
    choose_folder(page, tmp_path / "album")
    page.wait_until(
        lambda: page.js("return host.queue.items.length"), "with one more file, it is another one"
    )
    assert page.text("begun"), "and the first one can still be continued"
    page.js("host.queue.cancel()")
    page.wait_until(lambda: page.js("return host.queue.clear().length"), "it is gone")
    (tmp_path / "album" / "d.txt").unlink()
    choose_folder(page, tmp_path / "album")
    page.wait_until(lambda: not page.text("begun"), "it continues")
    dropzone.let_go()
    line = page.wait_for("album", "Uploaded · 6.3 MB")
    assert line == "album Uploaded · 6.3 MB 3 files [Remove from the list]"
    assert page.value() == [ticket]
    assert page.js("return host.checkValidity()")
    assert page.heard().count("upload-finished") == page.heard().count("all-finished") == 1
    folder = dropzone.app.uploads / "album"
    assert {f"album/{p.relative_to(folder)}" for p in folder.rglob("*") if p.is_file()} == set(wanted)
