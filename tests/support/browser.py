"""A real Chromium, driven by Selenium, and what a person does with the pages of the examples."""

from __future__ import annotations

import contextlib
import queue
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.bidi.input import FileDialogInfo
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.support.waiting import wait_until

ARTIFACTS: Final = Path(__file__).resolve().parents[1] / "artifacts"
FLAGS: Final = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE: Final = 1000
PHONE: Final = 390


@contextlib.contextmanager
def open_browser(profile_dir: Path) -> Iterator[webdriver.Chrome]:
    """Starts Chromium with a fresh profile in `profile_dir`, and stops it afterwards."""
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={profile_dir}", f"--window-size={WIDE},900"):
        options.add_argument(flag)
    options.enable_bidi = True  # for file dialogs, which only BiDi can answer
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def picture(driver: webdriver.Chrome, name: str) -> None:
    """Keeps pictures of the page as it is now in tests/artifacts: light, dark, and as wide as a phone."""
    ARTIFACTS.mkdir(exist_ok=True)
    for suffix, scheme, width_px in (
        ("", "light", WIDE),
        ("-dark", "dark", WIDE),
        ("-phone", "light", PHONE),
    ):
        look_like(driver, scheme, width_px)
        driver.get_screenshot_as_file(str(ARTIFACTS / f"{name}{suffix}.png"))
    look_like(driver, "light", WIDE)


def look_like(driver: webdriver.Chrome, scheme: str, width_px: int) -> None:
    """Sets the colour scheme that the system wishes for, and the width of the page."""
    wish = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wish]})
    size = {"width": width_px, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def press(driver: webdriver.Chrome, *keys: str) -> None:
    """Presses keys where the focus is, as a person at a keyboard does."""
    ActionChains(driver).send_keys(*keys).perform()


class Card:
    """One upload on a page: the whole page of the simple example, or one card of the dynamic one."""

    def __init__(self, root: webdriver.Chrome | WebElement) -> None:
        self.root = root

    def find(self, selector: str) -> WebElement:
        """Returns the element."""
        return self.root.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Returns the text of an element as a person sees it."""
        return self.find(selector).text

    def wait_for_text(self, selector: str, part: str, deadline_s: float = 30.0) -> None:
        """Waits until the element's text contains `part`."""
        try:
            wait_until(lambda: part in self.text(selector), part, deadline_s)
        except AssertionError as exc:
            raise AssertionError(f"{exc}; {selector} says {self.text(selector)!r}") from None

    def fraction(self) -> float:
        """Returns how much of the progress bar is filled, 0 to 1."""
        return float(self.find("progress").get_property("value"))  # type: ignore[arg-type]

    def wait_for_fraction(self, at_least: float, deadline_s: float = 30.0) -> float:
        """Waits until the progress bar is filled so far, and returns how far it is then."""
        return wait_until(
            lambda: fraction if (fraction := self.fraction()) >= at_least else 0.0,
            f"progress of {at_least}",
            deadline_s,
        )

    def choose(self, *paths: Path) -> None:
        """Chooses files on the page, as the file dialog does."""
        self.find("input[type=file]").send_keys("\n".join(str(path) for path in paths))


def watch_progress(driver: webdriver.Chrome) -> None:
    """Begins to write down every value that a progress bar takes from now on, for `seen_progress`."""
    driver.execute_script("""
        window.seen = [];
        new MutationObserver((changes) => changes.forEach(({ target }) => window.seen.push(target.value)))
          .observe(document.body, { attributeFilter: ["value"], subtree: true });
    """)


def seen_progress(driver: webdriver.Chrome) -> list[float]:
    """Returns the values of the page's progress bars, in the order in which they came."""
    seen: list[float] = driver.execute_script("return window.seen")
    return seen


@contextlib.contextmanager
def file_dialog_answered(driver: webdriver.Chrome, path: Path) -> Iterator[None]:
    """Within it, whoever opens a file dialog (with the keyboard, say) gets `path` chosen."""
    opened: queue.Queue[FileDialogInfo] = queue.Queue()
    handler = driver.input.add_file_dialog_handler(opened.put)
    try:
        yield
        dialog = opened.get(timeout=10)
        driver.input.set_files(dialog.context, dialog.element, [str(path)])
    finally:
        driver.input.remove_file_dialog_handler(handler)
