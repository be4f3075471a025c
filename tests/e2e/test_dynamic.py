"""The dynamic example, in a real browser, as a person uses it."""

from __future__ import annotations

from pathlib import Path

import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.e2e.stage import CRAWL_BYTES_PER_S, SLOW_BYTES_PER_S, Stage, change_unnoticed, set_up
from tests.support.browser import (
    TURNING_NAME,
    Card,
    file_dialog_answered,
    focused,
    held,
    picture,
    press,
    seen_progress,
    watch_progress,
)
from tests.support.data import MIB
from tests.support.engines import Browser
from tests.support.forked import Launcher
from tests.support.waiting import wait_until

# The properties that pages of the original tutorial read.
PROPERTIES = {
    *("filename", "bytes_total", "bytes_tx", "bytes_acked", "bytes_ahead", "frac_complete"),
    *("bytes_per_s", "seconds_left"),
    *("chunks_tx_now", "chunks_acked_now", "chunks_ahead"),
    *("state_msg", "error_msg", "cancel_msg", "error_code"),
    *("connected", "paused", "can_pause", "finished", "cancelling", "cancelled", "can_cancel"),
}
# In one call: the page makes its list anew whenever an upload has finished.
LISTED = "return [...document.querySelectorAll('#files a')].map((link) => [link.innerText, link.href])"
NASTY_NAMES = {  # on the user's disk, and in the app's folder
    "<img src=x onerror=window.hacked=1>.txt": "<img src=x onerror=window.hacked=1>.txt",
    "'single' \"double\" `back`.txt": "'single' \"double\" `back`.txt",
    "..%2f..%2fetc%2fpasswd": "%2f..%2fetc%2fpasswd",
    "C:\\fakepath\\.hidden": "hidden",
    "{{7*7}} ${window.hacked=1} & 100% #1?.txt": "{{7*7}} ${window.hacked=1} & 100% #1?.txt",
    "👩‍👩‍👧 Grüße 日本.tar.gz": "👩‍👩‍👧 Grüße 日本.tar.gz",
    "x" * 251 + ".txt": "x" * 236 + ".txt",
}

ANSWERS_BREAK_OFF = """
    window.wholeAnswers = window.fetch;
    window.fetch = async () => new Response(new ReadableStream({
      start(half) {
        half.enqueue(new TextEncoder().encode("half a tick"));
        setTimeout(() => half.error(new TypeError("the network is gone")), 50);
      },
    }));
"""


class Page(Card):
    """The dynamic page, with a card for each upload, the latest first."""

    def __init__(self, driver: Browser, stage: Stage) -> None:
        super().__init__(driver)
        self.driver = driver
        driver.get(stage.app.url)
        watch_progress(driver)

    def cards(self) -> list[Card]:
        return [Card(article) for article in self.driver.find_elements(By.CSS_SELECTOR, "article")]

    def upload(self, *paths: Path) -> list[Card]:
        """Chooses files and returns their cards, in the order of `paths`."""
        count = len(self.cards()) + len(paths)
        self.choose(*paths)
        wait_until(lambda: len(self.cards()) == count, "a card for each file")
        return self.cards()[: len(paths)][::-1]


def properties(card: Card) -> dict[str, str]:
    """Opens the table of a card, and returns what it says."""
    if not card.find("details").get_attribute("open"):
        card.find("summary").click()
    texts = [[cell.text for cell in card.root.find_elements(By.TAG_NAME, tag)] for tag in ("dt", "dd")]
    return dict(zip(*texts, strict=True))


def test_every_property_is_shown_and_finished_means_that_the_app_has_stored_the_file(
    clean_driver: Browser, dynamic: Stage
) -> None:
    path, sha256 = dynamic.file("holiday.mov", 16 * MIB)
    page = Page(clean_driver, dynamic)
    picture(clean_driver, "dynamic-1-start")
    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    (card,) = page.upload(path)
    dynamic.hold_at(0.2, card)
    shown = properties(card)
    picture(clean_driver, "dynamic-2-uploading")
    assert set(shown) == PROPERTIES
    assert shown["filename"] == "holiday.mov"
    assert shown["bytes_total"] == str(16 * MIB)
    assert (shown["connected"], shown["finished"], shown["can_pause"]) == ("true", "false", "true")

    dynamic.app_road.stop()
    dynamic.go_on()
    card.wait_for_text(".output_state_msg", "the app could not be reached")
    assert not card.find(".input_pause").is_enabled()
    assert not card.find(".input_btn_cancel").is_enabled()
    picture(clean_driver, "dynamic-3-storing")
    dynamic.app_road.start()
    card.wait_for_text(".output_state_msg", "Finished")
    picture(clean_driver, "dynamic-4-finished")
    assert properties(card)["finished"] == "true"
    assert dynamic.app.uploaded() == {"holiday.mov": sha256}
    page.wait_for_text("#files", "holiday.mov")
    progress = seen_progress(clean_driver)
    assert progress == sorted(progress)
    assert len(set(progress)) > 20


def test_an_upload_of_an_earlier_visit_is_offered_and_resumes_with_its_old_ticket(
    clean_driver: Browser, dynamic: Stage
) -> None:
    path, sha256 = dynamic.file("holiday.mov", 8 * MIB)
    page = Page(clean_driver, dynamic)
    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    (card,) = page.upload(path)
    card.wait_for_text(".amount", "B/s, ")
    card.find(".input_pause").click()
    card.wait_for_text(".output_state_msg", "Paused")
    clean_driver.execute_script("window.onbeforeunload = null")

    page = Page(clean_driver, dynamic)
    page.wait_for_text("#unfinished", "holiday.mov has not arrived completely: ")
    picture(clean_driver, "dynamic-unfinished")
    dynamic.let_go()
    (card,) = page.upload(path)
    assert page.text("#unfinished") == ""
    card.wait_for_text(".output_state_msg", "Finished")
    assert dynamic.app.uploaded() == {"holiday.mov": sha256}
    assert dynamic.server.log_text().count("ticket issued") == 1


def test_an_offered_upload_whose_name_turns_text_has_a_readable_line(
    clean_driver: Browser, dynamic: Stage
) -> None:
    path, _ = dynamic.file(TURNING_NAME, 8 * MIB)
    page = Page(clean_driver, dynamic)
    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    (card,) = page.upload(path)
    card.wait_for_text(".amount", "B/s, ")
    clean_driver.execute_script("window.onbeforeunload = null")

    page = Page(clean_driver, dynamic)
    page.wait_for_text("#unfinished", "has not arrived completely: ")
    assert not page.is_turned("#unfinished", "completely")


def test_offered_uploads_that_no_file_can_resume_any_more_are_forgotten(
    clean_driver: Browser, dynamic: Stage
) -> None:
    paths = [dynamic.file(name, 8 * MIB, seed)[0] for seed, name in enumerate(("a.mov", "b.mov"))]
    page = Page(clean_driver, dynamic)
    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    for card in page.upload(*paths):
        card.wait_for_text(".amount", "B/s, ")
    clean_driver.execute_script("window.onbeforeunload = null")

    digests = {path.name: change_unnoticed(path) for path in paths}
    page = Page(clean_driver, dynamic)
    dynamic.let_go()  # not while the earlier page could still send the rest
    for card in page.upload(*paths):
        card.wait_for_text(".output_state_msg", "The upload was started with ")
    page = Page(clean_driver, dynamic)
    picture(clean_driver, "dynamic-forget")
    for left in (1, 0):
        page.find("#unfinished button").click()
        assert len(clean_driver.find_elements(By.CSS_SELECTOR, "#unfinished li")) == left
        focused = "#unfinished button" if left else "#input_file_select"
        assert clean_driver.switch_to.active_element == page.find(focused)
    for card in page.upload(*paths):
        card.wait_for_text(".output_state_msg", "Finished")
    assert dynamic.app.uploaded() == digests


def test_a_paused_upload_stands_still_and_resumes_where_it_was(clean_driver: Browser, dynamic: Stage) -> None:
    path, sha256 = dynamic.file("holiday.mov", 16 * MIB)
    page = Page(clean_driver, dynamic)
    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    (card,) = page.upload(path)
    dynamic.hold_at(0.2, card)
    card.find(".input_pause").click()
    card.wait_for_text(".output_state_msg", "Paused")
    dynamic.let_go()
    picture(clean_driver, "dynamic-5-paused")
    assert card.find(".input_pause").is_selected()
    assert properties(card)["connected"] == "false"
    wait_until(lambda: "paused" in dynamic.server.log_text(), "the server knows")
    paused_at = card.fraction()
    assert paused_at < 1

    card.find(".input_pause").click()
    card.wait_for_text(".output_state_msg", "Finished")
    assert dynamic.app.uploaded() == {"holiday.mov": sha256}
    progress = seen_progress(clean_driver)
    assert progress == sorted(progress), "it never went back"


def test_a_cancelled_upload_is_gone_and_the_app_is_told(clean_driver: Browser, dynamic: Stage) -> None:
    path, _ = dynamic.file("holiday.mov", 16 * MIB)
    page = Page(clean_driver, dynamic)
    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    (running,) = page.upload(path)
    dynamic.hold_at(0.2, running)
    running.find(".input_btn_cancel").click()
    running.wait_for_text(".output_state_msg", "Cancel")
    dynamic.let_go()
    running.wait_for_text(".output_state_msg", "Cancelled: by the user")
    picture(clean_driver, "dynamic-6-cancelled")

    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    (paused,) = page.upload(path)
    dynamic.hold_at(0.2, paused)
    paused.find(".input_pause").click()
    paused.wait_for_text(".output_state_msg", "Paused")
    paused.find(".input_btn_cancel").click()
    paused.wait_for_text(".output_state_msg", "Cancel")
    dynamic.let_go()
    paused.wait_for_text(".output_state_msg", "Cancelled")

    wait_until(lambda: dynamic.app.log_text().count("was cancelled") == 2, "the app is told of both")
    wait_until(lambda: dynamic.stored_bytes() == 0, "the server keeps nothing")
    assert dynamic.app.uploaded() == {}


def test_a_click_counts_although_the_upload_gets_on_while_the_button_is_down(
    clean_driver: Browser, dynamic: Stage
) -> None:
    path, _ = dynamic.file("holiday.mov", 16 * MIB)
    page = Page(clean_driver, dynamic)
    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    (card,) = page.upload(path)
    dynamic.hold_at(0.2, card)
    dynamic.network.max_bytes = 12 * MIB
    dynamic.network.bytes_per_s = CRAWL_BYTES_PER_S
    with held(clean_driver, card.find(".input_pause")):
        before = card.fraction()
        wait_until(lambda: card.fraction() > before, "more has arrived")
    card.wait_for_text(".output_state_msg", "Paused")


def test_two_files_are_uploaded_at_the_same_time(clean_driver: Browser, dynamic: Stage) -> None:
    files = [dynamic.file(name, 12 * MIB, seed) for seed, name in enumerate(("first.mov", "second.mov"))]
    page = Page(clean_driver, dynamic)
    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    cards = page.upload(*(path for path, _ in files))
    dynamic.hold_at(0.2, *cards)
    assert all(card.fraction() < 0.9 for card in cards), "both are in the middle"
    picture(clean_driver, "dynamic-7-two-at-once")
    dynamic.let_go()
    for card in cards:
        card.wait_for_text(".output_state_msg", "Finished")
    assert dynamic.app.uploaded() == {path.name: sha256 for path, sha256 in files}


def test_files_follow_one_another_without_a_reload(clean_driver: Browser, dynamic: Stage) -> None:
    page = Page(clean_driver, dynamic)
    wanted = {}
    for seed, (name, length_bytes) in enumerate({"empty": 0, "one": 1, "same.txt": 999, "big": MIB}.items()):
        path, wanted[name] = dynamic.file(name, length_bytes, seed)
        (card,) = page.upload(path)
        card.wait_for_text(".output_state_msg", "Finished")
    path, wanted["same (2).txt"] = dynamic.file("same.txt", 1000, seed=99)
    (card,) = page.upload(path)
    card.wait_for_text(".output_state_msg", "Finished")
    assert dynamic.app.uploaded() == wanted
    for name in wanted:
        page.wait_for_text("#files", name)


def test_nasty_names_are_shown_as_text_and_harm_nobody(clean_driver: Browser, dynamic: Stage) -> None:
    files = [dynamic.file(name, 100, seed) for seed, name in enumerate(NASTY_NAMES)]
    page = Page(clean_driver, dynamic)
    cards = page.upload(*(path for path, _ in files))
    for card, name in zip(cards, NASTY_NAMES, strict=True):
        card.wait_for_text(".output_state_msg", "Finished")
        assert card.text(".name") == name
    listed = wait_until(
        lambda: found if len(found := dict(clean_driver.execute_script(LISTED))) == 7 else {},
        "all are listed",
    )
    picture(clean_driver, "dynamic-8-nasty-names")
    assert not clean_driver.find_elements(By.CSS_SELECTOR, "img")

    stored = dynamic.app.uploaded()
    assert stored == {NASTY_NAMES[path.name]: sha256 for path, sha256 in files}
    assert set(listed) == set(stored)
    for url in listed.values():
        assert requests.get(url, timeout=60).content


def test_uploads_resume_automatically_after_the_server_was_killed(
    clean_driver: Browser, dynamic: Stage
) -> None:
    files = [dynamic.file(name, 12 * MIB, seed) for seed, name in enumerate(("first.mov", "second.mov"))]
    page = Page(clean_driver, dynamic)
    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    cards = page.upload(*(path for path, _ in files))
    before = dynamic.hold_at(0.2, *cards)
    dynamic.server.kill()
    for card in cards:
        card.wait_for_text(".output_state_msg", "Trying again soon")
    picture(clean_driver, "dynamic-9-disconnected")
    dynamic.server.start()
    for card, fraction in zip(cards, before, strict=True):
        card.wait_for_text(".output_state_msg", "Uploading")
        assert card.fraction() >= fraction
    dynamic.let_go()
    for card in cards:
        card.wait_for_text(".output_state_msg", "Finished")
    assert dynamic.app.uploaded() == {path.name: sha256 for path, sha256 in files}


def test_an_upload_finishes_although_the_server_is_killed_while_the_app_stores_the_file(
    clean_driver: Browser, launcher: Launcher, tmp_path: Path
) -> None:
    with set_up(launcher, "2-dynamic", tmp_path, finish_delay_s=2.5) as dynamic:
        path, sha256 = dynamic.file("holiday.mov", MIB)
        page = Page(clean_driver, dynamic)
        (card,) = page.upload(path)
        wait_until(lambda: "wait" in dynamic.server.log_text(), "the app has answered")
        dynamic.server.restart()
        card.wait_for_text(".output_state_msg", "Finished")
        assert dynamic.app.uploaded() == {"holiday.mov": sha256}


def test_without_a_ticket_the_page_says_so(clean_driver: Browser, dynamic: Stage) -> None:
    path, sha256 = dynamic.file("holiday.mov", 1000)
    page = Page(clean_driver, dynamic)
    dynamic.server.kill()
    (card,) = page.upload(path)
    card.wait_for_text(".output_state_msg", "The upload could not start")
    picture(clean_driver, "dynamic-10-no-ticket")
    dynamic.server.start()
    (card,) = page.upload(path)
    card.wait_for_text(".output_state_msg", "Finished")
    assert dynamic.app.uploaded() == {"holiday.mov": sha256}


def test_a_cut_off_answer_with_a_ticket_is_not_taken_for_a_ticket(
    clean_driver: Browser, dynamic: Stage
) -> None:
    path, sha256 = dynamic.file("holiday.mov", 1000)
    page = Page(clean_driver, dynamic)
    clean_driver.execute_script(ANSWERS_BREAK_OFF)
    (card,) = page.upload(path)
    card.wait_for_text(".output_state_msg", "The upload could not start")
    clean_driver.execute_script("window.fetch = window.wholeAnswers")
    (card,) = page.upload(path)
    card.wait_for_text(".output_state_msg", "Finished")
    assert dynamic.app.uploaded() == {"holiday.mov": sha256}


def test_the_page_works_with_the_keyboard_alone(clean_driver: Browser, dynamic: Stage) -> None:
    path, sha256 = dynamic.file("holiday.mov", 16 * MIB)
    page = Page(clean_driver, dynamic)
    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    with file_dialog_answered(clean_driver, path):
        press(clean_driver, Keys.TAB, Keys.SPACE)
    dynamic.hold_at(0.1, page)
    press(clean_driver, Keys.TAB, Keys.SPACE)
    page.wait_for_text(".output_state_msg", "Paused")
    picture(clean_driver, "dynamic-11-focus")
    press(clean_driver, Keys.SPACE)
    page.wait_for_text(".output_state_msg", "Uploading")
    dynamic.let_go()
    page.wait_for_text(".output_state_msg", "Finished")
    assert dynamic.app.uploaded() == {"holiday.mov": sha256}


def test_the_focus_is_never_lost_and_the_controls_of_each_card_have_names_of_their_own(
    clean_driver: Browser, dynamic: Stage
) -> None:
    page = Page(clean_driver, dynamic)
    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    names = ["first.mov", "second.mov"]
    cards = page.upload(*(dynamic.file(name, 16 * MIB)[0] for name in names))
    dynamic.hold_at(0.1, *cards)
    for name, card in zip(names, cards, strict=True):
        controls = ("progress", ".input_pause", ".input_btn_cancel", "summary")
        assert [card.find(control).accessible_name for control in controls] == [
            f"Progress: {name}", f"Pause: {name}", f"Cancel: {name}", f"All properties: {name}",
        ]  # fmt: skip
    press(clean_driver, Keys.TAB, Keys.TAB, Keys.TAB)
    assert focused(clean_driver) == "Cancel: second.mov"
    press(clean_driver, Keys.ENTER)
    cards[1].wait_for_text(".output_state_msg", "Cancelled")
    assert focused(clean_driver) == "second.mov"
    press(clean_driver, Keys.TAB)
    assert focused(clean_driver) == "All properties: second.mov"


def test_the_list_of_files_is_not_replaced_while_it_has_the_focus(
    clean_driver: Browser, dynamic: Stage
) -> None:
    fetched = (
        "return performance.getEntriesByType('resource').filter(({ name }) => name === location.href).length"
    )
    page = Page(clean_driver, dynamic)
    page.upload(dynamic.file("first.mov", 1)[0])
    page.wait_for_text("#files", "first.mov")
    path, _ = dynamic.file("second.mov", 16 * MIB)
    dynamic.network.bytes_per_s = SLOW_BYTES_PER_S
    (card,) = page.upload(path)
    dynamic.hold_at(0.1, card, length_bytes=16 * MIB)
    clean_driver.execute_script("document.querySelector('#files a').focus()")
    dynamic.let_go()
    card.wait_for_text(".output_state_msg", "Finished")
    wait_until(lambda: clean_driver.execute_script(fetched) == 2, "the new list is there")
    assert focused(clean_driver) == "first.mov"
