"""The digest of a whole file that its client names, or asks for: `sha256:HEX`, or `sha256:` while not known.

A ticket keeps it as this text. It is one of `core.hashes`, and its digits are in lower case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from incoming.core.hashes import SIZES_BYTES

_TEXT: Final = re.compile("([a-z0-9]+):((?:[0-9a-f]{2})*)")


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A hash by its name, and its value for the file; None while that is only asked for."""

    hash_name: str
    value: bytes | None = None

    @property
    def text(self) -> str:
        """What a ticket keeps."""
        return f"{self.hash_name}:{self.value.hex() if self.value else ''}"


def read(text: str) -> FileDigest | None:
    """Returns the digest of a text; None for an empty one, and for one that no digest has."""
    found = _TEXT.fullmatch(text)
    if not found or found[1] not in SIZES_BYTES:
        return None
    value = bytes.fromhex(found[2])
    return FileDigest(found[1], value or None) if len(value) in (0, SIZES_BYTES[found[1]]) else None


def first(known: str, claimed: str) -> str:
    """Returns which of two digests counts: the one that was known first, unless only the other has a value.

    A claimed text that no digest has counts for nothing.
    """
    before, after = read(known), read(claimed)
    if after is None or (before and (before.value or not after.value)):
        return known
    return claimed
