"""What a person does with the pages of the examples, in a browser of any engine."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, overload

from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.bidi.input import FileDialogInfo
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.support.engines import STARTS, WIDE, Browser, Chromium, Firefox
from tests.support.waiting import DEADLINE_S, wait_until

ARTIFACTS: Final = Path(__file__).resolve().parents[1] / "artifacts"
PHONE: Final = 390
INVISIBLE: Final = dict.fromkeys((0x2068, 0x2069))
TURNING_NAME: Final = "דוח \u202egpj.exe"
"""The name of a file with a sign that turns all text after it around, up to the end of its paragraph."""
IS_TURNED: Final = """
    const [root, word] = arguments;
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const at = texts.currentNode.data.indexOf(word);
        if (at < 0) continue;
        const [first, last] = [at, at + word.length - 1].map((start) => {
            const range = document.createRange();
            range.setStart(texts.currentNode, start);
            range.setEnd(texts.currentNode, start + 1);
            return range.getBoundingClientRect().left;
        });
        return first > last;
    }
    return null;
"""
WATCH_DIALOGS: Final = """
    window.dialogs = 0;
    addEventListener("click", (event) => { window.dialogs += event.target.type === "file"; }, true);
"""


@overload
def open_browser(profile_dir: Path) -> AbstractContextManager[Chromium]: ...


@overload
def open_browser(profile_dir: Path, engine: str) -> AbstractContextManager[Browser]: ...


def open_browser(profile_dir: Path, engine: str = "chromium") -> AbstractContextManager[Browser]:
    """Starts a browser with a fresh profile in `profile_dir`, and stops it afterwards. Raises MissingTool."""
    return STARTS[engine](profile_dir)


def picture(driver: Browser, name: str) -> None:
    """Keeps pictures of the page as it is now in tests/artifacts: light, dark, and as wide as a phone."""
    folder = ARTIFACTS / driver.engine
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, scheme, width_px in (
        ("", "light", WIDE),
        ("-dark", "dark", WIDE),
        ("-phone", "light", PHONE),
    ):
        driver.look_like(scheme, width_px)
        driver.get_screenshot_as_file(str(folder / f"{name}{suffix}.png"))
    driver.look_like("light", WIDE)


def press(driver: Browser, *keys: str) -> None:
    """Presses keys where the focus is, as a person at a keyboard does."""
    ActionChains(driver).send_keys(*keys).perform()


def focused(driver: Browser) -> str:
    """Returns the id of what has the focus on the page, or else the name that a screen reader says."""
    script = "const at = document.activeElement; return at.id || at.ariaLabel || at.textContent.trim()"
    return str(driver.execute_script(script))


@contextlib.contextmanager
def held(driver: Browser, button: WebElement) -> Iterator[None]:
    """Within it the mouse is pressed on the button, and then released: a click, as slow as a person's."""
    ActionChains(driver).click_and_hold(button).perform()
    try:
        yield
    finally:
        ActionChains(driver).release().perform()


class Card:
    """One upload on a page: the whole page of the simple example, or one card of the dynamic one."""

    def __init__(self, root: Browser | WebElement) -> None:
        self.root = root

    def find(self, selector: str) -> WebElement:
        """Returns the element."""
        return self.root.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Returns the text of an element as a person sees it: without the invisible signs around a name."""
        return self.find(selector).text.translate(INVISIBLE)

    def is_turned(self, selector: str, word: str) -> bool:
        """Whether the letters of this word, in the text of the element, are drawn from right to left."""
        turned = self.find(selector).parent.execute_script(IS_TURNED, self.find(selector), word)
        assert turned is not None, f"there is no {word} in {self.text(selector)}"
        return bool(turned)

    def wait_for_text(self, selector: str, part: str, deadline_s: float = DEADLINE_S) -> None:
        """Waits until the element's text contains `part`."""
        seen = ""

        def is_there() -> bool:
            nonlocal seen
            with contextlib.suppress(NoSuchElementException, StaleElementReferenceException):
                seen = self.text(selector)  # another page may be on its way
            return part in seen

        try:
            wait_until(is_there, part, deadline_s)
        except AssertionError as exc:
            raise AssertionError(f"{exc}; {selector} says {seen!r}") from None

    def fraction(self) -> float:
        """Returns how much of the progress bar is filled, 0 to 1."""
        return float(self.find("progress").get_property("value"))  # type: ignore[arg-type]

    def wait_for_fraction(self, at_least: float, deadline_s: float = DEADLINE_S) -> float:
        """Waits until the progress bar is filled so far, and returns how far it is then."""
        return wait_until(
            lambda: fraction if (fraction := self.fraction()) >= at_least else 0.0,
            f"progress of {at_least}",
            deadline_s,
        )

    def choose(self, *paths: Path) -> None:
        """Chooses files on the page, as the file dialog does."""
        self.find("input[type=file]").send_keys("\n".join(str(path) for path in paths))


def check_focus_of_a_cancellation(driver: Browser, page: Card) -> None:
    """Cancels the upload of example 1 or 6 with the keyboard alone. The focus is never lost meanwhile."""
    assert focused(driver) == "card"
    press(driver, Keys.TAB, Keys.TAB)
    assert focused(driver) == "cancel"
    press(driver, Keys.ENTER)
    page.wait_for_text("#problem", "cancelled")
    assert focused(driver) == "card"
    press(driver, Keys.TAB)
    assert focused(driver) == "again"


def watch_progress(driver: Browser) -> None:
    """Begins to write down every value that a progress bar takes from now on, for `seen_progress`."""
    driver.execute_script("""
        window.seen = [];
        new MutationObserver((changes) => changes.forEach(({ target }) => window.seen.push(target.value)))
          .observe(document.body, { attributeFilter: ["value"], subtree: true });
    """)


def seen_progress(driver: Browser) -> list[float]:
    """Returns the values of the page's progress bars, in the order in which they came."""
    seen: list[float] = driver.execute_script("return window.seen")
    return seen


@contextlib.contextmanager
def _file_dialog_asked_for(driver: Browser) -> Iterator[None]:
    """Within it a file dialog has to be asked for, and none is shown: for drivers that tell of none."""
    driver.execute_script(WATCH_DIALOGS)
    if isinstance(driver, Chromium):
        driver.execute_cdp_cmd("Page.setInterceptFileChooserDialog", {"enabled": True})
    try:
        yield
        wait_until(lambda: driver.execute_script("return window.dialogs"), "a file dialog is asked for")
    finally:
        if isinstance(driver, Chromium):
            driver.execute_cdp_cmd("Page.setInterceptFileChooserDialog", {"enabled": False})


def _watch_file_dialogs(driver: Browser, opened: queue.Queue[FileDialogInfo]) -> int | None:
    """Puts each file dialog that opens into `opened`. Returns the id of the handler.

    Returns None if the driver does not report file dialogs, as that of Firefox 140.
    """
    if not isinstance(driver, Firefox):
        return None
    try:
        handler: int = driver.input.add_file_dialog_handler(opened.put)
    except WebDriverException:
        return None
    return handler


@contextlib.contextmanager
def file_dialog_answered(driver: Browser, path: Path, chooser: WebElement | None = None) -> Iterator[None]:
    """Within it, whoever opens a file dialog (with the keyboard, say) gets `path` chosen.

    Where the driver tells of no dialog, it is chosen in `chooser`: in what has the focus, unless given.
    """
    opened: queue.Queue[FileDialogInfo] = queue.Queue()
    handler = _watch_file_dialogs(driver, opened)
    if handler is None:
        with _file_dialog_asked_for(driver):
            yield
        (chooser or driver.switch_to.active_element).send_keys(str(path))
        return
    try:
        yield
        dialog = opened.get(timeout=60)
        driver.input.set_files(dialog.context, dialog.element, [str(path)])
    finally:
        driver.input.remove_file_dialog_handler(handler)
