"""The binary messages of version 2, byte by byte (docs/reference/protocol.md, Chunks)."""

from __future__ import annotations

import pytest
from crc32c import crc32c
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.protocol.chunks import HEADER_BYTES, parse

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
payloads = st.binary(min_size=1, max_size=300)
OFFSET_BYTES, CRC_BYTES, ROUND_BYTES = range(8), range(8, 12), range(12, 16)


def message(offset_bytes: int, number: int, payload: bytes) -> bytearray:
    """A chunk as a client writes it."""
    fields = ((offset_bytes, 8), (crc32c(payload), 4), (number, 4))
    return bytearray(b"".join(value.to_bytes(size, "big") for value, size in fields) + payload)


def test_a_chunk_is_read_as_it_is_documented() -> None:
    header = bytes.fromhex("0000000500000007 e3069283 00000003")
    chunk = parse(memoryview(header + b"123456789"))
    assert (chunk.offset_bytes, chunk.round) == (0x500000007, 3)
    assert (bytes(chunk.payload), chunk.crc32c, chunk.intact) == (b"123456789", 3808858755, True)


@same_each_run
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), payloads)
def test_what_a_client_writes_is_what_is_read(offset_bytes: int, number: int, payload: bytes) -> None:
    chunk = parse(memoryview(message(offset_bytes, number, payload)))
    assert (chunk.offset_bytes, chunk.round, bytes(chunk.payload)) == (offset_bytes, number, payload)
    assert (chunk.crc32c, chunk.intact) == (crc32c(payload), True)


@same_each_run
@given(payloads, st.data())
def test_one_flipped_bit_in_the_bytes_or_their_checksum_is_noticed(
    payload: bytes, data: st.DataObject
) -> None:
    damaged = message(0, 0, payload)
    places = [*CRC_BYTES, *range(HEADER_BYTES, len(damaged))]
    damaged[data.draw(st.sampled_from(places))] ^= 1 << data.draw(st.integers(0, 7))
    assert not parse(memoryview(damaged)).intact


@pytest.mark.parametrize("place", [*OFFSET_BYTES, *ROUND_BYTES])
def test_a_flipped_bit_in_the_rest_of_the_header_leads_elsewhere(place: int) -> None:
    damaged = message(1000, 1, b"content")
    damaged[place] ^= 0x10
    chunk = parse(memoryview(damaged))
    assert (chunk.offset_bytes, chunk.round) != (1000, 1), "which the session takes for damage"


@pytest.mark.parametrize("size_bytes", range(17))
def test_a_message_without_a_byte_of_the_file_is_not_sound(size_bytes: int) -> None:
    chunk = parse(memoryview(bytes(size_bytes)))
    assert not chunk.intact
    assert len(chunk.payload) == 0


def test_parsing_a_chunk_does_not_copy_its_bytes() -> None:
    buffer = message(0, 0, b"content")
    payload = parse(memoryview(buffer)).payload
    buffer[-1:] = b"!"
    assert bytes(payload) == b"conten!"
