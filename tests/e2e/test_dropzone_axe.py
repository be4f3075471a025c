"""What axe finds wrong with the dropzone for those who hear it, or see little of it."""

from __future__ import annotations

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.e2e.dropzone_page import DropzonePage
from tests.e2e.stage import CRAWL_BYTES_PER_S, Stage
from tests.support.axe import grave
from tests.support.browser import press
from tests.support.data import MIB
from tests.support.engines import Chromium, in_make_engines

ENGINES = ("chromium",)  # it reads the page, not the browser


def test_axe_finds_defects_that_are_put_into_the_page(clean_driver: Chromium, dropzone: Stage) -> None:
    page = DropzonePage(clean_driver, dropzone)
    assert page.find("main")
    clean_driver.execute_script("document.getElementById('choose_files').textContent = ''")
    clean_driver.execute_script("document.querySelector('.soft').style.color = '#eee'")
    found = " ".join(grave(clean_driver))
    assert "Buttons must have discernible text" in found
    assert "contrast" in found


def test_nothing_grave_is_found_on_an_empty_page(clean_driver: Chromium, dropzone: Stage) -> None:
    page = DropzonePage(clean_driver, dropzone)
    for under_the_mouse in ("h1", "#choose_files", "#choose_folder"):
        ActionChains(clean_driver).move_to_element(page.find(under_the_mouse)).perform()
        assert grave(clean_driver) == []


@in_make_engines
def test_nothing_grave_is_found_in_any_state_of_a_file(clean_driver: Chromium, dropzone: Stage) -> None:
    files = [dropzone.file(f"file {n}.bin", 16 * MIB, n)[0] for n in range(5)]
    small, _ = dropzone.file("small.txt", 10)
    page = DropzonePage(clean_driver, dropzone)
    page.choose_files(small)
    page.wait_for_states("finished")
    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose_files(*files)
    page.row("file 0.bin").wait_for_fraction(0.01)
    page.row("file 0.bin").find(".go").click()
    page.row("file 1.bin").wait_for_fraction(0.01)
    files[1].unlink()
    page.row("file 2.bin").wait_for_fraction(0.01)
    page.row("file 2.bin").find(".stop").click()
    page.row("file 2.bin").wait_for_text(".state", "Cancelled")
    page.row("file 1.bin").wait_for_text(".state", "can no longer be read")
    assert set(page.states()) >= {"finished", "paused", "failed", "cancelled", "running"}
    assert grave(clean_driver) == []

    page.button("Cancel all")
    assert grave(clean_driver) == []
    press(clean_driver, Keys.ESCAPE)
    clean_driver.execute_script("window.onbeforeunload = null")
    page = DropzonePage(clean_driver, dropzone)
    page.wait_for_text("#unfinished", "file 0.bin")
    assert grave(clean_driver) == []
