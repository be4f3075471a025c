"""Checksums: the values that others compute too, and digests of a file that comes in pieces."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.checksum import RunningDigest, checksum, combine, zeros_checksum
from incoming.core.hashes import HASHES, new_hash

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
checksums = st.integers(0, 2**32 - 1)
lengths_bytes = st.integers(0, 2**53 - 1)
MIB = 1 << 20

# RFC 3720 appendix B.4, as numbers; and the value that docs/reference/protocol.md names.
KNOWN = [
    (b"", 0),
    (b"123456789", 3808858755),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
]


@pytest.mark.parametrize(("data", "expected"), KNOWN)
def test_the_checksum_is_the_one_of_iscsi(data: bytes, expected: int) -> None:
    assert checksum(data) == checksum(memoryview(data)) == expected


@pytest.mark.parametrize("size_bytes", [0, 1, 7, 32, 4096, MIB + 1])
def test_zeros_have_the_checksum_that_reading_them_gives(size_bytes: int) -> None:
    assert zeros_checksum(size_bytes) == checksum(bytes(size_bytes))
    together = combine(0x12345678, zeros_checksum(size_bytes), size_bytes)
    assert together == checksum(bytes(size_bytes), 0x12345678)


@same_each_run
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_checksum_continues_another_one(first: bytes, second: bytes) -> None:
    assert checksum(second, checksum(first)) == checksum(first + second)


# --- two pieces, by their checksums alone --------------------------------------------------------


@same_each_run
@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_the_checksums_of_two_pieces_make_that_of_both(first: bytes, second: bytes) -> None:
    assert combine(checksum(first), checksum(second), len(second)) == checksum(first + second)


@same_each_run
@given(checksums, st.tuples(checksums, lengths_bytes), st.tuples(checksums, lengths_bytes))
def test_pieces_of_any_length_may_be_put_together_in_any_order(
    first: int, second: tuple[int, int], third: tuple[int, int]
) -> None:
    """Also those that no test can hold in memory."""
    (second_crc, second_bytes), (third_crc, third_bytes) = second, third
    from_the_left = combine(combine(first, second_crc, second_bytes), third_crc, third_bytes)
    behind = combine(second_crc, third_crc, third_bytes)
    assert from_the_left == combine(first, behind, second_bytes + third_bytes)


def test_sixty_four_mebibytes_of_zeros_can_be_doubled_together() -> None:
    crc, size_bytes = checksum(b"\0"), 1
    while size_bytes < 64 * MIB:
        crc, size_bytes = combine(crc, crc, size_bytes), 2 * size_bytes
    assert crc == checksum(bytes(64 * MIB))


@same_each_run
@given(checksums, lengths_bytes)
def test_a_piece_without_bytes_changes_nothing(crc: int, size_bytes: int) -> None:
    assert combine(crc, checksum(b""), 0) == crc
    assert combine(checksum(b""), crc, size_bytes) == crc


# --- a file that comes in pieces -------------------------------------------------------------------


def pieces_of(content: bytes, cuts: list[int]) -> list[memoryview]:
    places = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    return [memoryview(content)[start:end] for start, end in pairwise(places)]


@same_each_run
@given(st.binary(max_size=500), st.lists(st.integers(0, 500), max_size=6), st.data())
def test_whatever_the_pieces_are_the_digests_are_those_of_the_file(
    content: bytes, cuts: list[int], data: st.DataObject
) -> None:
    digest = RunningDigest(["sha256"])
    for piece in pieces_of(content, cuts):
        digest.add(piece, data.draw(st.sampled_from([None, checksum(piece)])))
    assert digest.position_bytes == len(content)
    assert digest.crc32c == checksum(content)
    assert digest.sha256 == hashlib.sha256(content).hexdigest()


def test_nothing_has_the_digests_of_an_empty_file() -> None:
    digest = RunningDigest(["sha256"])
    assert (digest.position_bytes, digest.crc32c) == (0, 0)
    assert digest.sha256 == hashlib.sha256(b"").hexdigest()


def test_without_being_asked_for_there_is_no_sha256() -> None:
    digest = RunningDigest()
    digest.add(memoryview(b"content"))
    assert digest.sha256 == ""


@same_each_run
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4), st.sets(st.sampled_from(HASHES)))
def test_each_hash_that_is_wanted_is_that_of_the_file(
    content: bytes, cuts: list[int], names: set[str]
) -> None:
    digest = RunningDigest(names)
    for piece in pieces_of(content, cuts):
        digest.add(piece)
    assert digest.has(*names, "crc32c")
    assert not digest.has(*HASHES) or {*names, "crc32c"} == {*HASHES}
    assert digest.is_fast is (names <= {"crc32c"})
    for name in names:
        alone = new_hash(name)
        alone.update(content)
        assert digest.value(name) == alone.digest()


def test_a_copied_digest_is_of_the_same_bytes_and_continues_by_itself() -> None:
    digest = RunningDigest(HASHES)
    digest.add(memoryview(b"content"))
    copied = digest.copy()
    digest.add(memoryview(b"?"))
    assert copied.position_bytes == len(b"content")
    for name in HASHES:
        alone = new_hash(name)
        alone.update(b"content")
        assert copied.value(name) == alone.digest() != digest.value(name)


def test_a_checksum_that_is_known_is_not_computed_again() -> None:
    digest = RunningDigest()
    digest.add(memoryview(b"content"), 0x12345678)
    assert digest.crc32c == 0x12345678, "it was compared before; a second look would cost time for nothing"
