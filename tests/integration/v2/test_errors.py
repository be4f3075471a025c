"""MsgError in version 2: a stable word, its number, whether coming back helps, and which file is meant."""

from __future__ import annotations

import re

import pytest

from tests.conftest import StartServer
from tests.integration.v2.conftest import CHUNK, MAX_DAMAGED, NewClient, flip
from tests.support.app import Reply, ScriptedApp
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.data import FileBytes
from tests.support.server import ROOT, RunningServer, cancel_upload

ROW = re.compile(r"^\| `(\w+)` \| (\d+) \| \d+ \| (yes|no) \|", re.MULTILINE)
NO_FILE = {"FileName": "", "FileLengthBytes": 0, "FileLastModifiedMs": 0}


def documented() -> dict[str, tuple[int, bool]]:
    """Returns the table of docs/reference/api.md: number and whether to try again, by code."""
    text = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
    return {code: (int(number), again == "yes") for code, number, again in ROW.findall(text)}


def unknown(client: ClientV2, _: RunningServer, __: ScriptedApp) -> UploadRefused:
    client.ticket_id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
    client.connect().send_message(
        "MsgUploadReq", Version=2, Id=client.ticket_id, LengthBytes=1, Name="a", LastModifiedMs=0
    )
    return client.refusal()


def bad_message(client: ClientV2, _: RunningServer, __: ScriptedApp) -> UploadRefused:
    client.open().send_message("MsgPause", Pause=True)
    return client.refusal()


def bad_chunk(client: ClientV2, _: RunningServer, __: ScriptedApp) -> UploadRefused:
    client.open().ws.send_binary(bytes(16 + CHUNK + 1))
    return client.refusal()


def length_mismatch(client: ClientV2, _: RunningServer, __: ScriptedApp) -> UploadRefused:
    client.open().drop()
    client.data = FileBytes(client.data.length_bytes + 1)
    with pytest.raises(UploadRefused) as refused:
        client.connect().request()
    return refused.value


def wrong_file(client: ClientV2, _: RunningServer, __: ScriptedApp) -> UploadRefused:
    client.open().send_until_stored(CHUNK)
    client.drop()
    client.connect().request()
    client.agree([0] * len(client.conf["Compare"]))
    return client.refusal()


def damaged(client: ClientV2, _: RunningServer, __: ScriptedApp) -> UploadRefused:
    client.open()
    for _turn in range(MAX_DAMAGED - 1):
        client.send_instead(flip(client.chunk(0, CHUNK), 20))
        client.receive_next()
    client.send_instead(flip(client.chunk(0, CHUNK), 20))
    return client.refusal()


def cancelled(client: ClientV2, server: RunningServer, _: ScriptedApp) -> UploadRefused:
    client.open()
    cancel_upload(server, client.ticket_id)
    return client.refusal()


def handover_failed(client: ClientV2, _: RunningServer, app: ScriptedApp) -> UploadRefused:
    app.answers = [Reply(404)]
    with pytest.raises(UploadRefused) as refused:
        client.upload()
    return refused.value


def taken_over(client: ClientV2, server: RunningServer, _: ScriptedApp) -> UploadRefused:
    client.open()
    other = ClientV2(server.url, client.ticket_id, client.data).open()
    refused = client.refusal()
    other.drop()
    return refused


WAYS = {
    "unknown_ticket": unknown,
    "bad_message": bad_message,
    "bad_chunk": bad_chunk,
    "length_mismatch": length_mismatch,
    "wrong_file": wrong_file,
    "damaged": damaged,
    "cancelled": cancelled,
    "handover_failed": handover_failed,
    "taken_over": taken_over,
}


@pytest.mark.parametrize("code", WAYS)
def test_an_error_is_as_the_table_of_the_api_says(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, code: str
) -> None:
    client = new_client(3 * CHUNK, name="<my> & file.mov")
    length_bytes = client.data.length_bytes
    refused = WAYS[code](client, server, app)
    error = dict(refused.error)
    meant = {member: error.pop(member) for member in NO_FILE}
    assert len(error.pop("Msg")) > 10
    number, again = documented()[code]
    assert error == {"Code": code, "ErrorCode": number, "Retryable": again}
    if code in ("length_mismatch", "wrong_file"):
        assert meant == {
            "FileName": "<my> & file.mov",
            "FileLengthBytes": length_bytes,
            "FileLastModifiedMs": client.last_modified_ms,
        }
    else:
        assert meant == NO_FILE


def test_a_file_that_is_too_large_is_refused_before_its_first_byte(
    start_server: StartServer, new_client: NewClient
) -> None:
    server = start_server(max_upload_bytes=1000)
    with pytest.raises(UploadRefused) as refused:
        new_client(1001, at=server).connect().request()
    assert (refused.value.code, refused.value.retryable) == ("upload_too_large", False)


def test_a_server_without_room_says_that_it_may_have_some_later(
    start_server: StartServer, new_client: NewClient
) -> None:
    server = start_server(min_free_mib=1 << 30)
    with pytest.raises(UploadRefused) as refused:
        new_client(1001, at=server).connect().request()
    assert (refused.value.code, refused.value.retryable) == ("storage_full", True)
    assert refused.value.close_code == 1013


def test_a_client_whose_ticket_is_unknown_in_a_wrong_form_is_told_the_same(new_client: NewClient) -> None:
    client = new_client()
    for ticket_id in ("", "nobody knows", "../../etc/passwd", "x" * 1000, client.ticket_id.upper() + "0"):
        client.connect()
        client.send_message(
            "MsgUploadReq", Version=2, Id=ticket_id, LengthBytes=1, Name="secret.mov", LastModifiedMs=0
        )
        refused = client.refusal()
        assert refused.code == "unknown_ticket"
        assert refused.error["FileName"] == ""
