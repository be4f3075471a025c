"""`incoming doctor` without a URL: this machine, and what each finding about one means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from incoming.commands import machine_checks
from incoming.commands import machine_findings as findings
from incoming.commands.machine_findings import MachineFinding
from incoming.commands.proxy_findings import Grade
from incoming.settings.table import Settings
from tests.conftest import StartServer
from tests.support.ports import free_port
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
