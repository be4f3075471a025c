"""What an app is told of a folder that has arrived, besides where it is."""

from __future__ import annotations

from typing import NamedTuple


class FolderArrival(NamedTuple):
    """`files`: how many files are in the folder, which have `files_bytes` bytes. `left_out`: how many of the
    files that its client has announced are missing.

    `manifest`: the path of the list of its files, or its URL. docs/reference/folders.md has the format.
    """

    files: int
    manifest: str
    files_bytes: int = 0
    left_out: int = 0
