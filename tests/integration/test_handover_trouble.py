"""Handovers that fail at first (docs/reference/api.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.integration.conftest import NewClient
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.data import MIB, FileBytes
from tests.support.server import RunningServer, finish_upload, new_upload, retry_upload
from tests.support.waiting import wait_until

HANDOVER_FAILED = 32
DATA = FileBytes(1000, seed=99)


def take_and_say(reply: Reply) -> Callable[[Delivery], Reply]:
    """Returns an app's way to answer: it moves the file away first."""

    def answer(delivery: Delivery) -> Reply:
        file = Path(delivery.fields["filename"])
        file.rename(file.with_name("taken"))
        return reply

    return answer


def fails(client: ClientV1) -> UploadEnded:
    """Uploads and returns the error that the client is told in the end."""
    with pytest.raises(UploadEnded) as ended:
        client.upload()
    assert ended.value.code == HANDOVER_FAILED
    assert "app" in ended.value.text
    return ended.value


def test_an_app_that_answers_500_three_times_gets_its_file(new_client: NewClient, app: ScriptedApp) -> None:
    app.answers = [Reply(500), Reply(502, "bad gateway"), Reply(503), DONE]
    client = new_client()
    client.upload()
    assert len(app.deliveries) == 4
    assert {d.sha256 for d in app.deliveries} == {client.data.sha256}
    assert all(d.pairs == app.deliveries[0].pairs for d in app.deliveries)


def test_an_app_that_answers_429_is_called_again(new_client: NewClient, app: ScriptedApp) -> None:
    app.answers = [Reply(429, "slow down"), DONE]
    new_client(10).upload()


def test_an_app_that_is_down_gets_its_file_when_it_is_back(new_client: NewClient, app: ScriptedApp) -> None:
    app.stop()
    client = new_client().open()
    client.send_until_acked()
    app.start()
    client.receive_result()
    assert app.deliveries[0].sha256 == client.data.sha256


@pytest.mark.parametrize(
    "answer",
    [
        *(Reply(404, "no such upload"), Reply(400), Reply(418), Reply(200, "thanks"), Reply(200, "")),
        *(Reply(200, "donee"), Reply(200, "DONE"), Reply(204, ""), Reply(200, "done wait")),
    ],
    ids=lambda reply: f"{reply.status} {reply.body}",
)
def test_a_refusal_fails_the_upload_in_words_and_keeps_the_file(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, answer: Reply
) -> None:
    app.answers = [answer]
    client = new_client(1000)
    fails(client)
    assert len(app.deliveries) == 1
    assert server.stored_file(client.ticket_id).read_bytes() == client.data.read(0, 1000)


def test_a_client_that_returns_to_a_failed_upload_hears_of_it_again(
    new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [Reply(404)]
    client = new_client(1000)
    fails(client)
    again = new_client(of=client)
    with pytest.raises(UploadEnded) as ended:
        again.connect().request()
    assert ended.value.code == HANDOVER_FAILED


def test_a_failed_handover_is_tried_again_when_the_app_asks_for_it(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [Reply(404), DONE]
    client = new_client(1000, backendSecret="right")
    fails(client)
    assert retry_upload(server, client.ticket_id, backendSecret="wrong").status_code == 403
    assert retry_upload(server, client.ticket_id, backendSecret="right").text == "ok"
    assert app.wait_for(2)[1].sha256 == client.data.sha256
    again = new_client(of=client).open()
    assert again.resumed_at == [1000]
    again.receive_result()
    assert retry_upload(server, client.ticket_id, backendSecret="right").status_code == 412


def test_only_a_failed_handover_can_be_tried_again(server: RunningServer, new_client: NewClient) -> None:
    client = new_client(10)
    assert retry_upload(server, client.ticket_id).status_code == 412
    client.upload()
    assert retry_upload(server, client.ticket_id).status_code == 412
    assert retry_upload(server, "").status_code == 400
    assert retry_upload(server, "unknown").status_code == 400


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(new_client: NewClient, app: ScriptedApp, status: int) -> None:
    with ScriptedApp() as elsewhere:
        app.answers = [Reply(status, "", {"Location": elsewhere.url})]
        fails(new_client(10))
        assert not elsewhere.deliveries


def test_of_a_huge_answer_only_the_beginning_is_read(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    new_client(10).upload()
    before_kib = peak_memory_kib(server.pid)
    app.answers = [Reply(200, b"done" + b" " * (256 * MIB))]
    new_client(10).open().send_until_acked()
    app.wait_for(2)
    app.answers = [DONE]
    new_client(10).upload()
    assert peak_memory_kib(server.pid) - before_kib < 32 * 1024


def peak_memory_kib(pid: int) -> int:
    """Returns the most memory that a process has ever used."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


# --- repeated deliveries -----------------------------------------------------------------------------


def test_a_repeated_delivery_that_is_refused_is_finished_when_the_app_has_moved_the_file(
    new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [take_and_say(Reply(500, "answer lost")), Reply(404, "I know no such id")]
    new_client(1000, removeFileWhenFinished="false").upload()
    assert len(app.deliveries) == 2


def test_a_first_delivery_that_is_refused_has_failed_wherever_the_file_is(
    new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [take_and_say(Reply(404))]
    fails(new_client(1000, removeFileWhenFinished="false"))


def test_a_repeated_delivery_that_is_refused_has_failed_when_the_file_is_still_there(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [Reply(500), Reply(404)]
    client = new_client(1000, removeFileWhenFinished="false")
    fails(client)
    assert server.stored_file(client.ticket_id).exists()


def test_a_missing_file_proves_nothing_when_the_server_would_remove_it(
    new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [take_and_say(Reply(500)), Reply(404)]
    fails(new_client(1000, removeFileWhenFinished="true"))


# --- time runs out -----------------------------------------------------------------------------------


def upload_to(server: RunningServer, app: ScriptedApp, **params: str) -> ClientV1:
    """Returns a client of this server whose bytes are all there."""
    client = ClientV1(server.url, new_upload(server, app.url, **params), DATA).open()
    client.send_until_acked()
    return client


def test_an_app_that_does_not_answer_in_time_is_called_again(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(handover_answer_timeout_s=0.5, handover_retry_first_s=0.05)

    def hang(_: Delivery) -> Reply:
        app.wait_for(2)
        return DONE

    app.answers = [hang, DONE]
    upload_to(server, app).receive_result()
    assert len(app.deliveries) >= 2


def test_an_app_that_never_answers_properly_has_failed_in_the_end(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(
        handover_retry_first_s=0.05, handover_retry_max_s=0.1, handover_retry_for_s=2.0, fsync="no"
    )
    app.answers = [Reply(500)]
    client = upload_to(server, app)
    assert client.receive_end().code == HANDOVER_FAILED
    assert len(app.deliveries) > 2
    app.answers = [DONE]
    assert retry_upload(server, client.ticket_id).text == "ok"
    ClientV1(server.url, client.ticket_id, DATA).upload()


def test_an_app_that_says_wait_and_never_finishes_is_asked_three_times(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(handover_wait_timeout_s=0.2, handover_wait_asks=3)
    app.answers = [WAIT]
    assert upload_to(server, app).receive_end().code == HANDOVER_FAILED
    assert len(app.deliveries) == 3


def test_a_wait_that_lapses_is_finished_when_the_app_has_moved_the_file(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(handover_wait_timeout_s=0.2)
    app.answers = [take_and_say(WAIT)]
    client = upload_to(server, app, removeFileWhenFinished="false")
    client.receive_result()
    assert len(app.deliveries) == 1


def test_an_app_that_was_asked_again_can_still_finish(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(handover_wait_timeout_s=0.2, handover_wait_asks=100)
    app.answers = [WAIT]
    client = upload_to(server, app)
    app.wait_for(2)
    wait_until(lambda: finish_upload(server, client.ticket_id).text == "ok", "finish_upload counts")
    client.receive_result()


def test_a_url_of_a_host_that_is_not_allowed_is_refused(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(handover_hosts="app.example.org")
    with pytest.raises(AssertionError, match="400"):
        new_upload(server, app.url)
