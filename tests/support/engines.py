"""The three engines that browsers are made of, each in a real browser that Selenium drives.

Chromium is the engine of Chrome, Edge and Opera, Gecko that of Firefox, and WebKit that of Safari; the last
one is driven in the small browser that its GTK port is tested with.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest
from selenium import webdriver
from selenium.webdriver.common.bidi.log import JavascriptLogEntry
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.webkitgtk.options import Options as WebKitOptions
from selenium.webdriver.webkitgtk.service import Service as WebKitService

from tests.support.ports import free_port
from tests.support.screen import Screen
from tests.support.tools import geckodriver, minibrowser, program
from tests.support.waiting import DEADLINE_S, wait_until

WIDE: Final = 1000
HIGH: Final = 900
CHROMIUM_FLAGS: Final = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
COLOUR_SCHEME_PREFERENCE: Final = "layout.css.prefers-color-scheme.content-override"
UNCAUGHT: Final = re.compile(r"uncaught|\w*Error\b", re.IGNORECASE)
WATCH_ERRORS: Final = """
    window.uncaught = [];
    addEventListener("error", (event) => uncaught.push(event.message));
    addEventListener("unhandledrejection", (event) => uncaught.push(String(event.reason)));
"""

IS_LOADED: Final = "return !window.isLeft && document.readyState === 'complete'"
TELL_ERRORS: Final = "return (window.uncaught || []).splice(0)"
FORGET_ALL_PAGES: Final = """
    const done = arguments[0];
    const { CLEAR_ALL_CACHES, CLEAR_DOM_STORAGES } = Ci.nsIClearDataService;
    Services.clearData.deleteData(CLEAR_ALL_CACHES | CLEAR_DOM_STORAGES, () => done());
"""
FORGET_THIS_PAGE: Final = """
    if (!location.protocol.startsWith("http")) return;
    Storage.prototype.setItem = () => {};
    localStorage.clear();
    sessionStorage.clear();
"""
AFTER_A_FRAME: Final = """
    const done = arguments[0];
    requestAnimationFrame(() => requestAnimationFrame(() => done()));
"""


def watch_errors(driver: webdriver.Firefox, errors: list[str]) -> None:
    """Appends to `errors` what no script catches; not lost connections, which Firefox lists with them."""

    def append(entry: JavascriptLogEntry) -> None:
        if UNCAUGHT.match(entry.text or ""):
            errors.append(entry.text or "")

    driver.script.add_javascript_error_handler(append)


class PageTellsErrors(WebDriver):
    """A browser whose driver does not tell of errors: a script in the page collects them."""

    _errors: list[str]

    @property
    def errors(self) -> list[str]:
        """What no script has caught, on the pages that were left, too."""
        self._errors += self.execute_script(TELL_ERRORS)
        return self._errors

    def get(self, url: str) -> None:
        """Loads a page, all of it: ChromeDriver at times returns while it is still loading.

        The errors of the one that is left are kept. Raises AssertionError where only the hash is another.
        """
        self._errors = self.errors
        self.execute_script("window.isLeft = true")
        super().get(url)
        wait_until(lambda: self.execute_script(IS_LOADED), f"the page at {url}")


class Chromium(PageTellsErrors, webdriver.Chrome):
    """Chromium without a window. `errors` are those that no script has caught.

    Without Selenium's BiDi connection, for which Chromium copies each websocket message to its driver, in
    base64: uploads get a fifth of their speed then, and the driver answers late.
    """

    engine: Final = "chromium"

    def __init__(self, profile_dir: Path) -> None:
        options = webdriver.ChromeOptions()
        for flag in (*CHROMIUM_FLAGS, f"--user-data-dir={profile_dir}", f"--window-size={WIDE},{HIGH}"):
            options.add_argument(flag)
        options.accept_insecure_certs = True  # for a proxy with a certificate of the test
        super().__init__(options, webdriver.ChromeService(program("chromedriver"), port=free_port()))
        self.set_script_timeout(DEADLINE_S)
        self._errors: list[str] = []
        self._watched_tabs: set[str] = set()
        self.execute_cdp_cmd("Network.disable", {})

    def get(self, url: str) -> None:
        """Loads a page, and looks for errors in its scripts from the first one on: in a new tab, too."""
        if (tab := self.current_window_handle) not in self._watched_tabs:
            self.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH_ERRORS})
            self._watched_tabs.add(tab)
        super().get(url)

    def leave(self) -> None:
        """Leaves the page, and forgets what all have stored: other tests have pages of the same origin."""
        self.get("about:blank")
        self.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
        self.execute_cdp_cmd("Network.clearBrowserCache", {})

    def look_like(self, scheme: str, width_px: int) -> None:
        """Sets the colour scheme that the system wishes for ("light", "dark"), and the width of the page."""
        wish = {"name": "prefers-color-scheme", "value": scheme}
        self.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wish]})
        size = {"width": width_px, "height": HIGH, "deviceScaleFactor": 1, "mobile": False}
        self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


class Firefox(webdriver.Firefox):
    """Firefox without a window. `errors` are those that no script has caught."""

    engine: Final = "firefox"

    def __init__(self, profile_dir: Path) -> None:
        options = webdriver.FirefoxOptions()
        options.binary_location = program("firefox-esr", "firefox")
        options.add_argument("-headless")
        options.add_argument("-remote-allow-system-access")  # for `look_like`
        options.enable_bidi = True
        environment = os.environ | {"TMPDIR": str(profile_dir)}  # the driver makes the profile in there
        service = webdriver.FirefoxService(geckodriver(), port=free_port(), env=environment)
        # Selenium takes any port that is free now: the other worker's driver may be given the same.
        arguments = list(service.service_args)
        arguments[arguments.index("--websocket-port") + 1] = str(free_port())
        service.service_args = arguments
        super().__init__(options, service)
        self.set_script_timeout(DEADLINE_S)
        self.errors: list[str] = []
        watch_errors(self, self.errors)

    def leave(self) -> None:
        """Leaves the page, and forgets what pages have stored."""
        self.get("about:blank")
        with self.context(self.CONTEXT_CHROME):
            self.execute_async_script(FORGET_ALL_PAGES)

    def look_like(self, scheme: str, width_px: int) -> None:
        """Sets the colour scheme that the system wishes for ("light", "dark"), and the width of the page."""
        value = ("dark", "light").index(scheme)
        with self.context(self.CONTEXT_CHROME):
            self.execute_script("Services.prefs.setIntPref(...arguments)", COLOUR_SCHEME_PREFERENCE, value)
        viewport = {"width": width_px, "height": HIGH}
        self.browsing_context.set_viewport(self.current_window_handle, viewport)


class WebKit(PageTellsErrors, webdriver.WebKitGTK):
    """WebKit's test browser, on a screen that nobody sees."""

    engine: Final = "webkit"

    def __init__(self, profile_dir: Path, screen: Screen) -> None:
        self._screen = screen
        self._errors: list[str] = []
        options = WebKitOptions()
        options.binary_location = minibrowser()
        for argument in ("--automation", "--javascript-can-open-windows-automatically=true"):
            options.add_argument(argument)
        folders = {f"XDG_{kind}_HOME": str(profile_dir) for kind in ("CACHE", "CONFIG", "DATA")}
        service = WebKitService(program("WebKitWebDriver"), env=screen.environment() | folders)
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # Selenium's, of itself
            super().__init__(options, service)
        self.set_script_timeout(DEADLINE_S)

    def leave_the_toolbar(self) -> None:
        """Goes on in a window that has none: a window with a toolbar can't be as narrow as a phone."""
        first = self.current_window_handle
        self.execute_script("open('about:blank', '', 'popup=yes')")
        (second,) = wait_until(lambda: set(self.window_handles) - {first}, "a second window")
        self.close()
        self.switch_to.window(second)
        self.look_like("light", WIDE)

    def get(self, url: str) -> None:
        """Loads a page, and looks for errors in its scripts from then on."""
        super().get(url)
        self.execute_script(WATCH_ERRORS)

    def leave(self) -> None:
        """Leaves the page, and forgets what it has stored. The driver can't make it forget other pages."""
        self.execute_script(FORGET_THIS_PAGE)
        self.get("about:blank")

    def look_like(self, scheme: str, width_px: int) -> None:
        """Sets the colour scheme that the system wishes for ("light", "dark"), and the width of the page."""
        self._screen.wish_for(scheme)
        self.set_window_size(width_px, HIGH)
        looks = f"return matchMedia('(prefers-color-scheme: {scheme}) and (width: {width_px}px)').matches"
        wait_until(lambda: self.execute_script(looks), f"a page of {width_px} px, {scheme}")
        self.execute_async_script(
            AFTER_A_FRAME
        )  # else a picture can have the size of now, and what was drawn


Browser = Chromium | Firefox | WebKit


@contextlib.contextmanager
def _firefox(profile_dir: Path) -> Iterator[Firefox]:
    with Firefox(profile_dir) as driver:
        driver.look_like("light", WIDE)
        yield driver


@contextlib.contextmanager
def _webkit(profile_dir: Path) -> Iterator[WebKit]:
    with Screen(profile_dir) as screen, WebKit(profile_dir, screen) as driver:
        driver.leave_the_toolbar()
        yield driver


STARTS: Final[dict[str, Callable[[Path], AbstractContextManager[Browser]]]] = {
    "chromium": Chromium,
    "firefox": _firefox,
    "webkit": _webkit,
}
"""How each is started with a fresh profile in the folder given. Raises MissingTool."""


in_make_engines = pytest.mark.skipif(
    not os.environ.get("INCOMING_TEST_ENGINES"), reason="`make engines` runs it"
)
"""For tests that `make test` has no time for: others there try the same mechanisms."""


def chosen_engines() -> list[str]:
    """Returns the engines to test in: all, unless INCOMING_TEST_ENGINES names some ("chromium,firefox").

    Raises ValueError for one that there is not.
    """
    chosen = os.environ.get("INCOMING_TEST_ENGINES", "").replace(",", " ").split() or list(STARTS)
    if unknown := set(chosen) - set(STARTS):
        raise ValueError(f"INCOMING_TEST_ENGINES: {unknown} is not in {list(STARTS)}")
    return chosen
