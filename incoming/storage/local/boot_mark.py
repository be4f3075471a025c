"""The mark of a start of the machine. What is noted under another one may be from before a power cut."""

from __future__ import annotations

import hashlib
import os
from typing import Final

MARK_BYTES: Final = 8


def boot_mark(boot_id: str) -> bytes:
    """Returns the mark of this start of the machine: MARK_BYTES. Without an id each process has its own."""
    return hashlib.sha256(boot_id.encode()).digest()[:MARK_BYTES] if boot_id else os.urandom(MARK_BYTES)
