"""Errors of the IETF's resumable uploads as problem details (RFC 9457), with the types that are registered.

draft-ietf-httpbis-resumable-upload has types for offsets and lengths (section 7 of -12), and
draft-ietf-httpapi-digest-fields-problem-types has those for digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from incoming.core.errors import (
    ChecksumMismatch,
    DigestMismatch,
    IncomingError,
    LengthMismatch,
    OffsetMismatch,
    TooManyBytes,
)
from incoming.protocol.digests import InvalidDigest
from incoming.protocol.ietf_draft import InconsistentLength

MEDIA_TYPE: Final = "application/problem+json"
REGISTRY: Final = "https://iana.org/assignments/http-problem-types#"
_TYPES: Final[Mapping[type[IncomingError], tuple[str, str]]] = {
    OffsetMismatch: ("mismatching-upload-offset", "Mismatching Upload Offset"),
    LengthMismatch: ("inconsistent-upload-length", "Inconsistent Upload Length Values"),
    InconsistentLength: ("inconsistent-upload-length", "Inconsistent Upload Length Values"),
    InvalidDigest: ("digest-invalid-values", "Invalid Digest Values"),
    TooManyBytes: ("inconsistent-upload-length", "Inconsistent Upload Length Values"),
    DigestMismatch: ("digest-mismatched-values", "Mismatched Digest Values"),
    ChecksumMismatch: ("digest-mismatched-values", "Mismatched Digest Values"),
}


def problem(error: IncomingError, status: int, phrase: str) -> dict[str, object]:
    """Returns the members of the problem. `phrase` is that of the status, for errors without a type.

    `code` is our own member: the stable code, as in all JSON of this server.
    """
    name, title = next((named for kind, named in _TYPES.items() if isinstance(error, kind)), ("", phrase))
    members: dict[str, object] = {
        "type": REGISTRY + name if name else "about:blank",
        "title": title,
        "status": status,
        "detail": str(error),
        "code": error.code,
    }
    if isinstance(error, OffsetMismatch):
        members |= {"expected-offset": error.expected_bytes, "provided-offset": error.got_bytes}
    return members
