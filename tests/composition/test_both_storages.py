"""A server with a directory and a bucket of a real S3 server: its app chooses for each ticket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.cluster import S3BackedServer, object_keys, s3_settings, unfinished_uploads
from tests.support.data import MIB, FileBytes
from tests.support.redis_server import RedisServer
from tests.support.s3_server import S3Server
from tests.support.server import RunningServer, new_upload
from tests.support.waiting import wait_until

STORED_BYTES = 9 * MIB


@pytest.fixture(scope="module", params=["journal", "redis"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "journal":
        yield ""
        return
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield redis.url


def settings_of(s3: S3Server, prefix: str, **more: object) -> dict[str, object]:
    return {**s3_settings(s3, prefix), "storage_choice": "local,s3", "stop_timeout_s": 1, **more}


def on_disk(server: RunningServer) -> set[str]:
    return {one.name for one in (server.storage_dir / "data").iterdir()}


def listed(server: RunningServer) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{server.url}/incoming/backend/uploads", timeout=60).json()
    return found


def test_each_app_gets_its_file_where_it_has_asked_for_it(
    registry: str, s3_server: S3Server, tmp_path: Path, app: ScriptedApp
) -> None:
    prefix = f"{tmp_path.name}-{'redis' if registry else 'journal'}"
    settings = settings_of(s3_server, prefix, registry=registry)
    with S3BackedServer(tmp_path / "storage", None, **settings) as server:
        data = {name: FileBytes(12 * MIB, seed) for seed, name in enumerate(("local", "s3", "away"), 1)}
        ids = {
            "local": new_upload(server, app.url, removeFileWhenFinished="false"),
            "s3": new_upload(server, app.url, storage="s3", removeFileWhenFinished="false"),
            "away": new_upload(server, app.url, storage="s3"),
        }
        clients = {name: ClientV1(server.url, ids[name], data[name]).open() for name in ids}
        for client in clients.values():
            while client.sent_bytes < STORED_BYTES:
                client.send_chunk()
            client.receive_acks()
        assert on_disk(server) == {ids["local"]}
        assert sorted(set(unfinished_uploads(s3_server, prefix))) == sorted(
            f"{prefix}/{ids[name]}" for name in ("s3", "away")
        )

        server.kill()
        server.start()
        rows = {row["id"]: row["storage"] for row in listed(server)["uploads"]}
        assert rows == {ids["local"][:8]: "local", ids["s3"][:8]: "s3", ids["away"][:8]: "s3"}
        assert listed(server)["storages"] == ["local", "s3"]
        clients["away"].open()
        assert clients["away"].resumed_at[-1] >= STORED_BYTES
        cancelled = {"id": ids["away"], "by": "operator"}
        url = f"{server.url}/incoming/backend/cancel_upload"
        requests.post(url, cancelled, timeout=60).raise_for_status()
        for name in ("local", "s3"):
            clients[name].upload()
            assert clients[name].resumed_at[-1] >= STORED_BYTES

        app.wait_for(3)
        local, in_s3 = (app.about(ids[name])[0] for name in ("local", "s3"))
        assert (local.sha256, in_s3.sha256) == (data["local"].sha256, data["s3"].sha256)
        assert Path(local.fields["filename"]).parent.parent == server.storage_dir / "data"
        assert "url" not in local.fields
        assert in_s3.fields["filename"].startswith("s3://")
        assert app.about(ids["away"])[0].fields["cancelled"] == "yes"
        wait_until(lambda: not unfinished_uploads(s3_server, prefix), "the parts are deleted")
        assert object_keys(s3_server, prefix) == [f"{prefix}/{ids['s3']}"]


def test_a_second_storage_is_added_and_taken_away_as_soon_as_nothing_needs_it(
    s3_server: S3Server, tmp_path: Path, app: ScriptedApp
) -> None:
    prefix, data = tmp_path.name, FileBytes(3 * MIB, 4)
    with RunningServer(tmp_path / "storage") as server:
        older = ClientV2(server.url, new_upload(server, app.url), data).open()
        older.send_until_stored(MIB)
    both = settings_of(s3_server, prefix, storage_choice="s3,local")
    with S3BackedServer(tmp_path / "storage", None, **both) as server:
        in_s3 = new_upload(server, app.url)
        client = ClientV2(server.url, older.ticket_id, data)
        client.upload()
        assert client.resumed_at[-1] >= MIB
        ClientV2(server.url, in_s3, data).upload()
        assert sorted(one.fields["filename"][:5] for one in app.wait_for(2)) == sorted(
            (str(tmp_path)[:5], "s3://")
        )
        wait_until(
            lambda: all(one.may_be_forgotten for one in server.journaled().values()), "nothing needs S3"
        )
    with RunningServer(tmp_path / "storage") as server:
        assert listed(server)["storages"] == ["local"]
