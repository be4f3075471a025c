"""The end (docs/reference/protocol.md): never without MsgComplete, and the result can be had again."""

from __future__ import annotations

import threading

import pytest

from tests.conftest import StartServer
from tests.integration.v2.conftest import CHUNK, QUICK, NewClient
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.server import RunningServer, finish_upload, retry_upload
from tests.support.waiting import wait_until


def is_not_handed_over(client: ClientV2, app: ScriptedApp, other: ClientV2) -> None:
    """While another upload goes all its way to the app, this one does not begin to."""
    other.upload()
    assert app.about(other.ticket_id)
    assert not app.about(client.ticket_id)


def test_all_bytes_without_a_complete_are_no_upload(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(3 * CHUNK).open()
    client.send_until_stored()
    is_not_handed_over(client, app, new_client(10))
    client.drop()
    is_not_handed_over(client, app, new_client(10))
    conf = client.connect().request()
    assert (conf["Offset"], conf["Arrived"]) == (3 * CHUNK, False)
    assert conf["Compare"]
    client.agree()
    is_not_handed_over(client, app, new_client(10))
    client.complete()
    client.receive_result()
    assert app.about(client.ticket_id)[0].sha256 == client.data.sha256


def test_an_empty_file_without_a_complete_is_not_an_upload(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(0).open()
    is_not_handed_over(client, app, new_client(10))
    client.drop()
    client.open().complete()
    client.receive_result()
    assert len(app.about(client.ticket_id)) == 1


def test_all_bytes_without_a_complete_are_no_upload_after_a_kill_either(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    client = new_client(3 * CHUNK, at=server).open()
    client.send_until_stored()
    for _ in range(2):
        server.restart()
        is_not_handed_over(client, app, new_client(10, at=server))
        conf = client.connect().request()
        assert (conf["Offset"], conf["Arrived"]) == (3 * CHUNK, False)
        client.agree()
    client.complete()
    client.receive_result()
    assert [d.sha256 for d in app.about(client.ticket_id)] == [client.data.sha256]


def test_a_complete_that_was_heard_survives_a_kill(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    killed = threading.Event()

    def is_too_late(_: Delivery) -> Reply:
        killed.wait()
        return Reply(500)

    app.answers = [is_too_late, DONE]
    client = new_client(3 * CHUNK, at=server).open()
    client.send_until_stored()
    client.complete()
    client.receive_next()
    assert client.news == ["handing_over"]
    app.wait_for(1)
    server.kill()
    killed.set()
    server.start()
    client.upload()
    assert client.resumed_at[-1] == 3 * CHUNK
    assert client.conf["Arrived"] is True
    assert {d.sha256 for d in app.deliveries} == {client.data.sha256}


def test_an_upload_survives_kills_in_its_middle(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    client = new_client(60 * CHUNK + 7, at=server)
    for third in (1, 2):
        client.open().send_until_stored(third * 20 * CHUNK)
        server.restart()
    client.upload()
    assert len(client.resumed_at) == 3
    assert app.deliveries[0].sha256 == client.data.sha256


def arrived(client: ClientV2) -> ClientV2:
    """Comes back to an upload that has arrived, as the protocol says; the result is next."""
    conf = client.connect().request()
    assert conf["Arrived"] is True
    assert (conf["Offset"], conf["Compare"]) == (client.data.length_bytes, [])
    client.agree()
    return client


def test_a_client_that_returns_during_the_handover_hears_its_result(
    new_client: NewClient, app: ScriptedApp
) -> None:
    let_go = threading.Event()

    def slowly(_: Delivery) -> Reply:
        assert let_go.wait(20)
        return DONE

    app.answers = [slowly]
    client = new_client().open()
    client.send_until_stored()
    client.complete()
    app.wait_for(1)
    client.ws.cut()
    again = arrived(new_client(of=client))
    let_go.set()
    again.receive_result()
    assert len(app.deliveries) == 1


def test_a_client_that_returns_after_the_end_hears_the_result_again(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client()
    client.upload()
    for _ in range(2):
        arrived(new_client(of=client)).receive_result()
    assert len(app.deliveries) == 1


def test_the_result_survives_a_kill(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    client = new_client(3 * CHUNK, at=server)
    client.upload()
    server.restart()
    arrived(client).receive_result()
    assert len(app.deliveries) == 1


def test_with_wait_the_client_hears_the_result_when_the_app_finishes(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [WAIT]
    client = new_client(10).open()
    client.send_until_stored()
    client.complete()
    app.wait_for(1)
    client.ping()  # and not the result
    wait_until(lambda: finish_upload(server, client.ticket_id).text == "ok", "the app finishes")
    client.receive_result()


def test_an_app_that_refuses_the_file_is_told_in_words_now_and_later(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [Reply(404), DONE]
    client = new_client(1000)
    with pytest.raises(UploadRefused) as refused:
        client.upload()
    assert (refused.value.code, refused.value.retryable) == ("handover_failed", False)
    assert "app" in refused.value.error["Msg"]
    again = new_client(of=client)
    with pytest.raises(UploadRefused) as refused:
        again.upload()
    assert refused.value.code == "handover_failed"
    assert retry_upload(server, client.ticket_id).text == "ok"
    wait_until(lambda: len(app.deliveries) == 2, "the app is asked again")
    arrived(new_client(of=client)).receive_result()


def test_the_file_is_handed_over_though_the_client_left_with_the_complete(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(10 * CHUNK).open()
    while client.sent_bytes < client.data.length_bytes:
        client.send_chunk()
    client.complete()
    client.ws.leave()
    assert app.wait_for(1)[0].sha256 == client.data.sha256


def test_a_second_complete_changes_nothing(new_client: NewClient, app: ScriptedApp) -> None:
    app.answers = [Reply(500), Reply(500), DONE]
    client = new_client(10).open()
    client.send_until_stored()
    client.complete()
    client.complete()
    client.complete(crc=0)
    client.receive_result()
    assert {d.sha256 for d in app.deliveries} == {client.data.sha256}
