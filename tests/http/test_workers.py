"""Several processes behind one port: each has all uploads, and any of them may die or be replaced."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.support.app import ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.cluster import Cluster, own_cluster
from tests.support.data import MIB, FileBytes
from tests.support.owned_process import children_of
from tests.support.s3_server import S3Server
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

REFUSAL: Final = "registry: the Redis at 127.0.0.1:1 can't be used"


@pytest.fixture
def cluster(tmp_path: Path, s3_server: S3Server) -> Iterator[Cluster]:
    """One server of two workers, which name themselves."""
    with own_cluster(tmp_path, s3_server, size=1, workers=2) as running:
        yield running


@pytest.fixture
def backend() -> Iterator[ScriptedApp]:
    with ScriptedApp() as running:
        yield running


FILE: Final = FileBytes(20 * MIB, 7)


def half_sent(cluster: Cluster, backend: ScriptedApp) -> ClientV2:
    """Returns a client that has sent a part of FILE, which is stored."""
    client = ClientV2(cluster.servers[0].url, cluster.new_ticket(backend), FILE).open()
    client.send_until_stored(9 * MIB)
    return client


def check_resumed(client: ClientV2, backend: ScriptedApp) -> None:
    """Sends the rest over a new connection: nothing that was stored is sent again, and the app has FILE."""
    client.drop()
    client.upload()
    assert client.resumed_at[-1] >= 9 * MIB
    assert backend.wait_for(1)[0].sha256 == FILE.sha256


def answers(server: RunningServer) -> bool:
    return requests.get(f"{server.url}/incoming/healthz", timeout=60).text == "ok"


def test_two_workers_serve_one_port_and_stop_together(cluster: Cluster, backend: ScriptedApp) -> None:
    (server,) = cluster.servers
    wait_until(lambda: answers(server), "the server is healthy")
    pids = children_of(server.pid)
    assert len(pids) == 2
    data = [FileBytes(9 * MIB, number) for number in range(4)]
    clients = [ClientV2(server.url, cluster.new_ticket(backend), one).open() for one in data]
    for client in clients:
        client.finish()
    assert sorted(told.sha256 for told in backend.wait_for(4)) == sorted(one.sha256 for one in data)
    assert server.log_text().count("listens on") == 1, "only the parent says so"
    assert server.terminate() == 0
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_worker_that_was_killed_is_replaced_and_its_uploads_resume(
    cluster: Cluster, backend: ScriptedApp
) -> None:
    (server,) = cluster.servers
    client = half_sent(cluster, backend)
    before = children_of(server.pid)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    check_resumed(client, backend)
    wait_until(lambda: len(set(children_of(server.pid)) - set(before)) == 2, "both are replaced")


@pytest.mark.parametrize(
    ("number", "end"),
    [
        (signal.SIGKILL, "was killed by SIGKILL"),
        (signal.SIGSEGV, "was killed by SIGSEGV"),
        (signal.SIGRTMIN + 1, f"was killed by signal {signal.SIGRTMIN + 1}"),
    ],
)
def test_the_log_says_how_a_worker_has_ended_and_when_the_next_one_starts(
    cluster: Cluster, number: int, end: str
) -> None:
    (server,) = cluster.servers
    wait_until(lambda: answers(server), "the server is healthy")
    (first, second) = children_of(server.pid)
    for pid in (first, second):
        os.kill(pid, number)
    line = rf"(?m)ERROR +worker [12] {end}, and the next one starts (now|in [1-9]\d* s)$"
    wait_until(lambda: len(re.findall(line, server.log_text())) == 2, "both ends are logged")


def test_all_workers_are_replaced_one_after_the_other(cluster: Cluster, backend: ScriptedApp) -> None:
    (server,) = cluster.servers
    wait_until(lambda: answers(server), "the server is healthy")
    before = set(children_of(server.pid))
    os.kill(server.pid, signal.SIGHUP)

    def are_replaced() -> bool:
        # No connection is refused. One that a stopping worker had accepted hears "stopping", or is reset.
        with suppress(requests.exceptions.ConnectionError):
            answers(server)
        return len(children_of(server.pid)) == 2 and not before & set(children_of(server.pid))

    wait_until(are_replaced, "both are replaced")
    data = FileBytes(MIB, 8)
    ClientV2(server.url, cluster.new_ticket(backend), data).upload()
    assert backend.wait_for(1)[0].sha256 == data.sha256


def test_without_their_parent_workers_stop_and_the_next_one_has_the_port_and_the_uploads(
    cluster: Cluster, backend: ScriptedApp
) -> None:
    (server,) = cluster.servers
    client = half_sent(cluster, backend)
    workers = children_of(server.pid)
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers have stopped")
    server.wait_for_end()
    server.start()
    check_resumed(client, backend)
    assert server.log_text().count("the parent of this worker was killed") == 2


def test_a_setting_that_no_worker_can_use_ends_the_server_with_one_message(tmp_path: Path) -> None:
    options = {"registry": "redis://127.0.0.1:1", "storage": "s3://bucket", "workers": 2}
    server = RunningServer(tmp_path / "storage", None, **options)
    server.launch()
    wait_until(lambda: REFUSAL in server.log_text(), "a worker says why")
    assert server.wait_for_end() != 0
    assert server.log_text().count(REFUSAL) == 1, "one worker has tried it, and no other one"
