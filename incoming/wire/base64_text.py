"""Base64 in the value of a header (RFC 4648 section 4). Some clients leave out the padding."""

from __future__ import annotations

import base64
import binascii


def decoded(text: str) -> bytes | None:
    """Returns the bytes that `text` stands for; None if it is not base64. The padding may be missing."""
    bare = text.rstrip("=")
    padding = "=" * (-len(bare) % 4)
    if text not in (bare, bare + padding):
        return None
    try:
        return base64.b64decode(bare + padding, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None
