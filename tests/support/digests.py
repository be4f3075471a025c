"""The digests that a client names in headers (RFC 9530)."""

from __future__ import annotations

from tests.support.tus import checksum


def digest(algorithm: str, content: bytes) -> str:
    """Returns the value of a digest header."""
    names = {"sha-256": "sha256", "sha-512": "sha512", "sha": "sha1"}
    _, in_base64 = checksum(names.get(algorithm, algorithm), content).split(" ")
    return f"{algorithm}=:{in_base64}:"
