"""Uppy's Dashboard with the uploader of the library, in a real browser: what each button does to a file."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from selenium.webdriver.common.by import By

from tests.e2e.stage import CRAWL_BYTES_PER_S, MAX_BYTES, SLOW_BYTES_PER_S, Stage
from tests.e2e.uppy_page import ITEM, UppyPage
from tests.support.browser import picture
from tests.support.data import MIB
from tests.support.engines import Browser, in_make_engines
from tests.support.waiting import wait_until

STATE = "return Object.values(localStorage)"
PAUSE_ALL = ".uppy-StatusBar-actionCircleBtn[title=Pause]"
RESUME_ALL = ".uppy-StatusBar-actionCircleBtn[title=Resume]"
CANCEL_ALL = ".uppy-StatusBar-actionCircleBtn[title=Cancel]"
RETRY = ".uppy-StatusBar-actionBtn--retry"
PAUSE_OR_RESUME_ONE = ".uppy-Dashboard-Item-progressIndicator"
REMOVE_ONE = ".uppy-Dashboard-Item-action--remove"
FIND_UPPY = """
    const script = document.createElement("script");
    script.type = "module";
    script.textContent = `import { uppy } from "/page.js"; window.uppy = uppy;`;
    document.head.append(script);
"""
WATCH_TICKETS = """
    window.asked = [];
    const send = window.fetch;
    window.fetch = (url, options) => {
      if (!options) return send(url);
      asked.push({ ...options.headers, ...Object.fromEntries(options.body) });
      return refusal ? Promise.resolve(new Response(refusal, { status: 403 })) : send(url, options);
    };
"""


def in_uppy(driver: Browser, script: str) -> Any:
    """Runs a script that has `uppy`, and returns what it returns."""
    driver.execute_script(FIND_UPPY)
    wait_until(lambda: driver.execute_script("return Boolean(window.uppy)"), "the page's Uppy")
    return driver.execute_script(script)


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


def holds_more_than(stage: Stage, held_bytes: int) -> bool:
    """Tells whether the server has stored more of the file."""
    return stage.stored_bytes() > held_bytes


def wait_for_no_client(stage: Stage) -> None:
    """Waits until no client uploads the one file, and what was under way has arrived."""
    (ticket_id,) = stage.server.journaled()
    wait_until(lambda: stage.server.journaled_state(ticket_id) == "paused", "the server has no client")


def test_several_files_arrive_and_leave_nothing_in_the_browser(clean_driver: Browser, uppy: Stage) -> None:
    files = dict(uppy.file(f"größe {number}.mov", MIB + number, number) for number in range(4))
    empty, sha256_of_empty = uppy.file("empty", 0)
    page = UppyPage(clean_driver, uppy)
    page.choose(*files, empty)
    page.wait_for_complete()
    for path in files:
        page.wait_for_text("#stored", path.name)
    picture(clean_driver, "uppy-1-complete")
    assert uppy.app.uploaded() == {path.name: files[path] for path in files} | {"empty": sha256_of_empty}
    assert len(uppy.server.journaled()) == 5, "a ticket for each"
    assert clean_driver.execute_script(STATE) == []


def test_the_buttons_pause_and_resume_one_file_or_all_and_a_cut_connection_is_told_of(
    clean_driver: Browser, uppy: Stage
) -> None:
    page = UppyPage(clean_driver, uppy)
    sha256 = begin_slowly(page, uppy)
    assert 0 < page.percent() < 100
    for pause, resume in ((PAUSE_ALL, RESUME_ALL), (PAUSE_OR_RESUME_ONE, PAUSE_OR_RESUME_ONE)):
        page.press(pause)
        wait_until(lambda: "Paused" in page.said(), "it is paused")
        uppy.let_go()
        wait_for_no_client(uppy)
        uppy.network.bytes_per_s = CRAWL_BYTES_PER_S
        more_is_stored = partial(holds_more_than, uppy, uppy.stored_bytes())
        page.press(resume)
        wait_until(more_is_stored, "it is resumed")

    uppy.server.kill()
    page.wait_until_it_says("Trying again soon.")
    picture(clean_driver, "uppy-2-server-gone")
    uppy.let_go()
    uppy.server.start()
    page.wait_for_complete()
    assert uppy.app.uploaded() == {"holiday.mov": sha256}
    assert len(uppy.server.journaled()) == 1


def test_an_upload_resumes_after_a_reload_when_its_file_is_added_again(
    clean_driver: Browser, uppy: Stage
) -> None:
    page = UppyPage(clean_driver, uppy)
    sha256 = begin_slowly(page, uppy)
    page.load()
    uppy.let_go()
    page.choose(uppy.folder / "0" / "holiday.mov")
    page.wait_for_complete()
    assert uppy.app.uploaded() == {"holiday.mov": sha256}
    assert len(uppy.server.journaled()) == 1, "no ticket but the first one"


@in_make_engines
def test_a_ticket_that_the_server_no_longer_knows_is_replaced_after_a_reload(
    clean_driver: Browser, uppy: Stage
) -> None:
    page = UppyPage(clean_driver, uppy)
    begin_slowly(page, uppy)
    page.load()
    (first,) = uppy.server.journaled()
    uppy.let_go()
    uppy.server.kill()
    (uppy.server.storage_dir / "journal" / "log").unlink()
    uppy.server.start()
    page.choose(uppy.folder / "0" / "holiday.mov")
    page.wait_for_complete()
    assert first not in uppy.server.journaled()


def test_complete_is_said_when_the_app_has_the_file_and_a_refusal_can_be_tried_again(
    clean_driver: Browser, uppy: Stage
) -> None:
    page = UppyPage(clean_driver, uppy)
    sha256 = begin_slowly(page, uppy)
    uppy.app.stop()
    uppy.let_go()
    page.wait_until_it_says("The server is trying again.")
    assert not page.is_complete()
    picture(clean_driver, "uppy-3-app-down")

    for secret in (uppy.app.uploads / ".tickets").iterdir():
        secret.unlink()
    uppy.app.start()
    page.wait_until_it_says("Upload failed")
    page.wait_until_it_says("Failed to upload holiday.mov")
    picture(clean_driver, "uppy-4-refused")
    assert not page.is_complete()
    assert uppy.app.uploaded() == {}
    page.press(RETRY)
    page.wait_for_complete()
    assert uppy.app.uploaded() == {"holiday.mov": sha256}
    assert len(uppy.server.journaled()) == 2


def test_each_reason_why_an_upload_waits_is_told_though_another_was_told_just_before(
    clean_driver: Browser, uppy: Stage
) -> None:
    page = UppyPage(clean_driver, uppy)
    in_uppy(clean_driver, "uppy.setOptions({ infoTimeout: 600_000 })")  # for so long Uppy drops events
    begin_slowly(page, uppy)
    uppy.server.kill()
    page.wait_until_it_says("The connection was lost. Trying again soon.")
    uppy.app.stop()
    uppy.let_go()
    uppy.server.start()
    page.wait_until_it_says("All data has arrived, but the app ")
    assert "Connecting." not in page.said()
    picture(clean_driver, "uppy-5-two-reasons")
    uppy.app.start()
    page.wait_for_complete()


@pytest.mark.parametrize("button", [REMOVE_ONE, CANCEL_ALL])
def test_a_file_that_is_removed_is_cancelled_and_the_server_keeps_nothing(
    clean_driver: Browser, uppy: Stage, button: str
) -> None:
    page = UppyPage(clean_driver, uppy)
    begin_slowly(page, uppy)
    page.press(button)
    uppy.network.bytes_per_s = 0  # what is queued in front of the cancellation need not crawl
    wait_until(lambda: uppy.stored_bytes() == 0, "the server keeps nothing")
    wait_until(lambda: "was cancelled" in uppy.app.log_text(), "the app knows")
    assert not clean_driver.find_elements(By.CSS_SELECTOR, ITEM)
    wait_until(lambda: clean_driver.execute_script(STATE) == [], "the browser keeps nothing")


@in_make_engines
def test_an_uploader_that_is_removed_leaves_its_uploads_and_one_that_is_destroyed_cancels_them(
    clean_driver: Browser, uppy: Stage
) -> None:
    page = UppyPage(clean_driver, uppy)
    begin_slowly(page, uppy)
    in_uppy(clean_driver, "uppy.removePlugin(uppy.getPlugin('IncomingUploader'))")
    wait_for_no_client(uppy)
    assert uppy.stored_bytes() > MIB
    assert "was cancelled" not in uppy.app.log_text()

    page.load()
    page.choose(uppy.folder / "0" / "holiday.mov")
    (ticket_id,) = uppy.server.journaled()
    wait_until(lambda: uppy.server.journaled_state(ticket_id) == "uploading", "it is resumed")
    in_uppy(clean_driver, "uppy.destroy()")
    wait_until(lambda: uppy.stored_bytes() == 0, "the server keeps nothing")
    wait_until(lambda: "was cancelled" in uppy.app.log_text(), "the app knows")


def test_the_app_gets_what_uppy_knows_of_a_file_and_its_refusal_is_shown(
    clean_driver: Browser, uppy: Stage
) -> None:
    page = UppyPage(clean_driver, uppy)
    clean_driver.execute_script(WATCH_TICKETS)
    clean_driver.execute_script("window.refusal = 'Only pictures, please.'")
    in_uppy(
        clean_driver,
        """
        uppy.setMeta({ album: 7 });
        uppy.getPlugin("IncomingUploader").setOptions({ headers: ({ name }) => ({ "X-Name": name }) });
    """,
    )
    path, sha256 = uppy.file("report.pdf", 3000)
    page.choose(path)
    page.wait_until_it_says("Upload failed")
    page.wait_until_it_says("Only pictures, please.")
    picture(clean_driver, "uppy-5-no-ticket")
    assert uppy.server.journaled() == {}

    clean_driver.execute_script("window.refusal = ''")
    page.press(RETRY)
    page.wait_for_complete()
    known = {"name": "report.pdf", "size": "3000", "type": "application/pdf", "path": "report.pdf"}
    asked = clean_driver.execute_script("return window.asked")
    assert asked == [known | {"album": "7", "X-Name": "report.pdf"}] * 2
    assert uppy.app.uploaded() == {"report.pdf": sha256}
    result = in_uppy(clean_driver, "return uppy.getFiles()[0].response")
    assert result["body"] == {"upload_id": next(iter(uppy.server.journaled()))}


@in_make_engines
def test_a_file_waits_for_its_ticket_while_the_app_is_down_and_the_name_in_uppy_counts(
    clean_driver: Browser, uppy: Stage
) -> None:
    page = UppyPage(clean_driver, uppy)
    path, sha256 = uppy.file("report.pdf", 3000)
    uppy.app.stop()
    in_uppy(
        clean_driver,
        """
        uppy.on("file-added", ({ id }) => uppy.setFileMeta(id, { name: "summary.pdf" }));
    """,
    )
    page.choose(path)
    page.wait_until_it_says("The upload could not start yet. Trying again soon.")
    uppy.app.start()
    page.wait_for_complete()
    assert uppy.app.uploaded() == {"summary.pdf": sha256}
