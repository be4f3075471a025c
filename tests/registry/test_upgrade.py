"""An upgrade from each released format: a server that starts on such a directory resumes its uploads."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from incoming.core.lifecycle import State
from incoming.storage.local.paths import upload_file
from tests.registry.test_samples import NAMES, unpack
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.data import FileBytes
from tests.support.forked import ForkedServer, Launcher
from tests.support.server import RunningServer, new_upload
from tests.support.waiting import wait_until

LENGTH_BYTES: Final = 2_000_000
STORED_BYTES: Final = 1_200_000


@pytest.fixture(params=NAMES)
def upgraded(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[State, str]]:
    """A storage directory as an older version left it, and {state: ticket} of it."""
    directory = tmp_path / "storage"
    directory.mkdir()
    expected = unpack(request.param, directory / "journal")
    by_state = {State(state): ticket_id for ticket_id, state in expected.items()}
    file = upload_file(directory / "data", by_state[State.PAUSED])
    file.parent.mkdir(parents=True)
    file.write_bytes(FileBytes(LENGTH_BYTES, 7).read(0, STORED_BYTES))
    return directory, by_state


@pytest.mark.parametrize("client_kind", [ClientV1, ClientV2])
def test_a_paused_upload_resumes_and_an_unused_ticket_counts_after_an_upgrade(
    upgraded: tuple[Path, dict[State, str]], launcher: Launcher, client_kind: type[ClientV1 | ClientV2]
) -> None:
    directory, tickets = upgraded
    with ForkedServer(launcher, directory) as server:
        client = client_kind(server.url, tickets[State.PAUSED], FileBytes(LENGTH_BYTES, 7)).open()
        assert client.resumed_at == [STORED_BYTES]
        send_all(client)
        other = client_kind(server.url, tickets[State.ISSUED], FileBytes(100_000, 8)).open()
        send_all(other)
        for one in (client, other):
            wait_for_handover(server, one.ticket_id)
            stored = server.stored_file(one.ticket_id).read_bytes()
            assert stored == b"".join(one.data.blocks())
            one.drop()
        assert server.journaled_state(tickets[State.CANCELLED]) == State.CANCELLED


def send_all(client: ClientV1 | ClientV2) -> None:
    if isinstance(client, ClientV1):
        client.send_until_acked()
    else:
        client.send_until_stored()
        client.complete()


def wait_for_handover(server: RunningServer, ticket_id: str) -> None:
    """Waits until the server calls the app. It is gone, and another program may answer at its address."""
    called = (State.HANDING_OVER, State.FAILED)
    wait_until(lambda: server.journaled_state(ticket_id) in called, "it is handed over")


def test_new_uploads_work_on_an_upgraded_directory_and_after_the_next_start(
    upgraded: tuple[Path, dict[State, str]], launcher: Launcher, app: ScriptedApp
) -> None:
    directory, tickets = upgraded
    for number in range(2):
        with ForkedServer(launcher, directory) as server:
            client = ClientV2(server.url, new_upload(server, app.url), FileBytes(50_000, number))
            client.upload()
            assert app.about(client.ticket_id)[0].sha256 == client.data.sha256
            assert server.journaled_state(tickets[State.PAUSED]) == State.PAUSED
            assert server.terminate() == 0
