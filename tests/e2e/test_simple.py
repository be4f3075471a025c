"""The simple example, in a real browser, as a person uses it."""

from __future__ import annotations

import shutil
from urllib.parse import quote

import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.e2e.stage import SLOW_BYTES_PER_S, Stage, change_unnoticed
from tests.support.browser import (
    TURNING_NAME,
    Card,
    check_focus_of_a_cancellation,
    file_dialog_answered,
    picture,
    press,
    seen_progress,
    watch_progress,
)
from tests.support.data import MIB
from tests.support.engines import Browser
from tests.support.waiting import wait_until

NASTY_NAME = "'it\"s' .. <img src=x onerror=window.hacked=1> {{2*3}} 100% & 🎉.tar.gz"


def open_page(driver: Browser, stage: Stage) -> Card:
    driver.get(stage.app.url)
    watch_progress(driver)
    return Card(driver)


def test_a_file_is_uploaded_and_the_page_tells_the_truth_about_it(
    clean_driver: Browser, simple: Stage
) -> None:
    path, sha256 = simple.file("holiday.mov", 16 * MIB)
    page = open_page(clean_driver, simple)
    picture(clean_driver, "simple-1-start")

    simple.network.bytes_per_s = SLOW_BYTES_PER_S
    page.choose(path)
    simple.hold_at(0.2, page)
    page.wait_for_text("#amount", "of 16.8 MB")
    picture(clean_driver, "simple-2-uploading")
    simple.go_on()
    page.wait_for_text("#output_finished", "holiday.mov has arrived")
    picture(clean_driver, "simple-3-finished")

    assert simple.app.uploaded() == {"holiday.mov": sha256}
    progress = seen_progress(clean_driver)
    assert progress == sorted(progress)
    assert len(set(progress)) > 20
    assert progress[-1] == 1
    assert simple.stored_bytes() == 0


def test_the_list_shows_what_has_arrived_and_gives_it_back(clean_driver: Browser, simple: Stage) -> None:
    path, _ = simple.file("notes.txt", 5000)
    page = open_page(clean_driver, simple)
    page.choose(path)
    page.wait_for_text("#output_finished", "notes.txt has arrived")
    page.find("#again").click()
    page.wait_for_text("ul", "notes.txt")
    picture(clean_driver, "simple-4-list")

    assert "5,000 B" in page.text("ul")
    answer = requests.get(str(page.find("ul a").get_property("href")), timeout=60)
    assert answer.content == path.read_bytes()
    assert answer.headers["Content-Disposition"] == "attachment"


def test_an_empty_file_arrives_as_an_empty_file(clean_driver: Browser, simple: Stage) -> None:
    path, sha256 = simple.file("empty", 0)
    page = open_page(clean_driver, simple)
    page.choose(path)
    page.wait_for_text("#output_finished", "empty has arrived")
    assert simple.app.uploaded() == {"empty": sha256}
    assert page.fraction() == 1


def test_a_nasty_name_is_shown_as_text_and_kept(clean_driver: Browser, simple: Stage) -> None:
    path, sha256 = simple.file(NASTY_NAME, 1000)
    page = open_page(clean_driver, simple)
    page.choose(path)
    page.wait_for_text("#output_finished", NASTY_NAME)
    page.find("#again").click()
    page.wait_for_text("ul", NASTY_NAME)
    assert simple.app.uploaded() == {NASTY_NAME: sha256}
    assert not clean_driver.find_elements(By.CSS_SELECTOR, "img")
    assert requests.get(f"{simple.app.url}uploads/{quote(NASTY_NAME)}", timeout=60).ok


def test_two_files_of_one_name_are_both_kept(clean_driver: Browser, simple: Stage) -> None:
    digests = []
    for seed in (1, 2):
        path, sha256 = simple.file("report.pdf", 3000, seed)
        page = open_page(clean_driver, simple)
        page.choose(path)
        page.wait_for_text("#output_finished", "arrived")
        digests.append(sha256)
    assert simple.app.uploaded() == {"report.pdf": digests[0], "report (2).pdf": digests[1]}


def test_an_upload_resumes_automatically_after_the_server_was_killed(
    clean_driver: Browser, simple: Stage
) -> None:
    path, sha256 = simple.file("holiday.mov", 24 * MIB)
    page = open_page(clean_driver, simple)
    simple.network.bytes_per_s = SLOW_BYTES_PER_S
    page.choose(path)
    (before,) = simple.hold_at(0.3, page)
    simple.server.kill()
    simple.let_go()
    page.wait_for_text("#stats_state_msg", "Trying again soon")
    picture(clean_driver, "simple-5-disconnected")
    assert simple.stored_bytes() >= int(before * 24 * MIB)
    simple.server.start()

    page.wait_for_text("#output_finished", "holiday.mov has arrived")
    assert simple.app.uploaded() == {"holiday.mov": sha256}
    progress = seen_progress(clean_driver)
    assert progress == sorted(progress), "it never went back"


def test_an_upload_can_be_paused_continued_after_a_reload_and_cancelled(
    clean_driver: Browser, simple: Stage
) -> None:
    path, _ = simple.file("holiday.mov", 16 * MIB)
    page = open_page(clean_driver, simple)
    simple.network.bytes_per_s = SLOW_BYTES_PER_S
    page.choose(path)
    simple.hold_at(0.2, page)
    page.wait_for_text("#amount", "B/s, ")
    page.find("#pause").click()
    page.wait_for_text("#stats_state_msg", "Paused.")
    page.wait_for_text("#pause", "Resume")
    before = page.fraction()

    clean_driver.execute_script("window.onbeforeunload = null")
    page = open_page(clean_driver, simple)
    page.wait_for_text("#unfinished", "holiday.mov has not arrived completely: ")
    picture(clean_driver, "simple-9-unfinished")
    page.choose(path)
    assert page.wait_for_fraction(0.2) >= before
    assert simple.server.log_text().count("ticket issued") == 2
    assert page.text("#unfinished") == ""
    page.find("#cancel").click()
    page.wait_for_text("#problem", "The upload was cancelled: ")
    picture(clean_driver, "simple-10-cancelled")
    assert not page.find("#pause").is_displayed()
    page.find("#again").click()
    page.wait_for_text("label", "Choose a file")
    assert page.text("#unfinished") == ""


def test_an_upload_resumes_automatically_after_the_network_was_cut(
    clean_driver: Browser, simple: Stage
) -> None:
    path, sha256 = simple.file("holiday.mov", 16 * MIB)
    page = open_page(clean_driver, simple)
    simple.network.bytes_per_s = SLOW_BYTES_PER_S
    page.choose(path)
    for fraction in (0.2, 0.5):
        simple.hold_at(fraction, page)
        simple.network.cut()
    simple.let_go()
    page.wait_for_text("#output_finished", "holiday.mov has arrived")
    assert simple.app.uploaded() == {"holiday.mov": sha256}
    assert seen_progress(clean_driver) == sorted(seen_progress(clean_driver))


def test_an_app_that_is_down_when_its_file_arrives_gets_it_later(
    clean_driver: Browser, simple: Stage
) -> None:
    path, sha256 = simple.file("holiday.mov", MIB)
    page = open_page(clean_driver, simple)
    simple.app_road.stop()
    page.choose(path)
    page.wait_for_text("#stats_state_msg", "the app could not be reached: it refuses connections")
    picture(clean_driver, "simple-6-waiting-for-the-app")
    wait_until(lambda: simple.server.log_text().count("could not be reached") >= 2, "two attempts")
    assert page.text("#output_finished") == ""
    simple.app_road.start()
    page.wait_for_text("#output_finished", "holiday.mov has arrived")
    assert simple.app.uploaded() == {"holiday.mov": sha256}


def test_a_file_that_the_app_refuses_ends_in_words_and_is_kept(clean_driver: Browser, simple: Stage) -> None:
    path, _ = simple.file("holiday.mov", MIB)
    page = open_page(clean_driver, simple)
    simple.app.stop()
    shutil.rmtree(simple.app.uploads / ".tickets")
    simple.app.start()
    page.choose(path)
    page.wait_for_text("#problem", "404")
    picture(clean_driver, "simple-7-refused")
    assert "app" in page.text("#problem")
    assert page.text("#output_finished") == ""
    assert simple.stored_bytes() == MIB


def test_a_page_without_an_upload_server_says_so(clean_driver: Browser, simple: Stage) -> None:
    simple.network.stop()
    page = open_page(clean_driver, simple)
    page.wait_for_text("#problem", "upload server does not respond")
    picture(clean_driver, "simple-8-no-server")
    assert not page.find("#input_file").is_enabled()


def test_the_page_works_with_the_keyboard_alone(clean_driver: Browser, simple: Stage) -> None:
    path, sha256 = simple.file("holiday.mov", MIB)
    page = open_page(clean_driver, simple)
    with file_dialog_answered(clean_driver, path):
        press(clean_driver, Keys.TAB, Keys.SPACE)
    page.wait_for_text("#output_finished", "holiday.mov has arrived")
    press(clean_driver, Keys.TAB, Keys.ENTER)
    page.wait_for_text("ul", "holiday.mov")
    assert simple.app.uploaded() == {"holiday.mov": sha256}


def test_the_focus_is_never_lost_when_a_control_can_no_longer_be_used(
    clean_driver: Browser, simple: Stage
) -> None:
    path, _ = simple.file("holiday.mov", 16 * MIB)
    page = open_page(clean_driver, simple)
    simple.network.bytes_per_s = SLOW_BYTES_PER_S
    with file_dialog_answered(clean_driver, path):
        press(clean_driver, Keys.TAB, Keys.SPACE)
    simple.hold_at(0.1, page)
    check_focus_of_a_cancellation(clean_driver, page)


@pytest.mark.everywhere
def test_a_name_that_turns_text_turns_no_sentence_around(clean_driver: Browser, simple: Stage) -> None:
    path, _ = simple.file(TURNING_NAME, 16 * MIB)
    page = open_page(clean_driver, simple)
    simple.network.bytes_per_s = SLOW_BYTES_PER_S
    page.choose(path)
    simple.hold_at(0.2, page)
    clean_driver.execute_script("window.onbeforeunload = null")
    page = open_page(clean_driver, simple)
    page.wait_for_text("#unfinished", "has not arrived")
    assert not page.is_turned("#unfinished", "completely")

    simple.go_on()
    change_unnoticed(path)
    page.choose(path)
    page.wait_for_text("#problem", "The upload was started with ")
    assert not page.is_turned("#problem", "changed")

    change_unnoticed(path)  # it is as it was
    page = open_page(clean_driver, simple)
    page.choose(path)
    page.wait_for_text("#output_finished", "has arrived")
    assert not page.is_turned("#output_finished", "completely")


@pytest.mark.everywhere
def test_an_upload_that_no_file_can_resume_any_more_is_forgotten_and_begun_anew(
    clean_driver: Browser, simple: Stage
) -> None:
    path, _ = simple.file("holiday.mov", 16 * MIB)
    page = open_page(clean_driver, simple)
    assert not page.find("#forget").is_displayed()
    simple.network.bytes_per_s = SLOW_BYTES_PER_S
    page.choose(path)
    simple.hold_at(0.2, page)
    clean_driver.execute_script("window.onbeforeunload = null")
    page = open_page(clean_driver, simple)
    simple.go_on()
    sha256 = change_unnoticed(path)
    page.choose(path)
    page.wait_for_text("#problem", "The upload was started with ")
    page.find("#again").click()
    page.wait_for_text("#forget", "Forget this upload")
    picture(clean_driver, "simple-11-forget")
    page.find("#forget").click()
    assert page.text("#unfinished") == ""
    assert not page.find("#forget").is_displayed()
    assert clean_driver.switch_to.active_element == page.find("#input_file")
    page.choose(path)
    page.wait_for_text("#output_finished", "has arrived")
    assert simple.app.uploaded() == {"holiday.mov": sha256}
