"""A process that is stopped (SIGSTOP; `docker pause` and a machine that sleeps look the same) does not run.

Nobody could come meanwhile, so nothing may expire for that time.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.server import RunningServer, call_backend, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until

IDLE_TIMEOUT_S: Final = 8.0
FROZEN_S: Final = 11.0
LENGTH_BYTES: Final = 20 * 1024 * 1024


def freeze(server: RunningServer, duration_s: float) -> None:
    """Stops the process for this time. Nothing can be waited for: the time itself is what is tested."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: is_stopped(server), "the process is stopped")
        time.sleep(duration_s)
    finally:
        os.kill(server.pid, signal.SIGCONT)


def is_stopped(server: RunningServer) -> bool:
    return Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def paused(server: RunningServer, app: ScriptedApp) -> Callable[[], bool]:
    """Begins an upload. Returns what resumes it, and tells whether it did at an acknowledged byte."""
    client = ClientV1(server.url, new_upload(server, app.url), FileBytes(LENGTH_BYTES, seed=1)).open()
    client.send_until_acked(LENGTH_BYTES // 2)
    client.drop()
    wait_until(lambda: server.journaled_state(client.ticket_id) == "paused", "the upload is paused")

    def resumes() -> bool:
        client.upload()
        return client.resumed_at[-1] > 0

    return resumes


def issued(server: RunningServer, app: ScriptedApp) -> Callable[[], bool]:
    """Asks for a ticket. Returns what uses it."""
    client = ClientV1(server.url, new_upload(server, app.url), FileBytes(1000, seed=2))

    def works() -> bool:
        client.upload()
        return True

    return works


@pytest.mark.parametrize("begin", [paused, issued])
def test_a_process_that_was_stopped_for_longer_than_the_idle_timeout_expires_nothing(
    start_server: StartServer,
    app: ScriptedApp,
    begin: Callable[[RunningServer, ScriptedApp], Callable[[], bool]],
) -> None:
    server = start_server(idle_timeout_s=IDLE_TIMEOUT_S)
    works = begin(server, app)
    freeze(server, FROZEN_S)
    assert call_backend(server, "sweep").text == "0"
    assert works()
    assert "this process did not run" in server.log_text()
    tally("fault", "a process that is stopped for longer than idle_timeout_s", 1, "nothing expired")


def test_a_ticket_still_expires_while_the_process_runs(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(idle_timeout_s=1.0)
    ticket_id = new_upload(server, app.url)
    wait_until(lambda: server.journaled_state(ticket_id) == "expired", "the ticket expires")
