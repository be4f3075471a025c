"""Folders over two servers with one Redis and a real S3 server: kills, other bytes, a frozen server.

With INCOMING_TEST_SCALE, as `make faults-scale` sets it, a folder of many files is sent as well.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest

from tests.support.app import WAIT, Delivery, ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.cluster import Cluster, object_keys, unfinished_uploads
from tests.support.data import MIB
from tests.support.folder_data import MODIFIED_MS, FolderData, StreamBytes
from tests.support.forked import Launcher
from tests.support.redis_server import RedisServer
from tests.support.s3_place import BUCKET
from tests.support.s3_server import S3Server
from tests.support.sending import Sending
from tests.support.server import RunningServer, call_backend, cancel_upload, finish_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed

IS_LONG: Final = "INCOMING_TEST_SCALE" in os.environ
SMALL: Final = tuple((f"small/{number % 7}/ü {number}.txt", number * 37) for number in range(120))
ODD: Final = (
    *("a b+c&d=e?f#g%20h.txt", "'\"<>*|", " spaces ", "dots...", "\U0001f469\u200d\U0001f467.jpg"),
    *("e\u0301", "\u00e9", "E\u0301", "~"),
)
FOLDER: Final = FolderData((
    *SMALL, *((f"odd/{name}", 9) for name in ODD), ("empty/", 0),
    *(("video.mov", 11 * MIB), ("changed.bin", 70_000), ("last", 5), ("nothing", 0)),
))  # fmt: skip
VIDEO = len(SMALL) + len(ODD) + 1
CHANGED = VIDEO + 1
SETTINGS: Final = {"s3_part_mib": 5, "handover_retry_first_s": 0.1, "stop_timeout_s": 0.5}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def cluster(tmp_path: Path, redis: RedisServer, s3_server: S3Server, launcher: Launcher) -> Iterator[Cluster]:
    redis.client().flushall()
    with Cluster(tmp_path, redis, s3_server, size=2, launcher=launcher, **SETTINGS) as cluster:
        yield cluster
        assert "Traceback" not in cluster.log_text()


@pytest.fixture
def app() -> Iterator[ScriptedApp]:
    with ScriptedApp(WAIT) as app:
        app.hash_files = False
        yield app


def client(server: RunningServer, ticket_id: str, stream: bytes) -> ClientV2:
    """Returns a client that has connected, and has shown that it has the same bytes."""
    found = ClientV2(server.url, ticket_id, StreamBytes(stream)).connect()
    found.request()
    found.agree()
    return found


def loaded(s3: S3Server, delivery: Delivery, folder: FolderData, *left_out: int) -> dict[str, bytes]:
    """Loads a folder as an app does: the list by its URL, and each file by its key, with its own rights."""
    with urlopen(delivery.fields["manifest"]) as answer:
        lines = folder.listed(answer.read(), left_out)
    fields, store = delivery.fields, s3.client()
    assert fields["filename"] == f"s3://{BUCKET}/{fields['key']}"
    assert (fields["files"], fields["leftOut"]) == (
        str(len(folder.files) - len(left_out)),
        str(len(left_out)),
    )

    def load(index: int) -> bytes:
        line = lines[index]
        assert line["key"] == fields["key"] + line["path"]
        one: dict[str, Any] = store.get_object(Bucket=BUCKET, Key=line["key"])
        assert one["Metadata"]["mtime"] == f"{(MODIFIED_MS + index) / 1000:.3f}"
        content: bytes = one["Body"].read()
        return content

    assert "size" not in fields, "the URL is that of the list"
    assert fields["url"].partition("?")[0] == fields["manifest"].partition("?")[0]
    there = [index for index, line in enumerate(lines) if "key" in line]
    with ThreadPoolExecutor(4) as pool:
        return dict(zip([lines[index]["path"] for index in there], pool.map(load, there), strict=True))


def taken(cluster: Cluster, s3: S3Server, app: ScriptedApp, ticket_id: str) -> None:
    """The app takes a folder, and then nothing is left in the bucket."""
    server = next(server for server in cluster.servers if server.runs)
    assert finish_upload(server, ticket_id).text == "ok"
    prefix = app_prefix(app.about(ticket_id)[0])
    wait_until(lambda: not object_keys(s3, prefix), "nothing is left", 30.0)
    assert not unfinished_uploads(s3, prefix)


def app_prefix(delivery: Delivery) -> str:
    """Returns below which prefix everything of a cluster is."""
    return delivery.fields["key"].split("/")[0]


def test_any_server_continues_a_folder_when_another_one_is_killed(
    cluster: Cluster, s3_server: S3Server, app: ScriptedApp
) -> None:
    ticket_id = cluster.new_ticket(app, destType="folder")
    start, _ = FOLDER.manifest.range_of(VIDEO)
    _, left_out_end = FOLDER.manifest.range_of(CHANGED)
    stops = (1_000, len(FOLDER.head) + 20_000, start + 6 * MIB, start + 11 * MIB + 30_000)
    acknowledged_bytes, stream = 0, FOLDER.stream
    for number, stop in enumerate(stops):
        server = cluster.servers[number % 2]
        sender = client(server, ticket_id, stream)
        assert sender.resumed_at[-1] >= acknowledged_bytes
        sender.send_until_stored(stop)
        acknowledged_bytes = sender.stored_bytes
        server.kill()
        server.start()
    sender = client(cluster.servers[0], ticket_id, stream)
    assert sender.resumed_at[-1] >= acknowledged_bytes
    sender.leave_out(CHANGED, left_out_end)
    cluster.servers[0].kill()
    stream = FOLDER.without(CHANGED)
    sender = client(cluster.servers[1], ticket_id, stream)
    assert (sender.conf["LeftOut"], sender.resumed_at[-1]) == ([CHANGED], left_out_end)
    assert not app.deliveries
    sender.send_until_stored()
    sender.complete()
    delivery = app.wait_for(1)[0]
    found = loaded(s3_server, delivery, FOLDER, CHANGED)
    url = call_backend(cluster.servers[1], "object_url", id=ticket_id).text
    assert url.partition("?")[0] == delivery.fields["url"].partition("?")[0]
    assert found == {path: content for path, content in FOLDER.files.items() if path != "changed.bin"}
    taken(cluster, s3_server, app, ticket_id)
    sender.receive_result()
    tally("fault", "a folder in S3 whose server is killed, continued by another one", len(stops) + 1,
          "identical objects, one list, no acknowledged byte lost")  # fmt: skip


def test_a_server_that_wakes_up_with_other_bytes_changes_nothing(
    cluster: Cluster, s3_server: S3Server, app: ScriptedApp
) -> None:
    ticket_id = cluster.new_ticket(app, destType="folder")
    frozen, other = cluster.servers
    stale = FolderData(FOLDER.sizes, seed=77)
    start, _ = FOLDER.manifest.range_of(VIDEO)
    sender = client(frozen, ticket_id, FOLDER.stream)
    sender.send_until_stored(len(FOLDER.head) + 5_000)
    begun = sender.sent_bytes
    sender.data = StreamBytes(FOLDER.stream[:begun] + stale.stream[begun:])
    while sender.sent_bytes < start + 7 * MIB:
        sender.send_chunk()  # what comes of it depends on when it stands still
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        newer = ClientV2(other.url, ticket_id, StreamBytes(stale.stream)).connect()
        newer.request()
        offset = newer.resumed_at[-1]
        mixed = FOLDER.stream[:begun] + stale.stream[begun:offset] + FOLDER.stream[offset:]
        newer.data = StreamBytes(mixed)
        newer.agree()
        newer.send_until_stored(max(offset, start + MIB))
        os.kill(frozen.pid, signal.SIGCONT)
        newer.send_until_stored()
        newer.complete()
        delivery = app.wait_for(1)[0]
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    at, expected = len(FOLDER.head), dict[str, bytes]()
    for path, content in FOLDER.files.items():
        expected[path] = mixed[at : at + len(content)]
        at += len(content)
    mixture = FolderData(FOLDER.sizes, contents=expected)
    assert loaded(s3_server, delivery, mixture) == expected
    taken(cluster, s3_server, app, ticket_id)
    with pytest.raises(ConnectionClosed):
        while True:
            sender.receive()


def test_a_folder_that_is_called_off_leaves_nothing(
    cluster: Cluster, s3_server: S3Server, app: ScriptedApp, tmp_path: Path
) -> None:
    ticket_id = cluster.new_ticket(app, destType="folder")
    sender = client(cluster.servers[0], ticket_id, FOLDER.stream)
    sender.send_until_stored(FOLDER.manifest.range_of(VIDEO)[0] + 6 * MIB)
    assert object_keys(s3_server, f"{tmp_path.name}/{ticket_id}/")
    assert cancel_upload(cluster.servers[1], ticket_id).text == "ok"
    prefix = f"{tmp_path.name}/"
    wait_until(lambda: not object_keys(s3_server, prefix), "nothing is left", 30.0)
    wait_until(lambda: not unfinished_uploads(s3_server, prefix), "no upload is left", 30.0)


@pytest.mark.skipif(not IS_LONG, reason="two thousand files take a minute: make faults-scale")
def test_a_folder_of_many_files_is_sent_while_its_server_is_killed(
    cluster: Cluster, s3_server: S3Server, app: ScriptedApp, tmp_path: Path
) -> None:
    count = 2_000
    paths = sorted(f"{number % 20}/{number}" for number in range(count))
    sent = FolderData([(path, number * 31 % 5_000) for number, path in enumerate(paths)], seed=4)
    for entry in sent.entries:
        file = tmp_path / "sent" / entry.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(sent.files[entry.path])
        os.utime(file, ns=(0, (entry.modified_ms or 0) * 1_000_000))
    ticket_id = cluster.new_ticket(app, destType="folder")
    server, prefix = cluster.servers[0], f"{tmp_path.name}/{ticket_id}/"
    with Sending(tmp_path / "sent", "--ticket", ticket_id, "--server", server.url) as sending:
        for share in (0.2, 0.6):
            there = partial(_has, s3_server, prefix, int(count * share))
            wait_until(there, "files are stored", 60.0)
            server.restart()
        delivery = app.wait_for(1, 120.0)[0]
        assert loaded(s3_server, delivery, sent) == sent.files
        taken(cluster, s3_server, app, ticket_id)
        sending.ends()
    assert sending.exit_code == 0, sending.said
    assert not sending.result.get("left_out")


def _has(s3: S3Server, prefix: str, count: int) -> bool:
    return len(object_keys(s3, prefix)) >= count
