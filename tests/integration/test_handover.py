"""The handover to a real app: its fields, and the effect of each answer (docs/reference/api.md)."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.integration.conftest import NewClient
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.client_v2 import checksum
from tests.support.server import RunningServer, call_backend, finish_upload, new_upload
from tests.support.waiting import wait_until

UNKNOWN_ID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


def test_the_form_has_exactly_these_fields(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(name="Grüße & more.tar.gz", backendSecret="s3 cret+%")
    client.upload()
    (delivery,) = app.deliveries
    assert delivery.path == "/api/backend/upload_finished"
    assert delivery.headers["content-type"].partition(";")[0] == "application/x-www-form-urlencoded"
    assert sorted(delivery.pairs) == sorted({
        "id": client.ticket_id,
        "filename": str(server.stored_file(client.ticket_id).resolve()),
        "filenameFromBrowser": "Grüße & more.tar.gz",
        "secret": "s3 cret+%",
        "backendSecret": "s3 cret+%",
        "cancelled": "no",
        "cancelReason": "",
        "crc32c": f"{checksum(client.data):08x}",
    }.items())  # fmt: skip


def test_the_app_is_called_with_the_query_of_its_url(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(10)
    client.ticket_id = new_upload(server, app.url + "?user=7&note=a%26b")
    client.upload()
    assert app.deliveries[0].path.endswith("/upload_finished?user=7&note=a%26b")


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("C:\\Users\\me\\report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("/", "upload"),
        ("..", "upload"),
        (".", "upload"),
        ("", "upload"),
        ("a/b\\..", "upload"),
        ("new\nline\x00\x7f.txt", "newline.txt"),
        ('<b>it\'s "quoted"</b>', "b>"),
        ("🎬 фильм.mp4", "🎬 фильм.mp4"),
        ("x" * 5000 + ".mov", "x" * 251 + ".mov"),
    ],
)
def test_the_app_gets_a_bare_name(new_client: NewClient, app: ScriptedApp, name: str, bare: str) -> None:
    client = new_client(10)
    client.connect().send_message("MsgUploadReq", Id=client.ticket_id, LengthBytes=10, Name=name)
    client.expect("MsgUploadConf")
    client.agree()
    client.ws.send_binary(client.data.read(0, 10))
    assert app.wait_for(1)[0].fields["filenameFromBrowser"] == bare


def test_without_a_secret_both_fields_are_there_and_empty(new_client: NewClient, app: ScriptedApp) -> None:
    new_client(10).upload()
    fields = app.deliveries[0].fields
    assert (fields["secret"], fields["backendSecret"]) == ("", "")


@pytest.mark.parametrize("body", ["done", " done\n", b"\r\n\tdone \r\n"])
def test_white_space_around_done_is_fine(new_client: NewClient, app: ScriptedApp, body: str) -> None:
    app.answers = [Reply(200, body)]
    new_client(10).upload()


def test_with_wait_the_client_is_told_when_the_app_finishes(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [Reply(200, "wait\n")]
    client = new_client(10).open()
    client.send_until_acked()
    app.wait_for(1)
    answer = wait_until(lambda: finish_upload(server, client.ticket_id), "the app has answered")
    assert (answer.status_code, answer.text) == (200, "ok")
    client.receive_result()
    assert finish_upload(server, client.ticket_id).text == "ok"


def test_nothing_is_finished_before_the_app_says_so(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [WAIT]
    client = new_client(10).open()
    client.send_until_acked()
    app.wait_for(1)
    client.ws.send_frame(0x89, b"anything new?")
    assert client.ws.receive_frame().payload == b"anything new?"
    assert server.stored_file(client.ticket_id).exists()
    finish_upload(server, client.ticket_id)
    client.receive_result()


def test_finish_upload_may_come_before_the_wait_is_read(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    answers = []

    def finish_first(delivery: Delivery) -> Reply:
        answers.append(finish_upload(server, delivery.id).text)
        return WAIT

    app.answers = [finish_first]
    new_client(10).upload()
    wait_until(lambda: answers, "finish_upload is answered")
    assert answers == ["ok"]


def test_a_secret_is_required_and_has_to_be_the_right_one(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    app.answers = [WAIT]
    client = new_client(10, backendSecret="right").open()
    client.send_until_acked()
    app.wait_for(1)
    assert finish_upload(server, client.ticket_id, backendSecret="wrong").status_code == 403
    assert finish_upload(server, client.ticket_id).status_code == 403
    assert call_backend(server, "cancel_upload", id=client.ticket_id).status_code == 403
    assert finish_upload(server, client.ticket_id, backendSecret="right").text == "ok"
    client.receive_result()


@pytest.mark.parametrize("params", [{}, {"backendSecret": "right"}], ids=["no secret", "right secret"])
def test_a_ticket_of_the_older_era_asks_for_no_secret(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, params: dict[str, str]
) -> None:
    app.answers = [WAIT]
    client = new_client(10, signalFinishSecret="right").open()
    client.send_until_acked()
    fields = app.wait_for(1)[0].fields
    assert (fields["secret"], fields["backendSecret"]) == ("right", "right")
    assert finish_upload(server, client.ticket_id, backendSecret="wrong").status_code == 403
    assert finish_upload(server, client.ticket_id, **params).text == "ok"
    client.receive_result()


def test_finish_upload_is_refused_when_there_is_nothing_to_finish(
    server: RunningServer, new_client: NewClient
) -> None:
    assert call_backend(server, "finish_upload").status_code == 400
    assert finish_upload(server, UNKNOWN_ID).status_code == 400
    client = new_client(10)
    assert finish_upload(server, client.ticket_id).status_code == 412
    client.open()
    assert finish_upload(server, client.ticket_id).status_code == 412


def test_the_file_is_removed_after_the_finish(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(10, removeFileWhenFinished="true")
    client.upload()
    assert app.deliveries[0].size_bytes == 10
    wait_until(lambda: not server.stored_file(client.ticket_id).parent.exists(), "the file is removed")


def test_the_file_may_be_gone_already_when_it_would_be_removed(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    def take_it(delivery: Delivery) -> Reply:
        Path(delivery.fields["filename"]).unlink()
        return DONE

    app.answers = [take_it]
    new_client(10).upload()
    new_client(10).upload()
    assert "Traceback" not in server.log_text()


def test_a_file_that_is_the_apps_is_never_touched_again(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(10, removeFileWhenFinished="false")
    client.upload()
    again = new_client(of=client).open()
    again.receive_result()
    stored = server.stored_file(client.ticket_id)
    assert stored.read_bytes() == client.data.read(0, 10)


def test_the_app_can_move_the_file_before_it_answers(
    new_client: NewClient, app: ScriptedApp, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"

    def move_it(delivery: Delivery) -> Reply:
        Path(delivery.fields["filename"]).rename(moved)
        return DONE

    app.answers = [move_it]
    client = new_client(1000, removeFileWhenFinished="false")
    client.upload()
    assert moved.read_bytes() == client.data.read(0, 1000)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_file_belongs_to_the_owner_asked_for_before_the_app_hears_of_it(
    new_client: NewClient, app: ScriptedApp
) -> None:
    owners = []

    def look(delivery: Delivery) -> Reply:
        owners.append(Path(delivery.fields["filename"]).stat().st_uid)
        return DONE

    app.answers = [look]
    new_client(10, fileOwnerUid="12345").upload()
    assert owners == [12345]


def test_while_the_app_takes_its_time_others_are_served(new_client: NewClient, app: ScriptedApp) -> None:
    let_go = threading.Event()

    def slowly(_: Delivery) -> Reply:
        assert let_go.wait(20)
        return DONE

    app.answers = [slowly, DONE]
    slow = new_client(10).open()
    slow.send_until_acked()
    app.wait_for(1)
    new_client(10).upload()
    let_go.set()
    slow.receive_result()
    assert len(app.about(slow.ticket_id)) == 1
