"""What the server announces: MsgNews (docs/reference/protocol.md)."""

from __future__ import annotations

import threading

from tests.conftest import StartServer
from tests.integration.v2.conftest import CHUNK, QUICK, NewClient, old_client
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.server import RunningServer, finish_upload
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed

STOPPING_CLOSE = 1012


def completed(client: ClientV2) -> ClientV2:
    """Sends all of the file and the end."""
    client.open().send_until_stored()
    client.complete()
    return client


def test_the_client_hears_that_its_file_is_handed_over(new_client: NewClient, app: ScriptedApp) -> None:
    let_go = threading.Event()

    def slowly(_: Delivery) -> Reply:
        assert let_go.wait(60)
        return DONE

    app.answers = [slowly]
    client = completed(new_client(10))
    assert client.expect("MsgNews")["News"] == "handing_over"
    let_go.set()
    client.receive_result()


def test_the_client_hears_that_the_app_cannot_be_reached(new_client: NewClient, app: ScriptedApp) -> None:
    app.stop()
    client = completed(new_client(10))
    assert client.expect("MsgNews")["News"] == "handing_over"
    news = client.expect("MsgNews")
    assert news["News"] == "waiting_for_app"
    assert news["Why"] == "the app could not be reached: it refuses connections"
    app.start()
    client.receive_result()


def test_the_client_hears_that_the_app_has_trouble(new_client: NewClient, app: ScriptedApp) -> None:
    app.answers = [Reply(500), Reply(503), DONE]
    client = completed(new_client(10))
    client.receive_result()
    assert client.news[0] == "handing_over"
    assert "waiting_for_app" in client.news


def test_the_client_hears_that_the_app_does_not_answer(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp
) -> None:
    server = start_server(**QUICK, handover_answer_timeout_s=0.3)
    let_go = threading.Event()

    def hang(_: Delivery) -> Reply:
        assert let_go.wait(60)
        return DONE

    app.answers = [hang, hang, DONE]
    client = completed(new_client(10, at=server))
    assert client.expect("MsgNews")["News"] == "handing_over"
    assert client.expect("MsgNews")["News"] == "waiting_for_app"
    let_go.set()
    client.receive_result()


def test_an_app_that_takes_its_time_is_not_news(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [WAIT]
    client = completed(new_client(10))
    app.wait_for(1)
    wait_until(lambda: finish_upload(server, client.ticket_id).text == "ok", "the app finishes")
    client.receive_result()
    assert client.news == ["handing_over"]


def test_who_comes_back_while_the_app_cannot_be_reached_hears_of_it(
    new_client: NewClient, app: ScriptedApp
) -> None:
    app.stop()
    client = completed(new_client(10))
    while "waiting_for_app" not in client.news:
        client.receive_next()
    client.ws.cut()
    client.open()
    assert client.conf["Arrived"] is True
    client.news.clear()
    while "waiting_for_app" not in client.news:
        client.receive_next()
    app.start()
    client.receive_result()


def test_a_server_that_stops_says_so_and_when_to_come_back(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    sending = new_client(9 * CHUNK, at=server).open()
    sending.send_until_stored(3 * CHUNK)
    agreeing = new_client(10, at=server).connect()
    agreeing.request()
    app.answers = [Reply(500)]
    waiting = completed(new_client(10, at=server))
    while "waiting_for_app" not in waiting.news:
        waiting.receive_next()
    said: list[ConnectionClosed] = []
    listeners = [threading.Thread(target=_hear_stop, args=[c, said]) for c in (sending, agreeing, waiting)]
    for listener in listeners:
        listener.start()
    assert server.terminate() == 0
    for listener in listeners:
        listener.join()
    assert [closed.code for closed in said] == [STOPPING_CLOSE] * 3
    app.answers = [DONE]
    server.start()
    for client in (sending, agreeing, waiting):
        client.upload()
    assert sending.resumed_at == [0, 3 * CHUNK]


def _hear_stop(client: ClientV2, said: list[ConnectionClosed]) -> None:
    while (message := client.receive()).data.get("News") != "stopping":
        pass
    assert message.data["RetryAfterS"] > 0
    said.append(client.receive_close())


def test_a_client_of_version_1_gets_no_news(
    new_client: NewClient, app: ScriptedApp, server: RunningServer
) -> None:
    app.answers = [Reply(500), DONE]
    old_client(server, new_client()).upload()  # it fails at a message that is not of version 1
    assert len(app.deliveries) == 2
