"""A browser at one end of a link, and a server, an app and the web server of a page at the other."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.net.namespaces import why_not
from tests.net.network import Network
from tests.net.page import Page, site
from tests.support.app import ScriptedApp
from tests.support.browser import open_browser
from tests.support.engines import Browser
from tests.support.on_disk import bytes_in
from tests.support.server import RunningServer, new_upload

FULL = os.environ.get("INCOMING_TEST_NET") == "full"
"""Measure for longer, at 1 Gbit/s, and on more kinds of links."""


class ServerOnTheLink(RunningServer):
    """The real server, reached over the link as well as from its own machine."""

    def _command(self) -> list[str]:
        return [*super()._command(), "--host", "0.0.0.0"]


@dataclass
class Stage:
    """A page at the far end of the link from its server."""

    network: Network
    server: RunningServer
    app: ScriptedApp
    page: Page
    folder: Path

    def file(self, length_bytes: int) -> Path:
        """Makes a file of zeros that takes no room."""
        path = self.folder / "film.bin"
        with path.open("wb") as file:
            file.truncate(length_bytes)
        return path

    def ticket(self, **params: str) -> str:
        """Returns the id of a new ticket, which the app has asked for on the server's machine."""
        with self.network.server.inside():
            return new_upload(self.server, self.app.url, **params)

    def state(self, ticket_id: str) -> str:
        """Returns the state of an upload as it stands in the server's journal."""
        return self.server.journaled_state(ticket_id)

    def stored_bytes(self, ticket_id: str) -> int:
        """Returns how much the server has stored of an upload."""
        return bytes_in(self.server.stored_file(ticket_id))


@pytest.fixture(scope="package")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """The two machines and their link; a test makes it the one that it needs."""
    if reason := why_not():
        pytest.skip(reason)
    with Network(tmp_path_factory.mktemp("link") / "link.jsonl") as running:
        yield running


@pytest.fixture(scope="package")
def driver(
    request: pytest.FixtureRequest, network: Network, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """A browser on the client's machine, Chromium unless a test names engines as its parameters.

    Who drives it has to be on that machine, too, as `stage` sees to.
    """
    engine = getattr(request, "param", "chromium")
    with ExitStack() as stack:
        with network.client.inside():
            profile = tmp_path_factory.mktemp("profile")
            browser = stack.enter_context(open_browser(profile, engine))
        yield browser
        with network.client.inside():
            stack.close()


@pytest.fixture
def stage(network: Network, driver: Browser) -> Iterator[Stage]:
    """All that an upload over the link needs. Gigabytes pass, and pytest keeps its own folders for days."""
    with network.client.inside(), ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="incoming-net-")))
        with network.server.inside():
            server = stack.enter_context(ServerOnTheLink(folder / "storage"))
            app = stack.enter_context(ScriptedApp())
        url = stack.enter_context(site(network, server.port))
        yield Stage(network, server, app, Page(driver, url), folder)
        driver.get("about:blank")
