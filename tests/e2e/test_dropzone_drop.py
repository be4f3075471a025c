"""What is dropped on the dropzone from outside the browser: only Chromium lets a test do that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selenium.webdriver.common.by import By

from tests.e2e.dropzone_page import DropzonePage, uploaded
from tests.e2e.stage import CRAWL_BYTES_PER_S, Stage
from tests.support.axe import grave
from tests.support.browser import picture
from tests.support.data import MIB
from tests.support.engines import Chromium
from tests.support.waiting import wait_until

ENGINES = ("chromium",)


def drag(driver: Chromium, *steps: str, files: tuple[Path, ...] = (), text: str = "") -> None:
    """Moves files, folders or a text over the page from outside: steps are dragEnter, dragOver and drop."""
    data: dict[str, Any] = {"items": [], "files": [str(path) for path in files], "dragOperationsMask": 1}
    if text:
        data["items"] = [{"mimeType": "text/plain", "data": text}]
    for step in steps:
        driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": step, "x": 300, "y": 500, "data": data})


def drop(driver: Chromium, *files: Path) -> None:
    """Drops files and folders on the page."""
    drag(driver, "dragEnter", "dragOver", "drop", files=files)


def leave(driver: Chromium, for_what: str) -> None:
    """Says what the browser says when a drag leaves an element; there is no command for that."""
    driver.execute_script(f"dispatchEvent(new DragEvent('dragleave', {{ relatedTarget: {for_what} }}))")


def is_dragging(driver: Chromium) -> bool:
    """Tells whether the page says that it takes what hangs over it."""
    return "dragging" in (driver.find_element(By.TAG_NAME, "body").get_attribute("class") or "")


def make_folder(stage: Stage, folder: Path, names: list[str], length_bytes: int = 1000) -> dict[str, str]:
    """Fills a folder; returns the SHA-256 of each file by its path, which begins with the folder's name."""
    made = {}
    for seed, name in enumerate(names):
        path, sha256 = stage.file("made", length_bytes, seed)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        path.rename(folder / name)
        made[f"{folder.name}/{name}"] = sha256
    return made


def test_folders_and_files_that_are_dropped_together_are_stored_as_they_were(
    clean_driver: Chromium, dropzone: Stage, tmp_path: Path
) -> None:
    wanted = make_folder(dropzone, tmp_path / "folder", ["a.txt", "b.txt", "sub/a.txt"])
    wanted |= make_folder(dropzone, tmp_path / "other", ["a.txt", "sub/deep/er/Grüße 日本.txt"])
    (tmp_path / "other" / "empty").mkdir()
    single, wanted["a.txt"] = dropzone.file("a.txt", 5)
    page = DropzonePage(clean_driver, dropzone)
    drop(clean_driver, tmp_path / "folder", single, tmp_path / "other")
    page.wait_for_states(*["finished"] * 3)
    assert set(page.rows()) == {"folder", "other", "a.txt"}
    assert uploaded(dropzone.app) == wanted
    assert (dropzone.app.uploads / "other" / "empty").is_dir()


def test_a_folder_with_more_files_than_a_browser_lists_at_once_is_one_upload_with_a_list_of_its_files(
    clean_driver: Chromium, dropzone: Stage, tmp_path: Path
) -> None:
    wanted = make_folder(dropzone, tmp_path / "many", [f"{n:03}.txt" for n in range(250)], 100)
    page = DropzonePage(clean_driver, dropzone)
    drop(clean_driver, tmp_path / "many")
    page.row("many").wait_for_text(".state", "Finished · 250 files")
    assert uploaded(dropzone.app) == wanted
    assert dropzone.server.log_text().count("ticket issued") == 1
    page.wait_for_text("#stored", "many")
    page.row("many").find("summary").click()
    shown = "return [...document.querySelectorAll('.line bdi')].map((path) => path.textContent).sort()"
    wait_until(lambda: clean_driver.execute_script(shown), "the files are listed")
    lines = clean_driver.execute_script(shown)
    assert lines[0] == "000.txt"
    assert len(lines) < 40, "what is out of sight is no element of the page"
    clean_driver.execute_script("document.querySelector('.files').scrollTop = 1e9")
    wait_until(lambda: clean_driver.execute_script(shown)[-1] == "249.txt", "the end of the list is in sight")
    assert len(clean_driver.execute_script(shown)) < 40
    picture(clean_driver, "dropzone-14-files-of-a-folder")


def test_the_page_says_which_files_were_left_out_and_which_were_renamed(
    clean_driver: Chromium, dropzone: Stage, tmp_path: Path
) -> None:
    wanted = make_folder(dropzone, tmp_path / "album", ["a.bin", "b\x07.bin", "z.bin"], 2 * MIB)
    page = DropzonePage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    drop(clean_driver, tmp_path / "album")
    page.row("album").wait_for_fraction(0.01)
    page.row("album").find("summary").click()
    page.row("album").wait_for_text(".now", "a.bin")
    page.row("album").wait_for_text(".line.sending", "a.bin")
    picture(clean_driver, "dropzone-16-folder-running")
    assert grave(clean_driver) == []
    (tmp_path / "album" / "z.bin").unlink()
    dropzone.network.bytes_per_s = 0
    page.row("album").wait_for_text(".told", "z.bin could not be read and was left out.")
    page.row("album").wait_for_text(".told", "is now b_.bin.")
    page.row("album").wait_for_text(".state", "Finished · 2 files · 4.2 MB")
    picture(clean_driver, "dropzone-15-left-out")
    assert grave(clean_driver) == []
    wanted["album/b_.bin"] = wanted.pop("album/b\x07.bin")
    del wanted["album/z.bin"]
    assert uploaded(dropzone.app) == wanted


def test_the_page_shows_that_it_takes_files_and_only_files(clean_driver: Chromium, dropzone: Stage) -> None:
    path, _ = dropzone.file("a.txt", 5)
    page = DropzonePage(clean_driver, dropzone)
    drag(clean_driver, "dragEnter", "dragOver", files=(path,))
    wait_until(lambda: is_dragging(clean_driver), "the page shows it")
    picture(clean_driver, "dropzone-12-dragging")
    leave(clean_driver, "document.body")
    assert is_dragging(clean_driver), "it has only left one element for another"
    leave(clean_driver, "null")
    assert not is_dragging(clean_driver)
    drop(clean_driver, path)
    page.wait_for_states("finished")
    assert not is_dragging(clean_driver)

    drag(clean_driver, "dragEnter", "dragOver", text="no file")
    assert not is_dragging(clean_driver)
    drag(clean_driver, "drop", text="no file")
    assert page.states() == ["finished"]


def test_an_unfinished_folder_resumes_when_it_is_dropped_again_as_it_was(
    clean_driver: Chromium, dropzone: Stage, tmp_path: Path
) -> None:
    wanted = make_folder(dropzone, tmp_path / "album", ["a.bin", "b.bin", "c.bin"], 8 * MIB)
    page = DropzonePage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    drop(clean_driver, tmp_path / "album")
    page.row("album").wait_for_fraction(0.01)
    clean_driver.execute_script("window.onbeforeunload = null")

    page = DropzonePage(clean_driver, dropzone)
    page.wait_for_text("#unfinished", "album")
    assert page.text("#begun .go") == "Choose folder"
    dropzone.network.bytes_per_s = 0
    drop(clean_driver, tmp_path / "album")
    page.wait_for_states("finished")
    assert uploaded(dropzone.app) == wanted
    assert dropzone.server.log_text().count("ticket issued") == 1


def test_an_upload_whose_file_was_missing_resumes_when_it_is_dropped_again(
    clean_driver: Chromium, dropzone: Stage, tmp_path: Path
) -> None:
    wanted = make_folder(dropzone, tmp_path / "album", ["a.bin"], 16 * MIB)
    file = tmp_path / "album" / "a.bin"
    page = DropzonePage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    drop(clean_driver, tmp_path / "album")
    page.row("album").wait_for_fraction(0.01)
    file.rename(tmp_path / "elsewhere")
    page.wait_for_states("failed")
    picture(clean_driver, "dropzone-13-file-gone")
    (tmp_path / "elsewhere").rename(file)
    dropzone.network.bytes_per_s = 0
    drop(clean_driver, tmp_path / "album")
    page.wait_for_states("finished")
    assert uploaded(dropzone.app) == wanted
    assert dropzone.server.log_text().count("ticket issued") == 1
