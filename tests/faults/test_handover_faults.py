"""The server, the app, or both go down while a file is handed over: it arrives, and the client hears so."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.server import RunningServer, finish_upload, multiply_tickets, new_upload, retry_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until

DATA = FileBytes(1_234_567, seed=5)
QUICK = {"handover_retry_first_s": 0.05, "handover_retry_max_s": 0.2}


def arrived(server: RunningServer, app: ScriptedApp, **params: str) -> ClientV1:
    """Returns a client whose bytes are all acknowledged."""
    client = ClientV1(server.url, new_upload(server, app.url, **params), DATA).open()
    client.send_until_acked()
    return client


def returns(client: ClientV1) -> None:
    """The client comes back, and hears that the app has the file."""
    client.open()
    assert client.resumed_at[-1] == client.data.length_bytes
    client.receive_result()


class Hanging:
    """An app that takes its time with the first delivery: until it is let go."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, _: Delivery) -> Reply:
        self.called.set()
        assert self.let_go.wait(30)
        return DONE


@pytest.fixture
def hanging(app: ScriptedApp) -> Hanging:
    """Makes the app hang at its first delivery."""
    hanging = Hanging()
    app.answers = [hanging, DONE]
    return hanging


def test_a_kill_while_the_app_is_called_leads_to_another_call(
    start_server: StartServer, app: ScriptedApp, hanging: Hanging
) -> None:
    server = start_server(**QUICK)
    client = arrived(server, app)
    assert hanging.called.wait(20)
    server.kill()
    hanging.let_go.set()
    server.start()
    assert [d.sha256 for d in app.wait_for(2)] == [DATA.sha256] * 2
    returns(client)
    tally("fault", "killed while the app is called", 1, "called again, finished")


def test_when_the_answer_was_lost_the_app_may_have_moved_the_file_and_forgotten_the_id(
    start_server: StartServer, app: ScriptedApp, tmp_path: Path
) -> None:
    server = start_server(**QUICK)
    moved = tmp_path / "moved"

    def move_it(delivery: Delivery) -> Reply:
        Path(delivery.fields["filename"]).rename(moved)
        server.kill()
        return DONE

    app.answers = [move_it, Reply(404, "unknown id")]
    client = arrived(server, app, removeFileWhenFinished="false")
    wait_until(lambda: moved.exists() and not server.runs, "the app has moved it, the server is dead")
    server.start()
    app.wait_for(2)
    returns(client)
    assert moved.stat().st_size == DATA.length_bytes
    tally("fault", "answer lost, file moved, id forgotten", 1, "finished, the app has the file")


def test_a_wait_survives_a_kill(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(**QUICK)
    app.answers = [WAIT]
    client = arrived(server, app, backendSecret="right")
    wait_until(lambda: server.journaled_state(client.ticket_id) == "waiting", "the wait is read")
    server.restart()
    assert finish_upload(server, client.ticket_id, backendSecret="right").text == "ok"
    returns(client)
    assert len(app.deliveries) == 1
    tally("fault", "killed between wait and finish_upload", 1, "finished, called once")


def test_a_finish_that_comes_while_the_server_restarts_counts_when_it_is_repeated(
    start_server: StartServer, app: ScriptedApp, hanging: Hanging
) -> None:
    server = start_server(**QUICK)
    client = arrived(server, app)
    assert hanging.called.wait(20)
    server.restart()
    assert finish_upload(server, client.ticket_id).text == "ok"
    hanging.let_go.set()
    returns(client)


def test_a_result_survives_a_kill(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server()
    client = arrived(server, app)
    client.receive_result()
    server.restart()
    returns(client)
    assert len(app.deliveries) == 1
    assert not server.stored_file(client.ticket_id).exists()


def test_an_app_that_is_down_while_the_server_restarts_gets_its_file_later(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    app.stop()
    client = arrived(server, app)
    wait_until(lambda: "could not be reached" in server.log_text(), "the server has tried")
    server.restart()
    app.start()
    assert app.wait_for(1)[0].sha256 == DATA.sha256
    returns(client)
    tally("fault", "killed while the app is down", 1, "handed over once it was up")


def test_a_cancellation_survives_a_kill(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(**QUICK)
    client = ClientV1(server.url, new_upload(server, app.url), DATA).open()
    app.stop()
    client.cancel("changed my mind")
    server.restart()
    app.start()
    fields = app.wait_for(1)[0].fields
    assert (fields["cancelled"], fields["cancelReason"]) == ("yes", "changed my mind")
    assert not server.stored_file(client.ticket_id).exists()
    tally("fault", "killed after a cancellation, app down", 1, "the app was told later")


def test_a_failed_handover_survives_a_kill_and_can_be_tried_again(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    app.answers = [Reply(404), DONE]
    client = arrived(server, app)
    client.receive_end()
    server.restart()
    assert server.stored_file(client.ticket_id).stat().st_size == DATA.length_bytes
    assert retry_upload(server, client.ticket_id).text == "ok"
    returns(client)
    tally("fault", "killed after a failed handover", 1, "the file was kept, and handed over later")


# --- a backlog ---------------------------------------------------------------------------------------


BACKLOG = 1_000
CALLS_A_HOST = 32
DESCRIPTORS = 150


def test_a_backlog_of_handovers_to_a_hanging_app_keeps_nobody_waiting(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(**QUICK, log_level="warning")
    let_go = threading.Event()

    def hang(_: Delivery) -> Reply:
        let_go.wait(60)
        return DONE

    with ScriptedApp(Reply(503)) as busy:
        seed = arrived(server, busy)
        busy.wait_for(1)
        server.kill()
        ids = multiply_tickets(server, [seed.ticket_id], BACKLOG)
        busy.deliveries.clear()
        busy.answers = [hang]
        server.start()
        busy.wait_for(CALLS_A_HOST)
        arrived(server, app).receive_result()  # another app's file, meanwhile
        assert len(list(Path(f"/proc/{server.pid}/fd").iterdir())) < DESCRIPTORS
        assert len(busy.deliveries) == CALLS_A_HOST
        let_go.set()
        assert {d.id for d in busy.wait_for(BACKLOG, 60)} == set(ids)
        assert "pool is full" not in server.log_text()
    tally(
        "fault",
        "handovers waiting for an app that hangs",
        BACKLOG,
        "others were called at once; all were called in the end",
    )
