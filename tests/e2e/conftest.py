"""A browser of each engine for all tests, and a fresh stage for each of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.element_gallery import Gallery, running_gallery
from tests.e2e.stage import Stage, set_up
from tests.support.engines import Browser, chosen_engines
from tests.support.forked import Launcher


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs what needs a browser in the engines that INCOMING_TEST_ENGINES names (`make engines`: in all).

    When it names none: the tests that are marked `everywhere` in each engine, others in Chromium. A module
    can name the engines that it is for in `ENGINES`, and a test with the mark `engines`.
    """
    if "engine" in metafunc.fixturenames:
        chosen = chosen_engines()
        everywhere = metafunc.definition.get_closest_marker("everywhere")
        if not os.environ.get("INCOMING_TEST_ENGINES") and not everywhere:
            chosen = chosen[:1]
        only = metafunc.definition.get_closest_marker("engines")
        possible = only.args if only else getattr(metafunc.module, "ENGINES", chosen)
        engines = [name for name in chosen if name in possible]
        metafunc.parametrize("engine", engines, scope="session")


@pytest.fixture(scope="session")
def driver(engine: str, browsers: Callable[[str], Browser]) -> Browser:
    """The browser of an engine."""
    return browsers(engine)


@pytest.fixture
def clean_driver(driver: Browser) -> Iterator[Browser]:
    """The browser, which has nothing stored. No script may fail, and none that is a file's name may run."""
    driver.leave()
    driver.errors.clear()
    yield driver
    try:
        assert not driver.errors
        assert driver.execute_script("return window.hacked") is None
    finally:
        driver.execute_script("window.onbeforeunload = null")
        driver.leave()


@pytest.fixture
def simple(launcher: Launcher, tmp_path: Path) -> Iterator[Stage]:
    """The simple example with all it needs."""
    with set_up(launcher, "1-simple", tmp_path) as stage:
        yield stage


@pytest.fixture
def dynamic(launcher: Launcher, tmp_path: Path) -> Iterator[Stage]:
    """The dynamic example with all it needs."""
    with set_up(launcher, "2-dynamic", tmp_path, finish_delay_s=0.1) as stage:
        yield stage


@pytest.fixture
def dropzone(launcher: Launcher, tmp_path: Path) -> Iterator[Stage]:
    """The dropzone with all it needs."""
    with set_up(launcher, "3-dropzone", tmp_path) as stage:
        yield stage


@pytest.fixture
def uppy(launcher: Launcher, tmp_path: Path) -> Iterator[Stage]:
    """The example with Uppy, and all it needs."""
    with set_up(launcher, "5-uppy", tmp_path) as stage:
        yield stage


@pytest.fixture
def folder(launcher: Launcher, tmp_path: Path) -> Iterator[Stage]:
    """The folder example with all it needs."""
    with set_up(launcher, "6-folder", tmp_path) as stage:
        yield stage


@pytest.fixture
def gallery(clean_driver: Browser) -> Iterator[Gallery]:
    """Every state of the upload element on a page."""
    with running_gallery(clean_driver) as page:
        yield page
