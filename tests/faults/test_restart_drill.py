"""The server is replaced again and again while a page uploads: nobody notices.

The listening socket outlives the processes, as under systemd: whoever connects in between waits for the next
one. Every second time the next process is there before the old one is asked to go, and waits for its storage.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tests.support.app import ScriptedApp
from tests.support.data import MIB
from tests.support.engines import Browser
from tests.support.many_uploads import ManyUploads, page_of
from tests.support.server import RunningServer, new_upload
from tests.support.site import serve_page
from tests.support.tally import tally
from tests.support.waiting import wait_until

RESTARTS: Final = int(os.environ.get("INCOMING_TEST_RESTARTS", "4"))
UPLOADS: Final = 10 * RESTARTS
LENGTH_BYTES: Final = MIB
BYTES_PER_S: Final = 500_000
"""So slow that each upload meets a restart or two."""
AT_A_TIME: Final = 16
BYTES_BETWEEN_RESTARTS: Final = 6 * MIB
BACK_WITHIN_S: Final = 20.0
"""On a busy machine. Without one it is a second."""

HAND_OVER: Final = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.execve(sys.argv[2], sys.argv[2:], os.environ | {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
"""


class ActivatedServer(RunningServer):
    """A server that is started with its listening socket, as systemd does it."""

    def __init__(self, storage_dir: Path, log_file: Path, listener: socket.socket) -> None:
        super().__init__(storage_dir, log_file, wait_for_storage="yes", connection_timeout_s=5)
        self._listener = listener
        self._pass_fds = (listener.fileno(),)

    def _command(self) -> list[str]:
        return [sys.executable, "-c", HAND_OVER, str(self._listener.fileno()), *super()._command()]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """What systemd holds."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        yield listening


def replaced(old: RunningServer, new: RunningServer, *, overlapping: bool) -> None:
    """Has a new process take over; it may be there before the old one goes."""
    if overlapping:
        new.launch()
        wait_until(lambda: "waiting until another process" in new.log_text(), "the new process waits")
        assert old.terminate() == 0
    else:
        assert old.terminate() == 0
        new.launch()
    new.wait_ready()


def test_the_uploads_of_a_page_survive_one_restart_after_another(
    tmp_path: Path, listener: socket.socket, driver: Browser, app: ScriptedApp
) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    servers = [
        ActivatedServer(tmp_path / "storage", tmp_path / f"{number}.log", listener)
        for number in range(RESTARTS + 1)
    ]
    away_s: list[float] = []
    try:
        servers[0].start()
        tickets = [new_upload(servers[0], app.url) for _ in range(UPLOADS)]
        with serve_page(page_of(url)) as page:
            driver.get(page)
            page_uploads = ManyUploads(driver, tickets, LENGTH_BYTES)
            page_uploads.begin(AT_A_TIME, max_bytes_per_s=BYTES_PER_S)
            for number, (old, new) in enumerate(pairwise(servers)):
                wait_for_more(page_uploads, BYTES_BETWEEN_RESTARTS)
                replaced(old, new, overlapping=bool(number % 2))
                ready_at_s = time.monotonic()
                wait_for_more(page_uploads, 1, BACK_WITHIN_S)
                away_s.append(time.monotonic() - ready_at_s)
            wait_until(lambda: page_uploads.have_ended, "all uploads have ended", 120)
            assert page_uploads.errors == []
            assert sorted(page_uploads.finished) == sorted(tickets)
    finally:
        for server in servers:
            server.kill()
    print(f"\nback after {max(away_s):.2f} s at most, {sorted(away_s)[len(away_s) // 2]:.2f} s in the median")
    delivered = {delivery.id: delivery.sha256 for delivery in app.deliveries}
    assert delivered == page_uploads.digests()
    for server in servers:
        assert "Traceback" not in server.log_text()
    tally("fault", f"server replaced during {UPLOADS} uploads of a page", RESTARTS, "all identical")


def wait_for_more(uploads: ManyUploads, bytes_more: int, deadline_s: float = 60.0) -> None:
    """Waits until so many more bytes are acknowledged, or all uploads have ended."""
    goal = uploads.acked_bytes + bytes_more
    wait_until(lambda: uploads.acked_bytes >= goal or uploads.have_ended, "uploads go on", deadline_s)


def test_who_connects_between_two_processes_waits_and_is_not_refused(
    tmp_path: Path, listener: socket.socket, app: ScriptedApp
) -> None:
    server = ActivatedServer(tmp_path / "storage", tmp_path / "a.log", listener)
    with socket.create_connection(listener.getsockname()) as early:
        early.sendall(b"GET /incoming/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with server:
            assert b" 200 OK" in early.recv(4096)
            assert os.fstat(listener.fileno())
