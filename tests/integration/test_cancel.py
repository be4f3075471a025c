"""Cancelling: by the user, by the app, and by both at the wrong moment (docs/reference/protocol.md)."""

from __future__ import annotations

import json
import threading
import time

import pytest

from tests.integration.conftest import CHUNK_SIZE_KIB, NewClient
from tests.support.app import DONE, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.server import RunningServer, cancel_upload
from tests.support.waiting import wait_until

CHUNK_SIZE_BYTES = CHUNK_SIZE_KIB * 1024
CANCELLED = 30
ANSWER_TIMEOUT_S = 5.0
EARLY_S = 4.9
LATE_S = 15.0
"""What a busy machine may take longer. Without that timeout it would be 30 s."""


def receiving(client: ClientV1) -> ClientV1:
    """Brings a client to the middle of its file."""
    client.open().send_until_acked(2 * CHUNK_SIZE_BYTES)
    client.receive_acks()
    return client


# --- the user --------------------------------------------------------------------------------------


def test_a_cancel_is_acknowledged_announced_to_the_app_and_its_bytes_are_removed(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    client = receiving(new_client(10 * CHUNK_SIZE_BYTES, backendSecret="s3cret"))
    client.cancel("I picked the wrong file")
    (delivery,) = app.wait_for(1)
    assert delivery.fields == {
        "id": client.ticket_id,
        "filename": "",
        "filenameFromBrowser": "holiday.mov",
        "secret": "s3cret",
        "backendSecret": "s3cret",
        "cancelled": "yes",
        "cancelReason": "I picked the wrong file",
    }
    wait_until(lambda: not server.stored_file(client.ticket_id).parent.exists(), "the bytes are removed")


def test_a_client_may_cancel_instead_of_its_ack(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client().connect()
    client.request()
    client.cancel()
    assert app.wait_for(1)[0].fields["cancelled"] == "yes"


def test_a_paused_upload_is_cancelled_through_a_new_connection(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = receiving(new_client(10 * CHUNK_SIZE_BYTES))
    client.send_message("MsgPause", Pause=True)
    client.ws.close()
    client.connect().request()
    client.cancel("never mind")
    assert app.wait_for(1)[0].fields["cancelReason"] == "never mind"


def test_chunks_under_way_do_not_disturb_a_cancel(new_client: NewClient, app: ScriptedApp) -> None:
    client = receiving(new_client(50 * CHUNK_SIZE_BYTES))
    for _ in range(10):
        client.send_chunk()
    client.cancel()
    assert app.wait_for(1)[0].fields["cancelled"] == "yes"


def test_a_cancelled_ticket_is_used_up(new_client: NewClient, app: ScriptedApp) -> None:
    client = receiving(new_client(10 * CHUNK_SIZE_BYTES))
    client.cancel()
    with pytest.raises(UploadEnded) as ended:
        new_client(of=client).connect().request()
    assert ended.value.code == CANCELLED


def test_a_cancel_that_crosses_the_last_acknowledgement_gets_the_result(
    new_client: NewClient, app: ScriptedApp
) -> None:
    for _ in range(5):
        client = new_client(3 * CHUNK_SIZE_BYTES).open()
        last = [client.data.read(at * CHUNK_SIZE_BYTES, CHUNK_SIZE_BYTES) for at in range(3)]
        frames = [bytes(client.ws.frame(0x82, chunk)) for chunk in last]
        text = json.dumps({"MsgType": "MsgCancel", "MsgData": {"Reason": "too late"}})
        client.ws.socket.sendall(b"".join(frames) + bytes(client.ws.frame(0x81, text.encode())))
        for _ in range(3):
            client.expect("MsgChunkAck")
        client.receive_result()
        assert [d.fields["cancelled"] for d in app.about(client.ticket_id)] == ["no"]


def test_a_cancel_while_the_app_takes_the_file_gets_the_result(
    new_client: NewClient, app: ScriptedApp
) -> None:
    let_go = threading.Event()

    def slowly(_: Delivery) -> Reply:
        assert let_go.wait(20)
        return DONE

    app.answers = [slowly]
    client = new_client().open()
    client.send_until_acked()
    app.wait_for(1)
    client.send_message("MsgCancel", Reason="too late")
    client.ws.send_frame(0x89, b"read up to here")
    assert client.ws.receive_frame().payload == b"read up to here"
    let_go.set()
    client.receive_result()


def test_an_app_that_is_down_hears_of_the_cancel_when_it_is_back(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = receiving(new_client(10 * CHUNK_SIZE_BYTES))
    app.stop()
    client.cancel("gone fishing")
    app.start()
    assert app.wait_for(1)[0].fields["cancelReason"] == "gone fishing"


@pytest.mark.parametrize("answer", [Reply(404, "who?"), Reply(200, "whatever"), Reply(200, "wait")])
def test_whatever_the_app_answers_to_a_cancel_it_is_told_once(
    new_client: NewClient, app: ScriptedApp, answer: Reply
) -> None:
    app.answers = [answer, Reply(500), Reply(500), Reply(500), DONE]
    client = receiving(new_client(10 * CHUNK_SIZE_BYTES))
    client.cancel()
    app.wait_for(1)
    new_client().upload()  # its delivery is tried four times, and all that while nobody repeats the other
    assert len(app.about(client.ticket_id)) == 1


def test_a_cancel_is_told_again_until_the_app_gives_an_answer(
    new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [Reply(500), Reply(503), DONE]
    client = receiving(new_client(10 * CHUNK_SIZE_BYTES))
    client.cancel()
    assert {d.fields["cancelled"] for d in app.wait_for(3)} == {"yes"}


# --- the app ---------------------------------------------------------------------------------------


def test_when_the_app_cancels_a_sending_client_hears_it_and_answers(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    client = receiving(new_client(10 * CHUNK_SIZE_BYTES))
    assert cancel_upload(server, client.ticket_id).text == "ok"
    reason = client.expect("MsgCancel")
    assert set(reason) == {"Reason"}
    client.send_message("MsgCancel", Reason=reason["Reason"])
    assert client.expect("MsgCancelAck") == {"Ack": True}
    assert client.receive_close().code == 1000
    wait_until(lambda: not server.stored_file(client.ticket_id).parent.exists(), "the bytes are removed")


def test_a_client_flat_out_hears_that_the_app_cancelled(server: RunningServer, new_client: NewClient) -> None:
    client = new_client(400 * CHUNK_SIZE_BYTES).open()
    client.send_until_acked(10 * CHUNK_SIZE_BYTES)
    cancelling = threading.Thread(target=cancel_upload, args=(server, client.ticket_id))
    cancelling.start()
    with pytest.raises(UploadEnded) as ended:
        while True:  # for as long as it takes: this file has no end
            client.sent_bytes = min(client.sent_bytes, 300 * CHUNK_SIZE_BYTES)
            client.data.length_bytes += 1
            client.send_chunk()
            client.receive_acks()
    cancelling.join()
    assert ended.value.code == 0  # a MsgCancel


def test_the_app_is_not_called_back_for_its_own_cancel(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    cancelled = receiving(new_client(10 * CHUNK_SIZE_BYTES))
    cancel_upload(server, cancelled.ticket_id)
    cancelled.receive_end()
    app.answers = [Reply(500), Reply(500), DONE]
    other = new_client()
    other.upload()
    assert {d.id for d in app.deliveries} == {other.ticket_id}


def test_a_client_that_does_not_answer_gets_an_error_and_then_the_close(
    server: RunningServer, new_client: NewClient
) -> None:
    client = receiving(new_client(10 * CHUNK_SIZE_BYTES))
    began_s = time.monotonic()
    cancel_upload(server, client.ticket_id)
    client.expect("MsgCancel")
    assert client.expect("MsgError")["ErrorCode"] == CANCELLED
    told_s = time.monotonic()
    client.receive_close()
    closed_s = time.monotonic()
    assert EARLY_S <= told_s - began_s < ANSWER_TIMEOUT_S + LATE_S
    assert 2 * EARLY_S <= closed_s - began_s < told_s - began_s + ANSWER_TIMEOUT_S + LATE_S


def test_a_client_that_has_not_agreed_yet_gets_an_error(server: RunningServer, new_client: NewClient) -> None:
    client = new_client().connect()
    client.request()
    cancel_upload(server, client.ticket_id)
    assert client.receive_end().code == CANCELLED


def test_a_client_that_comes_after_the_app_cancelled_gets_an_error(
    server: RunningServer, new_client: NewClient
) -> None:
    client = new_client()
    cancel_upload(server, client.ticket_id)
    with pytest.raises(UploadEnded) as ended:
        client.connect().request()
    assert ended.value.code == CANCELLED


def test_the_app_can_not_cancel_what_it_is_being_handed(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    statuses = []

    def try_to_cancel(delivery: Delivery) -> Reply:
        statuses.append(cancel_upload(server, delivery.id).status_code)
        return DONE

    app.answers = [try_to_cancel]
    client = new_client()
    client.upload()
    assert statuses == [412]
    assert cancel_upload(server, client.ticket_id).status_code == 412


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ticket_id", ["", "nonsense", "../../journal", "0" * 36, "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "é" * 20]
)
def test_an_unknown_ticket_is_refused_with_an_error_and_the_cancel_is_acknowledged(
    server: RunningServer, new_client: NewClient, ticket_id: str
) -> None:
    client = new_client()
    client.ticket_id = ticket_id
    with pytest.raises(UploadEnded) as ended:
        client.connect().request()
    assert ended.value.code == 11
    assert "Traceback" not in server.log_text()


def test_after_an_error_the_server_waits_five_seconds_for_the_cancel(new_client: NewClient) -> None:
    client = new_client()
    client.ticket_id = "nobody knows"
    client.connect()
    began_s = time.monotonic()
    client.send_message("MsgUploadReq", Id=client.ticket_id, LengthBytes=1, Name="a.bin")
    client.expect("MsgError")
    client.receive_close()
    assert EARLY_S <= time.monotonic() - began_s < ANSWER_TIMEOUT_S + LATE_S


def test_the_cancel_of_a_refused_client_may_come_late(new_client: NewClient) -> None:
    client = new_client()
    client.ticket_id = "nobody knows"
    client.connect()
    client.send_message("MsgUploadReq", Id=client.ticket_id, LengthBytes=1, Name="a.bin")
    client.expect("MsgError")
    client.ws.send_binary(bytes(1000))  # what was under way
    client.send_message("MsgPause", Pause=True)
    client.cancel()
