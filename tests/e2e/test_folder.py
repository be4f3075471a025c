"""The folder example in a real browser: a folder is one upload, whatever happens to the server."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.stage import SLOW_BYTES_PER_S, Stage, change_unnoticed
from tests.support.browser import TURNING_NAME, Card, check_focus_of_a_cancellation, picture, press
from tests.support.engines import Chromium


def make_folder(place: Path, count: int, size_bytes: int) -> dict[str, bytes]:
    """Makes a folder with so many files and folders in it. Returns the files by path."""
    chance, files = Random(1), {}
    for number in range(count):
        path = f"day {number % 7}/{'deep/' * (number % 3)}{number:03} <b>.jpg"
        files[path] = chance.randbytes(size_bytes)
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(files[path])
        os.utime(place / path, (1_700_000_000 + number, 1_700_000_000 + number))
    return files


def kept(stage: Stage, name: str) -> dict[str, bytes]:
    """Returns the files of a folder that the app has."""
    folder = stage.app.uploads / name
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.engines("chromium")  # the drivers of others choose no folder
def test_a_folder_arrives_whole_though_the_server_is_killed_in_the_middle(
    clean_driver: Chromium, folder: Stage, tmp_path: Path
) -> None:
    files = make_folder(tmp_path / "Holiday", 120, 100_000)
    clean_driver.get(folder.app.url)
    page = Card(clean_driver)
    picture(clean_driver, "folder-1-start")
    folder.network.bytes_per_s = SLOW_BYTES_PER_S
    page.choose(tmp_path / "Holiday")
    folder.hold_at(0.3, page, length_bytes=12_000_000)
    page.wait_for_text("#amount", "of 120 files")
    picture(clean_driver, "folder-2-uploading")
    folder.server.kill()
    folder.server.start()
    folder.go_on()
    page.wait_for_text("#finished", "Finished: Holiday has arrived.")
    picture(clean_driver, "folder-3-finished")
    assert kept(folder, "Holiday") == files
    times = {p: round((folder.app.uploads / "Holiday" / p).stat().st_mtime) for p in files}
    assert times == {path: 1_700_000_000 + number for number, path in enumerate(files)}
    assert folder.server.log_text().count("notified the app") == 1
    page.find("#again").click()
    page.wait_for_text("ul:not(#changes)", "Holiday")
    assert folder.stored_bytes() == 0


@pytest.mark.engines("chromium")  # the drivers of others choose no folder
def test_names_that_turn_text_turn_no_sentence_around(
    clean_driver: Chromium, folder: Stage, tmp_path: Path
) -> None:
    place = tmp_path / TURNING_NAME
    place.mkdir()
    (place / f"a:{TURNING_NAME}").write_bytes(b"renamed")
    clean_driver.get(folder.app.url)
    page = Card(clean_driver)
    page.choose(place)
    page.wait_for_text("#finished", "another name")
    page.wait_for_text("#changes", "is now")
    assert not page.is_turned("#finished", "arrived")
    assert not page.is_turned("#changes", "now")


@pytest.mark.engines("chromium")  # the drivers of others choose no folder
def test_the_page_says_that_a_folder_has_arrived_though_the_app_can_not_be_asked_about_it(
    clean_driver: Chromium, folder: Stage, tmp_path: Path
) -> None:
    make_folder(tmp_path / "Holiday", 3, 100)
    clean_driver.get(folder.app.url)
    page = Card(clean_driver)
    clean_driver.execute_cdp_cmd("Network.enable", {})
    clean_driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/api/frontend/result*"]})
    try:
        page.choose(tmp_path / "Holiday")
        page.wait_for_text("#finished", "Finished: Holiday has arrived.")
        page.wait_for_text("#again", "Upload another folder")
    finally:
        clean_driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        clean_driver.execute_cdp_cmd("Network.disable", {})


@pytest.mark.engines("chromium")  # the drivers of others choose no folder
def test_an_upload_that_no_folder_can_resume_any_more_is_forgotten_and_begun_anew(
    clean_driver: Chromium, folder: Stage, tmp_path: Path
) -> None:
    place = tmp_path / "Holiday"
    files = make_folder(place, 120, 100_000)
    clean_driver.get(folder.app.url)
    page = Card(clean_driver)
    folder.network.bytes_per_s = SLOW_BYTES_PER_S
    page.choose(place)
    folder.hold_at(0.3, page, length_bytes=12_000_000)
    clean_driver.execute_script("window.onbeforeunload = null")
    for path in files:
        change_unnoticed(place / path)
    clean_driver.get(folder.app.url)
    folder.go_on()  # not while the earlier page could still send the rest
    page.choose(place)
    page.wait_for_text("#problem", " ")
    page.find("#again").click()
    page.wait_for_text("#forget", "Forget this upload")
    page.find("#forget").click()
    assert page.text("#unfinished") == ""
    assert not page.find("#forget").is_displayed()
    assert clean_driver.switch_to.active_element == page.find("#folder")
    page.choose(place)
    page.wait_for_text("#finished", "Finished: Holiday has arrived.")
    assert kept(folder, "Holiday") == {path: (place / path).read_bytes() for path in files}


@pytest.mark.engines("chromium")
def test_the_focus_is_never_lost_when_a_control_can_no_longer_be_used(
    clean_driver: Chromium, folder: Stage, tmp_path: Path
) -> None:
    make_folder(tmp_path / "Holiday", 120, 100_000)
    clean_driver.get(folder.app.url)
    page = Card(clean_driver)
    folder.network.bytes_per_s = SLOW_BYTES_PER_S
    press(clean_driver, Keys.TAB)
    page.choose(tmp_path / "Holiday")
    folder.hold_at(0.3, page, length_bytes=12_000_000)
    check_focus_of_a_cancellation(clean_driver, page)


@pytest.mark.engines("chromium")
@pytest.mark.parametrize("down", ["the app", "the server"])
def test_without_a_ticket_the_page_says_so_in_words_for_users(
    clean_driver: Chromium, folder: Stage, tmp_path: Path, down: str
) -> None:
    make_folder(tmp_path / "Holiday", 2, 100)
    clean_driver.get(folder.app.url)
    page = Card(clean_driver)
    if down == "the app":
        folder.app.stop()
    else:
        folder.server.kill()
    page.choose(tmp_path / "Holiday")
    page.wait_for_text("#problem", "The upload could not start. Please try again later.")
    assert page.find("#again").is_displayed()
