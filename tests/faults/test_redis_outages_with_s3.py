"""Redis is away, or full, while a file goes into S3: the server blames Redis, and the upload continues."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from redis import Redis

from tests.support.app import ScriptedApp
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.cluster import Cluster, object_keys
from tests.support.data import MIB, FileBytes
from tests.support.folder_data import FolderData, StreamBytes
from tests.support.forked import Launcher
from tests.support.redis_server import RedisServer
from tests.support.s3_server import S3Server
from tests.support.waiting import wait_until

FOLDER: Final = FolderData((("a/video.mov", 11 * MIB), ("b", 5)))
REPEATED: Final = "incoming_store_repeated_calls_total"
OF_UPLOADS: Final = (b"incoming:{", b"incoming:rest:", b"incoming:active")
Outage = Callable[[RedisServer], Iterator[None]]


def killed(redis: RedisServer) -> Iterator[None]:
    redis.kill()
    yield
    redis.start()


def frozen(redis: RedisServer) -> Iterator[None]:
    redis.freeze()
    yield
    redis.thaw()


def without_memory(redis: RedisServer) -> Iterator[None]:
    redis.client().config_set("maxmemory", "1")
    yield
    redis.client().config_set("maxmemory", "0")


def read_only(redis: RedisServer) -> Iterator[None]:
    redis.client().replicaof("127.0.0.1", "1")
    yield
    redis.client().replicaof("NO", "ONE")


@pytest.mark.parametrize("outage", [killed, frozen, without_memory, read_only])
def test_an_outage_of_redis_is_not_called_one_of_s3_and_the_upload_continues(
    tmp_path: Path, s3_server: S3Server, app: ScriptedApp, launcher: Launcher, outage: Outage
) -> None:
    data = FileBytes(16 * MIB, 3)
    with (
        RedisServer(tmp_path / "redis") as redis,
        Cluster(tmp_path / "cluster", redis, s3_server, 1, launcher, s3_part_mib=5) as cluster,
    ):
        [server] = cluster.servers
        ticket_id, other = cluster.new_ticket(app), cluster.new_ticket(app)
        client = ClientV2(server.url, ticket_id, data, timeout_s=150.0).open()
        client.send_until_stored(6 * MIB)
        with contextmanager(outage)(redis):
            while client.sent_bytes < 12 * MIB:
                client.send_chunk()
            wait_until(lambda: "Redis (" in server.log_text(), "the log says what fails")
            wait_until(lambda: "can't be written" in server.log_text(), "healthz has noticed")
            for _ in range(0 if outage is frozen else 3):  # which would let `client` wait for too long
                told = requests.put(f"{server.url}/incoming/frontend/uploads/{other}", b"a", timeout=60)
                assert told.status_code == HTTPStatus.SERVICE_UNAVAILABLE
                assert ("no memory left" in told.text) == (outage is without_memory), told.text
        client.send_until_stored(12 * MIB)
        client.upload()
        [delivery] = app.wait_for(1)
        assert delivery.sha256 == data.sha256
        log = server.log_text()
        metrics = requests.get(f"{server.url}/incoming/metrics", timeout=60).text
    assert "the store" not in log and "storage can't" not in log and "Traceback" not in log
    refused = re.findall(r"claim refused \(\w+\): .+ \((.+)\)\n", log)
    assert len(refused) == (0 if outage is frozen else 1)
    assert all(reason in log.partition("claim refused")[0] for reason in refused), "Redis's own words"
    says = re.findall(r"Redis \(\S+\) (failed|answers again|refuses a call)", log)
    assert says == (["failed", "answers again"] if outage in (killed, frozen) else ["refuses a call"])
    assert [line for line in metrics.splitlines() if line.startswith(REPEATED)] == [f"{REPEATED} 0.0"]


@pytest.mark.parametrize("data", [FileBytes(16 * MIB, 4), StreamBytes(FOLDER.stream)], ids=["file", "folder"])
def test_a_client_hears_of_a_redis_without_its_upload_at_the_next_byte_and_not_after_an_outage_of_s3(
    tmp_path: Path, s3_server: S3Server, app: ScriptedApp, launcher: Launcher, data: FileBytes
) -> None:
    with (
        RedisServer(tmp_path / "redis") as redis,
        Cluster(tmp_path / "cluster", redis, s3_server, 1, launcher, s3_part_mib=5) as cluster,
    ):
        [server] = cluster.servers
        ticket_id = cluster.new_ticket(app, destType="folder" if isinstance(data, StreamBytes) else "file")
        client = ClientV2(server.url, ticket_id, data).open()
        client.send_until_stored(6 * MIB)
        redis.client().flushall()
        client.send_chunk()
        assert client.refusal().code == "storage_failed"
        with pytest.raises(UploadRefused) as refused:
            ClientV2(server.url, ticket_id, data).open()
        assert refused.value.code == "unknown_ticket"


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "removed"])
@pytest.mark.parametrize(
    "data",
    [FileBytes(5, 5), FileBytes(11 * MIB, 6), StreamBytes(FOLDER.stream)],
    ids=["small", "file", "folder"],
)
def test_a_file_that_its_app_keeps_stays_when_a_failover_has_lost_its_end_and_the_upload_expires(
    tmp_path: Path, s3_server: S3Server, app: ScriptedApp, data: FileBytes, keeps: bool
) -> None:
    with (
        RedisServer(tmp_path / "redis") as redis,
        Cluster(tmp_path / "cluster", redis, s3_server, 1, s3_part_mib=5, idle_timeout_s=3) as cluster,
    ):
        app.hash_files = False
        [server] = cluster.servers
        kind = "folder" if isinstance(data, StreamBytes) else "file"
        ticket_id = cluster.new_ticket(app, destType=kind, removeFileWhenFinished=str(not keeps).lower())
        client = ClientV2(server.url, ticket_id, data).open()
        if data.length_bytes > MIB:
            client.send_until_stored(6 * MIB)
        client.drop()
        wait_until(lambda: "connection closed, paused" in server.log_text(), "the upload is paused")
        before = dump(redis)
        ClientV2(server.url, ticket_id, data).upload()
        key = app.wait_for(1)[0].fields["key"]
        wait_until(lambda: not redis.client().zcard("incoming:to-delete"), "nothing is left to delete")
        assert bool(object_keys(s3_server, key)) == keeps
        restore(redis, before)
        app.wait_for(2)
        assert app.deliveries[1].fields["cancelled"] == "yes"
        wait_until(lambda: not redis.client().zcard("incoming:to-delete"), "nothing is left to delete")
        assert bool(object_keys(s3_server, key)) == keeps
        assert not object_keys(s3_server, f"cluster/rest/{ticket_id}")


def of_uploads(client: Redis) -> list[Any]:
    """Returns the keys of all uploads in Redis."""
    keys: Any = client.keys()
    return [key for key in keys if key.startswith(OF_UPLOADS)]


def dump(redis: RedisServer) -> dict[bytes, bytes]:
    """Returns what Redis has of all uploads, for `restore`."""
    with Redis(port=redis.port) as client:
        return {key: client.dump(key) for key in of_uploads(client)}


def restore(redis: RedisServer, before: dict[bytes, bytes]) -> None:
    """Takes away what has come since, as a failover may."""
    with Redis(port=redis.port) as client, client.pipeline() as changes:
        changes.delete(*of_uploads(client))
        for key, value in before.items():
            changes.restore(key, 0, value)
        changes.execute()
