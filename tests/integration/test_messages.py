"""The text messages of version 1, byte by byte, and messages that are not valid."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import CHUNK_SIZE_KIB, SEND_AHEAD, NewClient
from tests.support.app import ScriptedApp
from tests.support.client_v1 import UploadEnded
from tests.support.server import RunningServer

CHUNK_SIZE_BYTES = CHUNK_SIZE_KIB * 1024


def test_the_messages_of_an_upload_are_exactly_these(new_client: NewClient) -> None:
    client = new_client(CHUNK_SIZE_BYTES + 1).connect()
    texts = []

    def hear() -> None:
        texts.append(json.loads(client.ws.receive()))

    client.send_message("MsgUploadReq", Id=client.ticket_id, LengthBytes=CHUNK_SIZE_BYTES + 1, Name="a.bin")
    hear()
    client.agree()
    for at in (0, CHUNK_SIZE_BYTES):
        client.ws.send_binary(client.data.read(at, CHUNK_SIZE_BYTES))
        hear()
    hear()
    conf = {"ChunkSizeKB": CHUNK_SIZE_KIB, "FilePos": 0, "SendAhead": SEND_AHEAD}
    assert texts == [
        {"MsgType": "MsgUploadConf", "MsgData": conf},
        {"MsgType": "MsgChunkAck", "MsgData": {"ChunkSize": CHUNK_SIZE_BYTES}},
        {"MsgType": "MsgChunkAck", "MsgData": {"ChunkSize": 1}},
        {"MsgType": "MsgAllDone", "MsgData": {"Success": True}},
    ]
    assert client.receive_close().code == 1000


def test_an_error_is_exactly_a_number_and_a_text(new_client: NewClient) -> None:
    client = new_client().connect()
    client.send_message("MsgUploadReq", Id="nobody knows", LengthBytes=1, Name="a.bin")
    error = client.expect("MsgError")
    assert set(error) == {"ErrorCode", "Msg"}
    assert isinstance(error["ErrorCode"], int)
    assert isinstance(error["Msg"], str)


def test_unknown_fields_are_ignored(new_client: NewClient) -> None:
    client = new_client(10).connect()
    request = {"Id": client.ticket_id, "LengthBytes": 10, "Name": "a.bin", "Colour": "red", "Tags": [1]}
    client.ws.send_text(json.dumps({"MsgType": "MsgUploadReq", "MsgData": request, "Era": 7}))
    assert set(client.expect("MsgUploadConf")) == {"ChunkSizeKB", "FilePos", "SendAhead"}
    client.send_message("MsgAck", Ack=True, Because={"deep": [None]})
    client.ws.send_binary(client.data.read(0, 10))
    assert client.expect("MsgChunkAck") == {"ChunkSize": 10}
    client.receive_result()


NO_MESSAGES = {
    "no JSON": "hello",
    "empty": "",
    "half of JSON": '{"MsgType": "MsgUpl',
    "a list": "[]",
    "a number": "12",
    "NaN": "NaN",
    "no type": "{}",
    "a number as the type": '{"MsgType": 1, "MsgData": {}}',
    "an unknown type": '{"MsgType": "MsgNonsense", "MsgData": {}}',
    "a type of the server's": '{"MsgType": "MsgAllDone", "MsgData": {"Success": true}}',
    "no data": '{"MsgType": "MsgUploadReq"}',
    "data that are a list": '{"MsgType": "MsgUploadReq", "MsgData": []}',
    "too deep": "[" * 8_000,
    "a huge number": '{"MsgType": "MsgUploadReq", "MsgData": {"LengthBytes": ' + "9" * 5000 + "}}",
}


@pytest.mark.parametrize("text", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_a_malformed_message_gets_an_error_and_no_traceback(
    server: RunningServer, new_client: NewClient, text: str
) -> None:
    client = new_client().connect()
    client.ws.send_text(text)
    client.receive_end()
    assert "Traceback" not in server.log_text()


BAD_REQUESTS: dict[str, dict[str, object]] = {
    "id is a number": {"Id": 5},
    "id is null": {"Id": None},
    "id is a list": {"Id": ["a"]},
    "length is text": {"LengthBytes": "12"},
    "length is negative": {"LengthBytes": -1},
    "length is a fraction": {"LengthBytes": 1.5},
    "length is true": {"LengthBytes": True},
    "length is null": {"LengthBytes": None},
    "length is beyond 64 bits": {"LengthBytes": 2**64},
    "name is null": {"Name": None},
    "name is a number": {"Name": 7},
    "name is an object": {"Name": {}},
}


@pytest.mark.parametrize("wrong", BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_request_with_a_wrong_type_gets_an_error_and_costs_nothing(
    server: RunningServer, new_client: NewClient, wrong: dict[str, object]
) -> None:
    client = new_client(10).connect()
    request = {"Id": client.ticket_id, "LengthBytes": 10, "Name": "a.bin"} | wrong
    client.send_message("MsgUploadReq", **request)
    client.receive_end()
    assert "Traceback" not in server.log_text()
    client.upload()


@pytest.mark.parametrize("field", ["Id", "LengthBytes"])
def test_a_request_without_a_field_gets_an_error(new_client: NewClient, field: str) -> None:
    client = new_client(10).connect()
    request = {"Id": client.ticket_id, "LengthBytes": 10, "Name": "a.bin"}
    del request[field]
    client.send_message("MsgUploadReq", **request)
    client.receive_end()


def test_half_a_surrogate_pair_in_a_name_stops_nothing(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(10, name="broken \ud83d.bin")
    client.upload()
    assert app.deliveries[0].fields["filenameFromBrowser"].startswith("broken ")


def test_messages_out_of_turn_get_an_error(new_client: NewClient) -> None:
    early_ack = new_client().connect()
    early_ack.agree()
    early_ack.receive_end()
    early_chunk = new_client().connect()
    early_chunk.ws.send_binary(b"bytes")
    early_chunk.receive_end()
    impatient = new_client().connect()
    impatient.request()
    impatient.ws.send_binary(b"bytes")
    impatient.receive_end()
    twice = new_client().open()
    twice.send_message("MsgUploadReq", Id=twice.ticket_id, LengthBytes=twice.data.length_bytes, Name="a.bin")
    twice.receive_end()


def test_an_ack_that_is_not_true_gets_an_error(new_client: NewClient) -> None:
    client = new_client().connect()
    client.request()
    client.send_message("MsgAck", Ack=False)
    client.receive_end()


def test_a_bad_message_in_the_middle_costs_no_acknowledged_byte(new_client: NewClient) -> None:
    client = new_client().open()
    client.send_until_acked(CHUNK_SIZE_BYTES)
    acked_bytes = client.acked_bytes
    client.ws.send_text("nonsense")
    with pytest.raises(UploadEnded):
        while True:
            client.receive_ack()
    client.upload()
    assert client.resumed_at[1] >= acked_bytes > 0


def test_an_error_of_the_client_cancels_the_upload_and_the_app_hears_why(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client().open()
    client.send_until_acked(CHUNK_SIZE_BYTES)
    client.send_message("MsgError", ErrorCode=12, Msg="could not read the disk")
    told = app.wait_for(1)[0].fields
    assert (told["cancelled"], told["filename"]) == ("yes", "")
    assert "could not read the disk" in told["cancelReason"]
    refused = new_client(of=client).connect()
    with pytest.raises(UploadEnded):
        refused.request()


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "a&b.txt", "'\"; --"])
def test_no_text_of_the_server_repeats_what_the_client_said(new_client: NewClient, name: str) -> None:
    client = new_client(name=name).open()
    client.ws.send_text(json.dumps({"MsgType": name, "MsgData": {name: name}}))
    assert name not in client.receive_end().text  # hear() looks for markup in every text
    other = new_client(of=client).open()
    other.cancel(reason=f"because of {name}")
    with pytest.raises(UploadEnded) as ended:
        new_client(of=client).connect().request()
    assert name not in ended.value.text
