"""Uploads are the same under each web server: both versions of the protocol, resumed, taken over, refused."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import requests

import incoming
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.hosts import HostedServer
from tests.support.server import call_backend
from tests.support.upload_client import PATH
from tests.support.websocket import ConnectionClosed, HandshakeRefused, WebSocket

_seeds = itertools.count(9000)
LENGTH_BYTES = 5 * MIB + 17


def data() -> FileBytes:
    return FileBytes(LENGTH_BYTES, next(_seeds))


def test_a_client_of_version_1_uploads(host: HostedServer, app: ScriptedApp) -> None:
    client = ClientV1(host.url, host.new_ticket(app.url), data())
    client.upload()
    assert app.wait_for(1)[0].sha256 == client.data.sha256


def test_a_client_of_version_2_uploads(host: HostedServer, app: ScriptedApp) -> None:
    client = ClientV2(host.url, host.new_ticket(app.url), data())
    client.upload()
    assert app.wait_for(1)[0].sha256 == client.data.sha256


@pytest.mark.parametrize("kind", [ClientV1, ClientV2], ids=["version 1", "version 2"])
def test_the_cookies_of_a_single_sign_on_keep_no_upload_from_its_beginning(
    host: HostedServer, app: ScriptedApp, kind: type[ClientV1 | ClientV2]
) -> None:
    client = kind(host.url, host.new_ticket(app.url), data())
    client.headers = {"Cookie": "session=" + "x" * 9000 + "; more=" + "y" * 9000}
    client.upload()
    assert app.wait_for(1)[0].sha256 == client.data.sha256


def test_an_upload_goes_on_where_its_connection_was_lost(host: HostedServer, app: ScriptedApp) -> None:
    client = ClientV1(host.url, host.new_ticket(app.url), data())
    client.open().send_until_acked(2 * MIB)
    client.drop()
    client.upload()
    assert client.resumed_at[-1] >= 2 * MIB
    assert app.wait_for(1)[0].sha256 == client.data.sha256


def test_a_new_connection_takes_an_upload_over_at_once(host: HostedServer, app: ScriptedApp) -> None:
    old = ClientV1(host.url, host.new_ticket(app.url), data())
    old.open().send_until_acked(MIB)
    new = ClientV1(host.url, old.ticket_id, old.data)
    new.upload()
    assert new.resumed_at[0] >= MIB
    with pytest.raises(ConnectionClosed):
        old.receive_acks()
        old.receive()
    assert app.wait_for(1)[0].sha256 == new.data.sha256


def test_a_connection_that_ends_leaves_room_for_the_next_one(host: HostedServer) -> None:
    for _ in range(20):
        assert WebSocket(host.url + PATH).close()[0] == 1000


def test_a_request_without_an_upgrade_gets_426(host: HostedServer) -> None:
    answer = requests.get(host.url + PATH, timeout=10)
    assert answer.status_code == 426
    assert "WebSocket" in answer.text


def test_a_broken_handshake_is_refused(host: HostedServer) -> None:
    with pytest.raises(HandshakeRefused) as refused:
        WebSocket(host.url + PATH, {"Sec-WebSocket-Key": "c2hvcnQ="})
    assert " 400 " in refused.value.head.partition("\r\n")[0]


def test_the_backend_routes_are_closed_to_what_came_through_a_proxy(host: HostedServer) -> None:
    url = f"{host.url}/incoming/backend/new_upload?signalFinishURL=http://localhost/x"
    assert requests.post(url, headers={"X-Forwarded-For": "127.0.0.1"}, timeout=10).status_code == 403


def test_a_form_in_the_body_is_read(host: HostedServer, app: ScriptedApp) -> None:
    answer = requests.post(
        f"{host.url}/incoming/backend/new_upload", data={"signalFinishURL": app.url}, timeout=10
    )
    assert answer.status_code == 200, answer.text
    assert call_backend(host, "cancel_upload", id=answer.text).text == "ok"


def test_nothing_in_the_log_is_a_defect(host: HostedServer) -> None:
    # gevent-websocket's own handler fails when it refuses a handshake, before anybody is asked.
    package = re.escape(str(Path(incoming.__file__).parent))  # the checkout may be called `incoming` as well
    assert not re.search(rf'File "{package}/', host.log_text())
    assert "a defect" not in host.log_text()
