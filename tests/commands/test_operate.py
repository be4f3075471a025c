"""What an operator does beside a running server, as processes: lists, retries, cancels, sweeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from incoming.registry.entries import ticket_entry
from tests.conftest import StartServer
from tests.support.app import DONE, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.data import MIB, FileBytes
from tests.support.server import ROOT, RunningServer, add_to_journal, new_upload
from tests.support.waiting import wait_until

REFUSED = Reply(400, "no")


SILENT = "The server at http://127.0.0.1:9 does not answer: no server listens there."


def run(server: RunningServer, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the operator's to its end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("INCOMING_")}
    place = ["--host", "127.0.0.1", "--port", str(server.port), "--storage-dir", str(server.storage_dir)]
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *words, *place],
        env=inherited | variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def paused(server: RunningServer, app: ScriptedApp, name: str = "holiday.mov", **params: str) -> str:
    """Returns the id of an upload that has paused on its way."""
    client = ClientV1(server.url, new_upload(server, app.url, **params), FileBytes(8 * MIB, 3), name)
    client.open().send_until_acked(2 * MIB)
    client.drop()
    wait_until(lambda: "connection closed" in server.log_text(), "the pause")
    return client.ticket_id


def failed(server: RunningServer, app: ScriptedApp) -> ClientV1:
    """Returns the client of an upload whose app has refused it."""
    app.answers = (REFUSED, DONE)
    ticket_id = new_upload(server, app.url, backendSecret="known to us")
    client = ClientV1(server.url, ticket_id, FileBytes(1000, 4))
    with pytest.raises(UploadEnded):
        client.upload()
    return client


def test_uploads_are_listed_with_their_progress(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server()
    ticket_id = paused(server, app)
    done = run(server, "uploads")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(ticket_id[:8])]
    assert "paused" in line
    assert "holiday.mov" in line
    assert "8.39 MB" in line
    assert f"{100 * server.stored_file(ticket_id).stat().st_size // (8 * MIB)} %" in line
    assert ticket_id not in done.stdout


def test_without_a_server_the_journal_is_listed(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server()
    ticket_id = paused(server, app)
    server.terminate()
    done = run(server, "uploads", "--json")
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (row["id"], row["state"], row["length_bytes"]) == (ticket_id[:8], "paused", 8 * MIB)
    assert row["offset_bytes"] == server.stored_file(ticket_id).stat().st_size
    assert "does not answer" in run(server, "uploads").stderr


def test_ended_uploads_are_listed_when_asked_for(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server()
    client = ClientV1(server.url, new_upload(server, app.url), FileBytes(1000, 5))
    client.upload()
    assert run(server, "uploads").stdout.strip() == "There are no uploads."
    for choice in ("--all", "--state=finished"):
        assert client.ticket_id[:8] in run(server, "uploads", choice).stdout


def test_a_name_cannot_play_with_the_terminal(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server()
    paused(server, app, "a\u202eb\u2028c.txt")
    listed = run(server, "uploads").stdout
    assert "a\\u202eb\\u2028c.txt" in listed


def test_a_failed_handover_is_tried_again_without_knowing_its_secret(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server()
    client = failed(server, app)
    done = run(server, "retry", client.ticket_id[:8])
    assert (done.returncode, done.stdout) == (0, "The handover is being retried.\n")
    assert len(app.wait_for(2)) == 2
    client.upload()


def test_an_upload_is_cancelled_by_the_beginning_of_its_id(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server()
    ticket_id = paused(server, app, backendSecret="known to us")
    assert run(server, "cancel", ticket_id[:6]).returncode == 0
    assert not server.stored_file(ticket_id).exists()
    [told] = app.wait_for(1)
    assert (told.fields["cancelled"], told.fields["cancelReason"]) == (
        "yes",
        "cancelled by the operator of the upload server",
    )
    again = run(server, "retry", ticket_id[:8])
    assert (again.returncode, again.stderr) == (1, "This is not possible: the upload is cancelled.\n")


@pytest.mark.parametrize(
    ("beginning", "words"),
    [("ffffffffffff", "No upload has this id"), ("f", "at least 4 characters")],
    ids=["unknown", "too short"],
)
def test_an_id_that_means_no_upload_is_refused(start_server: StartServer, beginning: str, words: str) -> None:
    done = run(start_server(), "cancel", beginning)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_beginning_that_two_uploads_share_is_refused(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server()
    ticket_id = paused(server, app)
    twin = ticket_id[:-1] + ("0" if ticket_id[-1] != "0" else "1")
    add_to_journal(server, ticket_entry(replace(server.journaled()[ticket_id], id=twin)))
    assert "2 uploads have an id that begins with" in run(server, "cancel", ticket_id[:8]).stderr


def test_a_sweep_says_what_it_did(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(idle_timeout_s=3600, result_retention_s=4000)
    assert run(server, "sweep").stdout == "There was nothing to do.\n"


def test_a_server_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "storage")
    server.port = 9
    done = run(server, "sweep")
    assert (done.returncode, done.stderr) == (1, f"{SILENT}\n")
    assert "can't be read" in run(server, "retry", "12345678").stderr


def test_a_list_without_server_and_journal_says_that_neither_answers(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "storage")
    server.port = 9
    done = run(server, "uploads")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{SILENT} The journal in ")


def test_the_token_of_the_settings_is_used(start_server: StartServer) -> None:
    server = start_server(allowed_backends="192.0.2.1", backend_token="between us")
    assert "closed to this address" in run(server, "sweep").stderr
    assert run(server, "sweep", INCOMING_BACKEND_TOKEN="between us").returncode == 0


@pytest.mark.parametrize("command", [["uploads"], ["cancel", "deadbeef"], ["retry", "deadbeef"]])
def test_a_redis_that_does_not_answer_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    done = run(RunningServer(tmp_path), *command, INCOMING_REGISTRY="redis://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.endswith("Redis can't be read: Error 111 connecting to 127.0.0.1:1. Connection refused.")
