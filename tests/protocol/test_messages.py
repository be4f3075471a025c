"""The wire: exact names and types, both ways; and the one name of a file that apps can rely on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.errors import BadMessage
from incoming.core.file_name import bare_file_name
from incoming.protocol.messages import (
    MAX_INTEGER,
    FromClient,
    MsgAck,
    MsgAllDone,
    MsgCancel,
    MsgCancelAck,
    MsgChunkAck,
    MsgError,
    MsgPause,
    MsgStored,
    MsgUploadConf,
    MsgUploadReq,
    ToClient,
    encode,
    parse,
)

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Every name and type as existing clients read and write them. The last message is of version 2.
ON_THE_WIRE: list[tuple[FromClient | ToClient, dict[str, object]]] = [
    (
        MsgUploadReq("the id", 12, "a.bin", 2, 99),
        {"Id": "the id", "LengthBytes": 12, "Name": "a.bin", "Version": 2, "LastModifiedMs": 99},
    ),
    (MsgUploadConf(512, 1024, 8), {"ChunkSizeKB": 512, "FilePos": 1024, "SendAhead": 8}),
    (MsgAck(True), {"Ack": True}),
    (MsgChunkAck(524288), {"ChunkSize": 524288}),
    (MsgPause(True), {"Pause": True}),
    (MsgCancel("no more"), {"Reason": "no more"}),
    (MsgCancelAck(True), {"Ack": True}),
    (MsgError(32, "went wrong"), {"ErrorCode": 32, "Msg": "went wrong"}),
    (MsgAllDone(True), {"Success": True}),
    (
        MsgStored(2**53 - 1, 4096, 8192),
        {"Offset": 2**53 - 1, "MaxChunkBytes": 4096, "MaxWindowBytes": 8192},
    ),
]
VERSION_2 = ("Version", "LastModifiedMs")
FROM_CLIENT = [(message, data) for message, data in ON_THE_WIRE if isinstance(message, FromClient)]


def text_of(kind: str, data: object) -> str:
    return json.dumps({"MsgType": kind, "MsgData": data})


def name_of(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize(("message", "data"), ON_THE_WIRE, ids=name_of)
def test_a_message_is_written_with_exactly_these_names(
    message: FromClient | ToClient, data: dict[str, object]
) -> None:
    assert json.loads(encode(message)) == {"MsgType": type(message).__name__, "MsgData": data}


@pytest.mark.parametrize(("message", "data"), FROM_CLIENT, ids=name_of)
def test_a_clients_message_is_read_by_exactly_these_names(
    message: FromClient, data: dict[str, object]
) -> None:
    assert parse(text_of(type(message).__name__, data)) == message


@pytest.mark.parametrize(("message", "data"), FROM_CLIENT, ids=name_of)
def test_unknown_fields_are_ignored(message: FromClient, data: dict[str, object]) -> None:
    envelope = {"MsgType": type(message).__name__, "MsgData": {**data, "New": [1]}, "Version": {"a": None}}
    assert parse(json.dumps(envelope)) == message


@pytest.mark.parametrize(("message", "data"), FROM_CLIENT, ids=name_of)
def test_a_missing_field_is_named(message: FromClient, data: dict[str, object]) -> None:
    for name in data.keys() - set(VERSION_2) - {"Name"}:  # clients of version 1 don't have those
        rest = {other: value for other, value in data.items() if other != name}
        with pytest.raises(BadMessage, match=rf"^{type(message).__name__}\.{name} is missing\.$"):
            parse(text_of(type(message).__name__, rest))


def test_a_file_may_come_without_a_name() -> None:
    assert parse(text_of("MsgUploadReq", {"Id": "the id", "LengthBytes": 12})) == MsgUploadReq("the id", 12)


def test_names_on_the_wire_have_capitals() -> None:
    with pytest.raises(BadMessage, match=r"MsgAck\.Ack is missing"):
        parse(text_of("MsgAck", {"ack": True}))


WRONG_TYPES: list[tuple[str, str, object, str]] = [
    ("MsgUploadReq", "Id", 5, "a string"),
    ("MsgUploadReq", "Id", None, "a string"),
    ("MsgUploadReq", "Id", ["a"], "a string"),
    ("MsgUploadReq", "Name", {"a": "b"}, "a string"),
    ("MsgUploadReq", "Name", False, "a string"),
    ("MsgUploadReq", "LengthBytes", "12", "an integer"),
    ("MsgUploadReq", "LengthBytes", 12.0, "an integer"),
    ("MsgUploadReq", "LengthBytes", 1e300, "an integer"),
    ("MsgUploadReq", "LengthBytes", float("nan"), "an integer"),
    ("MsgUploadReq", "LengthBytes", True, "an integer"),
    ("MsgUploadReq", "LengthBytes", None, "an integer"),
    ("MsgUploadReq", "LengthBytes", [12], "an integer"),
    ("MsgAck", "Ack", 1, "a boolean"),
    ("MsgAck", "Ack", "true", "a boolean"),
    ("MsgAck", "Ack", None, "a boolean"),
    ("MsgPause", "Pause", 0, "a boolean"),
    ("MsgCancel", "Reason", None, "a string"),
    ("MsgCancel", "Reason", 7, "a string"),
    ("MsgError", "ErrorCode", "7", "an integer"),
    ("MsgError", "ErrorCode", True, "an integer"),
    ("MsgError", "Msg", [], "a string"),
]
COMPLETE: dict[str, dict[str, object]] = {type(message).__name__: data for message, data in FROM_CLIENT}


@pytest.mark.parametrize(("kind", "field", "value", "expected"), WRONG_TYPES)
def test_a_field_of_another_type_is_refused(kind: str, field: str, value: object, expected: str) -> None:
    with pytest.raises(BadMessage) as refusal:
        parse(text_of(kind, {**COMPLETE[kind], field: value}))
    assert str(refusal.value) == f"{kind}.{field} is not {expected}."


def test_the_largest_integer_is_that_of_javascript() -> None:
    assert MAX_INTEGER == 9007199254740991  # Number.MAX_SAFE_INTEGER


@pytest.mark.parametrize("length_bytes", [0, 1, MAX_INTEGER])
def test_any_length_that_a_browser_can_count_is_read(length_bytes: int) -> None:
    request = parse(text_of("MsgUploadReq", COMPLETE["MsgUploadReq"] | {"LengthBytes": length_bytes}))
    assert isinstance(request, MsgUploadReq)
    assert request.length_bytes == length_bytes


@pytest.mark.parametrize(
    ("kind", "field", "number", "why"),
    [
        ("MsgUploadReq", "LengthBytes", -1, "is negative"),
        ("MsgUploadReq", "LengthBytes", MAX_INTEGER + 1, "is out of range"),
        ("MsgUploadReq", "LengthBytes", -MAX_INTEGER - 1, "is out of range"),
        ("MsgError", "ErrorCode", 2**64, "is out of range"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(kind: str, field: str, number: int, why: str) -> None:
    with pytest.raises(BadMessage, match=rf"^{kind}\.{field} {why}\.$"):
        parse(text_of(kind, COMPLETE[kind] | {field: number}))


def test_an_error_code_may_be_negative() -> None:
    assert parse(text_of("MsgError", {"ErrorCode": -1, "Msg": ""})) == MsgError(-1, "")


NO_MESSAGES = {
    "empty": ("", "is not JSON"),
    "no JSON": ("hello", "is not JSON"),
    "cut off": ('{"MsgType": "MsgAck", "MsgData": {"Ack"', "is not JSON"),
    "too deep": ("[" * 100_000, "is not JSON"),
    "a number of too many digits": ("9" * 5000, "is not JSON"),
    "a list": ("[]", "has no MsgType"),
    "null": ("null", "has no MsgType"),
    "not a number": ("NaN", "has no MsgType"),
    "no type": ('{"MsgData": {"Ack": true}}', "has no MsgType"),
    "a type that is a list": ('{"MsgType": ["MsgAck"], "MsgData": {}}', "has no MsgType"),
    "an unknown type": (text_of("MsgNews", {}), "clients don't send"),
    "a type of the server": (text_of("MsgAllDone", {"Success": True}), "clients don't send"),
    "a method's name": (text_of("__init__", {}), "clients don't send"),
    "no data": ('{"MsgType": "MsgAck"}', "MsgAck has no MsgData"),
    "null as data": (text_of("MsgAck", None), "MsgAck has no MsgData"),
    "a list as data": (text_of("MsgAck", [True]), "MsgAck has no MsgData"),
}


@pytest.mark.parametrize(("text", "why"), NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_a_text_that_is_not_a_message_of_a_client_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(BadMessage, match=why):
        parse(text)


@pytest.mark.parametrize("half", ["\ud83d", "\ude00"])
def test_half_a_surrogate_pair_becomes_a_question_mark(half: str) -> None:
    assert parse(text_of("MsgCancel", {"Reason": f"a{half}b"})) == MsgCancel("a?b")


def test_a_whole_surrogate_pair_is_its_character() -> None:
    assert parse('{"MsgType": "MsgCancel", "MsgData": {"Reason": "\\ud83d\\ude00"}}') == MsgCancel("😀")


@pytest.mark.parametrize("message", [MsgCancel("<b>&"), MsgError(1, "<b>&")], ids=name_of)
def test_texts_of_the_server_lose_what_html_could_mean(message: ToClient) -> None:
    assert "(b)+" in json.loads(encode(message))["MsgData"].values()


# --- properties --------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_characters="<>&", exclude_categories=["Cs"]))
client_messages: st.SearchStrategy[FromClient] = st.one_of(
    st.builds(MsgUploadReq, words, st.integers(0, MAX_INTEGER), words),
    st.builds(MsgAck, st.booleans()),
    st.builds(MsgPause, st.booleans()),
    st.builds(MsgCancel, words),
    st.builds(MsgError, st.integers(-MAX_INTEGER, MAX_INTEGER), words),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@same_each_run
@given(client_messages)
def test_a_message_is_parsed_as_it_was_encoded(message: FromClient) -> None:
    assert parse(encode(message)) == message


@same_each_run
@given(st.sampled_from(sorted(COMPLETE)), st.data())
def test_whatever_json_comes_is_a_well_typed_message_or_refused(kind: str, data: st.DataObject) -> None:
    values = {field: data.draw(json_values) for field in COMPLETE[kind]}
    try:
        message = parse(text_of(kind, values))
    except BadMessage:
        return
    read = json.loads(json.dumps(values))
    for (field, value), good in zip(read.items(), COMPLETE[kind].values(), strict=True):
        assert type(value) is type(good), field
    encode(message).encode()


# --- the file's name ---------------------------------------------------------------------------------

NAMES = [
    ("a.bin", "a.bin"),
    ("folder/a.bin", "a.bin"),
    ("C:\\fakepath\\a.bin", "a.bin"),
    ("mixed/of\\both/a.bin", "a.bin"),
    ("mixed\\of/both\\a.bin", "a.bin"),
    ("../../etc/passwd", "passwd"),
    ("/etc/passwd", "passwd"),
    ("ends/", "upload"),
    ("ends\\", "upload"),
    ("", "upload"),
    (".", "upload"),
    ("..", "upload"),
    ("a/..", "upload"),
    ("...", "..."),
    (".hidden", ".hidden"),
    (".\x00.", "upload"),  # control characters go first
    ("\x00\x1f", "upload"),
    ("a\r\nb\x00.bin", "ab.bin"),
    ("a\x1f\x20\x7e\x7f\x80\x9f\xa0b", "a\x20\x7e\xa0b"),
    ('"quoted" <b>&.bin', '"quoted" <b>&.bin'),  # data for the app: it is told as it is
    (" spaced .bin ", " spaced .bin "),
    ("naïve ☂ 😀.bin", "naïve ☂ 😀.bin"),
]


@pytest.mark.parametrize(("name", "bare"), NAMES)
def test_of_a_files_name_its_last_component_stays_without_control_characters(name: str, bare: str) -> None:
    assert bare_file_name(name) == bare


names = st.text(st.sampled_from("ab./\\\x00\n\x7f\x85 é") | st.characters())


@same_each_run
@given(names)
def test_a_bare_name_can_be_joined_to_a_folder(name: str) -> None:
    bare = bare_file_name(name)
    assert bare not in ("", ".", "..")
    assert not any(c in "/\\" or ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in bare)
    assert bare_file_name(bare) == bare
    assert bare == "upload" or bare in "".join(c for c in name if not (ord(c) < 32 or 0x7F <= ord(c) < 0xA0))
