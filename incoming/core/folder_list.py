"""The list of a folder's files that its app gets: JSON Lines, one line for each entry of the manifest."""

from __future__ import annotations

import msgspec

from incoming.core.folder_manifest import Entry


class _Line(msgspec.Struct, gc=False, omit_defaults=True):
    path: str
    key: str = ""
    size: int | None = None
    crc32c: str = ""
    sha256: str = ""
    modified_ms: int | None = None
    sent_path: str = ""
    left_out: bool = False


_ENCODER = msgspec.json.Encoder()


def line(entry: Entry, path: str, crc32c: int | None = None, sha256: bytes = b"", key: str = "") -> bytes:
    """Returns the line of an entry that is stored under this path, and ends it with a newline.

    A file without a CRC-32C is left out. `key` is that of its object, in a storage of objects.
    """
    return _ENCODER.encode(
        _Line(
            f"{path}/" if entry.is_folder else path,
            key,
            None if entry.is_folder else entry.size_bytes,
            "" if crc32c is None else f"{crc32c:08x}",
            sha256.hex(),
            entry.modified_ms,
            "" if entry.path.removesuffix("/") == path else entry.path,
            crc32c is None and not entry.is_folder,
        )
    ) + (b"\n")
