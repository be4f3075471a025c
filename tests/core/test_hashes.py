"""Checksums and digests: the values that others publish, and bytes that come in pieces."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.checksum import checksum
from incoming.core.hashes import HASHES, SIZES_BYTES, new_hash

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Of the nine bytes "123456789": the check values of the CRC catalogue, and those of sha1sum and its kin.
KNOWN = {
    "crc32c": "e3069283",
    "crc32": "cbf43926",
    "md5": "25f9e794323b453885f5181f1b624d0b",
    "sha1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "sha256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "sha512": hashlib.sha512(b"123456789").hexdigest(),
}


@pytest.mark.parametrize("name", HASHES)
def test_a_value_is_the_one_that_others_compute(name: str) -> None:
    computed = new_hash(name)
    computed.update(b"123456789")
    assert computed.digest().hex() == KNOWN[name]
    assert len(computed.digest()) == SIZES_BYTES[name]


@same_each_run
@given(st.sampled_from(HASHES), st.binary(max_size=300), st.integers(0, 300))
def test_bytes_may_come_in_pieces_of_any_size(name: str, content: bytes, cut: int) -> None:
    whole, pieces = new_hash(name), new_hash(name)
    whole.update(content)
    pieces.update(memoryview(content)[:cut])
    pieces.update(content[cut:])
    assert pieces.digest() == whole.digest()


def test_crc32c_is_the_checksum_of_chunks_in_four_bytes() -> None:
    computed = new_hash("crc32c")
    computed.update(b"a piece")
    assert computed.digest() == checksum(b"a piece").to_bytes(4)


def test_no_hash_shares_its_state_with_another_one() -> None:
    for name in HASHES:
        new_hash(name).update(b"other bytes")
        first, second = new_hash(name), new_hash(name)
        first.update(b"a")
        assert first.digest() != second.digest()


@pytest.mark.parametrize("name", HASHES)
def test_a_copied_digest_continues_independently(name: str) -> None:
    computed = new_hash(name)
    computed.update(b"1234")
    copied = computed.copy()
    computed.update(b"other bytes")
    copied.update(b"56789")
    assert copied.digest().hex() == KNOWN[name]
    assert computed.digest() != copied.digest()


def test_an_unknown_hash_is_an_error_of_the_caller() -> None:
    with pytest.raises(KeyError):
        new_hash("md4")
