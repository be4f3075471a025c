"""Whoever ends the process tells the clients first, where its web server lets us; the next one goes on."""

from __future__ import annotations

import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2, Stopping
from tests.support.data import MIB, FileBytes
from tests.support.hosts import HOSTS, HostedServer, group_lives
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed

SERVICE_RESTART = 1012
LEADER_ENDS = """
import ctypes, platform, socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=sys.stdin.read).start()
print(listener.getsockname()[1], flush=True)
ctypes.CDLL(None).syscall(60 if platform.machine() == "x86_64" else 93, 0)  # SYS_exit ends one thread
"""
"""What the kernel leaves of a killed process while one of its threads waits for the disk."""
polite = pytest.mark.parametrize(
    "kind", [host for host in HOSTS if host.tells_clients_when_it_stops], ids=lambda host: host.title
)


@polite
def test_clients_are_told_to_come_back_and_continue(
    kind: type[HostedServer], tmp_path: Path, app: ScriptedApp
) -> None:
    with kind(tmp_path / "storage") as host:
        old = ClientV1(host.url, host.new_ticket(app.url), FileBytes(12 * MIB, 1))
        new = ClientV2(host.url, host.new_ticket(app.url), FileBytes(12 * MIB, 2))
        old.open().send_until_acked(2 * MIB)
        new.open().send_until_stored(2 * MIB)
        host.ask_to_stop()
        with pytest.raises(ConnectionClosed) as closed:
            old.receive_acks()
            old.receive()
        assert closed.value.code == SERVICE_RESTART
        with pytest.raises(Stopping):
            while True:
                new.receive_next()
        host.wait_for_end()
        host.start()
        for client in (old, new):
            client.upload()
            assert client.resumed_at[-1] >= 2 * MIB
        assert {d.sha256 for d in app.wait_for(2)} == {old.data.sha256, new.data.sha256}
        assert "Traceback" not in host.log_text()


@pytest.mark.parametrize("kind", HOSTS, ids=lambda host: host.title)
def test_an_upload_resumes_after_its_process_was_killed(
    kind: type[HostedServer], tmp_path: Path, app: ScriptedApp
) -> None:
    with kind(tmp_path / "storage") as host:
        client = ClientV1(host.url, host.new_ticket(app.url), FileBytes(12 * MIB, 3))
        client.open().send_until_acked(3 * MIB)
        host.restart()
        client.upload()
        assert client.resumed_at[-1] >= 3 * MIB
        assert app.wait_for(1)[0].sha256 == client.data.sha256


def _says(host: HostedServer, words: str) -> bool:
    return words in host.log_text()


def test_a_handover_that_was_not_answered_is_made_after_the_start_without_any_request(tmp_path: Path) -> None:
    for kind in HOSTS[:2]:
        with ScriptedApp() as app, kind(tmp_path / kind.title) as host:
            app.stop()
            client = ClientV1(host.url, host.new_ticket(app.url), FileBytes(1000, 4))
            client.open().send_until_acked()
            said_so = partial(_says, host, "could not be reached")
            wait_until(said_so, "a call to the app")
            host.kill()
            app.start()
            host.start()
            assert app.wait_for(1)[0].id == client.ticket_id


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_zombie_with_a_thread_that_still_runs_counts_as_alive_since_it_holds_its_port() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LEADER_ENDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        port = int(process.stdout.readline())
        wait_until(lambda: _state(process.pid) == "Z", "its first thread has ended")
        assert group_lives(process.pid)
        with socket.socket() as probe, pytest.raises(OSError, match="in use"):
            probe.bind(("127.0.0.1", port))
        process.kill()
        wait_until(lambda: not group_lives(process.pid), "its other thread has ended")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
