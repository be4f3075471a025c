"""Redis is killed or frozen while uploads run: clients wait, nothing is lost, and all of it ends well."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import requests

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.cpu_waits import Stopwatch
from tests.support.data import FileBytes
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, Sentinel
from tests.support.relay import Relay
from tests.support.server import RunningServer, call_backend, cancel_upload, new_upload
from tests.support.tus import TusUpload
from tests.support.waiting import wait_until

SIZE_BYTES = 12_000_000
BYTES_PER_S = 3_000_000


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as redis_server:
        yield redis_server


@pytest.fixture
def server(redis_server: RedisServer, start_server: StartServer) -> RunningServer:
    return start_server(registry=redis_server.url, handover_retry_first_s=0.2, handover_retry_max_s=1)


@pytest.mark.parametrize("client_class", [ClientV1, ClientV2])
@pytest.mark.parametrize("outage", ["kill", "freeze"])
def test_uploads_outlive_an_outage_of_redis(
    server: RunningServer,
    redis_server: RedisServer,
    app: ScriptedApp,
    client_class: type[ClientV1 | ClientV2],
    outage: str,
) -> None:
    data = [FileBytes(SIZE_BYTES, number) for number in range(3)]
    ids = [new_upload(server, app.url) for _ in data]
    with Relay(server.port, BYTES_PER_S) as relay, ThreadPoolExecutor() as pool:
        pairs = zip(ids, data, strict=True)
        clients = [client_class(f"http://{relay.host}", *pair, timeout_s=60.0) for pair in pairs]
        uploads = [pool.submit(client.upload) for client in clients]
        time.sleep(SIZE_BYTES / BYTES_PER_S / 2)
        getattr(redis_server, outage)()
        time.sleep(3.0)
        redis_server.start() if outage == "kill" else redis_server.thaw()
        for upload in uploads:
            upload.result(90.0)
    for ticket_id, file in zip(ids, data, strict=True):
        [told] = wait_until(partial(app.about, ticket_id), "the handover")
        assert told.sha256 == file.sha256
    assert "Traceback" not in server.log_text()


def test_uploads_outlive_a_failover_to_a_replica(
    tmp_path: Path, start_server: StartServer, app: ScriptedApp
) -> None:
    data = [FileBytes(SIZE_BYTES, number) for number in range(3)]
    with (
        RedisServer(tmp_path / "primary", "repl-diskless-sync-delay 0") as primary,
        RedisServer(tmp_path / "replica", f"replicaof 127.0.0.1 {primary.port}") as replica,
        Sentinel(tmp_path / "sentinel", primary) as sentinel,
    ):
        server = start_server(registry=sentinel.url)
        ids = [new_upload(server, app.url) for _ in data]
        wait_until(lambda: replica.client().zcard("incoming:all") == len(ids), "the replica has all tickets")
        with Relay(server.port, BYTES_PER_S) as relay, ThreadPoolExecutor() as pool:
            clients = [
                ClientV2(f"http://{relay.host}", *pair, timeout_s=60.0)
                for pair in zip(ids, data, strict=True)
            ]
            uploads = [pool.submit(client.upload) for client in clients]
            time.sleep(SIZE_BYTES / BYTES_PER_S / 2)
            primary.kill()
            for upload in uploads:
                upload.result(90.0)
        for ticket_id, file in zip(ids, data, strict=True):
            [told] = wait_until(partial(app.about, ticket_id), "the handover")
            assert told.sha256 == file.sha256
        assert replica.client().info("replication")["role"] == "master"
        assert new_upload(server, app.url)
        assert "Traceback" not in server.log_text()


def test_a_tus_upload_whose_creation_was_lost_in_a_failover_arrives_whole(
    tmp_path: Path, start_server: StartServer, app: ScriptedApp
) -> None:
    data = FileBytes(1000)
    with (
        RedisServer(tmp_path / "primary", "repl-diskless-sync-delay 0") as primary,
        RedisServer(tmp_path / "replica", f"replicaof 127.0.0.1 {primary.port}") as replica,
        Sentinel(tmp_path / "sentinel", primary) as sentinel,
    ):
        server = start_server(registry=sentinel.url)
        upload = TusUpload(server.url, new_upload(server, app.url))
        wait_until(lambda: replica.client().zcard("incoming:all") == 1, "the replica has the ticket")
        replica.client().replicaof("127.0.0.1", free_port())  # it hears nothing of the creation
        assert upload.create(data.length_bytes).status == 201
        primary.kill()
        wait_until(lambda: upload.head().status == 200, "the replica was promoted")
        assert upload.append(0, data.read(0, 400)).offset_bytes == 400
        assert upload.append(400, data.read(400, 600)).offset_bytes == data.length_bytes
        assert [told.sha256 for told in app.about(upload.ticket_id)] == [data.sha256]


def test_the_server_answers_others_while_redis_does_not_answer(
    server: RunningServer, redis_server: RedisServer, app: ScriptedApp
) -> None:
    ticket_id = new_upload(server, app.url)
    redis_server.freeze()
    try:
        asking = [threading.Thread(target=cancel_upload, args=(server, ticket_id)) for _ in range(5)]
        for thread in asking:
            thread.start()
        for _ in range(20):
            stopwatch = Stopwatch(server.pid)
            url = f"{server.url}/incoming/frontend/incoming.js"
            assert requests.get(url, timeout=60).status_code == 200
            assert stopwatch.worked_s() < 2.0
    finally:
        redis_server.thaw()
    for thread in asking:
        thread.join(60.0)
    assert call_backend(server, "cancel_upload", id=ticket_id).status_code in (200, 412)


def test_operators_hear_that_the_list_is_away_and_no_success(
    server: RunningServer, redis_server: RedisServer, app: ScriptedApp
) -> None:
    new_upload(server, app.url)
    redis_server.kill()
    answers = [
        call_backend(server, route) for route in ("sweep", "new_upload?signalFinishURL=http://localhost/")
    ]
    answers.append(requests.get(f"{server.url}/incoming/backend/uploads", timeout=60))
    for answer in answers:
        assert (answer.status_code, answer.text) == (500, "The server can't reach its list of uploads.")
    redis_server.start()
    assert wait_until(lambda: call_backend(server, "sweep").text == "0", "the sweep")


def test_data_of_another_program_under_a_key_is_told_until_it_is_removed(
    server: RunningServer, redis_server: RedisServer, app: ScriptedApp
) -> None:
    def health() -> str:
        return requests.get(f"{server.url}/incoming/healthz", timeout=60).text

    wait_until(lambda: health() == "ok", "the server is well")
    redis_server.client().set("incoming:all", "of another program")
    asked = {"signalFinishURL": app.url}
    answer = requests.post(
        f"{server.url}/incoming/backend/new_upload", asked, headers={"Accept": "application/json"}, timeout=60
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "foreign_keys")
    wait_until(lambda: health() == "registry", "the health check fails")
    assert "can't be written: Redis has data of another program: incoming:all." in server.log_text()
    redis_server.client().delete("incoming:all")
    wait_until(lambda: health() == "ok", "the server is well again")
    assert new_upload(server, app.url)


def test_a_server_that_is_killed_with_its_redis_continues_with_both(
    server: RunningServer, redis_server: RedisServer, app: ScriptedApp
) -> None:
    data = FileBytes(SIZE_BYTES)
    ticket_id = new_upload(server, app.url)
    with Relay(server.port, BYTES_PER_S) as relay:
        client = ClientV2(f"http://{relay.host}", ticket_id, data)
        client.open()
        while client.stored_bytes < SIZE_BYTES / 2:
            client.send_chunk()
            client.receive_next()
        for kill in (redis_server.kill, server.kill):
            kill()
        redis_server.start()
        server.start()
        resumed = ClientV2(server.url, ticket_id, data)
        resumed.upload()
    assert resumed.resumed_at[0] >= client.stored_bytes
    [told] = wait_until(lambda: app.about(ticket_id), "the handover")
    assert told.sha256 == data.sha256
