"""The dropzone, in a real browser, as a person uses it."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.e2e.dropzone_page import SLOW_BYTES_PER_S, DropzonePage, uploaded
from tests.e2e.stage import CRAWL_BYTES_PER_S, Stage
from tests.support.browser import held, picture, press, seen_progress
from tests.support.data import MIB
from tests.support.engines import Browser
from tests.support.waiting import wait_until

NASTY_NAMES = {  # on the user's disk, and in the app's folder
    "<img src=x onerror=window.hacked=1>.txt": "<img src=x onerror=window.hacked=1>.txt",
    "'single' \"double\" `back`.txt": "'single' \"double\" `back`.txt",
    "..%2f..%2fetc%2fpasswd": "%2f..%2fetc%2fpasswd",
    "{{7*7}} ${window.hacked=1} & 100% #1?.txt": "{{7*7}} ${window.hacked=1} & 100% #1?.txt",
    "👩‍👩‍👧 Grüße 日本.tar.gz": "👩‍👩‍👧 Grüße 日本.tar.gz",
    "x" * 251 + ".txt": "x" * 236 + ".txt",
}


def some_files(stage: Stage, count: int, length_bytes: int, first: int = 0) -> dict[Path, str]:
    """Makes files, numbered from `first`; returns the SHA-256 of each by its path."""
    return dict(stage.file(f"file {n}.bin", length_bytes, seed=n) for n in range(first, first + count))


def by_name(files: dict[Path, str]) -> dict[str, str]:
    """Returns the SHA-256 of each by its name alone."""
    return {path.name: sha256 for path, sha256 in files.items()}


def test_many_files_arrive_a_few_at_a_time(clean_driver: Browser, dropzone: Stage) -> None:
    files = some_files(dropzone, 3, 200_000) | some_files(dropzone, 9, 2 * MIB, first=3)
    page = DropzonePage(clean_driver, dropzone)
    picture(clean_driver, "dropzone-1-empty")
    dropzone.network.bytes_per_s = SLOW_BYTES_PER_S
    page.choose_files(*files)
    page.wait_for_rows(12)
    wait_until(lambda: page.states().count("finished") >= 3, "some have arrived")
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    assert page.states().count("running") <= 3
    assert "of 12 files finished" in page.text("#headline")
    page.wait_for_text("#numbers", "left")
    picture(clean_driver, "dropzone-2-running")
    dropzone.network.bytes_per_s = 0
    page.wait_for_states(*["finished"] * 12)
    page.wait_for_text("#headline", "12 of 12 files finished")
    picture(clean_driver, "dropzone-3-finished")
    assert uploaded(dropzone.app) == by_name(files)
    page.wait_for_text("#stored", "file 11.bin")
    wait_until(
        lambda: page.find("#news").get_property("textContent") == "12 of 12 files finished", "it is said"
    )
    assert clean_driver.title == "Dropzone"


@pytest.mark.everywhere
def test_eight_files_arrive_although_the_server_is_killed_in_the_middle(
    clean_driver: Browser, dropzone: Stage
) -> None:
    files = some_files(dropzone, 2, 200_000) | some_files(dropzone, 6, 3 * MIB, first=2)
    page = DropzonePage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = SLOW_BYTES_PER_S
    page.choose_files(*files)
    wait_until(lambda: page.states().count("finished") >= 2, "some have arrived, others not")
    dropzone.server.kill()
    wait_until(lambda: "Trying again soon" in page.text("#rows"), "the page has noticed")
    picture(clean_driver, "dropzone-4-server-gone")
    dropzone.server.start()
    dropzone.network.bytes_per_s = 0
    page.wait_for_states(*["finished"] * 8)
    assert uploaded(dropzone.app) == by_name(files)


def test_a_file_waits_for_its_ticket_while_the_app_is_down(clean_driver: Browser, dropzone: Stage) -> None:
    files = some_files(dropzone, 1, 1000)
    page = DropzonePage(clean_driver, dropzone)
    dropzone.app.stop()
    page.choose_files(*files)
    page.row("file 0.bin").wait_for_text(".state", "could not start yet")
    dropzone.app.start()
    page.wait_for_states("finished")
    assert uploaded(dropzone.app) == by_name(files)


def test_one_upload_is_paused_and_resumed_while_the_others_continue(
    clean_driver: Browser, dropzone: Stage
) -> None:
    files = some_files(dropzone, 5, 4 * MIB)
    page = DropzonePage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose_files(*files)
    row = page.row("file 0.bin")
    row.wait_for_fraction(0.05)
    row.find(".go").click()
    row.wait_for_text(".state", "Paused")
    dropzone.network.bytes_per_s = 0
    assert (row.text(".go"), page.focused()) == ("Resume", "Resume file 0.bin")
    page.wait_for_states("paused", "finished", "finished", "finished", "finished")
    picture(clean_driver, "dropzone-5-one-paused")
    paused_at = row.fraction()
    row.find(".go").click()
    page.wait_for_states(*["finished"] * 5)
    progress = seen_progress(clean_driver)
    assert paused_at < 1
    assert max(progress) == 1
    assert uploaded(dropzone.app) == by_name(files)


def test_a_click_counts_although_the_upload_gets_on_while_the_button_is_down(
    clean_driver: Browser, dropzone: Stage
) -> None:
    files = some_files(dropzone, 1, 16 * MIB)
    page = DropzonePage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose_files(*files)
    row = page.row("file 0.bin")
    row.wait_for_fraction(0.001)
    with held(clean_driver, row.find(".go")):
        before = row.fraction()
        wait_until(lambda: row.fraction() > before, "more has arrived")
    row.wait_for_text(".state", "Paused")


def test_all_are_paused_and_resumed(clean_driver: Browser, dropzone: Stage) -> None:
    files = some_files(dropzone, 6, 4 * MIB)
    page = DropzonePage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose_files(*files)
    page.row("file 1.bin").wait_for_fraction(0.01)
    page.button("Pause all")
    page.wait_for_states(*["paused"] * 6)
    wait_until(lambda: "/s" not in page.text("#numbers"), "no speed is shown")
    assert page.focused() == "total", "the button is gone, the focus is near it"
    page.button("Resume all")
    dropzone.network.bytes_per_s = 0
    page.wait_for_states(*["finished"] * 6)
    assert uploaded(dropzone.app) == by_name(files)


def test_one_is_cancelled_and_removed_and_all_others_cancelled_after_a_question(
    clean_driver: Browser, dropzone: Stage
) -> None:
    files = some_files(dropzone, 5, 16 * MIB)
    page = DropzonePage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose_files(*files)
    first = page.row("file 0.bin")
    first.wait_for_fraction(0.01)
    first.find(".stop").click()
    first.wait_for_text(".state", "Cancelled")
    first.find(".stop").click()
    page.wait_for_rows(4)
    assert page.focused().strip().startswith("file 1.bin"), "the focus is on the next row"

    page.button("Cancel all")
    picture(clean_driver, "dropzone-11-really")
    press(clean_driver, Keys.ESCAPE)
    wait_until(lambda: page.focused() == "cancel", "the question is gone")
    assert "cancelled" not in page.states()
    page.button("Cancel all")
    page.find("#really [value=yes]").click()
    page.wait_for_states(*["cancelled"] * 4)
    wait_until(lambda: dropzone.stored_bytes() == 0, "the server keeps nothing")
    assert uploaded(dropzone.app) == {}
    page.button("Clear the list")
    page.wait_for_rows(0)
    assert not page.find("#total").is_displayed()
    assert page.focused() == "choose_files"


def test_what_the_app_has_refused_is_tried_again_with_a_new_ticket(
    clean_driver: Browser, dropzone: Stage
) -> None:
    files = some_files(dropzone, 4, 4 * MIB)
    small, sha256 = dropzone.file("small.txt", 10)
    page = DropzonePage(clean_driver, dropzone)
    page.choose_files(small)
    page.wait_for_states("finished")
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose_files(*files)
    first = page.row("file 0.bin")
    first.wait_for_fraction(0.01)
    first.find(".go").click()
    page.row("file 3.bin").wait_for_fraction(0.001)  # which has taken the place: all have their tickets
    dropzone.app.stop()
    for secret in (dropzone.app.uploads / ".tickets").iterdir():
        secret.unlink()
    dropzone.app.start()
    dropzone.network.bytes_per_s = 0
    page.wait_for_states("finished", "paused", "failed", "failed", "failed")
    page.row("file 1.bin").wait_for_text(".state", "app")
    page.wait_for_text("#headline", "3 failed")
    picture(clean_driver, "dropzone-6-mixed")

    page.button("Try again")
    page.wait_for_states("finished", "paused", "finished", "finished", "finished")
    first.find(".stop").click()
    page.wait_for_states("finished", "cancelled", "finished", "finished", "finished")
    arrived = by_name(files) | {"small.txt": sha256}
    assert uploaded(dropzone.app) == {name: arrived[name] for name in arrived if name != "file 0.bin"}


def test_unfinished_uploads_resume_after_a_reload_when_their_files_are_chosen_again(
    clean_driver: Browser, dropzone: Stage
) -> None:
    files = some_files(dropzone, 3, 8 * MIB)
    page = DropzonePage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose_files(*files)
    before = [page.row(path.name).wait_for_fraction(0.05) for path in files]
    page.button("Pause all")
    page.wait_for_states(*["paused"] * 3)
    clean_driver.execute_script("window.onbeforeunload = null")

    page = DropzonePage(clean_driver, dropzone)
    begun = clean_driver.find_elements(By.CSS_SELECTOR, "#begun > li")
    assert sorted(row.find_element(By.CSS_SELECTOR, ".name").text for row in begun) == sorted(by_name(files))
    picture(clean_driver, "dropzone-7-unfinished")
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose_files(*files)
    page.wait_for_rows(3)
    for path, fraction in zip(files, before, strict=True):
        assert page.row(path.name).wait_for_fraction(fraction) >= fraction
    assert not page.find("#unfinished").is_displayed()
    dropzone.network.bytes_per_s = 0
    page.wait_for_states(*["finished"] * 3)
    assert uploaded(dropzone.app) == by_name(files)
    assert len(dropzone.server.journaled()) == 3, "no ticket but the first ones"


def test_one_unfinished_upload_wants_its_own_file_and_another_is_forgotten(
    clean_driver: Browser, dropzone: Stage
) -> None:
    files = some_files(dropzone, 2, 8 * MIB)
    first, _ = files
    page = DropzonePage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose_files(*files)
    for path in files:
        page.row(path.name).wait_for_fraction(0.05)
    page.button("Pause all")
    page.wait_for_states("paused", "paused")
    clean_driver.execute_script("window.onbeforeunload = null")

    dropzone.network.bytes_per_s = 0
    page = DropzonePage(clean_driver, dropzone)
    rows = {row.text: row for row in clean_driver.find_elements(By.CSS_SELECTOR, "#begun > li")}
    (row,) = (row for text, row in rows.items() if first.name in text)
    other, _ = dropzone.file("other.bin", 10, seed=77)
    row.find_element(By.CSS_SELECTOR, ".go").click()
    page.choose_files(other)
    page.wait_for_text("#problem", "not the same file 0.bin")
    assert page.states() == []
    row.find_element(By.CSS_SELECTOR, ".go").click()
    page.choose_files(first)
    page.wait_for_states("finished")
    assert page.text("#problem") == ""
    assert uploaded(dropzone.app) == {first.name: files[first]}

    (row,) = clean_driver.find_elements(By.CSS_SELECTOR, "#begun > li")
    row.find_element(By.CSS_SELECTOR, ".stop").click()
    wait_until(lambda: not page.find("#unfinished").is_displayed(), "nothing is left to resume")
    assert page.focused() == "choose_files"
    page = DropzonePage(clean_driver, dropzone)
    assert not page.find("#unfinished").is_displayed()


def test_the_browser_asks_before_the_page_is_left_only_while_there_is_something_to_lose(
    clean_driver: Browser, dropzone: Stage
) -> None:
    ask = """
        const event = new Event("beforeunload", { cancelable: true });
        window.dispatchEvent(event);
        return event.defaultPrevented;
    """
    files = some_files(dropzone, 1, 4 * MIB)
    page = DropzonePage(clean_driver, dropzone)
    assert not clean_driver.execute_script(ask)
    dropzone.network.bytes_per_s = MIB // 4
    page.choose_files(*files)
    page.wait_for_states("running")
    assert clean_driver.execute_script(ask)
    dropzone.network.bytes_per_s = 0
    page.wait_for_states("finished")
    assert not clean_driver.execute_script(ask)


def test_nasty_names_are_shown_as_text_and_harm_nobody(clean_driver: Browser, dropzone: Stage) -> None:
    files = dict(dropzone.file(name, 100, seed) for seed, name in enumerate(NASTY_NAMES))
    page = DropzonePage(clean_driver, dropzone)
    page.choose_files(*files)
    page.wait_for_states(*["finished"] * len(files))
    assert list(page.rows()) == list(NASTY_NAMES)
    picture(clean_driver, "dropzone-8-nasty-names")
    assert not clean_driver.find_elements(By.CSS_SELECTOR, "img")
    assert uploaded(dropzone.app) == {NASTY_NAMES[path.name]: sha256 for path, sha256 in files.items()}


def test_empty_and_repeated_files_arrive_and_the_same_one_twice_at_once_is_one(
    clean_driver: Browser, dropzone: Stage
) -> None:
    empty, sha256_empty = dropzone.file("empty", 0)
    path, sha256 = dropzone.file("a.txt", 4 * MIB)
    page = DropzonePage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = MIB // 2
    page.choose_files(empty, path)
    page.wait_for_rows(2)
    page.choose_files(path)
    dropzone.network.bytes_per_s = 0
    page.wait_for_states("finished", "finished")
    page.choose_files(path)
    page.wait_for_states("finished", "finished", "finished")
    assert uploaded(dropzone.app) == {"empty": sha256_empty, "a.txt": sha256, "a (2).txt": sha256}


def test_a_page_without_an_upload_server_says_so(clean_driver: Browser, dropzone: Stage) -> None:
    dropzone.network.stop()
    page = DropzonePage(clean_driver, dropzone)
    page.wait_for_text("#problem", "upload server does not respond")
    picture(clean_driver, "dropzone-9-no-server")
    assert not page.find("#choose_files").is_displayed()


def test_the_page_works_with_the_keyboard_alone(clean_driver: Browser, dropzone: Stage) -> None:
    path, sha256 = dropzone.file("holiday.mov", 8 * MIB)
    page = DropzonePage(clean_driver, dropzone)
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    with page.dialog_answered(path):
        press(clean_driver, Keys.TAB, Keys.SPACE)
        assert page.focused() == "choose_files"
    page.wait_for_states("running")
    names = []
    while "Pause holiday.mov" not in names:
        press(clean_driver, Keys.TAB)
        names.append(page.focused())
        assert len(names) < 10, names
    press(clean_driver, Keys.SPACE)
    page.wait_for_states("paused")
    picture(clean_driver, "dropzone-10-focus")
    dropzone.network.bytes_per_s = 0
    press(clean_driver, Keys.SPACE)
    page.wait_for_states("finished")
    assert page.focused().strip().startswith("holiday.mov"), "its button is gone, the focus is on the row"
    assert uploaded(dropzone.app) == {"holiday.mov": sha256}
