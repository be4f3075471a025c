"""`incoming doctor` without a URL: this machine, and what each finding about one means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from incoming.commands import machine_checks
from incoming.commands import machine_findings as findings
from incoming.commands.machine_findings import MachineFinding
from incoming.commands.proxy_findings import Grade
from incoming.registry.redis.registry import CHECK_KEY
from incoming.settings.table import Settings
from tests.conftest import StartServer
from tests.support.cluster import CREDENTIALS, object_keys, s3_settings
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.s3_place import BUCKET
from tests.support.s3_server import S3Server
from tests.support.server import ROOT

NOBODY = 65534
MIB = 1 << 20


def examine(**settings: object) -> tuple[int, dict[str, dict[str, Any]]]:
    """Returns the exit code, and {topic: the worst finding} of this machine with these settings."""
    ours = {f"INCOMING_{name.upper()}": str(value) for name, value in settings.items()}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("INCOMING_")}
    command = [sys.executable, str(ROOT / "run.py"), "doctor", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=inherited | ours, timeout=60
    )
    assert not done.stderr, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    order = [grade.lower() for grade in Grade]
    return done.returncode, {
        one["topic"]: one for one in sorted(found, key=lambda one: order.index(one["grade"]))
    }


def test_a_machine_with_a_running_server_is_fit_and_nothing_is_left_on_its_disk(
    start_server: StartServer,
) -> None:
    server = start_server()
    before = {path for path in server.storage_dir.rglob("*") if path.is_file()}
    code, found = examine(host="127.0.0.1", port=server.port, storage_dir=server.storage_dir)
    assert code == 0, found
    for topic in ("proxy headers", "permissions", "disk", "free space", "server"):
        assert found[topic]["grade"] == "ok", found[topic]
    assert found["open files"]["sentence"].startswith("The server may open ")
    assert {path for path in server.storage_dir.rglob("*") if path.is_file()} == before


def test_a_storage_that_its_user_can_not_write_to_has_to_change(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    storage = tmp_path / "storage"
    storage.mkdir(0o500)
    if os.geteuid() == 0:
        os.chown(storage, NOBODY, NOBODY)
    code, found = examine(host="127.0.0.1", port=free_port(), storage_dir=storage)
    assert (code, found["permissions"]["grade"]) == (3, "change")
    assert "Permission denied" in found["permissions"]["sentence"]
    assert found["permissions"]["change"]["do"].startswith("chown -R ")
    assert "No server answers" in found["server"]["sentence"]


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that these tests share."""
    with RedisServer(tmp_path_factory.mktemp("redis") / "redis") as server:
        yield server


@pytest.fixture
def fit(redis_server: RedisServer, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The settings of a server with a Redis and a bucket, and the credentials in the environment."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    place = s3_settings(s3_server, f"doctor-{uuid.uuid4()}")
    return {"registry": redis_server.url, "port": free_port(), **place}


def test_a_redis_and_a_bucket_that_can_be_used_are_left_as_they_were(
    fit: dict[str, object], redis_server: RedisServer, s3_server: S3Server
) -> None:
    before = set(redis_server.client().keys())
    code, found = examine(**fit)
    assert (found["Redis"]["grade"], found["S3"]["grade"]) == ("ok", "ok"), found
    assert code in (0, 3), "3 if the clock of the machine is not synchronized"
    assert set(redis_server.client().keys()) - before <= {CHECK_KEY}
    assert not object_keys(s3_server, str(fit["storage"]).removeprefix(f"s3://{BUCKET}/"))


@pytest.mark.parametrize(
    ("changed", "topic", "told"),
    [
        ({"registry": "redis://127.0.0.1:1"}, "Redis", "Connection refused"),
        ({"registry": "redis://:wrong@127.0.0.1:{port}"}, "Redis", "without any password configured"),
        ({"registry": "redis://127.0.0.1:{port}/99"}, "Redis", "DB index is out of range"),
        ({"registry": "redis://redis.example.org"}, "Redis", "redis_insecure"),
        ({"s3_endpoint": "http://127.0.0.1:1"}, "S3", "Could not connect"),
        ({"storage": "s3://unknown-bucket/a"}, "S3", "Create the bucket"),
    ],
    ids=lambda x: str(x)[:40],
)
def test_a_redis_or_a_bucket_that_can_not_be_used_has_to_change(
    fit: dict[str, object], redis_server: RedisServer, changed: dict[str, str], topic: str, told: str
) -> None:
    code, found = examine(
        **fit | {name: value.format(port=redis_server.port) for name, value in changed.items()}
    )
    assert (code, found[topic]["grade"]) == (3, "change")
    assert told in found[topic]["sentence"] and "wrong" not in found[topic]["sentence"]
    assert "ok" in {found["Redis"]["grade"], found["S3"]["grade"]}, "the other one"


def test_credentials_that_may_not_write_have_to_change(
    fit: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    _, found = examine(**fit)
    assert "Correct the secret key" in found["S3"]["sentence"]


def test_a_redis_that_takes_no_changes_or_loses_them_has_to_change(
    fit: dict[str, object], tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis", "appendonly no") as redis:
        _, found = examine(**fit | {"registry": redis.url})
        assert "append-only" in found["Redis"]["sentence"]
        redis.client().config_set("maxmemory", "1")
        _, found = examine(**fit | {"registry": redis.url})
        assert "maxmemory" in found["Redis"]["sentence"]


def test_a_setting_that_is_not_valid_is_said_as_at_a_start() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "doctor"],
        capture_output=True, text=True, check=False, env=os.environ | {"INCOMING_PORT": "many"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "'many' is not a whole number" in done.stderr


def test_the_clock_is_asked_without_changing_it() -> None:
    assert machine_checks.clock_is_synchronized() in (True, False, None)


@pytest.mark.parametrize(
    ("finding", "grade"),
    [
        (findings.judge_file_system("ext4", False, False, "/srv"), Grade.OK),
        (findings.judge_file_system("", False, False, "/srv"), Grade.OK),
        (findings.judge_file_system("ext4", True, False, "/srv"), Grade.CHANGE),
        (findings.judge_file_system("tmpfs", False, False, "/srv"), Grade.CHANGE),
        (findings.judge_file_system("overlay", False, False, "/srv"), Grade.CHANGE),
        (findings.judge_file_system("nfs4", False, True, "/srv"), Grade.NOTE),
        (findings.judge_permissions("incoming", "", 0o700, "/srv"), Grade.OK),
        (findings.judge_permissions("incoming", "", None, "/srv"), Grade.OK),
        (findings.judge_permissions("incoming", "", 0o750, "/srv"), Grade.CHANGE),
        (findings.judge_permissions("incoming", "Permission denied", 0o700, "/srv"), Grade.CHANGE),
        (findings.judge_sync(0.005), Grade.OK),
        (findings.judge_sync(0.5), Grade.NOTE),
        (findings.judge_room(257 * MIB, 100_000, 256), Grade.OK),
        (findings.judge_room(256 * MIB, 100_000, 256), Grade.CHANGE),
        (findings.judge_room(257 * MIB, 10, 256), Grade.CHANGE),
        (findings.judge_room(257 * MIB, -1, 256), Grade.OK),
        (findings.judge_descriptors(65_536, "The server"), Grade.OK),
        (findings.judge_descriptors(20_000, "The server"), Grade.NOTE),
        (findings.judge_descriptors(1024, "The server"), Grade.CHANGE),
        (findings.judge_backlog(4096), Grade.OK),
        (findings.judge_backlog(128), Grade.NOTE),
        (findings.judge_redis("localhost:6379", "", "7.0.15", True, 0), Grade.OK),
        (findings.judge_redis("localhost:6379", "", "7.0.15", True, 1), Grade.OK),
        (findings.judge_redis("localhost:6379", "", "7.0.15", False, 2), Grade.CHANGE),
        (findings.judge_redis("localhost:6379", "It is away.", "", False, 0), Grade.CHANGE),
        (findings.judge_bucket("s3://uploads", "", 0.1), Grade.OK),
        (findings.judge_bucket("s3://uploads", "It is away.", 0.0), Grade.CHANGE),
        (findings.judge_clock(True, True), Grade.OK),
        (findings.judge_clock(False, False), Grade.NOTE),
        (findings.judge_clock(False, True), Grade.CHANGE),
        (findings.judge_clock(None, True), Grade.NOTE),
        (findings.judge_server("http://localhost:4000", "ok", 403), Grade.OK),
        (findings.judge_server("http://localhost:4000", "ok", 200), Grade.CHANGE),
        (findings.judge_server("http://localhost:4000", "storage_full", 403), Grade.CHANGE),
        (findings.judge_server("http://localhost:4000", "", 0), Grade.NOTE),
        (findings.judge_callers(Settings(host="127.0.0.1")), Grade.OK),
        (findings.judge_callers(Settings()), Grade.NOTE),
        (findings.judge_callers(Settings(allowed_backends=("10.0.0.0/8", "0.0.0.0/0"))), Grade.CHANGE),
        (findings.judge_callers(Settings(trusted_proxies=("::/0",))), Grade.CHANGE),
        (findings.judge_settings(Settings(handover_hosts=("app",)), "/etc/incoming.toml", [])[-1], Grade.OK),
        (findings.judge_settings(Settings(), "", [])[-1], Grade.NOTE),
        (findings.judge_settings(Settings(), "", ["INCOMING_COLOUR"])[1], Grade.NOTE),
        (findings.judge_settings(Settings(backend_token="CHANGE-ME"), "", [])[1], Grade.CHANGE),
    ],
)
def test_each_state_of_a_machine_has_its_grade_and_says_how_to_mend_it(
    finding: MachineFinding, grade: Grade
) -> None:
    assert finding.grade == grade
    assert bool(finding.fix) == (grade is not Grade.OK)
    assert finding.sentence.endswith(".")
