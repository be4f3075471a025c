"""A disk that runs full: said at once, costs no acknowledged byte, and ends when there is room again."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.forked import ForkedServer, Launcher
from tests.support.server import RunningServer, call_backend, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed

DISK_MIB = 64
RESERVE_AHEAD_MIB = 4
TRY_AGAIN_LATER = 1013


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk of 64 MiB")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this machine lets nobody mount: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def server(launcher: Launcher, disk: Path) -> Iterator[RunningServer]:
    """A server on that disk."""
    settings = {"min_free_mib": 0, "reserve_ahead_mib": RESERVE_AHEAD_MIB, "chunk_size_kib": 256}
    running = ForkedServer(launcher, disk / "storage", **settings)
    running.log_file = disk.with_name("server.log")
    with running:
        yield running


def fill(disk: Path) -> Path:
    """Writes until nothing more fits, and returns the file."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return filler
    raise AssertionError


def client_of(server: RunningServer, app: ScriptedApp, length_bytes: int, seed: int) -> ClientV1:
    """Returns a client with a ticket of its own."""
    return ClientV1(server.url, new_upload(server, app.url), FileBytes(length_bytes, seed))


def refused_for_now(client: ClientV1) -> None:
    """Asks for the upload, and is told to come back, without a message."""
    client.connect()
    request = {"Id": client.ticket_id, "LengthBytes": client.data.length_bytes, "Name": client.name}
    client.send_message("MsgUploadReq", **request)
    closed = client.receive_close()
    assert closed.code == TRY_AGAIN_LATER
    assert "no space" in closed.reason


def test_a_full_disk_stops_an_upload_until_there_is_space_and_others_continue(
    server: RunningServer, disk: Path, app: ScriptedApp
) -> None:
    small = client_of(server, app, RESERVE_AHEAD_MIB * MIB, 1).open()
    small.send_until_acked(MIB)  # all of its space is reserved by now
    small.receive_acks()
    large = client_of(server, app, 32 * MIB, 2).open()
    large.send_until_acked(8 * MIB)
    filler = fill(disk)

    with pytest.raises(ConnectionClosed) as closed:
        large.send_until_acked()
    assert closed.value.code == TRY_AGAIN_LATER
    assert closed.value.reason
    small.send_until_acked()
    small.receive_result()
    released = re.compile(f"{large.ticket_id[:8]}: (connection closed|the release)")
    wait_until(lambda: released.search(server.log_text()), "its claim is released")
    refused_for_now(large)
    assert call_backend(server, "new_upload", signalFinishURL=app.url).ok, "a ticket needs no room of its own"

    filler.unlink()
    large.upload()
    assert large.resumed_at[-1] >= 8 * MIB
    assert [d.sha256 for d in app.deliveries] == [small.data.sha256, large.data.sha256]
    tally(
        "fault",
        "disk full in the middle",
        1,
        "the client was told; others continued; resumed when there was room",
    )


def test_a_disk_that_is_full_when_the_last_byte_is_there_does_not_delay_the_handover(
    server: RunningServer, disk: Path, app: ScriptedApp
) -> None:
    client = client_of(server, app, RESERVE_AHEAD_MIB * MIB, 1).open()
    client.send_until_acked(MIB)
    client.receive_acks()
    fill(disk)
    client.send_until_acked()
    client.receive_result()
    assert app.deliveries[0].sha256 == client.data.sha256
    tally("fault", "disk full at the last byte", 1, "handed over anyway")


def test_a_file_that_has_no_room_is_told_so_before_its_first_byte(
    server: RunningServer, app: ScriptedApp
) -> None:
    refused_for_now(client_of(server, app, (DISK_MIB + 1) * MIB, 1))
    client_of(server, app, MIB, 2).upload()
    tally("fault", "a file larger than the disk", 1, "refused before its first byte")


def test_declared_sizes_are_counted_until_they_are_given_up(server: RunningServer, app: ScriptedApp) -> None:
    first = client_of(server, app, 40 * MIB, 1).open()
    second = client_of(server, app, 40 * MIB, 2)
    refused_for_now(second)
    first.cancel()
    second.upload()


def test_a_refusal_for_lack_of_room_does_not_lose_the_ticket_after_a_kill(
    server: RunningServer, disk: Path, app: ScriptedApp
) -> None:
    client = client_of(server, app, 20 * MIB, 1).open()
    client.send_until_acked(10 * MIB)
    filler = fill(disk)
    server.kill()
    filler.unlink()
    server.start()
    client.upload()
    assert client.resumed_at[-1] >= 10 * MIB
    assert app.deliveries[0].sha256 == client.data.sha256
    tally("fault", "killed with a full disk", 1, "resumed after the last acknowledged byte")
