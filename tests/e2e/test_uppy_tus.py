"""Uppy's Dashboard on our tickets over tus, in a real browser: files, pause, a kill, a reload, a refusal."""

from __future__ import annotations

from selenium.webdriver.common.by import By

from tests.e2e.stage import CRAWL_BYTES_PER_S, MAX_BYTES, SLOW_BYTES_PER_S, Stage
from tests.e2e.uppy_page import ITEM, UppyPage
from tests.support.browser import picture
from tests.support.data import MIB
from tests.support.engines import Browser, in_make_engines
from tests.support.waiting import wait_until

STATE = "return Object.values(localStorage)"


def begin_slowly(page: UppyPage, stage: Stage, size_bytes: int = 6 * MIB) -> str:
    """Chooses a file and waits until some of it is stored. The rest crawls. Returns the file's SHA-256."""
    path, sha256 = stage.file("holiday.mov", size_bytes)
    stage.network.bytes_per_s = SLOW_BYTES_PER_S // 2
    stage.network.max_bytes = MIB + MIB // 2
    page.choose(path)
    wait_until(lambda: stage.stored_bytes() > MIB, "some of it is stored")
    stage.network.bytes_per_s = CRAWL_BYTES_PER_S
    stage.network.max_bytes = MAX_BYTES
    return sha256


def test_several_files_arrive_and_the_page_lists_them(clean_driver: Browser, uppy: Stage) -> None:
    files = dict(uppy.file(f"größe {number}.mov", MIB + number, number) for number in range(3))
    empty, sha256_of_empty = uppy.file("empty", 0)
    page = UppyPage(clean_driver, uppy, "tus")
    picture(clean_driver, "uppy-tus-1-empty")
    page.choose(*files, empty)
    page.wait_for_complete()
    for path in files:
        page.wait_for_text("#stored", path.name)
    picture(clean_driver, "uppy-tus-2-complete")
    assert uppy.app.uploaded() == {path.name: files[path] for path in files} | {"empty": sha256_of_empty}
    assert len(uppy.server.journaled()) == 4, "a ticket for each"
    assert clean_driver.execute_script(STATE) == []


def test_an_upload_resumes_after_a_reload_when_its_file_is_added_again(
    clean_driver: Browser, uppy: Stage
) -> None:
    page = UppyPage(clean_driver, uppy, "tus")
    sha256 = begin_slowly(page, uppy)
    before = uppy.stored_bytes()
    page.load()
    uppy.let_go()
    page.choose(uppy.folder / "0" / "holiday.mov")
    page.wait_for_complete()
    assert before > MIB
    assert uppy.app.uploaded() == {"holiday.mov": sha256}
    assert len(uppy.server.journaled()) == 1, "no ticket but the first one"


def test_an_upload_resumes_after_the_server_was_killed(clean_driver: Browser, uppy: Stage) -> None:
    page = UppyPage(clean_driver, uppy, "tus")
    sha256 = begin_slowly(page, uppy)
    picture(clean_driver, "uppy-tus-3-uploading")
    uppy.server.kill()
    page.wait_until_it_says("can't be reached. Trying again.")
    picture(clean_driver, "uppy-tus-4-server-gone")
    uppy.let_go()
    uppy.server.start()
    page.wait_for_complete()
    assert uppy.app.uploaded() == {"holiday.mov": sha256}


@in_make_engines
def test_a_paused_upload_waits_until_it_is_resumed(clean_driver: Browser, uppy: Stage) -> None:
    page = UppyPage(clean_driver, uppy, "tus")
    sha256 = begin_slowly(page, uppy)
    page.press(".uppy-StatusBar-actionCircleBtn")
    wait_until(lambda: "Paused" in page.said(), "it is paused")
    uppy.let_go()
    picture(clean_driver, "uppy-tus-5-paused")
    assert 0 < uppy.stored_bytes() < 6 * MIB
    page.press(".uppy-StatusBar-actionCircleBtn")
    page.wait_for_complete()
    assert uppy.app.uploaded() == {"holiday.mov": sha256}


@in_make_engines
def test_complete_is_said_when_the_app_has_the_file_and_not_before(
    clean_driver: Browser, uppy: Stage
) -> None:
    page = UppyPage(clean_driver, uppy, "tus")
    sha256 = begin_slowly(page, uppy)
    uppy.app.stop()
    uppy.let_go()
    wait_until(lambda: uppy.stored_bytes() == 6 * MIB, "all bytes are stored")
    (ticket_id,) = uppy.server.journaled()
    wait_until(lambda: uppy.server.journaled_state(ticket_id) == "handing_over", "the app is called")
    assert not page.is_complete()
    picture(clean_driver, "uppy-tus-6-app-down")
    uppy.app.start()
    page.wait_for_complete()
    assert uppy.app.uploaded() == {"holiday.mov": sha256}


def test_a_refused_file_is_an_error_and_a_retry_gets_a_new_ticket(clean_driver: Browser, uppy: Stage) -> None:
    page = UppyPage(clean_driver, uppy, "tus")
    sha256 = begin_slowly(page, uppy)
    uppy.app.stop()
    for secret in (uppy.app.uploads / ".tickets").iterdir():
        secret.unlink()
    uppy.app.start()
    uppy.let_go()
    page.wait_until_it_says("Upload failed")
    page.wait_until_it_says("The app")
    picture(clean_driver, "uppy-tus-7-refused")
    assert not page.is_complete()
    assert uppy.app.uploaded() == {}
    page.press(".uppy-StatusBar-actionBtn--retry")
    page.wait_for_complete()
    assert uppy.app.uploaded() == {"holiday.mov": sha256}
    assert len(uppy.server.journaled()) == 2


def test_a_removed_file_is_cancelled_and_the_server_keeps_nothing(clean_driver: Browser, uppy: Stage) -> None:
    page = UppyPage(clean_driver, uppy, "tus")
    begin_slowly(page, uppy)
    page.press(".uppy-Dashboard-Item-action--remove")
    wait_until(lambda: uppy.stored_bytes() == 0, "the server keeps nothing")
    wait_until(lambda: "was cancelled" in uppy.app.log_text(), "the app knows")
    assert not clean_driver.find_elements(By.CSS_SELECTOR, ITEM)
    wait_until(lambda: clean_driver.execute_script(STATE) == [], "the browser keeps nothing")


@in_make_engines
def test_a_file_that_is_uploaded_again_is_another_file(clean_driver: Browser, uppy: Stage) -> None:
    path, sha256 = uppy.file("report.pdf", 3000)
    for _ in range(2):
        page = UppyPage(clean_driver, uppy, "tus")
        page.choose(path)
        page.wait_for_complete()
    assert uppy.app.uploaded() == {"report.pdf": sha256, "report (2).pdf": sha256}


@in_make_engines
def test_a_file_waits_for_its_ticket_while_the_app_is_down(clean_driver: Browser, uppy: Stage) -> None:
    page = UppyPage(clean_driver, uppy, "tus")
    path, sha256 = uppy.file("report.pdf", 3000)
    uppy.app.stop()
    page.choose(path)
    page.wait_until_it_says("Waiting for a ticket")
    picture(clean_driver, "uppy-tus-8-no-app")
    uppy.app.start()
    page.wait_for_complete()
    assert uppy.app.uploaded() == {"report.pdf": sha256}


@in_make_engines
def test_a_file_that_the_app_refuses_a_ticket_for_is_removed_with_the_reason(
    clean_driver: Browser, uppy: Stage
) -> None:
    page = UppyPage(clean_driver, uppy, "tus")
    clean_driver.execute_script(
        "window.fetch = async () => new Response('Only pictures, please.', {status: 403})"
    )
    path, _ = uppy.file("report.pdf", 3000)
    page.choose(path)
    page.wait_until_it_says("Only pictures, please.")
    wait_until(lambda: not clean_driver.find_elements(By.CSS_SELECTOR, ITEM), "the file is gone")
    assert uppy.server.journaled() == {}
