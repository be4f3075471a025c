"""Whoever ends the process tells the clients first, where its web server lets us; the next one goes on."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.support.app import ScriptedApp
from tests.support.client import OldClient
from tests.support.client2 import Client2, Stopping
from tests.support.data import MIB, FileBytes
from tests.support.hosts import HOSTS, HostedServer
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed

SERVICE_RESTART = 1012
polite = pytest.mark.parametrize(
    "kind", [host for host in HOSTS if host.tells_clients_when_it_stops], ids=lambda host: host.title
)


@polite
def test_clients_are_told_to_come_back_and_go_on(
    kind: type[HostedServer], tmp_path: Path, app: ScriptedApp
) -> None:
    with kind(tmp_path / "storage") as host:
        old = OldClient(host.url, host.new_ticket(app.url), FileBytes(12 * MIB, 1))
        new = Client2(host.url, host.new_ticket(app.url), FileBytes(12 * MIB, 2))
        old.open().send_until_acked(2 * MIB)
        new.open().send_until_stored(2 * MIB)
        host.ask_to_stop()
        with pytest.raises(ConnectionClosed) as closed:
            old.hear_acks()
            old.hear()
        assert closed.value.code == SERVICE_RESTART
        with pytest.raises(Stopping):
            while True:
                new.hear_more()
        host.wait_for_end()
        host.start()
        for client in (old, new):
            client.upload()
            assert client.resumed_at[-1] >= 2 * MIB
        assert {d.sha256 for d in app.wait_for(2)} == {old.data.sha256, new.data.sha256}
        assert "Traceback" not in host.log_text()


@pytest.mark.parametrize("kind", HOSTS, ids=lambda host: host.title)
def test_a_killed_process_is_gone_on_from(
    kind: type[HostedServer], tmp_path: Path, app: ScriptedApp
) -> None:
    with kind(tmp_path / "storage") as host:
        client = OldClient(host.url, host.new_ticket(app.url), FileBytes(12 * MIB, 3))
        client.open().send_until_acked(3 * MIB)
        host.restart()
        client.upload()
        assert client.resumed_at[-1] >= 3 * MIB
        assert app.wait_for(1)[0].sha256 == client.data.sha256


def _says(host: HostedServer, words: str) -> bool:
    return words in host.log_text()


def test_a_handover_that_was_not_answered_is_made_after_the_start_without_any_request(tmp_path: Path) -> None:
    for kind in HOSTS[:2]:
        with ScriptedApp() as app, kind(tmp_path / kind.title) as host:
            app.stop()
            client = OldClient(host.url, host.new_ticket(app.url), FileBytes(1000, 4))
            client.open().send_until_acked()
            said_so = partial(_says, host, "could not be reached")
            wait_until(said_so, "a call to the app")
            host.kill()
            app.start()
            host.start()
            assert app.wait_for(1)[0].id == client.ticket_id
