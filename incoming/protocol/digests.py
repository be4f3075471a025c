"""Digests of content and of whole files in headers (RFC 9530), by the names that the hashes have here.

Content-Digest is about the content of one request, Repr-Digest about the whole file. Both are dictionaries of
byte sequences. A receiver may ignore an algorithm (section 2), and so those that are not known here are.
"""

from __future__ import annotations

from typing import Final

from incoming.core.errors import BadHeader
from incoming.core.file_digest import FileDigest
from incoming.core.hashes import SIZES_BYTES
from incoming.protocol.request_checksum import Checksum, Checksums
from incoming.wire.find_header import FindHeader, announces
from incoming.wire.structured_fields import dictionary, serialized

CONTENT_DIGEST: Final = "Content-Digest"
REPR_DIGEST: Final = "Repr-Digest"
WANT_REPR_DIGEST: Final = "Want-Repr-Digest"
HASHES: Final = {"sha-512": "sha512", "sha-256": "sha256", "sha": "sha1", "md5": "md5", "crc32c": "crc32c"}
"""The algorithms of the registry that are computed here, the strongest first: {their name: ours}."""
_ALGORITHMS: Final = {ours: theirs for theirs, ours in HASHES.items()}


class InvalidDigest(BadHeader):
    """A digest has a size that its algorithm never gives it."""


def read_digest(header: str, value: str | None) -> Checksum | None:
    """Returns the strongest digest in a header; None if it is missing, or has unknown ones only.

    Raises BadHeader; InvalidDigest for one that cannot be a value of its algorithm. A client that sends a
    digest wants its bytes compared, so a malformed one is refused.
    """
    if value is None:
        return None
    digests = dictionary(value)
    if digests is None:
        raise BadHeader(header, "must be a dictionary of byte sequences, such as sha-256=:...:")
    found = None
    for algorithm, ours in HASHES.items():
        if algorithm not in digests:
            continue
        digest = digests[algorithm]
        if not isinstance(digest, bytes):
            raise BadHeader(header, f"must have a byte sequence for {algorithm}, such as {algorithm}=:...:")
        if len(digest) != SIZES_BYTES[ours]:
            raise InvalidDigest(
                header, f"has a digest for {algorithm} that is not {SIZES_BYTES[ours]} bytes long"
            )
        found = found or Checksum(ours, digest)
    return found


def content_digests(find: FindHeader) -> Checksums:
    """Returns what a client says of the content of its request, which may be nothing. Raises BadHeader."""
    digest = read_digest(CONTENT_DIGEST, find(CONTENT_DIGEST))
    return (digest,) if digest else ()


def named_file_digest(find: FindHeader) -> str:
    """Returns the digest of the whole file that a client names, as a ticket keeps it; empty for none.

    Raises BadHeader.
    """
    digest = read_digest(REPR_DIGEST, find(REPR_DIGEST))
    return FileDigest(digest.algorithm, digest.digest).text if digest else ""


def file_digest_follows(find: FindHeader) -> bool:
    """Returns whether the digest of the whole file is said to come as a trailer."""
    return announces(find, REPR_DIGEST)


def wanted_hash(value: str | None) -> str | None:
    """Returns which digest a client prefers, as Want-Repr-Digest says (section 4); None if it wants none.

    A preference is an integer up to 10, and 0 refuses an algorithm. Of equal ones the strongest is taken.
    A wish that cannot be read is none.
    """
    wishes = dictionary(value) or {}
    weights = {ours: wishes.get(theirs) for theirs, ours in HASHES.items()}
    known = {ours: weight for ours, weight in weights.items() if type(weight) is int and weight > 0}
    return max(known, key=known.__getitem__) if known else None


def digest_value(hash_name: str, digest: bytes) -> str:
    """Returns the value of a header with this digest. `hash_name` is one of those in HASHES."""
    return serialized({_ALGORITHMS[hash_name]: digest})
