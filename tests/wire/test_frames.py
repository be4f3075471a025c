"""WebSocket frames: each boundary of a header, each thing that RFC 6455 forbids, masks, and close frames."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.wire import close_codes
from incoming.wire.frames import (
    MAX_HEADER_BYTES,
    OP_BINARY,
    OP_CLOSE,
    OP_CONTINUATION,
    OP_PING,
    OP_PONG,
    OP_TEXT,
    FrameError,
    FrameHeader,
    build_frame,
    close_payload,
    parse_close_payload,
    parse_header,
    unmask,
)

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MASK = b"\x01\x02\x03\x04"
OPCODES = [0x0, 0x1, 0x2, 0x8, 0x9, 0xA]  # RFC 6455 section 5.2


def client_header(opcode: int, payload_bytes: int, *, final: bool = True, mask: bytes = MASK) -> bytes:
    """A header as a client writes it, from RFC 6455 section 5.2."""
    first = (0x80 if final else 0) | opcode
    if payload_bytes < 126:
        return struct.pack("!BB", first, 0x80 | payload_bytes) + mask
    if payload_bytes < 65536:
        return struct.pack("!BBH", first, 0x80 | 126, payload_bytes) + mask
    return struct.pack("!BBQ", first, 0x80 | 127, payload_bytes) + mask


# --- headers -------------------------------------------------------------------------------------------

LENGTHS = [(0, 6), (1, 6), (125, 6), (126, 8), (127, 8), (65535, 8), (65536, 14), (2**63 - 1, 14)]


@pytest.mark.parametrize(("payload_bytes", "header_bytes"), LENGTHS)
def test_a_header_is_parsed_at_every_boundary_of_its_length(payload_bytes: int, header_bytes: int) -> None:
    data = client_header(OP_BINARY, payload_bytes)
    assert parse_header(data) == FrameHeader(OP_BINARY, True, payload_bytes, MASK, header_bytes)
    assert header_bytes == len(data)


def test_no_header_is_longer_than_the_longest() -> None:
    assert max(header_bytes for _, header_bytes in LENGTHS) == MAX_HEADER_BYTES


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_header_is_parsed_from_any_buffer_and_what_follows_it_is_ignored(kind: type) -> None:
    header = parse_header(kind(client_header(OP_TEXT, 200) + b"the payload"))
    assert header == FrameHeader(OP_TEXT, True, 200, MASK, 8)


def test_the_opcodes_are_those_of_the_rfc() -> None:
    assert [OP_CONTINUATION, OP_TEXT, OP_BINARY, OP_CLOSE, OP_PING, OP_PONG] == OPCODES


def test_the_close_codes_are_those_of_the_rfc() -> None:
    assert (close_codes.PROTOCOL_ERROR, close_codes.INVALID_DATA, close_codes.TOO_BIG) == (1002, 1007, 1009)


@pytest.mark.parametrize("opcode", OPCODES)
def test_every_opcode_of_the_rfc_is_accepted(opcode: int) -> None:
    header = parse_header(client_header(opcode, 3))
    assert header is not None
    assert (header.opcode, header.is_control) == (opcode, opcode >= 8)


@pytest.mark.parametrize("opcode", [OP_CONTINUATION, OP_TEXT, OP_BINARY])
def test_a_message_may_come_in_several_frames(opcode: int) -> None:
    header = parse_header(client_header(opcode, 3, final=False))
    assert header is not None
    assert not header.final


FORBIDDEN = {
    "the first reserved bit": (b"\xc2\x83" + MASK, "reserved bits"),
    "the second reserved bit": (b"\xa2\x83" + MASK, "reserved bits"),
    "the third reserved bit": (b"\x92\x83" + MASK, "reserved bits"),
    "no mask": (b"\x82\x03abc", "masked"),
    "opcode 3": (b"\x83\x80" + MASK, "unknown opcode"),
    "opcode 7": (b"\x87\x80" + MASK, "unknown opcode"),
    "opcode 11": (b"\x8b\x80" + MASK, "unknown opcode"),
    "opcode 15": (b"\x8f\x80" + MASK, "unknown opcode"),
    "a ping in pieces": (client_header(OP_PING, 3, final=False), "control frame"),
    "a close frame in pieces": (client_header(OP_CLOSE, 3, final=False), "control frame"),
    "a ping of 126 bytes": (client_header(OP_PING, 126), "control frame"),
    "a pong of 65536 bytes": (client_header(OP_PONG, 65536), "control frame"),
    "0 in the middle form": (b"\x82\xfe\x00\x00" + MASK, "bad length"),
    "125 in the middle form": (b"\x82\xfe\x00\x7d" + MASK, "bad length"),
    "125 in the long form": (b"\x82\xff" + struct.pack("!Q", 125) + MASK, "bad length"),
    "65535 in the long form": (b"\x82\xff" + struct.pack("!Q", 65535) + MASK, "bad length"),
    "a negative length": (b"\x82\xff" + struct.pack("!Q", 2**63) + MASK, "bad length"),
    "the largest number": (b"\x82\xff" + b"\xff" * 8 + MASK, "bad length"),
}


@pytest.mark.parametrize(("data", "why"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_header_that_the_rfc_forbids_is_a_protocol_error(data: bytes, why: str) -> None:
    with pytest.raises(FrameError, match=why) as broken:
        parse_header(data)
    assert broken.value.code == 1002


@pytest.mark.parametrize("name", [name for name in FORBIDDEN if FORBIDDEN[name][1] != "bad length"])
def test_an_error_in_the_first_two_bytes_is_found_at_once(name: str) -> None:
    with pytest.raises(FrameError):
        parse_header(FORBIDDEN[name][0][:2])


def test_a_control_frame_may_have_125_bytes() -> None:
    header = parse_header(client_header(OP_PING, 125))
    assert header is not None
    assert header.payload_bytes == 125


def whole_or_error(data: bytes) -> FrameHeader | FrameError | None:
    try:
        return parse_header(data)
    except FrameError as exc:
        return exc


@same_each_run
@given(
    st.sampled_from(OPCODES),
    st.sampled_from([0, 1, 125, 126, 65535, 65536]) | st.integers(0, 2**63 - 1),
    st.booleans(),
    st.binary(min_size=4, max_size=4),
)
def test_a_prefix_of_a_header_gives_none_or_the_headers_own_error(
    opcode: int, payload_bytes: int, final: bool, mask: bytes
) -> None:
    data = client_header(opcode, payload_bytes, final=final, mask=mask)
    whole = whole_or_error(data)
    for size in range(len(data)):
        prefix = whole_or_error(data[:size])
        assert prefix is None or (isinstance(prefix, FrameError) and isinstance(whole, FrameError))
    if not isinstance(whole, FrameError):
        assert whole == FrameHeader(opcode, final, payload_bytes, mask, len(data))


@same_each_run
@given(st.binary(max_size=20))
def test_any_bytes_that_parse_are_the_header_that_a_client_builds(data: bytes) -> None:
    header = whole_or_error(data)
    if isinstance(header, FrameHeader):
        again = client_header(header.opcode, header.payload_bytes, final=header.final, mask=header.mask)
        assert data[: header.header_bytes] == again
        assert all(whole_or_error(data[:size]) is None for size in range(header.header_bytes))


# --- masks ---------------------------------------------------------------------------------------------


def naive(payload: bytes, mask: bytes, position: int) -> bytes:
    return bytes(byte ^ mask[(position + i) % 4] for i, byte in enumerate(payload))


@same_each_run
@given(
    st.binary(max_size=70),
    st.binary(min_size=4, max_size=4),
    st.integers(0, 2**40),
    st.integers(0, 15),
)
def test_a_payload_is_unmasked_at_any_length_position_and_alignment(
    payload: bytes, mask: bytes, position: int, start: int
) -> None:
    end = start + len(payload)
    buffer = bytearray(b"\xaa" * start + payload + b"\xaa" * 9)
    unmask(memoryview(buffer)[start:end], mask, position)
    assert buffer[start:end] == naive(payload, mask, position)
    assert buffer[:start] + buffer[end:] == b"\xaa" * (start + 9)  # nothing beside it is touched


def test_the_mask_starts_at_its_first_byte_unless_a_position_is_given() -> None:
    buffer = bytearray(11)
    unmask(memoryview(buffer), MASK)
    assert buffer == b"\x01\x02\x03\x04\x01\x02\x03\x04\x01\x02\x03"


def test_a_payload_in_slices_is_unmasked_like_one_in_a_piece() -> None:
    payload = bytes(range(256)) * 4
    buffer = bytearray(payload)
    for start, end in [(0, 3), (3, 10), (10, 500), (500, 1024)]:
        unmask(memoryview(buffer)[start:end], MASK, position=start)
    assert buffer == naive(payload, MASK, 0)


# --- frames of the server, and closing -------------------------------------------------------------------

HEADS = [
    (0, b"\x82\x00"),
    (125, b"\x82\x7d"),
    (126, b"\x82\x7e\x00\x7e"),
    (65535, b"\x82\x7e\xff\xff"),
    (65536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
]


@pytest.mark.parametrize(("size", "head"), HEADS)
def test_a_frame_of_the_server_is_whole_and_unmasked(size: int, head: bytes) -> None:
    assert build_frame(OP_BINARY, b"x" * size) == head + b"x" * size


def test_a_frame_may_be_empty_and_of_any_kind() -> None:
    assert build_frame(OP_PONG) == b"\x8a\x00"
    assert build_frame(OP_TEXT, b"hi") == b"\x81\x02hi"


def test_a_close_frame_carries_its_code_and_reason() -> None:
    assert close_payload(1000) == b"\x03\xe8"
    assert close_payload(4001, "bye ☂") == b"\x0f\xa1bye \xe2\x98\x82"


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("x" * 120 + "☂", "x" * 120 + "☂"),
        ("x" * 121 + "☂", "x" * 121),  # never half a character
        ("x" * 122 + "☂", "x" * 122),
        ("😀" * 40, "😀" * 30),
    ],
)
def test_a_long_close_reason_is_cut_between_two_characters(reason: str, kept: str) -> None:
    assert close_payload(1000, reason) == b"\x03\xe8" + kept.encode()


@same_each_run
@given(st.integers(0, 65535), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_close_frame_always_fits_and_has_the_beginning_of_its_reason(code: int, reason: str) -> None:
    payload = close_payload(code, reason)
    assert len(payload) <= 125
    assert int.from_bytes(payload[:2], "big") == code
    assert reason.startswith(payload[2:].decode())
    assert len(payload) > 121 or payload[2:].decode() == reason


GOOD_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
BAD_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", GOOD_CODES)
def test_a_close_frame_may_carry_every_code_that_may_be_sent(code: int) -> None:
    assert parse_close_payload(struct.pack("!H", code)) == (code, "")
    assert parse_close_payload(struct.pack("!H", code) + "☂".encode()) == (code, "☂")


def test_a_close_frame_without_a_code_has_no_code() -> None:
    assert parse_close_payload(b"") == (1005, "")


@pytest.mark.parametrize("payload", [struct.pack("!H", code) for code in BAD_CODES] + [b"\x03", b"\xe8"])
def test_a_close_code_that_may_not_be_sent_is_a_protocol_error(payload: bytes) -> None:
    with pytest.raises(FrameError, match="bad close code") as broken:
        parse_close_payload(payload)
    assert broken.value.code == 1002


@pytest.mark.parametrize("reason", [b"\xff", b"\xe2\x98", b"ok\x80", b"\xed\xa0\x80"])
def test_a_close_reason_must_be_utf_8(reason: bytes) -> None:
    with pytest.raises(FrameError, match="UTF-8") as broken:
        parse_close_payload(b"\x03\xe8" + reason)
    assert broken.value.code == 1007


# --- the other side ------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload_bytes", [0, 1, 125, 126, 65535, 65536])
def test_a_client_parses_what_the_server_builds(payload_bytes: int) -> None:
    frame = build_frame(OP_TEXT, b"x" * payload_bytes)
    header = parse_header(frame, from_client=False)
    assert header == FrameHeader(OP_TEXT, True, payload_bytes, b"", len(frame) - payload_bytes)


@pytest.mark.parametrize("payload_bytes", [0, 1, 125, 126, 65535, 65536])
def test_the_server_parses_what_a_client_builds(payload_bytes: int) -> None:
    payload = bytes(range(256)) * 256
    frame = bytearray(build_frame(OP_TEXT, payload[:payload_bytes], MASK))
    header = parse_header(frame)
    assert header == FrameHeader(OP_TEXT, True, payload_bytes, MASK, len(frame) - payload_bytes)
    masked = memoryview(frame)[header.header_bytes :]
    unmask(masked, MASK)
    assert masked == payload[:payload_bytes]


@pytest.mark.parametrize("mask", [b"", MASK])
def test_a_server_does_not_mask_and_a_client_does(mask: bytes) -> None:
    with pytest.raises(FrameError):
        parse_header(build_frame(OP_TEXT, b"a", mask), from_client=not mask)


@pytest.mark.parametrize("header", [b"\x81\x7e\x00\x7d", b"\x81\x7f" + bytes(6) + b"\xff\xff"])
def test_a_frame_of_a_server_with_a_longer_length_than_needed_is_refused(header: bytes) -> None:
    with pytest.raises(FrameError, match="bad length"):
        parse_header(header, from_client=False)
