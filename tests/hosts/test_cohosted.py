"""One process with the app: tickets without HTTP, files handed over by a call, the app as it was before."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.client_v2 import ClientV2, checksum
from tests.support.data import FileBytes
from tests.support.folder_errand import FolderBytes, FolderClient, files_in
from tests.support.hosts import BottleServer, CohostedServer, PywsgiServer, WebsocketHandlerServer
from tests.support.waiting import wait_until
from tests.support.websocket import WebSocket


def new_client(cohosted: CohostedServer, callback: str, length_bytes: int = 300_000) -> ClientV1:
    return ClientV1(cohosted.url, cohosted.post(f"/ticket/{callback}"), FileBytes(length_bytes, 77))


def told(cohosted: CohostedServer, count: int) -> list[dict[str, Any]]:
    wait_until(lambda: len(cohosted.told()) >= count, f"{count} calls of the app")
    return cohosted.told()


def test_the_callback_gets_all_there_is_to_know(cohosted: CohostedServer) -> None:
    client = new_client(cohosted, "taken")
    client.upload()
    assert told(cohosted, 1) == [
        {
            "what": "taken",
            "id": client.ticket_id,
            "path": str(cohosted.stored_file(client.ticket_id)),
            "name": "holiday.mov",
            "size_bytes": 300_000,
            "crc32c": f"{checksum(client.data):08x}",
            "sha256": client.data.sha256,
            "metadata": {"record": 7, "für": "Zoë"},
            "upload_metadata": "",
            "cancel_reason": "",
            **dict.fromkeys(("url", "bucket", "key", "manifest"), ""),
            **{"dest_type": "file", "files": 0, "files_bytes": 0, "left_out": 0},
        }
    ]
    taken = cohosted.storage_dir.parent / client.ticket_id
    assert taken.stat().st_size == 300_000


def test_a_ticket_may_be_for_a_file_of_one_length_only(cohosted: CohostedServer) -> None:
    ticket_id = cohosted.post("/measured/1000")
    with pytest.raises(UploadEnded, match="is for a file of 1000 bytes"):
        ClientV1(cohosted.url, ticket_id, FileBytes(1001, 77)).upload()
    ClientV1(cohosted.url, ticket_id, FileBytes(1000, 77)).upload()
    assert cohosted.post("/measured/-1").startswith("The parameter length_bytes must be a whole number")


def test_a_client_of_version_2_hears_that_it_is_finished(cohosted: CohostedServer) -> None:
    ClientV2(cohosted.url, cohosted.post("/ticket/taken"), FileBytes(300_000, 78)).upload()


def test_a_callback_takes_a_folder(cohosted: CohostedServer) -> None:
    data = FolderBytes(79)
    FolderClient(cohosted.url, cohosted.post("/for-a/folder"), data, "Holiday").upload()
    (call,) = told(cohosted, 1)
    assert (call["dest_type"], call["name"], call["files"], call["left_out"]) == ("folder", "Holiday", 5, 0)
    assert call["files_bytes"] == sum(map(len, data.files.values()))
    assert files_in(cohosted.storage_dir.parent / call["id"]) == data.kept()
    assert cohosted.post("/for-a/disk") == "The parameter dest_type must be file or folder."


def test_a_callback_that_waits_is_finished_later(cohosted: CohostedServer) -> None:
    client = new_client(cohosted, "later")
    client.open().send_until_acked()
    told(cohosted, 1)
    assert cohosted.post(f"/finish/{client.ticket_id}") == "ok"
    client.receive_result()


def test_a_callback_that_fails_is_asked_again(cohosted: CohostedServer) -> None:
    client = new_client(cohosted, "fails_once")
    client.upload()
    assert [call["what"] for call in told(cohosted, 2)] == ["fails once"] * 2
    assert "LookupError: not ready yet" in cohosted.log_text()


def test_a_callback_that_refuses_ends_the_upload_with_its_reason(cohosted: CohostedServer) -> None:
    client = new_client(cohosted, "refuses")
    with pytest.raises(UploadEnded, match="this is no video"):
        client.upload()


def test_a_cancellation_by_the_user_goes_to_the_other_callback(cohosted: CohostedServer) -> None:
    client = new_client(cohosted, "taken", 3_000_000)
    client.open().send_chunk()
    client.cancel("changed my mind")
    (call,) = told(cohosted, 1)
    assert (call["what"], call["id"], call["path"]) == ("called off", client.ticket_id, "")
    assert call["cancel_reason"] == "changed my mind"


def test_the_app_may_cancel_and_is_not_told_of_it(cohosted: CohostedServer) -> None:
    client = new_client(cohosted, "taken")
    client.open()
    cohosted.post(f"/cancel/{client.ticket_id}")
    client.receive_end()
    assert cohosted.told() == []


@pytest.mark.parametrize("callback", ["taken", "later"])
def test_callbacks_are_found_again_after_a_kill(cohosted: CohostedServer, callback: str) -> None:
    client = new_client(cohosted, callback)
    client.open().send_until_acked(100_000)
    cohosted.restart()
    client.open().send_until_acked()
    assert told(cohosted, 1)[0]["id"] == client.ticket_id


def test_a_wait_survives_a_kill(cohosted: CohostedServer) -> None:
    client = new_client(cohosted, "later")
    client.open().send_until_acked()
    told(cohosted, 1)
    wait_until(lambda: cohosted.journaled_state(client.ticket_id) == "waiting", "the answer is journaled")
    cohosted.restart()
    cohosted.post(f"/finish/{client.ticket_id}")
    client.upload()


def test_tickets_with_a_callback_cannot_be_cancelled_over_http(cohosted: CohostedServer) -> None:
    ticket_id = cohosted.post("/ticket/taken")
    answer = requests.post(
        f"{cohosted.url}/incoming/backend/cancel_upload", params={"id": ticket_id}, timeout=60
    )
    assert answer.status_code == 403


def test_no_request_can_name_a_callback(cohosted: CohostedServer) -> None:
    answer = requests.post(
        f"{cohosted.url}/incoming/backend/new_upload?signalFinishURL=callback:taken", timeout=60
    )
    assert answer.status_code == 400


def test_the_http_way_works_in_the_same_process(cohosted: CohostedServer, app: ScriptedApp) -> None:
    client = ClientV1(cohosted.url, cohosted.new_ticket(app.url), FileBytes(300_000, 79))
    client.upload()
    assert app.wait_for(1)[0].sha256 == client.data.sha256


@pytest.mark.parametrize("kind", [CohostedServer, WebsocketHandlerServer], ids=lambda kind: kind.title)
def test_a_websocket_route_of_the_app_works_beside_us(kind: type[CohostedServer], tmp_path: Path) -> None:
    with kind(tmp_path / "storage") as cohosted:
        ws = WebSocket(cohosted.url + "/echo")
        ws.send_text("hello")
        assert ws.receive() == b"echo of hello"


@pytest.mark.parametrize("kind", [CohostedServer, BottleServer, PywsgiServer], ids=lambda kind: kind.title)
def test_the_app_keeps_its_hooks_and_error_pages_and_we_keep_ours(
    kind: type[CohostedServer], tmp_path: Path
) -> None:
    with kind(tmp_path / "storage") as cohosted:
        theirs = requests.get(cohosted.url + "/nowhere", timeout=60)
        assert (theirs.status_code, theirs.text) == (404, "the app has no such page")
        assert requests.get(cohosted.url, timeout=60).headers["X-App"] == "yes"
        ours = requests.get(
            cohosted.url + "/incoming/nowhere", headers={"Accept": "application/json"}, timeout=60
        )
        assert (ours.status_code, ours.json()["error"]["code"]) == (404, "not_found")
        assert "X-App" not in ours.headers


def test_the_page_gets_the_library_from_its_own_address(cohosted: CohostedServer) -> None:
    with urllib.request.urlopen(f"{cohosted.url}/incoming/frontend/incoming.js", timeout=60) as answer:
        assert b"incoming" in answer.read()


def test_two_at_a_time_on_one_directory_are_refused(cohosted: CohostedServer) -> None:
    other = CohostedServer(cohosted.storage_dir)
    other.log_file = cohosted.storage_dir.with_name("other.log")
    other.launch()
    try:
        wait_until(lambda: "StorageInUse" in other.log_text(), "the refusal")
    finally:
        other.kill()
