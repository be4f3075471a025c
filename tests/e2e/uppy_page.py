"""The page with Uppy's Dashboard, as a person sees and uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from selenium.webdriver.common.by import By

from tests.e2e.stage import Stage
from tests.support.browser import Card
from tests.support.engines import Browser
from tests.support.waiting import DEADLINE_S, wait_until

ITEM: Final = ".uppy-Dashboard-Item"
STATUS: Final = ".uppy-StatusBar"


class UppyPage(Card):
    """The page, with its Dashboard. Uppy uploads with the plugin of the library, or over tus."""

    def __init__(self, driver: Browser, stage: Stage, path: str = "") -> None:
        super().__init__(driver)
        self.driver = driver
        self.url = stage.app.url + path
        self.load()

    def load(self) -> None:
        """Loads the page, also while the browser would ask whether to leave it."""
        self.driver.execute_script("window.onbeforeunload = null")
        self.driver.get(self.url)
        wait_until(lambda: self.driver.find_elements(By.CSS_SELECTOR, ".uppy-Dashboard-input"), "a Dashboard")

    def choose(self, *paths: Path) -> None:
        """Adds files, as the file dialog does, and presses the button that uploads them."""
        self.find(".uppy-Dashboard-input").send_keys("\n".join(str(path) for path in paths))
        self.press(".uppy-StatusBar-actionBtn--upload")

    def press(self, selector: str) -> None:
        """Presses a button as soon as there is one. The Dashboard draws its buttons again and again."""
        script = "const found = document.querySelector(arguments[0]); found?.click(); return Boolean(found)"
        wait_until(lambda: self.driver.execute_script(script, selector), f"a button {selector}")

    def percent(self) -> int:
        """Returns the value of the bar of all uploads."""
        script = (
            "return document.querySelector('.uppy-StatusBar-progress')?.getAttribute('aria-valuenow') || 0"
        )
        return int(self.driver.execute_script(script))

    def is_complete(self) -> bool:
        """Tells whether the Dashboard says that all uploads are complete."""
        return bool(self.driver.find_elements(By.CSS_SELECTOR, f"{STATUS}.is-complete"))

    def wait_for_complete(self, deadline_s: float = DEADLINE_S) -> None:
        """Waits until the Dashboard says that all uploads are complete."""
        try:
            wait_until(self.is_complete, "all are complete", deadline_s)
        except AssertionError as exc:
            raise AssertionError(f"{exc}; the page says {self.text('main')!r}") from None

    def said(self) -> str:
        """Returns the text of the page, as a program sees it."""
        text: Any = self.driver.execute_script("return document.querySelector('main').textContent")
        return str(text)

    def wait_until_it_says(self, part: str, deadline_s: float = DEADLINE_S) -> None:
        """Waits until a text is anywhere on the page."""
        wait_until(lambda: part in self.said(), f"the page says {part!r}", deadline_s)
