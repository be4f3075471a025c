"""Somebody removes `lock` and starts a second server on the same storage.

The first one lets go, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.forked import ForkedServer, Launcher
from tests.support.server import call_backend, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed

TRY_AGAIN_LATER = 1013
LENGTH_BYTES = 20 * MIB


def test_a_server_whose_lock_was_removed_lets_a_second_one_have_everything(
    start_server: StartServer, launcher: Launcher, app: ScriptedApp, tmp_path: Path
) -> None:
    first = start_server()
    client = ClientV1(first.url, new_upload(first, app.url), FileBytes(LENGTH_BYTES, seed=1)).open()
    client.send_until_acked(LENGTH_BYTES // 4)
    (first.storage_dir / "lock").unlink()
    second = ForkedServer(launcher, first.storage_dir)
    second.log_file = tmp_path / "second.log"
    with second:
        wait_until(lambda: "was removed or replaced" in first.log_text(), "the first one has noticed")
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                client.receive_ack()
        assert closed.value.code == TRY_AGAIN_LATER
        acked_by_first = client.acked_bytes
        refused = call_backend(first, "new_upload", signalFinishURL=app.url)
        assert refused.status_code == 500
        assert refused.headers.get("content-type", "").startswith("text/plain")
        assert requests.get(f"{first.url}/incoming/healthz", timeout=60).status_code == 503
        assert second.stored_file(client.ticket_id).stat().st_size >= acked_by_first

        there = ClientV1(second.url, client.ticket_id, FileBytes(LENGTH_BYTES, seed=1))
        there.open()
        assert there.resumed_at[0] >= acked_by_first
        there.send_until_acked(LENGTH_BYTES // 2)
        first.terminate()
        assert second.stored_file(client.ticket_id).stat().st_size >= LENGTH_BYTES // 2, (
            "the first cuts nothing off"
        )
        there.upload()
        ticket_id = new_upload(second, app.url)
        assert second.journaled_state(ticket_id) == "issued"
    tally(
        "fault",
        "the lock is removed and a second server started",
        1,
        "the first one released it, nothing was lost",
    )


def remove(lock: Path) -> None:
    lock.unlink()


def replace(lock: Path) -> None:
    lock.with_name("lock.new").touch()
    lock.with_name("lock.new").replace(lock)


def rename(lock: Path) -> None:
    lock.rename(lock.with_name("lock.old"))


@pytest.mark.parametrize("spoil", [remove, replace, rename])
@pytest.mark.parametrize("uploads", [1, 5])
def test_no_chunk_is_acknowledged_once_the_lock_is_gone(
    start_server: StartServer, app: ScriptedApp, spoil: Callable[[Path], None], uploads: int
) -> None:
    server = start_server()
    clients = [
        ClientV1(server.url, new_upload(server, app.url), FileBytes(LENGTH_BYTES, seed)).open()
        for seed in range(uploads)
    ]
    for client in clients:
        client.send_chunk()
        client.receive_acks()
    spoil(server.storage_dir / "lock")
    for client in clients:
        with pytest.raises((ConnectionClosed, ConnectionError)) as closed:
            client.send_chunk()
            client.receive_ack()
        if isinstance(closed.value, ConnectionClosed):
            assert closed.value.code == TRY_AGAIN_LATER
    tally("fault", "a chunk right after the lock was removed", uploads, "not acknowledged")


@pytest.mark.parametrize("replaced", [False, True])
def test_a_server_whose_lock_is_gone_changes_nothing_on_the_disk_any_more(
    start_server: StartServer, app: ScriptedApp, replaced: bool
) -> None:
    server = start_server()
    ticket_id = new_upload(server, app.url)
    client = ClientV1(server.url, ticket_id, FileBytes(LENGTH_BYTES, seed=2)).open()
    client.send_until_acked(LENGTH_BYTES // 4)
    lock = server.storage_dir / "lock"
    lock.unlink()
    if replaced:
        lock.touch()
    wait_until(lambda: "was removed or replaced" in server.log_text(), "it has noticed")
    log = (server.storage_dir / "journal" / "log").read_bytes()
    assert call_backend(server, "cancel_upload", id=ticket_id).status_code == 500
    assert call_backend(server, "new_upload", signalFinishURL=app.url).status_code == 500
    assert server.terminate() == 0
    assert (server.storage_dir / "journal" / "log").read_bytes() == log
    assert server.stored_file(ticket_id).stat().st_size >= client.acked_bytes
