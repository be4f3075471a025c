"""The body of a request is compared with the checksums that came with it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from itertools import pairwise

import pytest
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.core.errors import ChecksumMismatch, UnsupportedChecksum
from incoming.protocol.request_checksum import DIGEST_BYTES, Checksum, Checksums, RequestChecksums

same_each_run = settings(derandomize=True, deadline=None)

KNOWN = {
    "sha1": bytes.fromhex("2aae6c35c94fcfb415dbe95f408b9ce91ee846ed"),
    "md5": bytes.fromhex("5eb63bbbe01eeed093cb22bb8f5acdc3"),
    "sha256": bytes.fromhex("b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"),
    "sha512": hashlib.sha512(b"hello world").digest(),
    "crc32": bytes.fromhex("0d4a1185"),
    "crc32c": bytes.fromhex("c99465aa"),
}
"""Of `hello world`. That of sha1 is the example in the text of tus 1.0."""
every_algorithm = pytest.mark.parametrize("algorithm", DIGEST_BYTES)


def verified(body: bytes, checks: RequestChecksums, trailers: Mapping[str, str] | None = None) -> None:
    """Passes the body in three pieces. Raises what `verify` raises."""
    for start, end in pairwise([0, len(body) // 3, len(body) // 2, len(body)]):
        checks.update(memoryview(body)[start:end])
    checks.verify(trailers or {})


@every_algorithm
def test_the_checksum_of_known_bytes_is_the_known_one(algorithm: str) -> None:
    verified(b"hello world", RequestChecksums((Checksum(algorithm, KNOWN[algorithm]),)))


@every_algorithm
def test_other_bytes_do_not_match_the_checksum(algorithm: str) -> None:
    expected = (Checksum(algorithm, KNOWN[algorithm]),)
    for body in (b"hello worle", b"", b"hello world\0"):
        with pytest.raises(ChecksumMismatch):
            verified(body, RequestChecksums(expected))


@every_algorithm
def test_an_empty_body_has_a_checksum_too(algorithm: str) -> None:
    empty = {"crc32": bytes(4), "crc32c": bytes(4)}
    digest = empty[algorithm] if algorithm in empty else hashlib.new(algorithm).digest()
    RequestChecksums((Checksum(algorithm, digest),)).verify({})


@same_each_run
@given(st.binary(max_size=300))
def test_a_crc_is_sent_as_its_bytes_the_highest_first(body: bytes) -> None:
    for name, value in (("crc32c", crc32c(body)), ("crc32", zlib.crc32(body))):
        verified(body, RequestChecksums((Checksum(name, value.to_bytes(4, "big")),)))


def test_each_of_several_checksums_counts() -> None:
    good = tuple(Checksum(name, digest) for name, digest in KNOWN.items())
    verified(b"hello world", RequestChecksums(good))
    with pytest.raises(ChecksumMismatch):
        verified(b"hello world", RequestChecksums((*good, Checksum("md5", bytes(16)))))


def test_a_body_without_checksums_is_not_compared() -> None:
    assert not RequestChecksums()
    assert RequestChecksums((Checksum("md5", bytes(16)),))


def test_only_what_is_as_fast_as_memory_is_called_fast() -> None:
    crc = Checksum("crc32c", bytes(4))
    assert RequestChecksums((crc,)).is_fast
    assert not RequestChecksums((crc, Checksum("sha1", bytes(20)))).is_fast


def of_world(trailers: Mapping[str, str]) -> Checksums:
    """Reads trailers {algorithm: digest in hexadecimal digits}."""
    return tuple(Checksum(name, bytes.fromhex(text)) for name, text in trailers.items())


@pytest.mark.parametrize("algorithm", ["crc32c", "sha1"])
def test_a_checksum_behind_the_body_counts_as_one_before_it(algorithm: str) -> None:
    for digest, matches in ((KNOWN[algorithm], True), (bytes(DIGEST_BYTES[algorithm]), False)):
        checks = RequestChecksums((), of_world, ("crc32c", "sha1"))
        assert checks
        if matches:
            verified(b"hello world", checks, {algorithm: digest.hex()})
        else:
            with pytest.raises(ChecksumMismatch):
                verified(b"hello world", checks, {algorithm: digest.hex()})


def test_a_trailer_names_an_algorithm_that_was_computed() -> None:
    with pytest.raises(UnsupportedChecksum, match="supports sha1"):
        verified(b"x", RequestChecksums((), of_world, ("sha1",)), {"md5": KNOWN["md5"].hex()})


def test_the_reader_of_the_trailers_may_refuse_them() -> None:
    def refuse(trailers: Mapping[str, str]) -> Checksums:
        raise ValueError(trailers)

    with pytest.raises(ValueError, match="nothing"):
        RequestChecksums((), refuse).verify({"nothing": ""})
