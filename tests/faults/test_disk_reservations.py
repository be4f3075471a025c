"""Room on a real disk: it is counted once, also after a kill, and nobody gets it by asking alone."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from incoming.uploads.admission import UNUSED_AFTER_S
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.data import MIB, FileBytes
from tests.support.disks import NotHere, mounted_disk
from tests.support.forked import ForkedServer, Launcher
from tests.support.server import RunningServer, cancel_upload, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed

RESERVE_AHEAD_MIB: Final = 32
TRY_AGAIN_LATER: Final = 1013
Kind = type[ClientV1] | type[ClientV2]
OnDisk = Callable[[str], RunningServer]


@pytest.fixture
def server_on(launcher: Launcher, tmp_path: Path) -> Iterator[OnDisk]:
    """Starts a server on a disk of its own, which has the given file system."""
    with ExitStack() as stack:

        def start(kind: str) -> RunningServer:
            if os.geteuid() != 0:
                pytest.skip("only root may mount a disk")
            try:
                disk = stack.enter_context(mounted_disk(kind, tmp_path / "disk"))
            except NotHere as exc:
                pytest.skip(f"no {kind} here: {exc}")
            settings = {"min_free_mib": 0, "reserve_ahead_mib": RESERVE_AHEAD_MIB}
            server = ForkedServer(launcher, disk / "storage", **settings)
            server.log_file = tmp_path / "server.log"
            stack.callback(server.kill)
            server.start()
            return server

        yield start


every_file_system = pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs", "tmpfs"])


def free_bytes(directory: Path) -> int:
    """Returns how much space is left, after everything was committed."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        assert ctypes.CDLL(None).syncfs(descriptor) == 0
    finally:
        os.close(descriptor)
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def client_of(kind: Kind, server: RunningServer, app: ScriptedApp, length_bytes: int) -> Any:
    """Returns a client with a ticket of its own."""
    return kind(server.url, new_upload(server, app.url), FileBytes(length_bytes, length_bytes))


def send(client: Any, size_bytes: int) -> None:
    """Sends so many bytes, and returns when they are acknowledged."""
    if isinstance(client, ClientV2):
        client.send_until_stored(size_bytes)
    else:
        client.send_until_acked(size_bytes)


def told_to_come_back(step: Callable[[], object]) -> int | None:
    """Returns the code with which the server closes the connection at this step; None if it does not."""
    try:
        step()
    except ConnectionClosed as closed:
        return closed.code
    except UploadRefused as refused:
        return refused.close_code
    return None


def allocated_mib(server: RunningServer, ticket_id: str) -> float:
    """Returns how much of the disk an upload's file has."""
    return server.stored_file(ticket_id).stat().st_blocks * 512 / MIB


@every_file_system
def test_all_uploads_that_were_let_in_resume_after_a_kill(
    server_on: OnDisk, app: ScriptedApp, file_system: str
) -> None:
    server = server_on(file_system)
    kinds: list[Kind] = [ClientV1, ClientV2, ClientV1, ClientV2]
    clients = [client_of(kind, server, app, 36 * MIB + number) for number, kind in enumerate(kinds)]
    for client in clients:
        client.open()
        send(client, MIB)
        if file_system != "btrfs":
            wait_until(
                lambda c=client: allocated_mib(server, c.ticket_id) > RESERVE_AHEAD_MIB,  # type: ignore[misc]
                "space is reserved ahead",
            )
    server.kill()
    server.start()
    for client in clients:
        client.connect().request()  # raises when there is no room
        client.drop()
    for client in clients:
        client.upload()
    assert sorted(d.sha256 for d in app.deliveries) == sorted(client.data.sha256 for client in clients)
    tally("fault", "killed with space reserved ahead", len(clients), "all resumed at once")


@every_file_system
def test_an_upload_that_is_interrupted_again_and_again_takes_no_more_space_than_others(
    server_on: OnDisk, app: ScriptedApp, file_system: str
) -> None:
    server = server_on(file_system)
    before_bytes = free_bytes(server.storage_dir)
    client = client_of(ClientV2, server, app, 100 * MIB)
    for number in range(1, 7):
        client.open()
        send(client, number * MIB)
        client.drop()
        wait_until(lambda: server.journaled_state(client.ticket_id) == "paused", "the server has noticed")
    taken_bytes = before_bytes - free_bytes(server.storage_dir)
    assert taken_bytes < (6 + RESERVE_AHEAD_MIB) * MIB
    client.upload()
    assert [d.sha256 for d in app.deliveries] == [client.data.sha256]
    tally("fault", "an upload interrupted again and again", 6, "it took no more space than others")


@every_file_system
def test_the_room_of_an_upload_that_has_ended_is_free_at_once(
    server_on: OnDisk, app: ScriptedApp, file_system: str
) -> None:
    server = server_on(file_system)
    for _ in range(2):
        client = client_of(ClientV1, server, app, 160 * MIB)
        client.open()
        send(client, 120 * MIB)
        assert cancel_upload(server, client.ticket_id).ok
        wait_until(lambda c=client: not server.stored_file(c.ticket_id).exists(), "deleted")  # type: ignore[misc]
    last = client_of(ClientV2, server, app, 160 * MIB)
    last.upload()
    assert [d.sha256 for d in app.about(last.ticket_id)] == [last.data.sha256]
    tally("fault", "a large upload right after another was deleted", 2, "accepted at once")


@pytest.mark.parametrize(("kind", "stays"), [(ClientV1, True), (ClientV2, False)])
def test_an_upload_that_sends_nothing_does_not_block_others(
    server_on: OnDisk, app: ScriptedApp, kind: Kind, stays: bool
) -> None:
    server = server_on("tmpfs")
    greedy = client_of(kind, server, app, 260 * MIB)
    greedy.open()
    if not stays:
        greedy.drop()
    other = client_of(kind, server, app, 100 * MIB)
    other.upload(deadline_s=UNUSED_AFTER_S + 60)  # it is told to come back until it is let in
    assert [d.sha256 for d in app.deliveries] == [other.data.sha256]
    assert allocated_mib(server, greedy.ticket_id) == 0
    tally("attack", "one ticket that declares the whole disk", 1, "others were accepted after some seconds")


@pytest.mark.parametrize("kind", [ClientV1, ClientV2])
def test_an_upload_that_lost_its_room_before_its_first_byte_waits_and_arrives(
    server_on: OnDisk, app: ScriptedApp, kind: Kind
) -> None:
    server = server_on("tmpfs")
    late, other = (client_of(kind, server, app, 180 * MIB + number) for number in range(2))
    late.open()

    def is_let_in() -> bool:
        return told_to_come_back(other.open) is None

    wait_until(is_let_in, "the first one yields", UNUSED_AFTER_S + 20)
    send(other, MIB)
    assert told_to_come_back(lambda: send(late, MIB)) == TRY_AGAIN_LATER
    assert server.journaled_state(late.ticket_id) in ("paused", "uploading")
    other.upload()
    late.upload()
    assert len(app.deliveries) == 2
    assert "Traceback" not in server.log_text()
