"""What the other tests rely on in each engine: errors are noticed, and a page looks as it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.browser import PHONE, press
from tests.support.engines import WIDE, Browser, chosen_engines
from tests.support.ports import free_port
from tests.support.waiting import wait_until


@pytest.fixture
def page(driver: Browser, tmp_path: Path) -> Iterator[Browser]:
    """The browser with a page that has a button."""
    file = tmp_path / "page.html"
    file.write_text("<!doctype html><button onclick='this.textContent = 1'>0</button>")
    driver.get(file.as_uri())
    driver.errors.clear()
    yield driver
    driver.look_like("light", WIDE)


def run(page: Browser, script: str) -> None:
    """Runs a script of the page's own, not one of the driver's."""
    element = "Object.assign(document.createElement('script'), { textContent: arguments[0] })"
    page.execute_script(f"document.body.append({element})", script)


@pytest.mark.parametrize(
    "trouble",
    ["nonsense()", "throw new Error('nonsense')", "Promise.reject(new Error('nonsense'))"],
)
def test_an_error_that_no_script_catches_is_noticed(page: Browser, trouble: str) -> None:
    run(page, trouble)
    wait_until(lambda: page.errors, "the error is noticed")


def test_an_error_is_noticed_in_a_new_tab(page: Browser) -> None:
    home, url = page.current_window_handle, page.current_url
    page.switch_to.new_window("tab")
    try:
        page.get(url)
        run(page, "nonsense()")
        wait_until(lambda: page.errors, "the error is noticed")
    finally:
        page.close()
        page.switch_to.window(home)


def test_a_lost_connection_is_not_an_error_of_a_script(page: Browser) -> None:
    address = f"ws://127.0.0.1:{free_port()}"
    run(page, f"new WebSocket('{address}').onclose = () => document.body.append('closed')")
    wait_until(lambda: "closed" in page.find_element(By.TAG_NAME, "body").text, "it is refused")
    run(page, "last()")
    wait_until(lambda: page.errors, "a later error is noticed")
    assert len(page.errors) == 1


@pytest.mark.parametrize("width_px", [PHONE, WIDE])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_page_looks_as_it_is_told_to(page: Browser, scheme: str, width_px: int) -> None:
    page.look_like(scheme, width_px)
    looks = f"return matchMedia('(prefers-color-scheme: {scheme}) and (width: {width_px}px)').matches"
    wait_until(lambda: page.execute_script(looks), "it looks so")


def test_keys_reach_the_page_when_it_is_as_narrow_as_a_phone(page: Browser) -> None:
    page.look_like("light", PHONE)
    press(page, Keys.TAB, Keys.SPACE)
    assert page.find_element(By.TAG_NAME, "button").text == "1"
    assert page.execute_script("return document.hasFocus()")


def test_engines_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCOMING_TEST_ENGINES", "webkit, chromium")
    assert chosen_engines() == ["webkit", "chromium"]
    monkeypatch.setenv("INCOMING_TEST_ENGINES", "")
    assert chosen_engines() == ["chromium", "firefox", "webkit"]
    monkeypatch.setenv("INCOMING_TEST_ENGINES", "trident")
    with pytest.raises(ValueError, match="trident"):
        chosen_engines()
