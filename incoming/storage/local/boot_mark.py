"""The mark of a boot of the machine. A record with another mark may be from before a power cut."""

from __future__ import annotations

import hashlib
import os
from typing import Final

MARK_BYTES: Final = 8


def boot_mark(boot_id: str) -> bytes:
    """Returns the mark of this boot: MARK_BYTES. Where it has no id, each process has a mark of its own."""
    return hashlib.sha256(boot_id.encode()).digest()[:MARK_BYTES] if boot_id else os.urandom(MARK_BYTES)
