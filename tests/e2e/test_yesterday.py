"""Yesterday's library with today's server, and today's library with yesterday's server.

Pages keep a script in a cache, and one server of several is replaced first. `make yesterday` takes both
from the last release in git. Without it, yesterday's library is the one in tests/e2e/yesterday, and
yesterday's server is today's without the members of messages that came later.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from selenium.webdriver.common.by import By

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.data import MIB
from tests.support.engines import Browser
from tests.support.relay import Relay
from tests.support.server import ROOT, RunningServer, new_upload
from tests.support.site import serve_page
from tests.support.waiting import wait_until

REVISION: Final = os.environ.get("INCOMING_TEST_YESTERDAY", "")
SAMPLE: Final = Path(__file__).parent / "yesterday" / "incoming.min.js"
SIZE_BYTES: Final = 12 * MIB
SLOW_BYTES_PER_S: Final = 6 * MIB
PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Upload</title><input type="file" id="file">
<script>{library}</script>
<script>
  incoming.set_server_hostname("{host}");
  window.file = () => document.getElementById("file").files[0];
</script>
<script type="module">
  import {{ Queue }} from "{today}/incoming/frontend/queue.mjs";
  window.Queue = Queue;
</script>"""
UPLOADER: Final = """
  window.uploader = incoming.Uploader(arguments[0], file()).start();
  window.look = () => uploader;
"""
QUEUE: Final = """
  window.queue = new Queue({ get_ticket: async () => arguments[0] });
  window.item = queue.add(file());
  window.look = () => queue.snapshot().items[0].upload || { frac_complete: 0 };
"""


class YesterdaysServer(RunningServer):
    """`run.py` of another tree, or today's without what its messages have got since."""

    tree: Path | None = None

    def _command(self) -> list[str]:
        script = [str(self.tree / "run.py")] if self.tree else ["-m", "tests.support.older_server"]
        return [sys.executable, *script, *self._place()]


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Returns the tree of the last release; None where nobody names one."""
    if not REVISION:
        return None
    command = ["git", "archive", REVISION, "incoming", "static", "run.py"]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    folder = tmp_path_factory.mktemp("yesterday")
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        opened.extractall(folder, filter="data")
    return folder


@pytest.fixture(params=["yesterday's library", "yesterday's server"])
def library_and_server(
    request: pytest.FixtureRequest, yesterday: Path | None, tmp_path: Path
) -> Iterator[tuple[str, RunningServer]]:
    """A library and a server, one of which is older than the other."""
    older = request.param == "yesterday's library"
    text = (yesterday / "static" / "incoming.js") if yesterday else SAMPLE
    library = text if older else ROOT / "static" / "incoming.min.js"
    server = RunningServer(tmp_path / "storage") if older else YesterdaysServer(tmp_path / "storage")
    if isinstance(server, YesterdaysServer):
        server.tree = yesterday
    with server:
        yield library.read_text("utf-8"), server


@pytest.fixture
def upload(
    clean_driver: Browser,
    library_and_server: tuple[str, RunningServer],
    start_server: StartServer,
    app: ScriptedApp,
    tmp_path: Path,
) -> Iterator[Callable[[str], None]]:
    """Uploads a file by a script that gets a ticket, over a network that breaks once."""
    library, server = library_and_server
    driver, file = clean_driver, tmp_path / "film.bin"
    file.write_bytes(os.urandom(SIZE_BYTES))
    with ExitStack() as stack:
        network = stack.enter_context(Relay(server.port))
        today = start_server().url
        page = PAGE.format(library=library, host=network.host, today=today)
        driver.get(stack.enter_context(serve_page(page)))
        driver.find_element(By.ID, "file").send_keys(str(file))
        wait_until(lambda: driver.execute_script("return window.Queue !== undefined"), "the queue is there")

        def run(script: str) -> None:
            network.bytes_per_s, network.max_bytes = SLOW_BYTES_PER_S, SIZE_BYTES // 2
            driver.execute_script(script, new_upload(server, app.url))
            wait_until(lambda: driver.execute_script("return look().frac_complete > 0.2"), "some has arrived")
            network.cut()
            wait_until(lambda: driver.execute_script("return look().retrying"), "the page notices")
            network.bytes_per_s = 0
            wait_until(lambda: driver.execute_script("return look().finished"), "it finishes")
            assert app.wait_for(1)[-1].sha256 == hashlib.sha256(file.read_bytes()).hexdigest()

        yield run


@pytest.mark.parametrize("script", [UPLOADER, QUEUE], ids=["an uploader", "today's queue"])
def test_an_upload_resumes_and_finishes_although_page_and_server_are_of_two_versions(
    upload: Callable[[str], None], script: str
) -> None:
    upload(script)
