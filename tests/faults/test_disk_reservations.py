"""Room on a real disk: it is counted once, also after a kill, and nobody gets it by asking alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from incoming.uploads.admission import UNUSED_AFTER_S
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.data import MIB, FileBytes
from tests.support.server import RunningServer, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed

DISK_MIB: Final = 320
"""XFS is not made smaller than 300 MiB."""
RESERVE_AHEAD_MIB: Final = 32
TRY_AGAIN_LATER: Final = 1013
Kind = type[ClientV1] | type[ClientV2]
OnDisk = Callable[[str], RunningServer]


def mount(kind: str, folder: Path) -> None:
    """Mounts a new file system there. Skips the test where this is not allowed."""
    folder.mkdir()
    place, options = "tmpfs", f"size={DISK_MIB}m"
    if kind != "tmpfs":
        if not shutil.which(f"mkfs.{kind}"):
            pytest.skip(f"no {kind} can be made here")
        image = folder.with_suffix(".img")
        with image.open("wb") as file:
            file.truncate(DISK_MIB * MIB)
        subprocess.run([f"mkfs.{kind}", "-q", str(image)], capture_output=True, check=True)
        place, options = str(image), "loop"
    command = ["mount", "-t", kind, "-o", options, place, str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"no {kind} may be mounted here")


@pytest.fixture
def server_on(tmp_path: Path) -> Iterator[OnDisk]:
    """Starts a server on a disk of its own, which has the given file system."""
    disk = tmp_path / "disk"
    running: list[RunningServer] = []

    def start(kind: str) -> RunningServer:
        if os.geteuid() != 0:
            pytest.skip("only root may mount a disk")
        mount(kind, disk)
        settings = {"min_free_mib": 0, "reserve_ahead_mib": RESERVE_AHEAD_MIB}
        server = RunningServer(disk / "storage", tmp_path / "server.log", **settings)
        server.start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.kill()
    subprocess.run(["umount", "-l", str(disk)], capture_output=True, check=False)


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


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs", "tmpfs"])
def test_all_uploads_that_were_let_in_resume_after_a_kill(
    server_on: OnDisk, app: ScriptedApp, file_system: str
) -> None:
    server = server_on(file_system)
    kinds: list[Kind] = [ClientV1, ClientV2, ClientV1, ClientV2]
    clients = [client_of(kind, server, app, 36 * MIB + number) for number, kind in enumerate(kinds)]
    for client in clients:
        client.open()
        send(client, MIB)
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


@pytest.mark.parametrize("kind", [ClientV1, ClientV2])
@pytest.mark.parametrize("stays", [True, False])
def test_an_upload_that_sends_nothing_keeps_nobody_out(
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
    tally("attack", "one ticket that declares the whole disk", 1, "others were let in after some seconds")


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
