"""The page of example 4."""

from __future__ import annotations

from pathlib import Path

from selenium.webdriver.common.by import By

from tests.hosts.test_docs import ExampleApp
from tests.support.browser import Card
from tests.support.data import MIB
from tests.support.engines import Browser
from tests.support.tally import tally
from tests.support.waiting import wait_until

NASTY_NAME = "'it\"s' <img src=x onerror=window.hacked=1> {{2*3}} \u202egpj & 🎉.mov"

HEAR = """
    window.said = [];
    const hear = ({ target }) => target.role === 'status' && said.push(target.textContent);
    const watcher = new MutationObserver((changes) => changes.forEach(hear));
    watcher.observe(document.body, { childList: true, subtree: true });
"""


def test_a_name_that_carries_a_script_is_shown_as_text(clean_driver: Browser, tmp_path: Path) -> None:
    (tmp_path / NASTY_NAME).write_bytes(bytes(MIB))
    with ExampleApp(tmp_path / "storage") as host:
        clean_driver.get(host.url)
        page = Card(clean_driver)
        page.choose(tmp_path / NASTY_NAME)
        page.wait_for_text("#uploads", "Finished. The app has the file.")
        assert page.text("bdi") == NASTY_NAME
        assert not page.is_turned("#uploads", "Finished")
        assert clean_driver.execute_script("return document.querySelector('img')") is None
    tally("attack", "a name that carries a script, in the page of example 4", 1, "shown as text")


def test_each_file_has_a_bar_of_its_own_and_a_screen_reader_hears_no_percentage(
    clean_driver: Browser, tmp_path: Path
) -> None:
    names = ["first.mov", "second.mov"]
    with ExampleApp(tmp_path / "storage") as host:
        clean_driver.get(host.url)
        clean_driver.execute_script(HEAR)
        page = Card(clean_driver)
        for name in names:
            (tmp_path / name).write_bytes(bytes(20 * MIB))
            page.choose(tmp_path / name)
        wait_until(lambda: page.text("#uploads").count("Finished.") == 2, "both have arrived")
        bars = clean_driver.find_elements(By.TAG_NAME, "progress")
        assert [bar.accessible_name for bar in bars] == [f"Uploaded of {name}" for name in names[::-1]]
        assert [bar.get_property("value") for bar in bars] == [1, 1]
        said = clean_driver.execute_script("return said")
        assert all(text and text.endswith(".") and "%" not in text for text in said)
        assert len(said) < 12, said


def test_without_a_ticket_the_page_says_so(clean_driver: Browser, tmp_path: Path) -> None:
    (tmp_path / "holiday.mov").write_bytes(b"film")
    with ExampleApp(tmp_path / "storage") as host:
        clean_driver.get(host.url)
    page = Card(clean_driver)
    for _ in range(2):
        page.choose(tmp_path / "holiday.mov")
        page.wait_for_text("#uploads", "The upload could not start. Please try again later.")
        clean_driver.execute_script("document.getElementById('uploads').replaceChildren()")
