"""The file that is sent. It is checked for changes, so that what arrives is one state of it.

The size that the system reports may be wrong. Files in /proc have content and report 0, those in /sys report
a page, and some network and FUSE file systems report old values. So the last byte and the one after it are
read before anything is sent, and again when the end of the file is read.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from incoming.client.protocol.events import File
from incoming.client.source import FileChanged, FileUnreadable
from incoming.core.units import NS_PER_MS


class FileSource:
    """See Source. A file of fixed length and modification time."""

    def __init__(self, path: Path) -> None:
        """Raises FileUnreadable, even if it is not a regular file, and FileChanged."""
        self.path = path
        self._fd = -1
        self._identity: tuple[int, int] | None = None
        self.open()

    @property
    def file(self) -> File:
        """The file as the server is told about it."""
        assert self._identity
        length_bytes, changed_ns = self._identity
        name = os.fsencode(self.path.absolute().name).decode("utf-8", "replace")
        return File(name, length_bytes, max(changed_ns // NS_PER_MS, 0))

    def open(self) -> None:
        """See Source."""
        self.close()
        try:
            # Without O_NONBLOCK, opening a pipe waits for its other end.
            self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            stat_result = os.fstat(self._fd)
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # a socket, or a device without a driver
                raise FileUnreadable(f"{self.path} is not a regular file.") from exc
            raise FileUnreadable(f"{self.path} can't be read: {exc.strerror}.") from exc
        if not stat.S_ISREG(stat_result.st_mode):
            raise FileUnreadable(f"{self.path} is not a regular file.")
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        self._identity = self._identity or (stat_result.st_size, stat_result.st_mtime_ns)
        try:
            self.check()
        except OSError as exc:
            raise FileUnreadable(f"{self.path} can't be read: {exc.strerror}.") from exc

    def read_into(self, buffer: memoryview, offset_bytes: int) -> None:
        """See Source."""
        end_bytes = offset_bytes + len(buffer)
        try:
            while buffer:
                read_bytes = os.preadv(self._fd, [buffer], offset_bytes)
                if not read_bytes:
                    break
                buffer, offset_bytes = buffer[read_bytes:], offset_bytes + read_bytes
            if end_bytes == self._size_bytes:
                self.check()
            else:
                self._check_unchanged()
        except OSError as exc:
            raise FileUnreadable(f"{self.path} can't be read at the moment: {exc.strerror}.") from exc
        if buffer:
            raise FileChanged(f"{self._reports}, but it ends after {offset_bytes:,}.")

    def leave_out(self, entries: frozenset[int]) -> None:
        """See Source: a file has no entries."""

    def check(self) -> None:
        """Checks that the file is unchanged and ends where its size says. Raises FileChanged, OSError."""
        size_bytes = self._size_bytes
        has_last_byte = not size_bytes or os.pread(self._fd, 1, size_bytes - 1)
        has_more = os.pread(self._fd, 1, size_bytes)
        self._check_unchanged()
        if has_more:
            raise FileChanged(f"{self._reports}, but it has more. Copy it and send the copy.")
        if not has_last_byte:
            raise FileChanged(f"{self._reports}, but it ends earlier. Copy it and send the copy.")

    @property
    def _size_bytes(self) -> int:
        return self._identity[0] if self._identity else 0

    @property
    def _reports(self) -> str:
        return f"The size of {self.path} is reported as {self._size_bytes:,} bytes"

    def _check_unchanged(self) -> None:
        now = os.fstat(self._fd)
        if (now.st_size, now.st_mtime_ns) != self._identity:
            was_bytes = self._size_bytes
            how = f": it had {was_bytes:,} bytes, now it has {now.st_size:,}"
            how = how if now.st_size != was_bytes else ""
            raise FileChanged(f"{self.path} has changed during the upload{how}.")

    def close(self) -> None:
        """Closes the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
