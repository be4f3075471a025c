"""Files and folders below a folder, by descriptors: no link is followed, whoever has put it there.

Every function blocks on the disk and raises OSError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections import OrderedDict
from collections.abc import Iterator
from itertools import count
from typing import Final

from incoming.core.folder_names import MAX_DEPTH
from incoming.core.units import NS_PER_MS
from incoming.runtime.filesystem import set_mode
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.deletion import Deletion
from incoming.storage.local.directory import DIR_MODE, FILE_MODE
from incoming.storage.local.posix import FOLDER_FLAGS, GONE, NO_FOLLOW, closing

FOLDERS_KEPT: Final = 8
"""How many folders stay open: those that got files last."""


class FolderTree:
    """The tree below one folder. Paths have `/` between the names, and no name is empty, `.` or `..`."""

    def __init__(self, root_fd: int) -> None:
        """The tree closes the descriptor when it is closed."""
        self.root_fd = root_fd
        self._open: OrderedDict[str, int] = OrderedDict()
        self._sets_modes = True
        """Whether a new file gets another mode than it should have, for example because of the umask."""

    def close(self) -> None:
        """Closes all descriptors. Does nothing on a closed tree."""
        fds, self.root_fd = [self.root_fd, *self._open.values()], -1
        self._open.clear()
        for fd in fds:
            if fd >= 0:
                close_descriptor(fd)

    def create(self, path: str) -> int:
        """Creates a file that does not exist, and the folders above it. Returns its descriptor."""
        above, _, name = path.rpartition("/")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW
        fd = os.open(name, flags, FILE_MODE, dir_fd=self.folder(above, create=True))
        if self._sets_modes:
            try:
                self._sets_modes = stat.S_IMODE(os.fstat(fd).st_mode) != FILE_MODE and set_mode(fd, FILE_MODE)
            except BaseException:
                close_descriptor(fd)
                raise
        return fd

    def create_folder(self, path: str) -> None:
        """Creates a folder if there is none, and the folders above it."""
        self.folder(path, create=True)

    def open(self, path: str, flags: int = os.O_RDONLY) -> int:
        """Returns a descriptor of a file that exists."""
        above, _, name = path.rpartition("/")
        return os.open(name, flags | NO_FOLLOW, dir_fd=self.folder(above))

    def size(self, path: str) -> int | None:
        """Returns the length of a file; None if there is none."""
        above, _, name = path.rpartition("/")
        try:
            status = os.stat(name, dir_fd=self.folder(above), follow_symlinks=False)
        except GONE:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def unlink(self, path: str, deletion: Deletion) -> None:
        """Deletes a file. A missing one is not an error. Call `deletion.start` next."""
        above, _, name = path.rpartition("/")
        with contextlib.suppress(*GONE):
            deletion.unlink(name, self.folder(above))

    def empty(self, deletion: Deletion) -> None:
        """Deletes everything in it. Call `deletion.start` next."""
        while self._open:
            close_descriptor(self._open.popitem()[1])
        for folder_fd, entry in everything(self.root_fd):
            if entry.is_dir(follow_symlinks=False):
                os.rmdir(entry.name, dir_fd=folder_fd)
            else:
                deletion.unlink(entry.name, folder_fd)

    def set_time(self, path: str, modified_ms: int) -> None:
        """Sets when a file or folder was changed last, in milliseconds since 1970."""
        above, _, name = path.rpartition("/")
        set_time(name, modified_ms, self.folder(above))

    def folder(self, path: str, create: bool = False) -> int:
        """Returns a descriptor of a folder, which stays open for a while. The empty path is the root."""
        if not path:
            return self.root_fd
        fd = self._open.get(path)
        if fd is not None:
            self._open.move_to_end(path)
            return fd
        above, _, name = path.rpartition("/")
        above_fd = self.folder(above, create)
        if create:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, DIR_MODE & 0o777, dir_fd=above_fd)
        fd = os.open(name, FOLDER_FLAGS, dir_fd=above_fd)
        if create:
            set_mode(fd, DIR_MODE)
        self._open[path] = fd
        if len(self._open) > FOLDERS_KEPT:
            close_descriptor(self._open.popitem(last=False)[1])
        return fd


def set_time(file: int | str, modified_ms: int, dir_fd: int | None = None) -> None:
    """Sets when a file or folder was changed last, in milliseconds since 1970. A link is not followed."""
    times_ns = modified_ms * NS_PER_MS, modified_ms * NS_PER_MS
    if dir_fd is None:
        os.utime(file, ns=times_ns)
    else:
        os.utime(file, ns=times_ns, dir_fd=dir_fd, follow_symlinks=False)


def everything(folder_fd: int, depth: int = MAX_DEPTH + 1) -> Iterator[tuple[int, os.DirEntry[str]]]:
    """Yields what is below a folder, and the descriptor of its folder: each folder after its content.

    A descriptor is closed once all of its folder was seen. A tree that is deeper than an upload can be is an
    OSError.
    """
    with os.scandir(folder_fd) as found:
        entries = list(found)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not depth:
                raise OSError(errno.ELOOP, "The folder is too deep")
            with closing(os.open(entry.name, FOLDER_FLAGS, dir_fd=folder_fd)) as fd:
                yield from everything(fd, depth - 1)
        yield folder_fd, entry


def is_folder(name: str, parent_fd: int) -> bool:
    """Returns whether something is a folder, and not a link to one. Raises FileNotFoundError."""
    return stat.S_ISDIR(os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode)


class _Enough(Exception):
    """The files that may be deleted at once are used up."""


class _Budget:
    """How many files may still be deleted."""

    def __init__(self, max_files: int) -> None:
        self._left = max_files

    def spend(self) -> None:
        """Counts a file that is about to be deleted. Raises _Enough."""
        if not self._left:
            raise _Enough
        self._left -= 1


def remove_tree(name: str, parent_fd: int, deletion: Deletion, max_files: int = sys.maxsize) -> bool:
    """Deletes a folder with everything in it. A missing one is not an error. Call `deletion.start` next.

    Returns False if it has more than `max_files` files. Then it has deleted that many. However deep the
    folder is, it takes two descriptors: what is in a folder of the folder is moved up first.
    """
    try:
        fd = os.open(name, FOLDER_FLAGS, dir_fd=parent_fd)
    except FileNotFoundError:
        return True
    numbers, budget = count(), _Budget(max_files)
    try:
        while folders := _unlink_files(fd, deletion, budget):
            for folder in folders:
                with closing(os.open(folder, FOLDER_FLAGS, dir_fd=fd)) as inner_fd:
                    for inner in _unlink_files(inner_fd, deletion, budget):
                        _move_up(inner, inner_fd, fd, numbers)
                os.rmdir(folder, dir_fd=fd)
    except _Enough:
        return False
    finally:
        close_descriptor(fd)
    os.rmdir(name, dir_fd=parent_fd)
    return True


def _unlink_files(folder_fd: int, deletion: Deletion, budget: _Budget) -> list[str]:
    """Deletes the files in a folder. Returns the names of the folders in it. Raises _Enough."""
    with os.scandir(folder_fd) as found:
        entries = list(found)
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            budget.spend()
            deletion.unlink(entry.name, folder_fd)
    return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _move_up(name: str, folder_fd: int, root_fd: int, numbers: Iterator[int]) -> None:
    while True:
        try:
            os.rename(name, f".deleted-{next(numbers)}", src_dir_fd=folder_fd, dst_dir_fd=root_fd)
        except (FileExistsError, NotADirectoryError):
            continue  # somebody has put something there
        except OSError as exc:
            if exc.errno != errno.ENOTEMPTY:
                raise
            continue
        return
