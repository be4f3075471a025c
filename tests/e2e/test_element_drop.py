"""What is dropped on <incoming-upload> or pasted: only Chromium lets a test drop files from outside."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.e2e.element_page import ElementPage
from tests.e2e.stage import CRAWL_BYTES_PER_S, Stage
from tests.e2e.test_dropzone_drop import make_folder
from tests.support.browser import picture
from tests.support.data import MIB
from tests.support.engines import Chromium

ENGINES = ("chromium",)

ADD_WITH_HANDLE = """
    const done = arguments[0];
    (async () => {
      const folder = await navigator.storage.getDirectory();
      const handle = await folder.getFileHandle("film.mov", { create: true });
      const stream = await handle.createWritable();
      await stream.write(new Uint8Array(4 << 20).fill(7));
      await stream.close();
      await document.querySelector("incoming-upload").add(handle);
      done();
    })();
"""
"""A page may read the private files of its origin without asking. The handle of one is a real one."""
ADD_FOLDER_WITH_HANDLE = """
    const done = arguments[0];
    (async () => {
      const home = await navigator.storage.getDirectory();
      const folder = await home.getDirectoryHandle("album", { create: true });
      for (const name of ["a.bin", "b.bin"]) {
        const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
        await stream.write(new Uint8Array(2 << 20).fill(7));
        await stream.close();
      }
      await document.querySelector("incoming-upload").add([folder]);
      done();
    })();
"""
ONLY_FILES = """
    host.get_ticket = async ({ file, path }) => {
      const body = new URLSearchParams({ name: file.name, size: file.size, path });
      return (await fetch("/api/frontend/request_upload", { method: "POST", body })).text();
    };
"""
"""An app that was written for files does not ask for what it does not know."""
SLOW_LISTING = """
    const { list_folder } = incoming;
    incoming.list_folder = async (source, { onprogress }) => {
      onprogress(7);
      await new Promise((resolve) => { window.let_go = resolve; });
      return list_folder(source, { onprogress });
    };
"""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
PASTE = """
    const data = new DataTransfer();
    data.items.add(new File(["content"], arguments[0], { type: "image/png" }));
    const options = { bubbles: true, cancelable: true, composed: true, clipboardData: data };
    const event = new ClipboardEvent("paste", options);
    (arguments[1] ? document.querySelector(arguments[1]) : document.body).dispatchEvent(event);
    return event.defaultPrevented;
"""


def drag(page: ElementPage, *steps: str, y: int, files: tuple[Path, ...]) -> None:
    """Moves files over the page from outside: steps are dragEnter, dragOver and drop."""
    data = {"items": [], "files": [str(path) for path in files], "dragOperationsMask": 1}
    driver = page.driver
    assert isinstance(driver, Chromium)
    for step in steps:
        driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": step, "x": 400, "y": y, "data": data})


def middle_of(page: ElementPage) -> int:
    """Returns where the element is."""
    return int(page.js("const { top, height } = host.getBoundingClientRect(); return top + height / 2"))


def test_files_and_folders_that_are_dropped_on_it_are_uploaded_and_others_ignored(
    clean_driver: Chromium, dropzone: Stage, tmp_path: Path
) -> None:
    make_folder(dropzone, tmp_path / "album", ["a.txt", "sub/b.txt"])
    single, _ = dropzone.file("single.txt", 5)
    page = ElementPage(clean_driver, dropzone)
    here = middle_of(page)
    drag(page, "dragEnter", "dragOver", y=here, files=(single,))
    page.wait_until(
        lambda: page.js("return root.querySelector('.root').matches('.over')"), "it shows that it takes them"
    )
    picture(clean_driver, "element-1-dragging")
    drag(page, "drop", y=here, files=(tmp_path / "album", single))
    page.wait_until(lambda: len(page.value()) == 3, "they are uploaded")
    assert not page.js("return root.querySelector('.root').matches('.over')")
    assert {line.split()[0] for line in page.shown()} == {"album/a.txt", "album/sub/b.txt", "single.txt"}

    drag(page, "dragEnter", "dragOver", "drop", y=here + 700, files=(single,))
    assert len(page.shown()) == 3, "it was dropped beside the element"
    assert page.js("return location.pathname") == "/", "and the browser has not opened it"


def test_the_whole_page_takes_files_if_it_is_asked_to(clean_driver: Chromium, dropzone: Stage) -> None:
    first, _ = dropzone.file("first.txt", 5)
    page = ElementPage(clean_driver, dropzone, "multiple drop-anywhere", before="<input id='field'>")
    drag(page, "dragEnter", "dragOver", y=880, files=(first,))
    page.wait_until(lambda: page.text("curtain") == "Drop to upload", "the page shows it")
    picture(clean_driver, "element-2-page-dragging")
    drag(page, "drop", y=880, files=(first,))
    page.wait_for("first.txt", "Uploaded")
    assert not page.text("curtain")

    assert page.js(PASTE, "pasted.png", "")
    page.wait_for("pasted.png", "Uploaded")
    assert not page.js(PASTE, "other.png", "#field"), "into a field of the page"
    page.js("host.disabled = true")
    assert not page.js(PASTE, "third.png", "")
    assert len(page.shown()) == 2


def test_folders_and_files_that_are_dropped_together_are_an_upload_each(
    clean_driver: Chromium, dropzone: Stage, tmp_path: Path
) -> None:
    make_folder(dropzone, tmp_path / "album", ["a.txt", "sub/b.txt"])
    make_folder(dropzone, tmp_path / "scans", ["1.txt"])
    (tmp_path / "empty").mkdir()
    single, _ = dropzone.file("single.txt", 5)
    page = ElementPage(clean_driver, dropzone, "directory")
    assert page.text("title") == "Drop files or folders here"
    files = (tmp_path / "album", single, tmp_path / "empty", tmp_path / "scans")
    drag(page, "dragEnter", "dragOver", "drop", y=middle_of(page), files=files)
    uploaded = [
        "album Uploaded · 2.2 kB 2 files [Remove from the list]",
        "scans Uploaded · 1.1 kB 1 file [Remove from the list]",
        "single.txt Uploaded · 5 B [Remove from the list]",
    ]
    page.wait_until(lambda: sorted(page.shown()) == uploaded, "they are uploaded")
    assert page.text("headline") == "4 of 4 files uploaded"
    assert page.text("refused").splitlines() == [
        "1 file was not added", "empty: There are no files in this folder.",
    ]  # fmt: skip
    assert dropzone.server.log_text().count("ticket issued") == 3
    assert (dropzone.app.uploads / "album" / "sub" / "b.txt").exists()


def test_files_of_a_folder_that_are_not_accepted_are_left_out_and_named(
    clean_driver: Chromium, dropzone: Stage, tmp_path: Path
) -> None:
    make_folder(dropzone, tmp_path / "album", ["a.txt", "b.png", "sub/c.txt"])
    make_folder(dropzone, tmp_path / "large", ["a.txt", "b.txt"], 3000)
    page = ElementPage(clean_driver, dropzone, "directory accept=.txt max-bytes=5000")
    assert page.text("hint") == "Up to 5.0 kB for each file or folder"
    page.choose(tmp_path / "album", part="folder-input")
    page.wait_for("album", "Uploaded")
    assert page.text("refused").splitlines()[1] == "album/b.png: Files of this type are not accepted."
    kept = dropzone.app.uploads / "album"
    assert sorted(path.name for path in kept.rglob("*.*")) == ["a.txt", "c.txt"]
    page.choose(tmp_path / "large", part="folder-input")
    page.wait_until(lambda: "large:" in page.text("refused"), "it is refused")
    assert page.text("refused").splitlines()[1] == "large: This is too large. The limit is 5 kB."


def test_what_can_not_be_read_of_a_folder_is_left_out_and_named(
    clean_driver: Chromium, dropzone: Stage, tmp_path: Path
) -> None:
    make_folder(dropzone, tmp_path / "album", ["a.bin", "y.bin", "z.bin"], 8 * MIB)
    page = ElementPage(clean_driver, dropzone, "directory")
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(tmp_path / "album", part="folder-input")
    page.wait_for_bytes("album")
    picture(clean_driver, "element-3-folder")
    page.press("pause", "album")  # it drops what it has read ahead
    page.wait_for("album", "[Resume]")
    (tmp_path / "album" / "z.bin").unlink()
    dropzone.let_go()
    page.press("resume", "album")
    page.wait_for("album", "Uploaded")
    assert "2 of 3 files · 1 left out: z.bin [" in page.row("album")
    assert page.js("return [...host.queue.items[0].uploader.left_out]") == ["z.bin"]
    page.wait_until(lambda: "album: 1 left out: z.bin." in page.news(), "it is said, too")
    picture(clean_driver, "element-4-left-out")


def test_where_the_app_takes_files_only_each_one_of_a_folder_is_an_upload(
    clean_driver: Chromium, dropzone: Stage, tmp_path: Path
) -> None:
    make_folder(dropzone, tmp_path / "album", ["a.txt", "sub/b.txt"])
    page = ElementPage(clean_driver, dropzone, "directory")
    page.js(ONLY_FILES)
    page.choose(tmp_path / "album", part="folder-input")
    page.wait_until(lambda: len(page.value()) == 2, "they are uploaded")
    page.choose((tmp_path / "album").rename(tmp_path / "other"), part="folder-input")
    page.wait_until(lambda: len(page.value()) == 4, "they are uploaded at once: it knows the app")
    paths = [line.split()[0] for line in page.shown()]
    assert paths == ["album/a.txt", "album/sub/b.txt", "other/a.txt", "other/sub/b.txt"]
    assert "upload-failed" not in page.heard()
    assert dropzone.server.log_text().count("ticket issued") == 5


def test_a_folder_that_is_being_read_is_shown_and_can_be_cancelled(
    clean_driver: Chromium, dropzone: Stage, tmp_path: Path
) -> None:
    make_folder(dropzone, tmp_path / "album", ["a.txt"])
    page = ElementPage(clean_driver, dropzone, "directory")
    page.js(SLOW_LISTING)
    page.choose(tmp_path / "album", part="folder-input")
    assert page.wait_for("album", "Reading") == "album Reading the folder: 7 files so far [Cancel]"
    assert page.js("return host.validationMessage") == "Please wait until the uploads have finished."
    page.press("cancel", "album")
    page.wait_until(lambda: page.shown() == [], "it is gone")
    page.js("let_go()")
    page.choose(tmp_path / "album", part="folder-input")
    page.wait_for("album", "Reading")
    page.js("let_go()")
    page.wait_for("album", "Uploaded")
    assert dropzone.server.log_text().count("ticket issued") == 1, "the first one was not added"


def test_images_have_small_pictures_and_others_an_icon(
    clean_driver: Chromium, dropzone: Stage, tmp_path: Path
) -> None:
    for name in ("photo.png", "broken.png"):
        (tmp_path / name).write_bytes(PNG if name == "photo.png" else b"no image")
    page = ElementPage(clean_driver, dropzone)
    page.choose(tmp_path / "photo.png", tmp_path / "broken.png")
    pictures = "return shown('.row').map((row) => row.querySelector('.icon').firstElementChild.localName)"
    page.wait_until(lambda: page.js(pictures) == ["canvas", "svg"], "there is one")
    page.wait_until(lambda: len(page.value()) == 2, "both are uploaded")


def test_a_phone_has_a_button_for_its_camera(clean_driver: Chromium, dropzone: Stage) -> None:
    page = ElementPage(clean_driver, dropzone, "multiple capture=environment")
    assert not page.js("return shown('[data-action=take_photo]').length"), "a computer has none"
    clean_driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        page.js("host.draw()")
        assert page.button("take_photo").text == "Take a photo"
        field = "const { accept, type } = root.querySelector('[part=camera-input]'); return [accept, type]"
        assert page.js(field) == ["image/*", "file"]
        assert (
            page.js("return root.querySelector('[part=camera-input]').getAttribute('capture')")
            == "environment"
        )
        assert page.js("return Math.min(...shown('button').map((each) => each.offsetHeight))") >= 44
    finally:
        clean_driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


@pytest.mark.parametrize(("name", "add"), [("film.mov", ADD_WITH_HANDLE), ("album", ADD_FOLDER_WITH_HANDLE)])
def test_one_click_continues_where_the_handle_is_kept(
    clean_driver: Chromium, dropzone: Stage, name: str, add: str
) -> None:
    page = ElementPage(clean_driver, dropzone, "directory")
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    clean_driver.execute_async_script(add)
    page.wait_for_bytes(name)
    ticket = page.js("return host.queue.items[0].upload_id")
    page.open()
    page.wait_for(name, "[Continue]")
    dropzone.let_go()
    page.press("continue", name)
    page.wait_for(name, "Uploaded")
    assert page.value() == [ticket]
    assert not page.text("begun")
