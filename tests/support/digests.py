"""The digests that a client names in headers (RFC 9530)."""

from __future__ import annotations

import base64
import hashlib

from incoming.core.checksum import checksum


def digest(algorithm: str, content: bytes) -> str:
    """Returns the value of a digest header."""
    names = {"sha-256": "sha256", "sha-512": "sha512", "md5": "md5", "sha": "sha1"}
    if algorithm == "crc32c":
        value = checksum(content).to_bytes(4)
    else:
        value = hashlib.new(names[algorithm], content, usedforsecurity=False).digest()
    return f"{algorithm}=:{base64.b64encode(value).decode()}:"
