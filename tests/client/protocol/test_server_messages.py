"""The server's messages as the client reads them: required members must be valid, others are ignored."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.client.protocol.server_messages import OtherVersion, ServerMessage, is_valid, parse
from incoming.core.errors import BadMessage
from incoming.protocol import messages
from incoming.protocol.messages import MsgErrorV2, MsgUploadConfV2, encode

CONF = MsgUploadConfV2(2, 1000, 4096, 8192, 10.0, ((0, 64), (936, 1000)), False, 99, "a <b>.mov")
REPLIES: list[ServerMessage] = [
    *(CONF, messages.MsgStored(7), messages.MsgResend(7, 1), messages.MsgNews("stopping", 2.5)),
    *(messages.MsgPong(), messages.MsgCancelAck(True), messages.MsgAllDoneV2(True, 7)),
    MsgErrorV2(24, "wrong_file", "It is another one.", False, 5, 99, "a.mov"),
]


def text(name: str, **data: object) -> str:
    return json.dumps({"MsgType": name, "MsgData": data})


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: type(reply).__name__)
def test_what_the_server_writes_is_read_again(reply: Any) -> None:
    assert parse(encode(reply)) == reply
    envelope = json.loads(encode(reply))
    envelope["MsgData"]["New"] = envelope["New"] = [1]
    assert parse(json.dumps(envelope)) == reply


def test_whole_numbers_are_numbers_too() -> None:
    assert parse(encode(CONF).replace("10.0", "10")) == CONF


def test_an_unknown_message_is_skipped() -> None:
    assert parse(text("MsgWeather", Rain=True)) is None
    assert parse(text("MsgChunkAck", ChunkSize=3)) is None


def test_a_server_of_version_1_is_told_apart() -> None:
    assert parse(encode(messages.MsgUploadConf(512, 0, 8))) == OtherVersion()
    error = parse(encode(messages.MsgError(11, "There is none.")))
    assert error == MsgErrorV2(11, "", "There is none.", False, 0, 0, "")


@pytest.mark.parametrize(
    "spoilt",
    [
        *("", "[]", "7", '{"MsgType": "MsgPong"}', '{"MsgType": 7, "MsgData": {}}', "[" * 100_000),
        *(text("MsgStored"), text("MsgStored", Offset="7"), text("MsgStored", Offset=-1)),
        *(text("MsgStored", Offset=True), text("MsgStored", Offset=2**53), text("MsgResend", Offset=7)),
        *(encode(CONF).replace("[0, 64]", "[0]"), encode(CONF).replace("[0, 64]", "[0, 1.5]")),
        *(encode(CONF).replace("10.0", "1" * 400), encode(CONF).replace("10.0", "NaN")),
    ],
)
def test_a_malformed_message_is_refused(spoilt: str) -> None:
    with pytest.raises(BadMessage):
        parse(spoilt)


@settings(derandomize=True, deadline=None)
@given(st.sampled_from(REPLIES), st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_raises_no_other_error_than_bad_message(reply: Any, place: int, bit: int) -> None:
    message = bytearray(encode(reply).encode())
    message[place % len(message)] ^= 1 << bit
    with contextlib.suppress(BadMessage):
        parse(message.decode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("changes", "sense"),
    [
        ({}, True), ({"offset": 1001}, False), ({"max_chunk_bytes": 0}, False), ({"silence_s": 0.0}, False),
        ({"arrived": True}, True), ({"arrived": True, "offset": 999}, False),
        ({"compare": ((0, 1001),)}, False), ({"compare": ((5, 4),)}, False),
        ({"compare": ((0, 1),) * 65}, False),
    ],
)  # fmt: skip
def test_a_msg_upload_conf_must_fit_the_file(changes: dict[str, Any], sense: bool) -> None:
    terms = {name: getattr(CONF, name) for name in CONF.__slots__} | changes
    assert is_valid(MsgUploadConfV2(**terms), 1000) is sense
