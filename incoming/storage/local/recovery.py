"""Finds what a power cut took of files without checkpoints: a hole is where bytes never reached the disk.

Files are written without gaps, so a hole is a loss. A file system that stores zeros as holes, or does not
report holes, allows no such conclusion (`probe` finds out).
"""

from __future__ import annotations

import os

from incoming.runtime.filesystem import disk_errors
from incoming.storage.local.directory import UploadDirectory
from incoming.storage.local.posix import GONE, closing


class LocalRecovery:
    """See storage.Recovery."""

    def __init__(self, directory: UploadDirectory) -> None:
        self._directory = directory

    def discard_lost(self, ticket_id: str) -> int:
        """See storage.Recovery. It blocks on the disk: it runs before the server serves anybody."""
        with disk_errors:
            try:
                fd = self._directory.open(ticket_id, os.O_RDWR)
            except GONE:
                return 0
            with closing(fd):
                return truncate_at_first_hole(fd)


def truncate_at_first_hole(fd: int) -> int:
    """Truncates a file that was written without gaps at its first hole. Returns how many bytes are discarded.

    Raises OSError.
    """
    size_bytes = os.fstat(fd).st_size
    hole_at = os.lseek(fd, 0, os.SEEK_HOLE) if size_bytes else 0
    if hole_at < size_bytes:
        os.ftruncate(fd, hole_at)
    return size_bytes - hole_at
