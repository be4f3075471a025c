"""What real clients share: a server that is quick about what it repeats, and files on the disk."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import StartServer
from tests.support.app import Delivery, ScriptedApp
from tests.support.data import FileBytes
from tests.support.on_disk import bytes_in
from tests.support.relay import Relay
from tests.support.server import RunningServer, new_upload

QUICK: Final = {"handover_retry_first_s": 0.05, "handover_retry_max_s": 0.2}
DEADLINE_S: Final = 600.0
"""For one upload: a large file takes minutes on a busy machine."""
SLOW_BYTES_PER_S: Final = 3_000_000
LARGE_BYTES: Final = 5 << 30
"""More than 32 bits can count."""
matrix = pytest.mark.skipif(
    os.environ.get("INCOMING_TEST_CLIENTS") != "all", reason="the whole matrix takes minutes: make clients"
)
"""For what is tried by `make clients` alone."""
_seeds = itertools.count(1)


@dataclass(frozen=True)
class DiskFile:
    """A file for a client that reads files."""

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Issued:
    """A ticket for a client, and where its bytes are."""

    server: RunningServer
    app: ScriptedApp
    ticket_id: str
    port: int

    @property
    def url(self) -> str:
        """The address of the ticket."""
        return f"http://127.0.0.1:{self.port}/incoming/frontend/uploads/{self.ticket_id}"

    @property
    def stored_bytes(self) -> int:
        """How many bytes the server has stored."""
        return bytes_in(self.server.stored_file(self.ticket_id))

    @property
    def delivery(self) -> Delivery:
        """The one call to the app."""
        (delivery,) = self.app.about(self.ticket_id)
        return delivery


@dataclass(frozen=True)
class Stage:
    """A server of the test's own, which a test may kill, an app, and a slow line, which a test may cut."""

    server: RunningServer
    app: ScriptedApp
    line: Relay
    folder: Path

    def file(self, size_bytes: int) -> DiskFile:
        """Writes a file of so many bytes, with a content of its own."""
        data = FileBytes(size_bytes, next(_seeds))
        path = self.folder / f"holiday-{data.seed}.mov"
        with path.open("wb") as file:
            file.writelines(data.blocks())
        return DiskFile(path, data.sha256, size_bytes)

    def large_file(self) -> DiskFile:
        """Makes a file of LARGE_BYTES that takes no room on the disk."""
        path, digest, zeros = self.folder / "sparse.bin", hashlib.sha256(), bytes(1 << 20)
        with path.open("wb") as file:
            file.truncate(LARGE_BYTES)
        for _ in range(LARGE_BYTES // len(zeros)):
            digest.update(zeros)
        return DiskFile(path, digest.hexdigest(), LARGE_BYTES)

    def issue(self, line_bytes: int = 0, **params: str) -> Issued:
        """Returns a new ticket.

        `line_bytes`: how many bytes each connection of its client carries until `release_line` or
        `break_off`, so that the upload does not end too early. With 0 its client comes directly.
        """
        if line_bytes:
            self.line.max_bytes = line_bytes
        ticket_id = new_upload(self.server, self.app.url, **params)
        return Issued(self.server, self.app, ticket_id, self.line.port if line_bytes else self.server.port)

    def release_line(self) -> None:
        """Connections carry any number of bytes from now on."""
        self.line.max_bytes = math.inf

    def break_off(self, trouble: str) -> None:
        """Cuts the line, or kills the server and starts it again."""
        self.release_line()
        if trouble == "cut":
            self.line.cut()
        else:
            self.server.restart()


NewStage = Callable[[float], Stage]
"""Returns a stage. Takes for how many seconds its server holds a request that waits for the app."""


@pytest.fixture
def new_stage(start_server: StartServer, app: ScriptedApp, tmp_path: Path) -> Iterator[NewStage]:
    """Makes the stage of a test, with a slow line before its server."""
    with ExitStack() as stack:

        def make(hold_s: float) -> Stage:
            server = start_server(**QUICK, http_hold_s=hold_s)
            line = stack.enter_context(Relay(server.port, SLOW_BYTES_PER_S))
            return Stage(server, app, line, tmp_path)

        yield make


@pytest.fixture
def hasty_stage(new_stage: NewStage) -> Stage:
    """The server soon answers that the app has not answered yet."""
    return new_stage(0.3)


@pytest.fixture
def patient_stage(new_stage: NewStage) -> Stage:
    """For a client that does not repeat a request: the app answers in time, however busy the machine is."""
    return new_stage(25.0)


@pytest.fixture
def stage(hasty_stage: Stage) -> Stage:
    """Whatever a real client meets."""
    return hasty_stage


def check(upload: Issued, file: DiskFile) -> None:
    """The app has got the whole file, once."""
    assert (upload.delivery.sha256, upload.delivery.size_bytes) == (file.sha256, file.size_bytes)
