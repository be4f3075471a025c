"""What the tests of the library in a page share: one Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium import webdriver

from tests.support.browser import open_browser


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium with a fresh profile. Each test has a page of its own, at an address of its own."""
    with open_browser(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium
