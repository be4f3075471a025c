"""Giving up: the user, too late, and the app (docs/reference/protocol.md)."""

from __future__ import annotations

import threading

import pytest

from tests.conftest import StartServer
from tests.integration.v2.conftest import CHUNK, NewClient, flip
from tests.support.app import DONE, Delivery, Reply, ScriptedApp
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.server import RunningServer, cancel_upload
from tests.support.waiting import wait_until


def sending(client: ClientV2) -> ClientV2:
    """Brings a client to the middle of its file."""
    client.open().send_until_stored(2 * CHUNK)
    return client


def test_a_cancel_is_acknowledged_announced_to_the_app_and_its_bytes_are_removed(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    client = sending(new_client(backendSecret="s3cret"))
    client.cancel("I picked the wrong file")
    fields = app.wait_for(1)[0].fields
    assert (fields["cancelled"], fields["cancelReason"]) == ("yes", "I picked the wrong file")
    assert (fields["filename"], fields["backendSecret"]) == ("", "s3cret")
    wait_until(lambda: not server.stored_file(client.ticket_id).parent.exists(), "the bytes are removed")


def test_a_client_may_cancel_before_it_agrees(new_client: NewClient, app: ScriptedApp) -> None:
    client = sending(new_client())
    client.drop()
    client.connect().request()
    client.cancel("the wrong file anyway")
    assert app.wait_for(1)[0].fields["cancelled"] == "yes"


def test_chunks_under_way_do_not_disturb_a_cancel(new_client: NewClient, app: ScriptedApp) -> None:
    client = sending(new_client(50 * CHUNK))
    for _ in range(10):
        client.send_chunk()
    client.cancel()
    assert app.wait_for(1)[0].fields["cancelled"] == "yes"


def test_damaged_chunks_do_not_disturb_a_cancel(new_client: NewClient, app: ScriptedApp) -> None:
    client = sending(new_client(50 * CHUNK))
    client.send_instead(flip(client.chunk(client.sent_bytes, CHUNK), 100))
    client.send_chunk()
    client.cancel()
    assert app.wait_for(1)[0].fields["cancelled"] == "yes"


def test_an_upload_whose_end_was_not_said_can_still_be_cancelled(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(2 * CHUNK).open()
    client.send_until_stored()
    client.cancel()
    assert app.wait_for(1)[0].fields["cancelled"] == "yes"


def test_a_cancelled_ticket_is_used_up(new_client: NewClient) -> None:
    client = sending(new_client())
    client.cancel()
    with pytest.raises(UploadRefused) as refused:
        new_client(of=client).connect().request()
    assert (refused.value.code, refused.value.retryable) == ("cancelled", False)


def test_a_cancel_that_comes_too_late_gets_the_result(new_client: NewClient, app: ScriptedApp) -> None:
    let_go = threading.Event()

    def slowly(_: Delivery) -> Reply:
        assert let_go.wait(20)
        return DONE

    app.answers = [slowly]
    client = new_client().open()
    client.send_until_stored()
    client.complete()
    app.wait_for(1)
    client.send_message("MsgCancel", Reason="too late")
    client.ping()
    let_go.set()
    client.receive_result()
    assert [d.fields["cancelled"] for d in app.deliveries] == ["no"]


def test_a_cancel_right_behind_the_end_gets_the_result(new_client: NewClient, app: ScriptedApp) -> None:
    for _ in range(5):
        client = new_client(3 * CHUNK).open()
        client.send_until_stored()
        client.complete()
        client.send_message("MsgCancel", Reason="too late")
        client.receive_result()
        assert [d.fields["cancelled"] for d in app.about(client.ticket_id)] == ["no"]


def test_a_cancel_of_a_finished_upload_gets_its_result(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client()
    client.upload()
    client.connect().request()
    client.send_message("MsgCancel", Reason="too late")
    client.agree()
    client.receive_result()


def test_a_cancel_from_a_connection_that_was_taken_over_changes_nothing(
    new_client: NewClient, app: ScriptedApp
) -> None:
    old = sending(new_client())
    new = new_client(of=old).open()
    assert old.refusal().code == "taken_over"
    new.finish()
    assert [d.fields["cancelled"] for d in app.deliveries] == ["no"]


@pytest.mark.parametrize("reason", ["", "x" * 3000, "<b>because & so</b>\n", "half \ud83d"], ids=len)
def test_whatever_the_reason_is_the_app_gets_the_beginning_of_it(
    new_client: NewClient, app: ScriptedApp, reason: str
) -> None:
    sending(new_client()).cancel(reason)
    told = app.wait_for(1)[0].fields["cancelReason"]
    assert told
    assert told.startswith(reason.strip()[:4])
    assert len(told) <= 1000


@pytest.mark.parametrize("reason", [None, 7, ["why"]])
def test_a_cancel_without_a_proper_reason_is_taken_for_damage_and_cancels_nothing(
    new_client: NewClient, app: ScriptedApp, reason: object
) -> None:
    client = sending(new_client())
    client.send_message("MsgCancel", Reason=reason)
    assert client.refusal().code == "damaged"
    client.upload()
    assert [d.fields["cancelled"] for d in app.deliveries] == ["no"]


# --- the app -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["agreeing", "sending", "all sent"])
def test_when_the_app_cancels_the_client_hears_it_at_once(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, phase: str
) -> None:
    client = new_client(4 * CHUNK).connect()
    client.request()
    if phase != "agreeing":
        client.agree()
        client.send_until_stored(2 * CHUNK if phase == "sending" else None)
    assert cancel_upload(server, client.ticket_id).text == "ok"
    refused = client.refusal()
    assert (refused.code, refused.retryable) == ("cancelled", False)
    wait_until(lambda: not server.stored_file(client.ticket_id).parent.exists(), "the bytes are removed")
    assert not app.deliveries, "it was the app's own cancel"


def test_a_client_flat_out_hears_that_the_app_cancelled(server: RunningServer, new_client: NewClient) -> None:
    client = new_client(4000 * CHUNK).open()
    client.send_until_stored(10 * CHUNK)
    canceller = threading.Thread(target=cancel_upload, args=[server, client.ticket_id])
    canceller.start()
    with pytest.raises(UploadRefused) as refused:
        client.send_until_stored()
    canceller.join()
    assert refused.value.code == "cancelled"


def test_a_client_that_was_away_hears_that_the_app_cancelled(
    server: RunningServer, new_client: NewClient
) -> None:
    client = sending(new_client())
    client.drop()
    cancel_upload(server, client.ticket_id)
    with pytest.raises(UploadRefused) as refused:
        client.upload()
    assert refused.value.code == "cancelled"


def test_an_upload_that_nobody_continues_expires(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp
) -> None:
    server = start_server(idle_timeout_s=3.0)
    client = sending(new_client(at=server))
    client.drop()
    assert app.wait_for(1)[0].fields["cancelled"] == "yes"
    with pytest.raises(UploadRefused) as refused:
        client.upload()
    assert (refused.value.code, refused.value.retryable) == ("expired", False)
