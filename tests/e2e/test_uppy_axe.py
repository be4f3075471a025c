"""What axe finds wrong with the page of Uppy's Dashboard for those who hear it, or see little of it."""

from __future__ import annotations

from functools import partial
from typing import Final

from tests.e2e.stage import CRAWL_BYTES_PER_S, Stage
from tests.e2e.uppy_page import UppyPage
from tests.support.axe import GRAVE, complaints
from tests.support.browser import PHONE
from tests.support.data import MIB
from tests.support.engines import WIDE, Chromium, in_make_engines
from tests.support.waiting import wait_until

ENGINES = ("chromium",)  # it reads the page, not the browser
UPPY_S_OWN: Final = "Certain ARIA roles must be contained by particular parents"
"""The Dashboard draws the items of a list (role `listitem`) without the list."""
THEME: Final = "return document.querySelector('.uppy-Dashboard').dataset.uppyTheme"
SETTLED: Final = "return !document.getAnimations().some((one) => one instanceof CSSTransition)"


def grave(driver: Chromium) -> list[str]:
    """Returns what is serious or critical in light and in dark, on a wide page and on a phone.

    The Dashboard learns a little later than the page whether it is light or dark, and fades.
    """
    found: list[str] = []
    for scheme, width_px in (("light", WIDE), ("dark", WIDE), ("light", PHONE)):
        driver.look_like(scheme, width_px)
        wait_until(partial(_has_theme, driver, scheme), f"it is {scheme}")
        wait_until(lambda: driver.execute_script(SETTLED), "it has faded")
        seen = [text for text in complaints(driver) if text.split(":")[0] in GRAVE]
        found += [text for text in seen if UPPY_S_OWN not in text]
    driver.look_like("light", WIDE)
    return found


def _has_theme(driver: Chromium, scheme: str) -> bool:
    return bool(driver.execute_script(THEME) == scheme)


@in_make_engines
def test_nothing_grave_is_found_in_any_state_of_a_file(clean_driver: Chromium, uppy: Stage) -> None:
    page = UppyPage(clean_driver, uppy)
    assert grave(clean_driver) == [], "empty"
    small, _ = uppy.file("small.txt", 10)
    page.choose(small)
    page.wait_for_complete()
    assert grave(clean_driver) == [], "complete"

    page.load()
    uppy.network.bytes_per_s = CRAWL_BYTES_PER_S // 8  # each percent moves the bar, and that fades, too
    page.choose(uppy.file("holiday.mov", 16 * MIB)[0])
    wait_until(lambda: uppy.stored_bytes() > 0, "some of it is stored")
    assert grave(clean_driver) == [], "uploading"
    page.press(".uppy-StatusBar-actionCircleBtn")
    wait_until(lambda: "Paused" in page.said(), "it is paused")
    assert grave(clean_driver) == [], "paused"


@in_make_engines
def test_nothing_grave_is_found_when_the_app_refuses_a_file(clean_driver: Chromium, uppy: Stage) -> None:
    page = UppyPage(clean_driver, uppy)
    clean_driver.execute_script(
        "window.fetch = async () => new Response('Only pictures, please.', {status: 403})"
    )
    page.choose(uppy.file("report.pdf", 3000)[0])
    page.wait_until_it_says("Only pictures, please.")
    assert grave(clean_driver) == []
