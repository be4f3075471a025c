"""Opens the files of a folder by descriptors, so that no link on the way is followed."""

from __future__ import annotations

import os
from typing import Final

from incoming.client.folder_walk import FILE_FLAGS

_ON_THE_WAY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderFiles:
    """The files below a root. The folders on the way to the last one stay open: the next is near it."""

    def __init__(self, root_fd: int) -> None:
        """Takes the descriptor of the root over."""
        self._fds = [root_fd]
        self._names: list[str] = []
        self._above = ""

    def open(self, place: str) -> int:
        """Returns a descriptor of the file at this path. Raises OSError."""
        above, _, name = place.rpartition("/")
        if above != self._above:
            self._enter(above)
        return os.open(name, FILE_FLAGS, dir_fd=self._fds[-1])

    def stat(self, place: str) -> os.stat_result:
        """Returns what the system says about the file at this path. Raises OSError."""
        above, _, name = place.rpartition("/")
        if above != self._above:
            self._enter(above)
        return os.stat(name, dir_fd=self._fds[-1], follow_symlinks=False)

    def _enter(self, above: str) -> None:
        names = above.split("/") if above else []
        shared = 0
        for name, known in zip(names, self._names, strict=False):
            if name != known:
                break
            shared += 1
        self._leave(shared)
        try:
            for name in names[shared:]:
                self._fds.append(os.open(name, _ON_THE_WAY, dir_fd=self._fds[-1]))
                self._names.append(name)
        finally:
            self._above = "/".join(self._names)

    def _leave(self, depth: int) -> None:
        for fd in self._fds[depth + 1 :]:
            os.close(fd)
        del self._fds[depth + 1 :], self._names[depth:]

    def close(self) -> None:
        """Closes all descriptors."""
        self._leave(0)
        os.close(self._fds[0])
