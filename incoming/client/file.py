"""The file that is sent: read at its place, and watched, so that what arrives is one state of it.

A size that the system reports is not believed. Files of /proc have content and report 0, those of /sys report
a page, and some network and FUSE file systems report what they knew a while ago. So one byte is read where
the file should end, and one behind it, before anything is sent and again where the last byte is read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from incoming.client.protocol.events import File

NS_PER_MS: Final = 1_000_000


class Spoiled(Exception):
    """The file is not what it was when its upload began, or not what its size says; the words name it."""


class Unreadable(Exception):
    """The file can't be read at the moment; the words name it."""


class Source:
    """A file of a fixed length and time. It may be opened again: drives and networks come and go."""

    def __init__(self, path: Path) -> None:
        """Raises Unreadable, also for what is no file, and Spoiled."""
        self.path = path
        self._fd = -1
        self._found: tuple[int, int] | None = None
        self.open()

    @property
    def file(self) -> File:
        """What the server is told about it."""
        assert self._found
        length_bytes, changed_ns = self._found
        name = os.fsencode(self.path.absolute().name).decode("utf-8", "replace")
        return File(name, length_bytes, max(changed_ns // NS_PER_MS, 0))

    def open(self) -> None:
        """Opens it, once more if it is open already. Raises Unreadable, Spoiled."""
        self.close()
        try:
            # Opening a pipe would wait for its other end.
            self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            found = os.fstat(self._fd)
        except OSError as exc:
            raise Unreadable(f"{self.path} can't be read: {exc.strerror}.") from exc
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(f"{self.path} is not a file that can be sent again from the middle.")
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        self._found = self._found or (found.st_size, found.st_mtime_ns)
        try:
            self.check()
        except OSError as exc:
            raise Unreadable(f"{self.path} can't be read: {exc.strerror}.") from exc

    def read_into(self, place: memoryview, offset_bytes: int) -> None:
        """Fills all of `place` with the file's bytes from the offset on. Raises Spoiled, Unreadable."""
        end_bytes = offset_bytes + len(place)
        try:
            while place:
                read_bytes = os.preadv(self._fd, [place], offset_bytes)
                if not read_bytes:
                    break
                place, offset_bytes = place[read_bytes:], offset_bytes + read_bytes
            if end_bytes == self._size_bytes:
                self.check()
            else:
                self._check_unchanged()
        except OSError as exc:
            raise Unreadable(f"{self.path} can't be read at the moment: {exc.strerror}.") from exc
        if place:
            raise Spoiled(f"{self._reports}, but it ends after {offset_bytes:,}.")

    def check(self) -> None:
        """Looks whether the file is as it was, and ends where its size says. Raises Spoiled, OSError."""
        size_bytes = self._size_bytes
        has_last = not size_bytes or os.pread(self._fd, 1, size_bytes - 1)
        has_more = os.pread(self._fd, 1, size_bytes)
        self._check_unchanged()
        if has_more:
            raise Spoiled(f"{self._reports}, but there is more in it. Copy it, and send the copy.")
        if not has_last:
            raise Spoiled(f"{self._reports}, but it ends before. Copy it, and send the copy.")

    @property
    def _size_bytes(self) -> int:
        return self._found[0] if self._found else 0

    @property
    def _reports(self) -> str:
        return f"The size of {self.path} is reported as {self._size_bytes:,} bytes"

    def _check_unchanged(self) -> None:
        now = os.fstat(self._fd)
        if (now.st_size, now.st_mtime_ns) != self._found:
            was_bytes = self._size_bytes
            how = f": it had {was_bytes:,} bytes, now it has {now.st_size:,}"
            how = how if now.st_size != was_bytes else ""
            raise Spoiled(f"{self.path} was changed while it was sent{how}.")

    def close(self) -> None:
        """Lets go of it."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
