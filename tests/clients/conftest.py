"""What real clients share: a server that is quick about what it repeats, and files on the disk."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
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

QUICK: Final = {"http_hold_s": 0.3, "handover_retry_first_s": 0.05, "handover_retry_max_s": 0.2}
PATIENT: Final = {**QUICK, "http_hold_s": 25.0}
"""The server holds requests so long that the app answers in time, however busy the machine is."""
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

    def issue(self, over_the_line: bool = False, **params: str) -> Issued:
        """Returns a new ticket, for a client that comes over the slow line or directly."""
        ticket_id = new_upload(self.server, self.app.url, **params)
        return Issued(self.server, self.app, ticket_id, self.line.port if over_the_line else self.server.port)

    def break_off(self, trouble: str) -> None:
        """Cuts the line, or kills the server and starts it again."""
        if trouble == "cut":
            self.line.cut()
        else:
            self.server.restart()


@pytest.fixture
def stage(start_server: StartServer, app: ScriptedApp, tmp_path: Path) -> Iterator[Stage]:
    """Whatever a real client meets."""
    with stage_of(start_server(**QUICK), app, tmp_path) as stage:
        yield stage


@pytest.fixture
def patient_stage(start_server: StartServer, app: ScriptedApp, tmp_path: Path) -> Iterator[Stage]:
    """For a client that does not repeat a request when the app takes long."""
    with stage_of(start_server(**PATIENT), app, tmp_path) as stage:
        yield stage


@contextmanager
def stage_of(server: RunningServer, app: ScriptedApp, folder: Path) -> Iterator[Stage]:
    """Puts a slow line before the server."""
    with Relay(server.port, SLOW_BYTES_PER_S) as line:
        yield Stage(server, app, line, folder)


def check(upload: Issued, file: DiskFile) -> None:
    """The app has got the whole file, once."""
    assert (upload.delivery.sha256, upload.delivery.size_bytes) == (file.sha256, file.size_bytes)
