"""Files that vanish or change while a real Chromium uploads them to the real server.

Chromium refuses every read of a file whose length or time of modification has changed, and when it can't read
what it sends it drops the connection, with the code of any lost connection. So the library finds out by
itself, and must not come back for ever.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.engines import in_make_engines
from tests.support.relay import Relay
from tests.support.server import RunningServer, new_upload
from tests.support.waiting import wait_until

MIB = 1 << 20
SIZE_BYTES = 24 * MIB
SLOW_BYTES_PER_S = 8 * MIB
FILE_UNREADABLE = 100
PAGE = """<!doctype html><meta charset="utf-8"><input type="file" id="file">
<script src="{server}/incoming/frontend/incoming.js"></script>
<script>
  incoming.set_server_hostname("{network}");
  function prepare(ticket) {{
    window.ending = null;
    window.uploader = incoming.Uploader(ticket, document.getElementById("file").files[0]);
    for (const name of ["onfinished", "oncancelled", "onerror"]) uploader[name] = () => {{ ending = name; }};
  }}
</script>"""


@dataclass
class Stage:
    """A page with the library, a slow network, the server and an app."""

    driver: webdriver.Chrome
    server: RunningServer
    network: Relay
    app: ScriptedApp
    file: Path

    def choose(self, file: Path) -> None:
        """Picks a file as a user does."""
        self.driver.find_element(By.ID, "file").send_keys(str(file))

    def prepare(self, file: Path, ticket_id: str) -> None:
        """Makes an uploader of the file; nothing is read or sent yet."""
        self.choose(file)
        self.driver.execute_script("prepare(arguments[0])", ticket_id)

    def start(self) -> None:
        """Starts the upload."""
        self.driver.execute_script("uploader.start()")

    def property(self, name: str) -> Any:
        """Returns a property of the uploader."""
        return self.driver.execute_script(f"return uploader.{name}")

    def ending(self) -> str:
        """Waits for the end; returns the name of the callback that told it."""
        ending: str = wait_until(lambda: self.driver.execute_script("return ending"), "an ending")
        return ending

    def new_ticket(self) -> str:
        """Returns the id of a new ticket."""
        return new_upload(self.server, self.app.url)


@pytest.fixture
def stage(
    driver: webdriver.Chrome, start_server: StartServer, app: ScriptedApp, tmp_path: Path
) -> Iterator[Stage]:
    """A page that is ready to upload `file`."""
    with ExitStack() as stack:
        server = start_server(connection_timeout_s=120)
        network = stack.enter_context(Relay(server.port, SLOW_BYTES_PER_S))
        network.max_bytes = SIZE_BYTES // 2  # so it does not end while a test looks at it
        page = tmp_path / "page.html"
        page.write_text(PAGE.format(server=server.url, network=network.host), "utf-8")
        file = tmp_path / "film.bin"
        file.write_bytes(os.urandom(SIZE_BYTES))
        driver.get(page.as_uri())
        yield Stage(driver, server, network, app, file)
        driver.get("about:blank")


def truncate(file: Path) -> None:
    os.truncate(file, MIB)


def write_in_the_middle(file: Path) -> None:
    """Keeps the length. The time is set, too: a write within the clock's grain would not show in it."""
    with file.open("r+b") as opened:
        opened.seek(SIZE_BYTES - 10)
        opened.write(b"other")
    changed_ns = file.stat().st_mtime_ns + 2_000_000_000
    os.utime(file, ns=(changed_ns, changed_ns))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(Path.unlink, marks=in_make_engines),
        pytest.param(truncate, marks=in_make_engines),
        write_in_the_middle,
    ],
)
def test_a_file_that_is_spoilt_in_the_middle_ends_with_an_error_and_its_ticket_continues_with_a_good_copy(
    stage: Stage, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    ticket_id = stage.new_ticket()
    good = stage.file.read_bytes()
    stage.prepare(stage.file, ticket_id)
    stage.start()
    wait_until(lambda: stage.property("frac_complete") > 0.2, "a fifth of the upload")
    spoil(stage.file)
    stage.network.bytes_per_s = 0
    assert stage.ending() == "onerror"
    assert stage.property("error_code") == FILE_UNREADABLE
    assert "can no longer be read" in stage.property("error_msg")
    acked_bytes = stage.property("bytes_acked")
    assert 0 < acked_bytes < SIZE_BYTES
    copy = tmp_path / "copy.bin"
    copy.write_bytes(good)
    stage.prepare(copy, ticket_id)
    stage.start()
    wait_until(lambda: stage.property("bytes_acked") >= acked_bytes, "it goes on where it was")
    assert stage.ending() == "onfinished"
    assert stage.app.wait_for(1)[0].sha256 == hashlib.sha256(good).hexdigest()


def test_a_file_that_is_gone_before_the_start_leaves_its_ticket_for_another_file(
    stage: Stage, tmp_path: Path
) -> None:
    ticket_id = stage.new_ticket()
    stage.prepare(stage.file, ticket_id)
    stage.file.unlink()
    stage.start()
    assert stage.ending() == "onerror"
    assert stage.property("error_code") == FILE_UNREADABLE
    assert stage.network.accepted == 0
    other = tmp_path / "other.txt"
    other.write_text("this one is there")
    stage.prepare(other, ticket_id)
    stage.start()
    assert stage.ending() == "onfinished"
    assert stage.app.wait_for(1)[0].size_bytes == len("this one is there")


def test_an_empty_file_that_is_gone_is_not_taken_for_an_empty_file(stage: Stage, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    ticket_id = stage.new_ticket()
    stage.prepare(empty, ticket_id)
    empty.unlink()
    stage.start()
    assert stage.ending() == "onerror"
    empty.touch()
    stage.prepare(empty, ticket_id)
    stage.start()
    assert stage.ending() == "onfinished"
    assert stage.app.wait_for(1)[0].size_bytes == 0


def test_a_file_that_is_readable_again_in_time_resumes(stage: Stage) -> None:
    stage.prepare(stage.file, stage.new_ticket())
    stage.start()
    wait_until(lambda: stage.property("frac_complete") > 0.2, "a fifth of the upload")
    stage.driver.execute_script("Math.random = () => 1000")  # pauses of minutes between the three tries
    elsewhere = stage.file.rename(stage.file.with_name("elsewhere"))  # as a drive that is unplugged
    stage.network.bytes_per_s = 0
    wait_until(lambda: "cannot be read" in stage.property("state_msg"), "the page notices")
    elsewhere.rename(stage.file)
    stage.driver.execute_script("dispatchEvent(new Event('online'))")  # the next try is now
    assert stage.ending() == "onfinished"
    assert stage.app.wait_for(1)[0].size_bytes == SIZE_BYTES
