"""Limits: one source can't take the server away from the others, and whoever is refused can come back."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import requests

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.data import FileBytes
from tests.support.outside import PublicServer, own_address
from tests.support.server import RunningServer, call_backend, cancel_upload, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until

SCALE = int(os.environ.get("INCOMING_TEST_ATTACKS", "1"))
SOURCE, OTHER = "203.0.113.5", "203.0.113.6"
DATA = FileBytes(700_000, seed=3)
TRY_AGAIN_LATER = 1013
PLACES = 3

AnyClient = TypeVar("AnyClient", ClientV1, ClientV2)


def coming_from(source: str, client: AnyClient) -> AnyClient:
    """Has the proxy that the tests are say that the client comes from there."""
    client.headers = {"X-Forwarded-For": source}
    return client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that takes the tests for a proxy, and has narrow limits."""
    folder = tmp_path_factory.mktemp("limits")
    with RunningServer(
        folder / "storage",
        trusted_proxies="127.0.0.0/8",
        max_connections_per_source=PLACES,
        max_unfinished_mib_per_source=1,
    ) as running:
        yield running


# --- connections -----------------------------------------------------------------------------------------


def is_refused(client: ClientV2) -> bool:
    """Connects, and returns whether there is one connection too many."""
    closed = client.connect().receive_close()
    assert f"Too many connections from this address: the limit is {PLACES}" in closed.reason
    return closed.code == TRY_AGAIN_LATER


def test_one_source_has_so_many_connections_and_others_have_theirs(
    server: RunningServer, app: ScriptedApp
) -> None:
    clients = [coming_from(SOURCE, ClientV2(server.url, new_upload(server, app.url), DATA)) for _ in range(4)]
    for client in clients[:PLACES]:
        client.connect()
    for _ in range(5):
        assert is_refused(clients[3])
    coming_from(OTHER, ClientV2(server.url, new_upload(server, app.url), DATA)).upload()
    late = threading.Thread(target=clients[3].upload)
    late.start()  # comes back until there is room
    clients[0].drop()
    late.join(20)
    assert not late.is_alive()
    assert [d.sha256 for d in app.about(clients[3].ticket_id)] == [DATA.sha256]
    for client in clients[1:PLACES]:
        client.drop()
    tally("attack", "more connections than one address may have", 6, "closed with 1013; others continued")


def test_an_ipv6_network_of_a_customer_is_one_source(server: RunningServer, app: ScriptedApp) -> None:
    with ExitStack() as stack:
        for number in range(PLACES):
            client = ClientV2(server.url, new_upload(server, app.url), DATA)
            coming_from(f"2001:db8:5:6:{number}::1", client).connect()
            stack.callback(client.drop)
        outsider = ClientV2(server.url, new_upload(server, app.url), DATA)
        assert is_refused(coming_from("2001:db8:5:6:ffff:ffff:ffff:ffff", outsider))
        coming_from("2001:db8:5:7::1", outsider).upload()
    tally("attack", "addresses of one IPv6 network of 64 bits", PLACES + 1, "counted as one")


def test_what_a_client_says_of_itself_does_not_give_it_another_place(
    server: RunningServer, app: ScriptedApp
) -> None:
    """The proxy appends whom it has heard to what the client has sent."""
    with ExitStack() as stack:
        for number in range(PLACES):
            client = ClientV2(server.url, new_upload(server, app.url), DATA)
            coming_from(f"198.51.100.{number}, {SOURCE}", client).connect()
            stack.callback(client.drop)
        another = ClientV2(server.url, new_upload(server, app.url), DATA)
        wait_until(lambda: is_refused(coming_from(f"127.0.0.1, {SOURCE}", another)), "it is one too many")
    tally("attack", "X-Forwarded-For made up by a client behind a trusted proxy", PLACES + 1, "not believed")


@contextmanager
def silent_connections(address: tuple[str, int], count: int) -> Iterator[None]:
    """Opens connections that never say a word."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection(address, timeout=60))
        yield


def test_connections_that_ask_nothing_count_too(tmp_path: Path, app: ScriptedApp) -> None:
    far = own_address()
    with PublicServer(tmp_path / "storage", max_connections_per_source=20) as server:

        def asked(host: str) -> tuple[int, str, str]:
            connection = http.client.HTTPConnection(host, server.port, timeout=60)
            connection.request("GET", "/incoming/healthz")
            answer = connection.getresponse()
            body = answer.read().decode()
            connection.close()
            return answer.status, answer.getheader("Retry-After", ""), body

        with silent_connections((far, server.port), 20):
            sentence = "Too many connections from this address: the limit is 20."
            for _ in range(5):
                assert asked(far) == (429, "10", sentence)
            assert asked("127.0.0.1") == (200, "", "ok")
            ClientV1(server.url, new_upload(server, app.url), DATA).upload()
            assert server.log_text().count("has reached max_connections_per_source") == 1
            metrics = requests.get(f"{server.url}/incoming/metrics", timeout=60).text
            assert 'incoming_refusals_total{code="too_many",kind="connection"} 5.0' in metrics
        wait_until(lambda: asked(far)[0] == 200, "the places are given back")
    tally("attack", "silent connections up to the limit of an address", 20, "429; others continued")


# --- bytes -------------------------------------------------------------------------------------------------


def test_one_source_declares_so_many_bytes_and_no_more(server: RunningServer, app: ScriptedApp) -> None:
    first = coming_from(SOURCE, ClientV2(server.url, new_upload(server, app.url), DATA)).open()
    second = coming_from(SOURCE, ClientV2(server.url, new_upload(server, app.url), DATA))
    with pytest.raises(UploadRefused) as refused:
        second.open()
    assert (refused.value.code, refused.value.retryable) == ("too_many", True)
    assert "1048576" in refused.value.error["Msg"]
    old = coming_from(SOURCE, ClientV1(server.url, new_upload(server, app.url), DATA)).connect()
    old.send_message("MsgUploadReq", Id=old.ticket_id, LengthBytes=DATA.length_bytes, Name="a.mov")
    assert old.receive_close().code == TRY_AGAIN_LATER
    coming_from(OTHER, ClientV2(server.url, new_upload(server, app.url), DATA)).upload()
    first.finish()
    second.upload()
    assert {d.sha256 for d in app.deliveries} == {DATA.sha256}
    tally("attack", "more declared bytes than one address may bring", 2, "refused until there was room")


def test_a_file_that_no_source_may_ever_bring_is_told_so(server: RunningServer, app: ScriptedApp) -> None:
    client = coming_from(SOURCE, ClientV2(server.url, new_upload(server, app.url), FileBytes(2 << 20)))
    with pytest.raises(UploadRefused) as refused:
        client.open()
    assert (refused.value.code, refused.value.retryable) == ("upload_too_large", False)
    assert "2097152" in refused.value.error["Msg"]


# --- tickets -----------------------------------------------------------------------------------------------


def test_one_app_has_so_many_unfinished_tickets_and_others_have_theirs(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(max_unfinished_per_app=PLACES)
    ids = [new_upload(server, app.url) for _ in range(PLACES)]
    refused = call_backend(server, "new_upload", signalFinishURL=app.url)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "10")
    assert "the limit is 3" in refused.text
    answer = requests.post(
        f"{server.url}/incoming/backend/new_upload",
        params={"signalFinishURL": app.url + "?another=query"},
        headers={"Accept": "application/json"},
        timeout=60,
    )
    assert answer.json()["error"]["code"] == "too_many"
    new_upload(server, "http://other.example.org/finished")
    ClientV1(server.url, ids[0], DATA).upload()
    new_upload(server, app.url)
    assert call_backend(server, "new_upload", signalFinishURL=app.url).status_code == 429
    assert cancel_upload(server, ids[1]).text == "ok"
    new_upload(server, app.url)
    tally(
        "attack", "more unfinished tickets than an app may have", 4, "429 with Retry-After; others continued"
    )


@pytest.mark.skipif(SCALE == 1, reason="takes long: `make attacks` tries it")
def test_normal_use_stays_below_the_default_limits(start_server: StartServer, app: ScriptedApp) -> None:
    """Hundreds of people behind one address, each with some connections."""
    server = start_server(trusted_proxies="127.0.0.0/8")
    with ExitStack() as stack:
        for _ in range(1_000):
            client = coming_from(SOURCE, ClientV2(server.url, "0" * 36, DATA)).connect()
            stack.callback(client.drop)
        coming_from(SOURCE, ClientV2(server.url, new_upload(server, app.url), DATA)).upload()
        with pytest.raises(UploadRefused) as refused:
            client.request()
        assert refused.value.code == "unknown_ticket"
