"""Files full of zeros, where the file system or a copy keeps zeros as holes, and the machine starts again.

A real server is killed in the middle of uploads. Its files are made sparse, as `cp --sparse=always` and
`rsync -S` do, or lose bytes, as in a power cut. The next process finds another boot id.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.forked import ForkedServer, Launcher
from tests.support.on_disk import bytes_in
from tests.support.sending import Sending, write_file
from tests.support.server import new_upload
from tests.support.waiting import wait_until

KIB: Final = 1024
LENGTH: Final = 9 * MIB
STORED: Final = 7 * MIB
PLACES: Final = {
    "at the start": (0, MIB),
    "in the middle": (MIB, 2 * MIB),
    "at the end": (6 * MIB, 9 * MIB),
    "everywhere": (0, LENGTH),
}
CHECKPOINTS: Final[dict[str, object]] = {"checkpoint_every_s": 0.05}
every_version = pytest.mark.parametrize("version", [1, 2])


class WithZeros(FileBytes):
    """A file with zeros from `start` to `end`."""

    def __init__(self, start: int, end: int) -> None:
        super().__init__(LENGTH, 4)
        self._start, self._end = start, end

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Returns what a file would: fewer bytes at its end, none beyond."""
        content = bytearray(super().read(offset_bytes, size_bytes))
        first = max(self._start - offset_bytes, 0)
        zeros = max(min(self._end - offset_bytes, len(content)) - first, 0)
        content[first : first + zeros] = bytes(zeros)
        return bytes(content)


@pytest.fixture
def server(launcher: Launcher, tmp_path: Path) -> Iterator[ForkedServer]:
    (tmp_path / "storage").mkdir()
    server = ForkedServer(launcher, tmp_path / "storage", chunk_size_kib=256, min_free_mib=0)
    try:
        yield server
    finally:
        server.bury()


def power_up(server: ForkedServer, **plan: object) -> None:
    """Starts it on a machine that has started again."""
    boot_id = server.storage_dir.parent / "boot_id"
    boot_id.write_text("another start of the machine\n")
    server.start_with({"boot_id": str(boot_id)} | CHECKPOINTS | plan)


def client_of(server: ForkedServer, app: ScriptedApp, version: int, data: FileBytes) -> ClientV1 | ClientV2:
    """Returns a client whose first STORED bytes are acknowledged."""
    ticket_id = new_upload(server, app.url)
    if version == 1:
        old = ClientV1(server.url, ticket_id, data).open()
        old.send_until_acked(STORED)
        return old
    new = ClientV2(server.url, ticket_id, data).open()
    new.send_until_stored(STORED)
    return new


def checkpoint(server: ForkedServer, client: ClientV1 | ClientV2) -> int:
    """Returns the offset of the last one in the journal."""
    found = server.journaled()[client.ticket_id].checkpoints
    return found[-1].end_bytes if found else 0


def acknowledged(client: ClientV1 | ClientV2) -> int:
    return client.acked_bytes if isinstance(client, ClientV1) else client.stored_bytes


def make_sparse(file: Path) -> None:
    """Frees each block of zeros, as a copy by `cp --sparse=always` does."""
    content = file.read_bytes()
    file.unlink()
    with file.open("wb") as sparse:
        for at in range(0, len(content), 4 * KIB):
            block = content[at : at + 4 * KIB]
            if block.strip(b"\0"):
                sparse.seek(at)
                sparse.write(block)
        sparse.truncate(len(content))


@every_version
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_zeros_that_became_holes_are_not_sent_again(
    server: ForkedServer, app: ScriptedApp, version: int, place: tuple[int, int]
) -> None:
    server.start_with(CHECKPOINTS)
    client = client_of(server, app, version, WithZeros(*place))
    wait_until(lambda: checkpoint(server, client) >= acknowledged(client), "there is a checkpoint")
    server.bury()
    make_sparse(server.stored_file(client.ticket_id))
    acked_bytes = acknowledged(client)
    power_up(server)
    client.upload()
    assert client.resumed_at[-1] >= acked_bytes
    assert app.about(client.ticket_id)[0].sha256 == client.data.sha256


def test_a_client_of_version_2_need_not_have_a_checkpoint(server: ForkedServer, app: ScriptedApp) -> None:
    server.start_with({"checkpoint_every_s": 3600.0})
    client = client_of(server, app, 2, WithZeros(MIB, 2 * MIB))
    server.bury()
    assert checkpoint(server, client) == 0
    make_sparse(server.stored_file(client.ticket_id))
    acked_bytes = acknowledged(client)
    power_up(server)
    client.upload()
    assert client.resumed_at[-1] >= acked_bytes


@every_version
def test_an_upload_that_had_paused_loses_nothing_when_the_machine_starts_again(
    server: ForkedServer, app: ScriptedApp, version: int
) -> None:
    server.start_with({"checkpoint_every_s": 3600.0})
    client = client_of(server, app, version, WithZeros(MIB, 2 * MIB))
    client.drop()
    wait_until(lambda: server.journaled_state(client.ticket_id) == "paused", "the server has noticed")
    server.bury()
    make_sparse(server.stored_file(client.ticket_id))
    power_up(server)
    client.upload()
    assert client.resumed_at[-1] >= STORED


@every_version
def test_a_clean_stop_leaves_nothing_in_doubt(server: ForkedServer, app: ScriptedApp, version: int) -> None:
    server.start_with({"checkpoint_every_s": 3600.0})
    client = client_of(server, app, version, WithZeros(MIB, 2 * MIB))
    acked_bytes = acknowledged(client)
    server.terminate()
    make_sparse(server.stored_file(client.ticket_id))
    power_up(server)
    client.upload()
    assert client.resumed_at[-1] >= acked_bytes


@every_version
def test_a_kill_in_the_first_second_of_a_new_installation_is_not_a_power_cut(
    server: ForkedServer, app: ScriptedApp, version: int
) -> None:
    server.start_with({"checkpoint_every_s": 3600.0})
    assert (server.storage_dir / "journal" / "clock").exists(), "before anything can be acknowledged"
    client = client_of(server, app, version, WithZeros(MIB, 2 * MIB))
    server.bury()
    make_sparse(server.stored_file(client.ticket_id))
    acked_bytes = acknowledged(client)
    server.start_with({})
    client.upload()
    assert client.resumed_at[-1] >= acked_bytes


def test_a_client_hears_of_the_server_while_its_file_is_read(server: ForkedServer, app: ScriptedApp) -> None:
    server.start_with(CHECKPOINTS)
    client = client_of(server, app, 2, WithZeros(MIB, 2 * MIB))
    assert isinstance(client, ClientV2)
    wait_until(lambda: checkpoint(server, client) == acknowledged(client), "there is a checkpoint")
    server.bury()
    power_up(server, read_takes_s=0.4)
    client.connect()
    client.send_message("MsgUploadReq", Version=2, Id=client.ticket_id, LengthBytes=LENGTH, Name="a")
    heard = [client.receive().type]
    while heard[-1] == "MsgPong":
        heard.append(client.receive().type)
    assert (heard[0], heard[-1]) == ("MsgPong", "MsgUploadConf")


@pytest.mark.parametrize("lost", [(0, 4 * KIB), (6 * MIB, 7 * MIB)], ids=["its first block", "its last MiB"])
def test_the_command_sends_again_what_a_power_cut_took(
    server: ForkedServer, app: ScriptedApp, tmp_path: Path, lost: tuple[int, int]
) -> None:
    """It is a client of version 2 that knows nothing of power cuts: it comes back, as after any failure."""
    data = WithZeros(MIB, 2 * MIB)
    file = write_file(tmp_path / "file", data)
    server.start_with({"checkpoint_every_s": 3600.0})
    ticket_id = new_upload(server, app.url)
    stored = server.stored_file(ticket_id)
    address = ["--ticket", ticket_id, "--server", server.url, "--max-bytes-per-s", str(4 * MIB)]
    with Sending(file, *address) as sending:
        wait_until(lambda: bytes_in(stored) >= STORED, "enough is stored")
        server.bury()
        with stored.open("r+b") as damaged:
            damaged.seek(lost[0])
            damaged.write(bytes(lost[1] - lost[0]))
        power_up(server)
        assert sending.ends().exit_code == 0, sending.said
    assert app.about(ticket_id)[0].sha256 == data.sha256
    assert "a power cut destroyed" in server.log_text()
