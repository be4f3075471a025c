"""The wire of version 2: the names and types of docs/reference/protocol.md, both ways."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.errors import BadMessage
from incoming.protocol.messages import (
    MAX_INTEGER,
    FromClient,
    MsgAgree,
    MsgAllDoneV2,
    MsgComplete,
    MsgErrorV2,
    MsgLeaveOut,
    MsgNews,
    MsgPing,
    MsgPong,
    MsgResend,
    MsgStored,
    MsgUploadConfV2,
    MsgUploadReq,
    ToClient,
    encode,
    parse,
)

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FILE_NAME = 'a <b> & "c".mov'

FROM_CLIENT: list[tuple[FromClient, str, dict[str, object]]] = [
    (
        MsgUploadReq("the id", 12, FILE_NAME, 2, 99),
        "MsgUploadReq",
        {"Id": "the id", "LengthBytes": 12, "Name": FILE_NAME, "Version": 2, "LastModifiedMs": 99},
    ),
    (MsgAgree((1, 4294967295)), "MsgAgree", {"Crc32c": [1, 4294967295]}),
    (MsgAgree(()), "MsgAgree", {"Crc32c": []}),
    (MsgComplete(7, 3), "MsgComplete", {"Crc32c": 7, "Round": 3}),
    (MsgLeaveOut(99_999), "MsgLeaveOut", {"Index": 99_999}),
    (MsgPing(), "MsgPing", {}),
]
FROM_SERVER: list[tuple[ToClient, str, dict[str, object]]] = [
    (
        MsgUploadConfV2(2, 1000, 4096, 8192, 10.0, ((0, 64), (936, 1000)), True, 99, FILE_NAME, 90.0),
        "MsgUploadConf",
        {
            "Version": 2,
            "Offset": 1000,
            "MaxChunkBytes": 4096,
            "MaxWindowBytes": 8192,
            "SilenceS": 10.0,
            "Compare": [[0, 64], [936, 1000]],
            "Arrived": True,
            "FileName": FILE_NAME,
            "FileLastModifiedMs": 99,
            "IdleSilenceS": 90.0,
        },
    ),
    (
        MsgUploadConfV2(2, 0, 4096, 8192, 10.0, (), False, 0, "a", 90.0, "folder", (0, 7)),
        "MsgUploadConf",
        {
            "Version": 2,
            "Offset": 0,
            "MaxChunkBytes": 4096,
            "MaxWindowBytes": 8192,
            "SilenceS": 10.0,
            "Compare": [],
            "Arrived": False,
            "FileName": "a",
            "FileLastModifiedMs": 0,
            "IdleSilenceS": 90.0,
            "DestType": "folder",
            "LeftOut": [0, 7],
        },
    ),
    (
        MsgStored(1000, 8192, 16384),
        "MsgStored",
        {"Offset": 1000, "MaxChunkBytes": 8192, "MaxWindowBytes": 16384},
    ),
    (
        MsgStored(1000, 8192, 16384, 5000),
        "MsgStored",
        {"Offset": 1000, "MaxChunkBytes": 8192, "MaxWindowBytes": 16384, "Taken": 5000},
    ),
    (MsgResend(1000, 3), "MsgResend", {"Offset": 1000, "Round": 3}),
    (MsgPong(), "MsgPong", {}),
    (
        MsgNews("stopping", 2.5),
        "MsgNews",
        {"News": "stopping", "RetryAfterS": 2.5, "Why": ""},
    ),
    (
        MsgNews("waiting_for_app", why="It is <slow>"),
        "MsgNews",
        {"News": "waiting_for_app", "RetryAfterS": 0.0, "Why": "It is (slow)"},
    ),
    (MsgAllDoneV2(True, 7), "MsgAllDone", {"Success": True, "Crc32c": 7}),
    (
        MsgErrorV2(92, "bad_folder", "It can't be uploaded.", False, 0, 0, "", 0),
        "MsgError",
        {
            "ErrorCode": 92,
            "Code": "bad_folder",
            "Msg": "It can't be uploaded.",
            "Retryable": False,
            "FileLengthBytes": 0,
            "FileLastModifiedMs": 0,
            "FileName": "",
            "Index": 0,
        },
    ),
    (
        MsgErrorV2(24, "wrong_file", "It is <another> & not", False, 5, 99, FILE_NAME),
        "MsgError",
        {
            "ErrorCode": 24,
            "Code": "wrong_file",
            "Msg": "It is (another) + not",
            "Retryable": False,
            "FileName": FILE_NAME,
            "FileLengthBytes": 5,
            "FileLastModifiedMs": 99,
        },
    ),
]
ASKED_FOR: dict[str, dict[str, object]] = {name: data for _, name, data in FROM_CLIENT}


def text_of(kind: str, data: object) -> str:
    return json.dumps({"MsgType": kind, "MsgData": data})


@pytest.mark.parametrize(("message", "kind", "data"), FROM_SERVER)
def test_a_message_is_written_with_exactly_these_names(
    message: ToClient, kind: str, data: dict[str, object]
) -> None:
    assert json.loads(encode(message)) == {"MsgType": kind, "MsgData": data}


@pytest.mark.parametrize(("message", "kind", "data"), FROM_CLIENT)
def test_a_clients_message_is_read_by_exactly_these_names(
    message: FromClient, kind: str, data: dict[str, object]
) -> None:
    assert parse(text_of(kind, data)) == message
    assert parse(text_of(kind, {**data, "New": [1]})) == message


def test_a_request_without_a_version_is_of_version_1() -> None:
    said = {"Id": "the id", "LengthBytes": 12, "Name": "a"}
    assert parse(text_of("MsgUploadReq", said)) == MsgUploadReq("the id", 12, "a", 1, 0)


@pytest.mark.parametrize(
    ("kind", "name"), [("MsgAgree", "Crc32c"), ("MsgComplete", "Crc32c"), ("MsgComplete", "Round")]
)
def test_a_missing_field_is_named(kind: str, name: str) -> None:
    rest = {other: value for other, value in ASKED_FOR[kind].items() if other != name}
    with pytest.raises(BadMessage, match=rf"^{kind}\.{name} is missing\.$"):
        parse(text_of(kind, rest))


@pytest.mark.parametrize(
    ("kind", "name", "value", "why"),
    [
        ("MsgAgree", "Crc32c", 7, "is not a list of integers"),
        ("MsgAgree", "Crc32c", "7", "is not a list of integers"),
        ("MsgAgree", "Crc32c", {"0": 7}, "is not a list of integers"),
        ("MsgAgree", "Crc32c", [7, "8"], "is not an integer"),
        ("MsgAgree", "Crc32c", [True], "is not an integer"),
        ("MsgAgree", "Crc32c", [[7]], "is not an integer"),
        ("MsgAgree", "Crc32c", [MAX_INTEGER + 1], "is out of range"),
        ("MsgAgree", "Crc32c", [0] * 65, "is not a list of integers"),
        ("MsgComplete", "Crc32c", 7.0, "is not an integer"),
        ("MsgComplete", "Round", None, "is not an integer"),
        ("MsgUploadReq", "Version", "2", "is not an integer"),
        ("MsgUploadReq", "Version", True, "is not an integer"),
        ("MsgUploadReq", "LastModifiedMs", 1.5, "is not an integer"),
        ("MsgUploadReq", "LastModifiedMs", 2**60, "is out of range"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused(kind: str, name: str, value: object, why: str) -> None:
    with pytest.raises(BadMessage, match=rf"^{kind}\.{name} {why}\.$"):
        parse(text_of(kind, {**ASKED_FOR[kind], name: value}))


def test_a_list_may_be_as_long_as_a_server_ever_asks_for() -> None:
    assert parse(text_of("MsgAgree", {"Crc32c": [7] * 64})) == MsgAgree((7,) * 64)


def test_a_file_may_be_older_than_1970() -> None:
    asked = parse(text_of("MsgUploadReq", ASKED_FOR["MsgUploadReq"] | {"LastModifiedMs": -86_400_000}))
    assert isinstance(asked, MsgUploadReq)
    assert asked.last_modified_ms == -86_400_000


@pytest.mark.parametrize("kind", ["MsgUploadReq2", "MsgUploadConf", "MsgStored", "MsgPong", "MsgErrorV2"])
def test_types_that_clients_do_not_send_are_refused(kind: str) -> None:
    with pytest.raises(BadMessage, match="clients don't send"):
        parse(text_of(kind, {}))


integers = st.integers(-MAX_INTEGER, MAX_INTEGER)
messages_of_clients: st.SearchStrategy[FromClient] = st.one_of(
    st.builds(MsgUploadReq, st.just("id"), st.integers(0, MAX_INTEGER), st.just("a"), integers, integers),
    st.builds(MsgAgree, st.lists(integers, max_size=64).map(tuple)),
    st.builds(MsgComplete, integers, integers),
    st.builds(MsgPing),
)


@same_each_run
@given(messages_of_clients)
def test_a_message_of_version_2_is_parsed_as_it_was_encoded(message: FromClient) -> None:
    assert parse(encode(message)) == message
