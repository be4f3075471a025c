"""The dropzone's page, as a person sees and uses it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from selenium.webdriver.common.by import By

from tests.e2e.stage import RunningExample, Stage, sha256
from tests.support.browser import Card, file_dialog_answered, watch_progress
from tests.support.engines import Browser
from tests.support.waiting import DEADLINE_S, wait_until

SLOW_BYTES_PER_S: Final = 2 << 20


class DropzonePage(Card):
    """The page, with a row for each file, in the order in which they came."""

    def __init__(self, driver: Browser, stage: Stage) -> None:
        super().__init__(driver)
        self.driver = driver
        driver.get(stage.app.url)
        loaded = "return document.readyState === 'complete'"  # Firefox's driver does not wait for modules
        wait_until(lambda: driver.execute_script(loaded), "the page has loaded")
        watch_progress(driver)

    def choose_files(self, *paths: Path) -> None:
        """Chooses files, as the file dialog does."""
        self.find("#files").send_keys("\n".join(str(path) for path in paths))

    def dialog_answered(self, path: Path) -> AbstractContextManager[None]:
        """Within it, whoever opens the dialog for files gets `path` chosen."""
        return file_dialog_answered(self.driver, path, self.find("#files"))

    def rows(self) -> dict[str, Card]:
        """Returns the rows by the path that each shows."""
        found = [Card(row) for row in self.driver.find_elements(By.CSS_SELECTOR, "#rows > li")]
        return {row.text("div"): row for row in found}

    def row(self, path: str) -> Card:
        """Waits for the row of this file, and returns it."""
        row = wait_until(lambda: self.rows().get(path), f"a row for {path}")
        assert row
        return row

    def states(self) -> list[str]:
        """Returns the class of each row: waiting, running, paused, finished, failed, cancelled."""
        script = "return [...document.querySelectorAll('#rows > li')].map((row) => row.classList[1])"
        states: list[str] = self.driver.execute_script(script)
        return states

    def wait_for_states(self, *states: str, deadline_s: float = DEADLINE_S) -> None:
        """Waits until the rows are in these states."""
        seen: list[str] = []

        def are_there() -> bool:
            seen[:] = self.states()
            return seen == list(states)

        try:
            wait_until(are_there, f"states {states}", deadline_s)
        except AssertionError as exc:
            raise AssertionError(f"{exc}; they are {seen}; {self.text('main')}") from None

    def wait_for_rows(self, count: int) -> None:
        """Waits until so many files are listed."""
        wait_until(lambda: len(self.states()) == count, f"{count} rows")

    def button(self, name: str) -> None:
        """Presses the button with this text, for all files."""
        for button in self.driver.find_elements(By.CSS_SELECTOR, "#total button, #zone button"):
            if button.text == name:
                button.click()
                return
        raise AssertionError(f"there is no button {name}")

    def focused(self) -> str:
        """Returns the name of the element with the focus: what a screen reader would say."""
        script = "const e = document.activeElement; return e.ariaLabel || e.id || e.textContent"
        name: str = self.driver.execute_script(script)
        return name


def uploaded(app: RunningExample) -> dict[str, str]:
    """Returns the SHA-256 of each file that the app has, by its path in the folder of uploads."""
    files = [path for path in app.uploads.rglob("*") if path.is_file()]
    paths = {str(path.relative_to(app.uploads)): path for path in files}
    return {name: sha256(path) for name, path in paths.items() if not name.startswith(".")}
