"""The state machine of a WebSocket connection: what may follow what, and how the connection closes."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.wire import close_codes
from incoming.wire.frame_protocol import Close, Control, FrameProtocol, MessageReader, Received, Side
from incoming.wire.frames import (
    OP_BINARY,
    OP_CLOSE,
    OP_CONTINUATION,
    OP_PING,
    OP_PONG,
    OP_TEXT,
    FrameError,
    close_payload,
    parse_header,
    unmask,
)

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MASK = b"\x01\x02\x03\x04"
MAX_TEXT_BYTES = 200
MAX_BINARY_BYTES = 300
sides = pytest.mark.parametrize("side", Side)


def protocol_of(side: Side) -> FrameProtocol:
    masks = itertools.repeat(MASK if side is Side.CLIENT else b"")
    return FrameProtocol(side, MAX_TEXT_BYTES, MAX_BINARY_BYTES, masks.__next__)


def wire_frame(side: Side, opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """Returns a frame that this side receives, built from RFC 6455 section 5.2 alone."""
    masked = 0x80 if side is Side.SERVER else 0
    first, size = (0x80 if final else 0) | opcode, len(payload)
    if size < 126:
        head = struct.pack("!BB", first, masked | size)
    else:
        head = struct.pack("!BBH", first, masked | 126, size)
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))


def frame_sent(data: bytes) -> tuple[int, bytes]:
    """Returns opcode and payload of one whole frame that a server or a client has built."""
    header = parse_header(data, from_client=data[1] >= 0x80)
    assert header and header.final and header.header_bytes + header.payload_bytes == len(data)
    payload = bytearray(data[header.header_bytes :])
    if header.mask:
        unmask(memoryview(payload), header.mask)
    return header.opcode, bytes(payload)


Outcome = tuple[list[Received], list[tuple[int, bytes]], int]
"""What was received, what was answered, and the code of the FrameError, 0 for none."""


def outcome(side: Side, pieces: Sequence[bytes]) -> Outcome:
    """Returns what becomes of a stream that arrives in these pieces."""
    reader = MessageReader(protocol_of(side))
    received: list[Received] = []
    code = 0
    try:
        for piece in pieces:
            for one in reader.feed(piece):
                received.append(one)
    except FrameError as exc:
        code = exc.code
    return received, [frame_sent(reply) for reply in reader.replies], code


def cut_up(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Returns the stream in pieces, cut at these places."""
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(places)]


# --- streams -------------------------------------------------------------------------------------------

any_frame = st.tuples(
    st.sampled_from([OP_CONTINUATION, OP_CONTINUATION, OP_TEXT, OP_BINARY, OP_PING, OP_PONG, OP_CLOSE, 3]),
    st.binary(max_size=150) | st.sampled_from(["ä€😀".encode(), close_payload(1000, "bye"), b"\xff", b""]),
    st.booleans(),
)


@sides
@same_each_run
@given(
    frames=st.lists(any_frame, max_size=8),
    tail=st.binary(max_size=6),
    cuts=st.lists(st.integers(0), max_size=6),
)
def test_a_stream_means_the_same_however_it_is_split(
    side: Side, frames: list[tuple[int, bytes, bool]], tail: bytes, cuts: list[int]
) -> None:
    stream = b"".join(wire_frame(side, code, payload, final=final) for code, payload, final in frames) + tail
    whole = outcome(side, [stream])
    assert outcome(side, cut_up(stream, cuts)) == whole
    assert outcome(side, [bytes([byte]) for byte in stream]) == whole


@sides
@same_each_run
@given(stream=st.binary(max_size=60), cuts=st.lists(st.integers(0), max_size=4))
def test_any_bytes_mean_the_same_however_they_are_split(side: Side, stream: bytes, cuts: list[int]) -> None:
    whole = outcome(side, [stream])
    assert outcome(side, cut_up(stream, cuts)) == whole
    assert whole[2] in (0, close_codes.PROTOCOL_ERROR, close_codes.INVALID_DATA, close_codes.TOO_BIG)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
message = text | st.binary(max_size=120)
control = st.tuples(st.sampled_from([OP_PING, OP_PONG]), st.binary(max_size=125))


@sides
@same_each_run
@given(
    said=st.lists(
        st.tuples(message, st.lists(st.integers(0), max_size=3), st.lists(control, max_size=2)), max_size=5
    )
)
def test_messages_survive_fragments_with_control_frames_between_them(
    side: Side, said: list[tuple[str | bytes, list[int], list[tuple[int, bytes]]]]
) -> None:
    stream, expected, pongs = b"", list[Received](), list[tuple[int, bytes]]()
    for content, cuts, controls in said:
        opcode, payload = (OP_TEXT, content.encode()) if isinstance(content, str) else (OP_BINARY, content)
        pieces = cut_up(payload, cuts)
        for number, piece in enumerate(pieces):
            code, final = opcode if number == 0 else OP_CONTINUATION, number == len(pieces) - 1
            stream += wire_frame(side, code, piece, final=final)
            for control_code, control_payload in () if final else controls:
                stream += wire_frame(side, control_code, control_payload)
                expected.append(Control(control_code))
                pongs += [(OP_PONG, control_payload)] if control_code == OP_PING else []
        expected.append(content)
    assert outcome(side, [stream]) == (expected, pongs, 0)


@same_each_run
@given(said=st.lists(message, max_size=5), reason=text)
def test_what_one_side_sends_the_other_receives(said: list[str | bytes], reason: str) -> None:
    for sender, receiver in itertools.permutations(Side):
        sending = protocol_of(sender)
        stream = b""
        for content in said:
            opcode, payload = (
                (OP_TEXT, content.encode()) if isinstance(content, str) else (OP_BINARY, content)
            )
            stream += sending.frame(opcode, payload)
        stream += sending.close(close_codes.NORMAL, reason)
        received, replies, code = outcome(receiver, [stream])
        assert received[:-1] == said
        assert isinstance(received[-1], Close)
        assert (replies, code) == ([(OP_CLOSE, close_payload(1000))], 0)


# --- what may follow what ------------------------------------------------------------------------------


@sides
@pytest.mark.parametrize(
    "frames",
    [
        [(OP_CONTINUATION, True)],
        [(OP_CONTINUATION, False)],
        [(OP_TEXT, False), (OP_TEXT, True)],
        [(OP_BINARY, False), (OP_TEXT, False)],
        [(OP_TEXT, True), (OP_CONTINUATION, True)],
        [(OP_BINARY, False), (OP_PING, True), (OP_BINARY, True)],
        [(OP_BINARY, False), (OP_CONTINUATION, True), (OP_CONTINUATION, True)],
    ],
)
def test_a_fragment_out_of_place_is_a_protocol_error(side: Side, frames: list[tuple[int, bool]]) -> None:
    stream = b"".join(wire_frame(side, opcode, b"x", final=final) for opcode, final in frames)
    assert outcome(side, [stream])[2] == close_codes.PROTOCOL_ERROR


@sides
def test_the_other_sides_masking_is_a_protocol_error(side: Side) -> None:
    other = Side.CLIENT if side is Side.SERVER else Side.SERVER
    assert outcome(side, [wire_frame(other, OP_TEXT, b"x")]) == ([], [], close_codes.PROTOCOL_ERROR)


@sides
@pytest.mark.parametrize(("opcode", "limit"), [(OP_TEXT, MAX_TEXT_BYTES), (OP_BINARY, MAX_BINARY_BYTES)])
def test_a_message_beyond_its_limit_is_refused_by_the_header_that_exceeds_it(
    side: Side, opcode: int, limit: int
) -> None:
    most = wire_frame(side, opcode, bytes(limit - 1), final=False)
    assert outcome(side, [most + wire_frame(side, OP_CONTINUATION, b"\0")])[0] != []
    over = wire_frame(side, OP_CONTINUATION, b"\0\0")
    header_bytes = len(over) - 2
    assert outcome(side, [most + over[:header_bytes]]) == ([], [], close_codes.TOO_BIG)
    assert outcome(side, [most + over[: header_bytes - 1]]) == ([], [], 0)


@sides
def test_a_limit_may_change_between_two_frames(side: Side) -> None:
    protocol = protocol_of(side)
    reader = MessageReader(protocol)
    assert list(reader.feed(wire_frame(side, OP_TEXT, bytes(MAX_TEXT_BYTES), final=False))) == []
    protocol.max_text_bytes += 1
    assert len(list(reader.feed(wire_frame(side, OP_CONTINUATION, b"\0")))) == 1


@sides
def test_the_size_of_a_message_starts_at_zero_again_for_the_next_one(side: Side) -> None:
    one = wire_frame(side, OP_BINARY, bytes(MAX_BINARY_BYTES))
    received, _, code = outcome(side, [one * 3])
    assert (len(received), code) == (3, 0)


@sides
@pytest.mark.parametrize("frame", [(OP_TEXT, b"\xff"), (OP_CLOSE, b"\x03\xe8\xff")])
def test_invalid_utf_8_is_refused_and_what_came_before_it_counts(
    side: Side, frame: tuple[int, bytes]
) -> None:
    stream = wire_frame(side, OP_TEXT, b"fine") + wire_frame(side, *frame)
    assert outcome(side, [stream]) == (["fine"], [], close_codes.INVALID_DATA)


@sides
def test_a_character_may_be_split_between_two_fragments(side: Side) -> None:
    stream = wire_frame(side, OP_TEXT, b"\xe2", final=False) + wire_frame(side, OP_CONTINUATION, b"\x98\x82")
    assert outcome(side, [stream])[0] == ["☂"]


# --- the close handshake -------------------------------------------------------------------------------


@sides
@pytest.mark.parametrize(("payload", "answer"), [(b"", 1000), (b"\x03\xf5", 1013), (b"\x0f\xa1bye", 4001)])
def test_a_close_frame_is_answered_once_and_nothing_follows_it(
    side: Side, payload: bytes, answer: int
) -> None:
    close = wire_frame(side, OP_CLOSE, payload)
    received, replies, code = outcome(side, [close + wire_frame(side, OP_TEXT, b"a ghost") + close])
    assert received == [Close(answer if payload else close_codes.NO_CODE, payload[2:].decode())]
    assert (replies, code) == ([(OP_CLOSE, close_payload(answer))], 0)


@sides
def test_nothing_is_sent_after_a_close_frame(side: Side) -> None:
    protocol = protocol_of(side)
    reader = MessageReader(protocol)
    assert frame_sent(protocol.close(1001, "going")) == (OP_CLOSE, close_payload(1001, "going"))
    assert protocol.close(1000) == protocol.frame(OP_TEXT, b"one more thing") == b""
    stream = wire_frame(side, OP_PING, b"there?") + wire_frame(side, OP_TEXT, b"late")
    assert list(reader.feed(stream + wire_frame(side, OP_CLOSE))) == [
        Control(OP_PING),
        "late",
        Close(1005, ""),
    ]
    assert not reader.replies


@sides
@pytest.mark.parametrize("payload", [b"\x03", b"\x03\xed", b"\x03\xee", b"\x00\x00", b"\xff\xff"])
def test_a_bad_close_frame_is_a_protocol_error_and_is_not_answered(side: Side, payload: bytes) -> None:
    assert outcome(side, [wire_frame(side, OP_CLOSE, payload)]) == ([], [], close_codes.PROTOCOL_ERROR)
