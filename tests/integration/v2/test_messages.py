"""The text messages of version 2: exactly what is documented, and what comes of everything else."""

from __future__ import annotations

import json

import pytest

from tests.integration.test_messages import NO_MESSAGES
from tests.integration.v2.conftest import CHUNK, NewClient
from tests.support.app import ScriptedApp
from tests.support.client_v2 import ClientV2, checksum
from tests.support.server import RunningServer
from tests.support.websocket import PING, PONG

BAD_MESSAGE = ("bad_message", False)
"""Somebody said the wrong thing; it would be wrong the next time, too."""
DAMAGED = ("damaged", True)
"""Nobody sends such a thing: it has become one on its way."""


def test_the_messages_of_an_upload_are_exactly_these(new_client: NewClient) -> None:
    client = new_client(CHUNK + 1).open()
    texts = []
    for size in (CHUNK, 1):
        client.send_chunk(size)
        texts.append(json.loads(client.ws.receive()))
    client.complete()
    texts += [json.loads(client.ws.receive()) for _ in range(2)]
    retry_after_s = texts[2]["MsgData"].pop("RetryAfterS")
    limits = [text["MsgData"].pop(name) for text in texts[:2] for name in ("MaxChunkBytes", "MaxWindowBytes")]
    assert texts == [
        {"MsgType": "MsgStored", "MsgData": {"Offset": CHUNK}},
        {"MsgType": "MsgStored", "MsgData": {"Offset": CHUNK + 1}},
        {"MsgType": "MsgNews", "MsgData": {"News": "handing_over", "Why": "the app is being told"}},
        {"MsgType": "MsgAllDone", "MsgData": {"Success": True, "Crc32c": checksum(client.data)}},
    ]
    assert isinstance(retry_after_s, int | float)
    assert all(isinstance(size_bytes, int) and size_bytes > 0 for size_bytes in limits)
    assert client.receive_close().code == 1000


def test_unknown_members_are_ignored(new_client: NewClient) -> None:
    client = new_client(10).connect()
    client.request(Colour="red", Tags=[1], FileName="other.mov", Offset=5)
    client.send_message("MsgAgree", Crc32c=[], Because={"deep": [None]})
    client.send_chunk()
    client.send_message("MsgComplete", Crc32c=checksum(client.data), Round=0, Sha256="00")
    client.receive_until_stored()
    client.receive_result()


def test_a_ping_is_answered_in_every_phase_of_an_upload(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(3 * CHUNK).connect()
    client.request()
    client.ping()
    client.agree()
    client.ping()
    client.send_chunk()
    client.ping()
    client.send_until_stored()
    client.ping()
    app.stop()
    client.complete()
    while client.receive_next().data.get("News") != "waiting_for_app":
        pass
    client.ping()
    app.start()
    client.receive_result()


def test_a_ping_says_nothing_about_the_upload(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(9 * CHUNK).open()
    for _ in range(9):
        client.send_chunk()
        client.ping()
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_websocket_pings_are_answered_too(new_client: NewClient) -> None:
    client = new_client().open()
    client.ws.send_frame(0x80 | PING, b"there?")
    frame = client.ws.receive_frame()
    assert (frame.opcode, frame.payload) == (PONG, b"there?")


@pytest.mark.parametrize("text", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_a_malformed_message_counts_as_damage_and_nothing_is_lost(
    server: RunningServer, new_client: NewClient, text: str
) -> None:
    client = new_client(3 * CHUNK).open()
    client.send_until_stored(CHUNK)
    client.ws.send_text(text)
    refused = client.refusal()
    assert (refused.code, refused.retryable) == DAMAGED
    assert "Traceback" not in server.log_text()
    client.upload()
    assert client.resumed_at == [0, CHUNK]


BAD_REQUESTS: dict[str, dict[str, object]] = {
    "id is a number": {"Id": 5},
    "length is text": {"LengthBytes": "12"},
    "length is negative": {"LengthBytes": -1},
    "length is beyond all bounds": {"LengthBytes": 2**53},
    "name is null": {"Name": None},
    "time is text": {"LastModifiedMs": "now"},
    "time is a fraction": {"LastModifiedMs": 1.5},
    "time is null": {"LastModifiedMs": None},
    "time is true": {"LastModifiedMs": True},
    "time is beyond all bounds": {"LastModifiedMs": 2**70},
}


@pytest.mark.parametrize("wrong", BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_request_with_a_wrong_member_is_refused_and_costs_nothing(
    server: RunningServer, new_client: NewClient, wrong: dict[str, object]
) -> None:
    client = new_client(10).connect()
    request = {"Version": 2, "Id": client.ticket_id, "LengthBytes": 10, "Name": "a", "LastModifiedMs": 0}
    client.send_message("MsgUploadReq", **request | wrong)
    assert b'"ErrorCode": 20' in client.ws.receive()
    assert "Traceback" not in server.log_text()
    client.upload()


@pytest.mark.parametrize("last_modified_ms", [0, -86_400_000, 8_640_000_000_000_000])
def test_a_file_may_be_as_old_as_it_likes(new_client: NewClient, last_modified_ms: int) -> None:
    """A browser tells a time before 1970 as a negative number, and goes as far as it can count dates."""
    client = new_client(3 * CHUNK)
    client.last_modified_ms = last_modified_ms
    client.open().send_until_stored(CHUNK)
    client.drop()
    assert client.connect().request()["FileLastModifiedMs"] == last_modified_ms


UNREADABLE_WORDS: dict[str, tuple[str, dict[str, object]]] = {
    "no list of checksums": ("MsgAgree", {"Crc32c": 0}),
    "a checksum that is text": ("MsgAgree", {"Crc32c": ["0"]}),
    "no checksums": ("MsgAgree", {}),
    "a request without members": ("MsgUploadReq", {}),
    "a cancel without a reason": ("MsgCancel", {}),
}


@pytest.mark.parametrize(("msg_type", "msg_data"), UNREADABLE_WORDS.values(), ids=UNREADABLE_WORDS)
def test_a_message_with_members_of_another_kind_is_taken_for_damage_and_nothing_is_lost(
    new_client: NewClient, app: ScriptedApp, msg_type: str, msg_data: dict[str, object]
) -> None:
    client = new_client(2 * CHUNK).connect()
    client.request()
    client.send_message(msg_type, **msg_data)
    refused = client.refusal()
    assert (refused.code, refused.retryable) == DAMAGED
    client.upload()
    assert [d.fields["cancelled"] for d in app.deliveries] == ["no"]


BAD_WORDS: dict[str, tuple[str, dict[str, object]]] = {
    "a checksum of 33 bits": ("MsgAgree", {"Crc32c": [1 << 32]}),
    "a negative checksum": ("MsgAgree", {"Crc32c": [-1]}),
    "more checksums than ranges": ("MsgAgree", {"Crc32c": [0]}),
    "the word of version 1": ("MsgAck", {"Ack": True}),
    "a pause": ("MsgPause", {"Pause": True}),
    "an error of the client's": ("MsgError", {"ErrorCode": 100, "Msg": "the file is gone"}),
    "the end before the beginning": ("MsgComplete", {"Crc32c": 0, "Round": 0}),
    "a second request": ("MsgUploadReq", {"Version": 2, "Id": "x", "LengthBytes": 1, "Name": "x"}),
}


@pytest.mark.parametrize(("msg_type", "msg_data"), BAD_WORDS.values(), ids=BAD_WORDS)
def test_anything_but_a_proper_agreement_is_refused_and_the_ticket_stays(
    new_client: NewClient, app: ScriptedApp, msg_type: str, msg_data: dict[str, object]
) -> None:
    client = new_client(2 * CHUNK).connect()
    client.request()
    client.send_message(msg_type, **msg_data)
    refused = client.refusal()
    assert (refused.code, refused.retryable) == BAD_MESSAGE
    client.upload()
    assert [d.fields["cancelled"] for d in app.deliveries] == ["no"]


def test_a_chunk_before_the_agreement_is_refused_and_not_stored(
    server: RunningServer, new_client: NewClient
) -> None:
    client = new_client(2 * CHUNK).connect()
    client.request()
    client.ws.send_binary(client.chunk(0, CHUNK))
    refused = client.refusal()
    assert (refused.code, refused.retryable) == BAD_MESSAGE
    assert client.connect().request()["Offset"] == 0


@pytest.mark.parametrize("round_", ["0", 1.0, None, True])
def test_a_complete_without_a_proper_round_is_taken_for_damage_and_nothing_is_lost(
    new_client: NewClient, round_: object
) -> None:
    client = new_client(2 * CHUNK).open()
    client.send_until_stored()
    client.send_message("MsgComplete", Crc32c=checksum(client.data), Round=round_)
    refused = client.refusal()
    assert (refused.code, refused.retryable) == DAMAGED
    client.upload()


@pytest.mark.parametrize("crc", ["0", 1.0, None, [], True])
def test_a_complete_without_a_proper_checksum_is_taken_for_damage_and_nothing_is_lost(
    new_client: NewClient, crc: object
) -> None:
    client = new_client(2 * CHUNK).open()
    client.send_until_stored()
    client.send_message("MsgComplete", Crc32c=crc, Round=0)
    refused = client.refusal()
    assert (refused.code, refused.retryable) == DAMAGED
    assert client.connect().request()["Offset"] == 2 * CHUNK


def test_a_text_beyond_64_kib_closes_the_connection(new_client: NewClient) -> None:
    client = new_client().connect()
    client.send_message("MsgUploadReq", Id="x" * (64 * 1024))
    assert client.receive_close().code == 1009


def test_a_client_that_says_nothing_of_version_2_in_its_request_has_to_speak_version_1(
    new_client: NewClient,
) -> None:
    client: ClientV2 = new_client(10).connect()
    client.send_message("MsgUploadReq", Id=client.ticket_id, LengthBytes=10, Name="a.bin")
    assert b"FilePos" in client.ws.receive()
    client.send_message("MsgAgree", Crc32c=[])
    assert b'"ErrorCode": 20' in client.ws.receive()
