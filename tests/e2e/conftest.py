"""A browser for each module, and a fresh stage for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.e2e.stage import Stage, set_up
from tests.support.browser import open_browser


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium with a fresh profile."""
    with open_browser(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture
def clean_driver(driver: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """The module's browser. No script may fail in the test, and none that is a file's name may run."""
    driver.get_log("browser")  # type: ignore[no-untyped-call]
    yield driver
    try:
        log = driver.get_log("browser")  # type: ignore[no-untyped-call]
        assert not [entry for entry in log if "Uncaught" in entry["message"]]
        assert driver.execute_script("return window.hacked") is None
    finally:
        driver.execute_script("window.onbeforeunload = null")
        driver.get("about:blank")


@pytest.fixture
def simple(tmp_path: Path) -> Iterator[Stage]:
    """The simple example with all it needs."""
    with set_up("1-simple", tmp_path) as stage:
        yield stage


@pytest.fixture
def dynamic(tmp_path: Path) -> Iterator[Stage]:
    """The dynamic example with all it needs."""
    with set_up("2-dynamic", tmp_path, finish_delay_s=0.5) as stage:
        yield stage
