"""One process owns a storage directory: a lock that the kernel gives back however the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from incoming.errors import StorageInUse
from incoming.storage.probe import unusable

LOCK_FILE = "lock"
NOT_LOCKED = "the file `lock` in it can't be locked, so a second server could not be kept away"


class Ownership:
    """The lock on a storage directory, held until `give_up` or the end of the process."""

    def __init__(self, directory: Path) -> None:
        """Creates the directory when there is none. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._fd = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> None:
        """Takes the lock. Raises StorageInUse when another process has it, BadSetting where locks fail."""
        with unusable(self._directory, NOT_LOCKED):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise StorageInUse(str(self._directory)) from exc

    def wait(self) -> None:
        """Takes the lock as soon as the process that has it lets go. Blocks: not for the event loop."""
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def give_up(self) -> None:
        """Lets another process have the directory."""
        os.close(self._fd)
