"""Admission: what is declared counts against the disk, a floor stays free, and a ticket has its own limit."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.data import MIB, FileBytes
from tests.support.server import RunningServer, call_backend, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed

DISK_MIB = 64
FLOOR_MIB = 16
ROOM_MIB = DISK_MIB - FLOOR_MIB - 1
"""The journal and the folders take a little."""
TRY_AGAIN_LATER = 1013
SIZES = (1, 2, 5, 10)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk of 64 MiB")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def server(disk: Path) -> Iterator[RunningServer]:
    """A server on that disk, which keeps a floor of it free."""
    with RunningServer(
        disk / "storage", disk.with_name("server.log"), min_free_mib=FLOOR_MIB, reserve_ahead_mib=4
    ) as running:
        yield running


def free_bytes(disk: Path) -> int:
    """Returns how much of the disk is free."""
    about = os.statvfs(disk)
    return about.f_bavail * about.f_frsize


def client_of(server: RunningServer, app: ScriptedApp, length_mib: int) -> ClientV2:
    """Returns a client with a ticket of its own, which has not come yet."""
    return ClientV2(server.url, new_upload(server, app.url), FileBytes(length_mib * MIB, length_mib))


def refusal_of(client: ClientV2) -> UploadRefused:
    """Returns how the client's request is refused."""
    with pytest.raises(UploadRefused) as refused:
        client.connect().request()
    return refused.value


def test_what_is_declared_counts_whoever_has_declared_it_and_in_whatever_state(
    server: RunningServer, disk: Path, app: ScriptedApp
) -> None:
    uploading = client_of(server, app, 20).open()
    uploading.send_until_stored(3 * MIB)
    paused = client_of(server, app, 15).open()
    paused.send_until_stored(MIB)
    paused.drop()
    wait_until(lambda: "connection closed, paused" in server.log_text(), "it has paused")
    greedy = client_of(server, app, ROOM_MIB - 35 + 2)
    refused = refusal_of(greedy)
    assert (refused.code, refused.retryable, refused.close_code) == ("storage_full", True, TRY_AGAIN_LATER)
    assert f"{greedy.data.length_bytes} bytes are missing," in refused.error["Msg"]
    fits = client_of(server, app, ROOM_MIB - 35 - 2)
    fits.upload()
    server.restart()  # what is declared is known again
    assert refusal_of(client_of(server, app, ROOM_MIB - 35 + 2)).code == "storage_full"
    paused.upload()
    uploading.upload()
    client_of(server, app, ROOM_MIB - 35 + 2).upload()
    tally("attack", "declared sizes beyond the disk", 2, "507 with sizes; earlier uploads continued")


def test_no_upload_uses_the_space_that_has_to_stay_free(
    server: RunningServer, disk: Path, app: ScriptedApp
) -> None:
    assert refusal_of(client_of(server, app, ROOM_MIB + 3)).code == "storage_full"
    full = client_of(server, app, ROOM_MIB).open()
    full.send_until_stored()
    assert free_bytes(disk) >= FLOOR_MIB * MIB
    for size_mib in SIZES:
        assert refusal_of(client_of(server, app, size_mib)).code == "storage_full"
    old = ClientV1(server.url, new_upload(server, app.url), FileBytes(2 * MIB))
    with pytest.raises(ConnectionClosed) as closed:
        old.connect().request()
    assert closed.value.code == TRY_AGAIN_LATER
    assert free_bytes(disk) >= FLOOR_MIB * MIB
    full.complete()
    full.receive_result()  # the floor is what the journal, and the app, can still have
    tally("attack", "uploads into the floor of free space", len(SIZES) + 2, "507, the floor stayed free")


# --- a ticket's own limit --------------------------------------------------------------------------------

LIMIT = 10_000


@pytest.mark.parametrize(
    ("length_bytes", "taken"), [(0, True), (LIMIT, True), (LIMIT + 1, False), (2**53 - 1, False)]
)
def test_a_ticket_takes_no_larger_file_than_it_was_made_for(
    shared: RunningServer, app: ScriptedApp, length_bytes: int, taken: bool
) -> None:
    data = FileBytes(length_bytes)
    old = ClientV1(shared.url, new_upload(shared, app.url, maxBytes=str(LIMIT)), data)
    new = ClientV2(shared.url, new_upload(shared, app.url, maxBytes=str(LIMIT)), data)
    if taken:
        old.upload()
        new.upload()
        return
    with pytest.raises(UploadEnded) as ended:
        old.connect().request()
    assert (ended.value.code, "the limit is 10000 bytes" in ended.value.text) == (23, True)
    refused = refusal_of(new)
    assert (refused.code, refused.retryable) == ("upload_too_large", False)
    assert f"it has {length_bytes} bytes, the limit is {LIMIT}" in refused.error["Msg"]
    fits = FileBytes(LIMIT, seed=2)
    ClientV2(shared.url, new.ticket_id, fits).upload()  # the ticket is not used up by a refusal
    tally("attack", "files larger than a ticket's maxBytes", 2, "413 before the first byte")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server as it comes."""
    with RunningServer(tmp_path_factory.mktemp("shared") / "storage") as running:
        yield running


def test_more_bytes_than_declared_are_not_taken(shared: RunningServer, app: ScriptedApp) -> None:
    ticket_id = new_upload(shared, app.url, maxBytes=str(LIMIT))
    liar = ClientV2(shared.url, ticket_id, FileBytes(LIMIT)).open()
    liar.data = FileBytes(LIMIT * 2)
    liar.send_chunk(LIMIT)
    liar.send_chunk(LIMIT)
    assert liar.refusal().code == "bad_chunk"
    assert shared.stored_file(ticket_id).stat().st_size <= LIMIT
    tally("attack", "more bytes than were declared", 1, "refused, the file did not grow")


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "1e9", "\u0661\u0660", "9" * 16, " 5", "0x10"])
def test_a_limit_that_is_not_a_number_of_bytes_is_refused(
    shared: RunningServer, app: ScriptedApp, value: str
) -> None:
    answer = call_backend(shared, "new_upload", signalFinishURL=app.url, maxBytes=value)
    assert (answer.status_code, answer.text.split()[2]) == (400, "maxBytes")


def test_the_lower_limit_of_server_and_ticket_counts(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(max_upload_bytes=LIMIT)
    wide = new_upload(server, app.url, maxBytes=str(LIMIT * 2))
    narrow = new_upload(server, app.url, maxBytes=str(LIMIT // 2))
    for ticket_id, limit in ((wide, LIMIT), (narrow, LIMIT // 2)):
        refused = refusal_of(ClientV2(server.url, ticket_id, FileBytes(limit + 1)))
        assert f"the limit is {limit} bytes" in refused.error["Msg"]
        ClientV2(server.url, ticket_id, FileBytes(limit)).upload()
