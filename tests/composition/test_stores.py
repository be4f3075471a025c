"""The server on each combination of registry and storage, and the ones that it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.cluster import CREDENTIALS, Cluster, S3BackedServer, object_keys, s3_settings
from tests.support.data import MIB, FileBytes
from tests.support.http_upload import HttpUpload
from tests.support.redis_server import RedisServer
from tests.support.s3_place import BUCKET
from tests.support.s3_server import REGION, S3Server
from tests.support.sending import Sending
from tests.support.server import ROOT, RunningServer, new_upload
from tests.support.waiting import wait_until

CONTENT = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def empty_redis(redis: RedisServer) -> RedisServer:
    redis.client().flushall()
    return redis


def refusal(storage_dir: Path, *options: str) -> str:
    """Returns what the server says when it does not start."""
    words = [sys.executable, "run.py", "--port", "0", "--storage-dir", str(storage_dir), *options]
    environ = os.environ | CREDENTIALS
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=environ
    )
    assert done.returncode, done.stdout
    return done.stderr


def upload(server: RunningServer, app: ScriptedApp, folder: Path, **asked: str) -> dict[str, str]:
    """Uploads a file, and returns what the app heard."""
    file = folder / "content"
    file.write_bytes(CONTENT)
    ticket_id = new_upload(server, app.url, **asked)
    with Sending(file, "--ticket", ticket_id, "--server", server.url) as sending:
        assert sending.ends().exit_code == 0, sending.said
    return app.about(ticket_id)[0].fields


# --- Redis and a directory -----------------------------------------------------------------------------


def test_a_redis_keeps_tickets_of_files_in_a_directory(empty_redis: RedisServer, tmp_path: Path) -> None:
    with ScriptedApp() as app, RunningServer(tmp_path / "storage", registry=empty_redis.url) as server:
        told = upload(server, app, tmp_path, removeFileWhenFinished="false")
        assert Path(told["filename"]).read_bytes() == CONTENT
        waiting_id = new_upload(server, app.url)
        server.kill()
        server.start()
        assert empty_redis.client().exists(f"incoming:{{{waiting_id}}}:t")
        assert upload(server, app, tmp_path)["cancelled"] == "no"
        assert not list((tmp_path / "storage").glob("journal/*"))


def test_a_second_directory_may_not_have_the_same_redis(empty_redis: RedisServer, tmp_path: Path) -> None:
    with RunningServer(tmp_path / "one", registry=empty_redis.url) as server:
        said = refusal(tmp_path / "other", "--registry", empty_redis.url)
        assert "another server" in said and "keeps their files in storage_dir" in said
        new_upload(server, "http://127.0.0.1:9/")
        server.terminate()
        said = refusal(tmp_path / "other", "--registry", empty_redis.url)
    assert "1 uploads still have files in storage_dir" in said


def test_a_second_process_on_a_directory_is_refused_with_redis_too(
    empty_redis: RedisServer, tmp_path: Path
) -> None:
    with RunningServer(tmp_path / "storage", registry=empty_redis.url):
        said = refusal(tmp_path / "storage", "--registry", empty_redis.url)
    assert "Another Incoming!! process uses" in said


# --- S3 ------------------------------------------------------------------------------------------------


def test_a_journal_keeps_tickets_of_files_in_s3(s3_server: S3Server, tmp_path: Path) -> None:
    settings = s3_settings(s3_server, tmp_path.name)
    with ScriptedApp() as app, S3BackedServer(tmp_path / "storage", None, **settings) as server:
        data = FileBytes(12 * MIB, 3)
        client = ClientV1(server.url, new_upload(server, app.url, storage="s3"), data)
        client.open().send_until_acked(9 * MIB)
        server.restart()
        client.upload()
        assert client.resumed_at[-1] >= 9 * MIB
        assert app.wait_for(1)[0].sha256 == data.sha256
        wait_until(lambda: not object_keys(s3_server, tmp_path.name), "the object is removed")


def test_a_directory_with_unfinished_uploads_stays_the_storage(s3_server: S3Server, tmp_path: Path) -> None:
    with RunningServer(tmp_path / "storage") as server:
        new_upload(server, "http://127.0.0.1:9/")
    options = ("--storage", f"s3://{BUCKET}/x", "--s3-endpoint", s3_server.url, "--s3-region", REGION)
    said = refusal(tmp_path / "storage", *options)
    assert "1 uploads still have files in storage_dir" in said


def test_a_bucket_that_does_not_exist_is_named(s3_server: S3Server, tmp_path: Path) -> None:
    options = ("--storage", "s3://no-such-bucket", "--s3-endpoint", s3_server.url, "--s3-region", REGION)
    assert "storage: s3://no-such-bucket can't be used" in refusal(tmp_path / "storage", *options)


# --- Redis and S3 --------------------------------------------------------------------------------------


def test_any_server_resumes_an_upload_that_another_one_began(
    empty_redis: RedisServer, s3_server: S3Server, tmp_path: Path, app: ScriptedApp
) -> None:
    with Cluster(tmp_path, empty_redis, s3_server) as cluster:
        first, second = cluster.servers
        data = FileBytes(20 * MIB, 5)
        ticket_id = cluster.new_ticket(app)
        client = ClientV2(first.url, ticket_id, data).open()
        client.send_until_stored(10 * MIB)
        first.kill()
        client.drop()
        client = ClientV2(second.url, ticket_id, data)
        client.upload()
        assert client.resumed_at[-1] >= 10 * MIB
        assert app.wait_for(1)[0].sha256 == data.sha256
        assert not (tmp_path / "server-1").exists(), "no server needs a directory"


def test_a_client_hears_what_is_taken_before_it_is_stored(
    empty_redis: RedisServer, s3_server: S3Server, tmp_path: Path, app: ScriptedApp
) -> None:
    with Cluster(tmp_path, empty_redis, s3_server, size=1) as cluster:
        data = FileBytes(9 * MIB, 7)
        client = ClientV2(cluster.servers[0].url, cluster.new_ticket(app), data).open()
        size_bytes = client.send_chunk()
        told = client.expect("MsgStored")
        assert (told["Offset"], told["Taken"]) == (0, size_bytes)
        stored = client.expect("MsgStored")
        assert stored["Offset"] == size_bytes and "Taken" not in stored
        client.upload()
        assert app.wait_for(1)[0].sha256 == data.sha256


def test_an_app_names_the_key_of_its_object(
    empty_redis: RedisServer, s3_server: S3Server, tmp_path: Path, app: ScriptedApp
) -> None:
    with Cluster(tmp_path, empty_redis, s3_server, size=1) as cluster:
        data, key = FileBytes(MIB, 6), f"{tmp_path.name}/inbox/a b.mov"
        asked = {"destinationKey": key, "removeFileWhenFinished": "false"}
        ClientV2(cluster.servers[0].url, cluster.new_ticket(app, **asked), data).upload()
        assert app.wait_for(1)[0].fields["key"] == key
        assert object_keys(s3_server, tmp_path.name) == [key]


@pytest.mark.parametrize("size_bytes", [1000, 9 * MIB], ids=["in one piece", "in parts"])
def test_a_key_that_another_object_has_is_a_final_error_for_the_client(
    empty_redis: RedisServer, s3_server: S3Server, tmp_path: Path, app: ScriptedApp, size_bytes: int
) -> None:
    with Cluster(tmp_path, empty_redis, s3_server, size=1) as cluster:
        first, second = FileBytes(size_bytes, 6), FileBytes(size_bytes, 7)
        asked = {"destinationKey": f"{tmp_path.name}/inbox/1", "removeFileWhenFinished": "false"}
        url = cluster.servers[0].url
        ClientV2(url, cluster.new_ticket(app, **asked), first).upload()
        with pytest.raises(UploadRefused) as ended:
            ClientV2(url, cluster.new_ticket(app, **asked), second).upload()
        assert (ended.value.code, ended.value.retryable) == ("destination_taken", False)
        upload = HttpUpload(url, cluster.new_ticket(app, **asked))
        refused = upload.ask("PUT", None, second.read(0, size_bytes))
        assert (refused.status, refused.code) == (422, "destination_taken")
        assert len(app.deliveries) == 1


# --- what is refused -----------------------------------------------------------------------------------


def test_a_redis_that_does_not_answer_is_named(tmp_path: Path) -> None:
    said = refusal(tmp_path, "--registry", "redis://:s3cret@127.0.0.1:1")
    assert "registry: the Redis at 127.0.0.1:1 can't be used" in said
    assert "s3cret" not in said and "Traceback" not in said


def of_sentinel(redis: RedisServer) -> str:
    """Returns the address of Sentinels of which none answers."""
    return "redis+sentinel://127.0.0.1:1,localhost:1/uploads"


def frozen(redis: RedisServer) -> str:
    redis.freeze()
    return redis.url


def with_password(redis: RedisServer) -> str:
    return f"redis://:wr0ng@127.0.0.1:{redis.port}"


def with_database(redis: RedisServer) -> str:
    return f"{redis.url}/99"


def over_tls(redis: RedisServer) -> str:
    return f"rediss://:s3cret@127.0.0.1:{redis.port}"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (of_sentinel, "uploads of 127.0.0.1:1,localhost:1 can't be used: No master found for 'uploads'"),
        (frozen, "can't be used: Timeout"),
        (with_password, "can't be used: .*password"),
        (with_database, "can't be used: DB index is out of range"),
        (over_tls, "can't be used: (Timeout connecting|.*SSL)"),
    ],
)
def test_a_redis_that_cant_be_used_prevents_the_start_with_its_reason(
    empty_redis: RedisServer, tmp_path: Path, address: Callable[[RedisServer], str], why: str
) -> None:
    try:
        said = refusal(tmp_path, "--registry", address(empty_redis))
    finally:
        empty_redis.thaw()
    last = said.splitlines()[-1]
    assert last.startswith("Incoming!! does not start. registry: the Redis at ")
    assert re.search(why, last), last
    assert "s3cret" not in said and "wr0ng" not in said and "Traceback" not in said


def test_a_redis_beyond_this_machine_needs_tls_and_a_password(tmp_path: Path) -> None:
    assert "redis_insecure" in refusal(tmp_path, "--registry", "redis://redis.example.org")


def test_a_journal_with_unfinished_uploads_has_to_be_drained_first(
    empty_redis: RedisServer, tmp_path: Path
) -> None:
    with RunningServer(tmp_path / "storage") as server:
        new_upload(server, "http://127.0.0.1:9/")
    said = refusal(tmp_path / "storage", "--registry", empty_redis.url)
    assert "has 1 uploads that are not finished" in said


REDIS, IN_S3 = ("--registry", "redis://127.0.0.1:1"), ("--storage", "s3://bucket")


@pytest.mark.parametrize("options", [(), REDIS, IN_S3, (*REDIS, *IN_S3, "--storage-choice", "local,s3")])
def test_several_workers_need_redis_and_s3(options: tuple[str, ...], tmp_path: Path) -> None:
    said = refusal(tmp_path, "--workers", "2", *options)
    assert "workers: more than one needs Redis and S3" in said
