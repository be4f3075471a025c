"""Digests in headers: the examples of RFC 9530, and what is refused or left alone."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.errors import BadHeader
from incoming.core.hashes import SIZES_BYTES, new_hash
from incoming.protocol.digests import HASHES, InvalidDigest, digest_value, read_digest, wanted_hash
from incoming.protocol.request_checksum import Checksum

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CONTENT = b'{"hello": "world"}\n'
"""That of the examples in RFC 9530 appendix B."""
SHA_256 = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
SHA_512 = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:"


def read(value: str | None) -> Checksum | None:
    """Returns the digest in a Content-Digest with this value."""
    return read_digest("Content-Digest", value)


def sequence(data: bytes) -> str:
    """Returns a byte sequence, as a structured field has it."""
    return f":{base64.b64encode(data).decode()}:"


@pytest.mark.parametrize(("value", "name"), [(SHA_256, "sha256"), (SHA_512, "sha512")])
def test_the_digests_of_the_rfc_are_read(value: str, name: str) -> None:
    expected = hashlib.new(name, CONTENT).digest()
    assert read(value) == Checksum(name, expected)
    assert digest_value(name, expected) == value


@pytest.mark.parametrize("theirs", HASHES)
def test_each_known_algorithm_is_read_and_written(theirs: str) -> None:
    computed = new_hash(HASHES[theirs])
    computed.update(CONTENT)
    value = digest_value(HASHES[theirs], computed.digest())
    assert value == f"{theirs}={sequence(computed.digest())}"
    assert read(value) == Checksum(HASHES[theirs], computed.digest())


def test_the_strongest_of_several_is_compared() -> None:
    crc = f"crc32c={sequence(b'1234')}"
    strongest = read(SHA_512)
    assert read(f"{crc}, {SHA_256}, {SHA_512}") == strongest
    assert read(f"{SHA_512}, {crc}") == strongest
    assert read(f"{SHA_256}, {crc}") == read(SHA_256)
    assert read(f"unixsum=5, {crc}") == Checksum("crc32c", b"1234")


@pytest.mark.parametrize("value", [None, "", "foo=:AAAA:", "unixsum=30637, adler=:A5EAjA==:", "sha-1=:AA==:"])
def test_algorithms_that_are_not_known_are_left_alone(value: str | None) -> None:
    assert read(value) is None


@pytest.mark.parametrize(
    "value", ["sha-256", "sha-256=5", 'sha-256="abc"', "sha-256=(:AA==:)", "md5=?1", "md5=abc"]
)
def test_a_digest_that_is_not_a_byte_sequence_is_refused(value: str) -> None:
    with pytest.raises(BadHeader, match="Content-Digest must have a byte sequence for"):
        read(value)


@pytest.mark.parametrize(
    "value", ["sha-256=:A", "sha-256=", "=:AA==:", "SHA-256=:AA==:", ",", "sha-256 :AA==:"]
)
def test_what_is_not_a_dictionary_is_refused(value: str) -> None:
    with pytest.raises(BadHeader, match="Content-Digest must be a dictionary"):
        read(value)


@pytest.mark.parametrize("theirs", HASHES)
@pytest.mark.parametrize("more", [-1, 1])
def test_a_digest_of_the_wrong_size_is_refused(theirs: str, more: int) -> None:
    size_bytes = SIZES_BYTES[HASHES[theirs]]
    with pytest.raises(InvalidDigest, match=f"{theirs} that is not {size_bytes} bytes long"):
        read(f"{theirs}={sequence(bytes(size_bytes + more))}")


def test_a_malformed_digest_is_refused_beside_a_good_one() -> None:
    with pytest.raises(InvalidDigest):
        read(f"{SHA_512}, md5={sequence(b'short')}")


WISHES = [
    (None, None),
    ("", None),
    ("sha-256=1", "sha256"),
    ("sha-512=3, sha-256=10, unixsum=0", "sha256"),
    ("sha-256=5, sha-512=5", "sha512"),
    ("sha-512=0, sha-256=1", "sha256"),
    ("sha-512=0", None),
    ("unixsum=10, crc32c=1", "crc32c"),
    ("sha-256, sha-512=?1", None),
    ("sha-256=-3", None),
    ("sha-256=1.5", None),
    ("nonsense=", None),
]


@pytest.mark.parametrize(("value", "expected"), WISHES)
def test_the_digest_that_a_client_prefers_is_known(value: str | None, expected: str | None) -> None:
    assert wanted_hash(value) == expected


@same_each_run
@given(st.text(st.characters(max_codepoint=0xFF)))
def test_whatever_a_client_sends_is_read_or_refused(value: str) -> None:
    wanted_hash(value)
    try:
        digest = read(value)
    except BadHeader:
        return
    assert digest is None or len(digest.digest) == SIZES_BYTES[digest.algorithm]
