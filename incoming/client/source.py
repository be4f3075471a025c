"""What is sent: a file, or a folder as one stream."""

from __future__ import annotations

from typing import Protocol

from incoming.client.protocol.events import File


class FileChanged(Exception):
    """A file has changed since its upload began, or its size is wrong; the text names it.

    `entry`: which entry of the folder it is; None where only one file is sent.
    """

    def __init__(self, why: str, entry: int | None = None) -> None:
        super().__init__(why)
        self.entry = entry


class FileUnreadable(Exception):
    """A file can't be read at the moment; the text names it. `entry`: see FileChanged."""

    def __init__(self, why: str, entry: int | None = None) -> None:
        super().__init__(why)
        self.entry = entry


class Source(Protocol):
    """A stream of fixed length. All reads come from one state of each file, or fail."""

    @property
    def file(self) -> File:
        """What the server is told about it."""

    def open(self) -> None:
        """Opens it, again if it is open: drives may come back. Raises FileUnreadable, FileChanged."""

    def read_into(self, buffer: memoryview, offset_bytes: int) -> None:
        """Fills `buffer` with the stream's bytes from the offset on. Raises FileChanged, FileUnreadable."""

    def leave_out(self, entries: frozenset[int]) -> None:
        """From now on, the bytes of these entries of the folder, and of no others, read as zeros."""

    def check(self) -> None:
        """Checks that all is as it was when its upload began. Raises FileChanged, OSError."""

    def close(self) -> None:
        """Closes what is open."""
