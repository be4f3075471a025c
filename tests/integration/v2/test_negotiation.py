"""Which version is spoken, and that a client of version 1 never notices that there is another one."""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.integration.v2.conftest import CHUNK, NewClient, old_client
from tests.support.app import ScriptedApp
from tests.support.server import RunningServer

V1_CONF = {"ChunkSizeKB", "FilePos", "SendAhead"}


def test_a_client_that_asks_for_version_2_is_answered_in_version_2(new_client: NewClient) -> None:
    client = new_client(12_345, name="Grüße <b>&.mov").connect()
    conf = client.request()
    silence_s, idle_silence_s = conf.pop("SilenceS"), conf.pop("IdleSilenceS")
    assert conf == {
        "Version": 2,
        "Offset": 0,
        "MaxChunkBytes": CHUNK,
        "MaxWindowBytes": 1 << 20,
        "Compare": [],
        "Arrived": False,
        "FileName": "Grüße <b>&.mov",
        "FileLastModifiedMs": client.last_modified_ms,
    }
    assert 0 < silence_s <= idle_silence_s


def test_what_the_server_offers_follows_its_settings(
    start_server: StartServer, new_client: NewClient
) -> None:
    server = start_server(max_chunk_kib=128, max_window_mib=3, connection_timeout_s=7)
    conf = new_client(at=server).connect().request()
    assert (conf["MaxChunkBytes"], conf["MaxWindowBytes"], conf["SilenceS"]) == (128 << 10, 3 << 20, 7)


def test_a_client_that_asks_for_nothing_gets_version_1(server: RunningServer, new_client: NewClient) -> None:
    client = old_client(server, new_client())
    assert set(client.connect().request()) == V1_CONF


def test_a_client_that_asks_for_version_1_gets_it(server: RunningServer, new_client: NewClient) -> None:
    client = old_client(server, new_client(10)).connect()
    client.send_message("MsgUploadReq", Version=1, Id=client.ticket_id, LengthBytes=10, Name="a.bin")
    assert set(client.expect("MsgUploadConf")) == V1_CONF
    client.agree()
    client.ws.send_binary(client.data.read(0, 10))
    assert client.expect("MsgChunkAck") == {"ChunkSize": 10}
    client.receive_result()


def test_a_client_that_asks_for_a_later_version_is_answered_in_version_2(new_client: NewClient) -> None:
    client = new_client(10).connect()
    client.request(Version=3)
    client.agree()
    client.finish()


def test_a_client_of_version_1_uploads_beside_one_of_version_2(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    new = new_client(20 * CHUNK).open()
    old = old_client(server, new_client(20 * CHUNK)).open()
    for count in range(1, 21):
        new.send_until_stored(count * CHUNK)
        old.send_until_acked(count * CHUNK)
    old.receive_result()
    new.finish()
    assert {d.id: d.sha256 for d in app.deliveries} == {c.ticket_id: c.data.sha256 for c in (new, old)}


def test_an_upload_that_version_1_has_begun_is_continued_by_version_2(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    new = new_client(40 * CHUNK)
    old = old_client(server, new).open()
    old.send_until_acked(4 * CHUNK)
    old.receive_acks()
    old.drop()
    conf = new.connect().request()
    assert conf["Offset"] == old.acked_bytes
    assert conf["Compare"] == [[0, old.acked_bytes]], "version 1 says nothing about the time of a change"
    new.agree()
    new.finish()
    assert app.deliveries[0].sha256 == new.data.sha256


def test_an_upload_that_version_2_has_begun_is_completed_by_version_1_in_its_own_way(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    new = new_client(40 * CHUNK).open()
    new.send_until_stored(4 * CHUNK)
    new.receive_until_stored()
    old = old_client(server, new)
    old.upload()
    assert old.resumed_at == [new.stored_bytes]
    assert app.deliveries[0].sha256 == new.data.sha256


def test_what_version_2_has_sent_but_not_completed_is_completed_by_version_1(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    new = new_client(2 * CHUNK).open()
    new.send_until_stored()
    old_client(server, new).upload()
    assert app.deliveries[0].sha256 == new.data.sha256


def test_without_the_time_of_the_last_change_it_is_not_known(new_client: NewClient) -> None:
    client = new_client(10).connect()
    client.send_message("MsgUploadReq", Version=2, Id=client.ticket_id, LengthBytes=10, Name=client.name)
    assert client.expect("MsgUploadConf")["FileLastModifiedMs"] == 0


@pytest.mark.parametrize("version", ["2", 2.0, True, None, [2], {}], ids=repr)
def test_a_malformed_version_gets_an_error_and_costs_nothing(new_client: NewClient, version: object) -> None:
    client = new_client(10).connect()
    client.send_message(
        "MsgUploadReq", Version=version, Id=client.ticket_id, LengthBytes=10, Name="a.bin", LastModifiedMs=0
    )
    error = client.ws.receive()
    assert b'"MsgError"' in error and b'"ErrorCode": 20' in error, error
    client.upload()


def test_both_prefixes_speak_version_2(server: RunningServer, new_client: NewClient) -> None:
    client = new_client(10)
    client._url = f"{server.url}/incoming/0.1/frontend/upload_ws"
    client.upload()


def test_without_settings_the_server_offers_4_mib_64_mib_and_10_s(
    start_server: StartServer, new_client: NewClient
) -> None:
    conf = new_client(at=start_server()).connect().request()
    assert (conf["MaxChunkBytes"], conf["MaxWindowBytes"], conf["SilenceS"]) == (512 << 10, 64 << 20, 10)
