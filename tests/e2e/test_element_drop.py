"""What is dropped on <incoming-upload> or pasted: only Chromium lets a test drop files from outside."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.e2e.element_page import ElementPage
from tests.e2e.stage import CRAWL_BYTES_PER_S, Stage
from tests.e2e.test_dropzone_drop import make_folder
from tests.support.browser import picture
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


def test_a_folder_is_uploaded_with_its_paths(clean_driver: Chromium, dropzone: Stage, tmp_path: Path) -> None:
    make_folder(dropzone, tmp_path / "album", ["a.txt", "sub/b.txt"])
    page = ElementPage(clean_driver, dropzone, "directory")
    assert page.button("choose_folder").text == "Choose a folder"
    page.choose(tmp_path / "album", part="folder-input")
    page.wait_until(lambda: len(page.value()) == 2, "both are uploaded")
    assert sorted(path.name for path in (dropzone.app.uploads / "album").rglob("*.txt")) == ["a.txt", "b.txt"]
    assert [line.split()[0] for line in page.shown()] == ["album/a.txt", "album/sub/b.txt"]


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


def test_one_click_continues_where_the_handle_of_the_file_is_kept(
    clean_driver: Chromium, dropzone: Stage
) -> None:
    page = ElementPage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    clean_driver.execute_async_script(ADD_WITH_HANDLE)
    page.wait_for_bytes("film.mov")
    ticket = page.js("return host.queue.items[0].upload_id")
    page.open()
    page.wait_for("film.mov", "[Continue]")
    dropzone.let_go()
    page.press("continue", "film.mov")
    page.wait_for("film.mov", "Uploaded")
    assert page.value() == [ticket]
    assert not page.text("begun")
