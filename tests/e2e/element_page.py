"""A page with <incoming-upload>, as a person sees and uses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from selenium.webdriver.remote.webelement import WebElement

from tests.e2e.stage import Stage
from tests.support.browser import INVISIBLE, IS_TURNED
from tests.support.engines import Browser
from tests.support.waiting import DEADLINE_S, wait_until

PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Deliver your files</title><link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; }
  body { margin: 0 auto; max-width: 44rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; }
  body { background: light-dark(#fff, #12151b); color: light-dark(#1a1f2b, #e9ecf3); }
</style>
</head>
<body>
<main>
<h1>Deliver your files</h1>
%(before)s
<form>
<incoming-upload name="files" %(attributes)s tickets="/api/frontend/request_upload"></incoming-upload>
<button id="send">Send</button> <button id="reset" type="reset">Reset</button>
</form>
</main>
<script>
  window.heard = [];
  for (const name of ["change", "upload-finished", "upload-failed", "upload-refused", "all-finished"]) {
    addEventListener(name, ({ target }) => { if (target.localName === "incoming-upload") heard.push(name); });
  }
</script>
<script src="//{{incoming_host}}/incoming/frontend/incoming.js"></script>
<script src="//{{incoming_host}}/incoming/frontend/incoming-upload.js"></script>
%(after)s
</body>
</html>
"""
"""The app of the dropzone renders it, and gives it tickets. Its scripts come from the upload server."""

SHADOW: Final = """
    const host = document.querySelector('incoming-upload'), root = host.shadowRoot;
    const shown = (selector) => [...root.querySelectorAll(selector)].filter((each) => each.checkVisibility());
    const path_of = (row) => row.querySelector('.heard').textContent;
"""
"""What the scripts of this page know."""


class ElementPage:
    """The page. Each row is named by the file's path."""

    def __init__(
        self, driver: Browser, stage: Stage, attributes: str = "multiple", before: str = "", after: str = ""
    ) -> None:
        self.driver, self.stage = driver, stage
        html = PAGE % {"attributes": attributes, "before": before, "after": after}
        (stage.app.folder / "frontend_tmpl.html").write_text(html, "utf-8")
        self.open()

    def open(self) -> None:
        """Loads the page, again or for the first time."""
        self.driver.get(self.stage.app.url)
        self.wait_until(lambda: self.text("title") or self.text("trouble"), "the element is drawn")

    def js(self, script: str, *arguments: object) -> Any:
        """Runs a script that knows the element as `host` and its shadow tree as `root`."""
        return self.driver.execute_script(SHADOW + script, *arguments)

    def wait_until(self, condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
        """Waits, and tells what the element shows if that takes too long."""
        try:
            return wait_until(condition, what, deadline_s)
        except AssertionError as exc:
            raise AssertionError(f"{exc}; it shows {self.shown()}, said {self.news()!r}") from None

    def shown(self) -> list[str]:
        """Returns what is to be read of each row."""
        lines: list[str] = self.js("""
            const name = (button) => '[' + button.ariaLabel.split(':')[0] + ']';
            const buttons = (row) => [...row.querySelectorAll('button:not([hidden])')].map(name);
            const facts = (row) => ['.words', '.inside'].map((part) => row.querySelector(part).textContent);
            return shown('.row').map((row) =>
              [path_of(row), ...facts(row), ...buttons(row)].filter(Boolean).join(' '));
        """)
        return [line.replace("\u00a0", " ") for line in lines]

    def row(self, path: str) -> str:
        """Returns what is to be read of this row, or nothing."""
        return next((line for line in self.shown() if line.startswith(path)), "")

    def wait_for(self, path: str, part: str, deadline_s: float = DEADLINE_S) -> str:
        """Waits until this row has this text, and returns what was to be read of it then."""
        line: str = self.wait_until(
            lambda: line if part in (line := self.row(path)) else "", f"{path}: {part}", deadline_s
        )
        return line

    def wait_for_bytes(self, path: str) -> None:
        """Waits until a part of this file is uploaded."""
        share = """
            const row = shown('.row').find((each) => path_of(each) === arguments[0]);
            return row && Number(row.querySelector('.bar').ariaValueNow);
        """
        self.wait_until(lambda: self.js(share, path), f"a part of {path}")

    def text(self, part: str) -> str:
        """Returns the text of the first visible part with this name, or nothing."""
        found: str | None = self.js("return shown(`[part~=${arguments[0]}]`)[0]?.innerText", part)
        return (found or "").replace("\u00a0", " ").translate(INVISIBLE)

    def is_turned(self, part: str, word: str) -> bool | None:
        """Whether this word in the part is drawn from right to left; None if it is not there."""
        element = self.js("return shown(`[part~=${arguments[0]}]`)[0]", part)
        turned: bool | None = self.driver.execute_script(IS_TURNED, element, word)
        return turned

    def news(self) -> str:
        """Returns what a screen reader has been told last."""
        return str(self.js("return root.querySelector('[role=status]').textContent"))

    def choose(self, *paths: Path, part: str = "input") -> None:
        """Chooses files, as the file dialog does."""
        field: WebElement = self.js("return root.querySelector(`[part=${arguments[0]}]`)", part)
        field.send_keys("\n".join(str(path) for path in paths))

    def button(self, action: str, path: str = "") -> WebElement:
        """Returns a visible button, of a row or of the whole list."""
        script = """
            const [action, path] = arguments;
            const is_there = (button) => !path || path_of(button.closest('.row')) === path;
            return shown(`[data-action=${action}]`).find(is_there);
        """
        found: WebElement | None = self.wait_until(
            lambda: self.js(script, action, path), f"a button {action} {path}"
        )
        assert found
        return found

    def press(self, action: str, path: str = "") -> None:
        """Presses a button, of a row or of the whole list."""
        self.button(action, path).click()

    def focused(self) -> str:
        """Returns the name of what has the focus in the element."""
        name: str = self.js(
            "const e = root.activeElement; return e ? e.ariaLabel || e.innerText || e.className : ''"
        )
        return name

    def heard(self) -> list[str]:
        """Returns the events of the element."""
        events: list[str] = self.js("return window.heard")
        return events

    def value(self) -> list[str]:
        """Returns the element's value: tickets."""
        tickets: list[str] = self.js("return host.value")
        return tickets
