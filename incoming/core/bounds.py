"""How long a text may be that a stranger gives and the server keeps.

A client that has a ticket may send texts: a file name, a reason. They go into the journal at each change of
the ticket, and into memory for as long as it is known. Bounds are in bytes of UTF-8, as file systems count
them.
"""

from __future__ import annotations

from typing import Final

MAX_NAME_BYTES: Final = 255
"""What file systems take for a name: NAME_MAX of Linux."""
MAX_EXTENSION_BYTES: Final = 32
"""The longest text after a dot that counts as an extension."""
MAX_UPLOAD_METADATA_BYTES: Final = 4096
"""The longest header Upload-Metadata of tus. A longer one is refused: cut, it would mean something else."""
MAX_REASON_BYTES: Final = 4000
"""The longest reason that is kept. It holds a thousand characters of any kind."""
MAX_REMEMBERED_LEFT_OUT: Final = 1000
"""How many files of a folder a ticket remembers that were left out. Of more of them it remembers none."""


def cut(text: str, max_bytes: int) -> str:
    """Returns the beginning of a text, `max_bytes` long at most. No character is broken."""
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= max_bytes else encoded[:max_bytes].decode("utf-8", "ignore")


def cut_name(name: str) -> str:
    """Returns a file name that a file system can take. The extension stays: programs rely on it."""
    stem, dot, extension = name.rpartition(".")
    end = dot + extension
    if not stem or len(end.encode("utf-8", "replace")) > MAX_EXTENSION_BYTES:
        return cut(name, MAX_NAME_BYTES)
    return cut(stem, MAX_NAME_BYTES - len(end.encode("utf-8", "replace"))) + end
