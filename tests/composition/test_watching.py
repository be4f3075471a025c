"""What people and programs see of two servers with a Redis and a bucket, and what they do from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.app import ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.cluster import CREDENTIALS, Cluster
from tests.support.data import MIB, FileBytes
from tests.support.redis_server import RedisServer
from tests.support.relay import Relay
from tests.support.s3_server import S3Server
from tests.support.server import ROOT, RunningServer
from tests.support.waiting import wait_until

STORED_BYTES = 10 * MIB


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def way_to_s3(s3_server: S3Server) -> Iterator[Relay]:
    """To stop it is an outage that ends at once: the S3 server itself takes 18 s to start again."""
    with Relay(s3_server.port) as relay:
        yield relay


@pytest.fixture(scope="module")
def cluster(
    redis: RedisServer, s3_server: S3Server, way_to_s3: Relay, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    endpoint = f"http://127.0.0.1:{way_to_s3.port}"
    folder, silence_s = tmp_path_factory.mktemp("cluster"), 120  # the client says nothing while commands run
    with Cluster(folder, redis, s3_server, s3_endpoint=endpoint, connection_timeout_s=silence_s) as cluster:
        yield cluster


def listed(server: RunningServer) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{server.url}/incoming/backend/uploads", timeout=60).json()
    return found


def row_of(server: RunningServer, ticket_id: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = listed(server)["uploads"]
    (row,) = [row for row in rows if row["id"] == ticket_id[:8]]
    return row


def metric(server: RunningServer, name: str) -> float | None:
    """Returns the value of a metric; None if it is missing."""
    lines = requests.get(f"{server.url}/incoming/metrics", timeout=60).text.splitlines()
    values = [float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name]
    return values[0] if values else None


def health(server: RunningServer) -> str:
    return requests.get(f"{server.url}/incoming/healthz", timeout=60).text


def run(cluster: Cluster, port: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the operator's with the settings of the servers, and no directory of theirs."""
    server = cluster.servers[0]
    shared = {name: str(server.settings[name]) for name in ("registry", "storage")}
    place = [f"--{name}={value}" for name, value in shared.items()]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("INCOMING_")}
    command = [sys.executable, str(ROOT / "run.py"), *words, *place, "--host=127.0.0.1", f"--port={port}"]
    return subprocess.run(
        command, env=inherited | CREDENTIALS, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def upload(cluster: Cluster, app: ScriptedApp) -> Iterator[ClientV2]:
    """An upload that the second server has, with a client that is connected."""
    client = ClientV2(cluster.servers[1].url, cluster.new_ticket(app), FileBytes(20 * MIB, 5)).open()
    client.send_until_stored(STORED_BYTES)
    yield client
    client.drop()


def test_each_server_shows_the_uploads_of_all_and_who_has_them(cluster: Cluster, upload: ClientV2) -> None:
    first, second = cluster.servers
    for server in (first, second):
        row = row_of(server, upload.ticket_id)
        assert (row["state"], row["connected"], row["instance"]) == ("uploading", True, "server-2")
        assert row["offset_bytes"] >= STORED_BYTES
        assert metric(server, 'incoming_uploads{state="uploading"}') == 1
    upload.send_until_stored(15 * MIB)
    wait_until(lambda: row_of(first, upload.ticket_id)["bytes_per_s"] > 0, "the first server sees a speed")
    wait_until(lambda: len(listed(first)["instances"]) == 2, "each knows of the other")
    shown = listed(first)
    assert {one["name"] for one in shown["instances"]} == {"server-1", "server-2"}
    assert [(one["name"], one["away"]) for one in shown["stores"]] == [("redis", False), ("s3", False)]
    assert metric(first, 'incoming_instances{name="server-2"}') == 1
    assert (metric(second, "incoming_parts_sent_bytes_total") or 0) >= STORED_BYTES
    assert metric(first, 'incoming_store_call_seconds_count{store="redis"}')


def test_the_commands_work_without_a_directory_of_a_server(cluster: Cluster, upload: ClientV2) -> None:
    first, _ = cluster.servers
    short_id = upload.ticket_id[:8]
    done = run(cluster, first.port, "uploads")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(short_id)]
    assert "server-2" in line
    done = run(cluster, 9, "uploads")
    assert "does not answer: no server listens there. --server can name another" in done.stderr
    assert "Redis says:" in done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(short_id)]
    done_percent = int(line.split()[2])
    assert "uploading" in line and done_percent >= 50
    assert run(cluster, first.port, "cancel", short_id).stdout == "Cancelled.\n"
    assert row_of(first, upload.ticket_id)["state"] == "cancelled"


def test_an_outage_has_its_word_and_its_metric(
    cluster: Cluster, redis: RedisServer, way_to_s3: Relay
) -> None:
    first, second = cluster.servers
    assert (health(first), health(second)) == ("ok", "ok")
    redis.kill()
    way_to_s3.stop()
    try:
        wait_until(lambda: health(first) == "storage", "S3 is missed")
        assert metric(first, 'incoming_store_away{store="redis"}') == 1
        wait_until(lambda: metric(first, 'incoming_store_away{store="s3"}') == 1, "that is a metric, too")
        assert metric(first, 'incoming_uploads{state="uploading"}') is None, "nobody knows"
        assert requests.get(f"{first.url}/incoming/backend/uploads", timeout=60).status_code == 500
    finally:
        way_to_s3.start()
    try:
        wait_until(lambda: health(second) == "registry", "Redis is missed")
        assert metric(second, "incoming_journal_writable") == 0
    finally:
        redis.start()
    wait_until(lambda: (health(first), health(second)) == ("ok", "ok"), "both are well again")
    assert metric(first, 'incoming_store_away{store="redis"}') == 0
    assert "the registry can't be written" in first.log_text()
    assert "Traceback" not in cluster.log_text()
