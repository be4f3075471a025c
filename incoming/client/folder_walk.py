"""Lists what is in some folders and files that are sent as one folder.

Everything is looked up by descriptors, and links are not followed: only what is named on the command line may
be a link. So nobody who can write into a folder makes its owner send a file from elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from incoming.client.source import FileUnreadable
from incoming.core.folder_manifest import Entry
from incoming.core.folder_names import MAX_DEPTH
from incoming.core.units import NS_PER_MS

NAME_OF_NONE: Final = "files"
"""The folder's name where what is sent has no folder in common."""
DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without O_NONBLOCK, opening a pipe waits for its other end."""
VANISHED: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""Something is not there, or is a link where a file or a folder was."""


@dataclass(slots=True)
class Folder:
    """What is sent, entry by entry. The lists are parallel."""

    name: str
    """The folder's name for the app."""
    roots: list[Path] = field(default_factory=list)
    """The folders that the places are relative to."""
    entries: list[Entry] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """The path of each entry as the system has it, relative to its root."""
    root_of: array[int] = field(default_factory=lambda: array("H"))
    """The index of each entry's root."""
    modified_ns: array[int] = field(default_factory=lambda: array("q"))
    """The modification time of each, in nanoseconds since 1970; 0 for an empty folder."""
    skipped: list[str] = field(default_factory=list)
    """Links, pipes, sockets and devices. They are not sent."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """What can't be read, by its path: a sentence that names it."""

    def path(self, index: int) -> Path:
        """Returns the path of an entry, for people."""
        return self.roots[self.root_of[index]] / self.places[index]

    def add(self, path: str, place: str, root: int, size_bytes: int, modified_ns: int) -> None:
        """Adds a file."""
        self.entries.append(Entry(path, size_bytes, modified_ns // NS_PER_MS))
        self.add_place(place, root, modified_ns)

    def add_empty_folder(self, path: str, place: str, root: int) -> None:
        """Adds a folder that has nothing in it."""
        self.entries.append(Entry(f"{path}/"))
        self.add_place(place, root, 0)

    def add_place(self, place: str, root: int, modified_ns: int) -> None:
        """Adds where the newest entry is."""
        self.places.append(place)
        self.root_of.append(root)
        self.modified_ns.append(modified_ns)

    def root(self, path: Path) -> int:
        """Returns the index of a root, which is added if it is new."""
        if path not in self.roots:
            self.roots.append(path)
        return self.roots.index(path)


def list_folder(path: Path) -> Folder:
    """Returns what is in a folder, at any depth and in a fixed order. Raises FileUnreadable."""
    folder = Folder(_readable(_absolute(path).name) or NAME_OF_NONE)
    try:
        fd = os.open(path, DIRECTORY_FLAGS & ~os.O_NOFOLLOW)
    except OSError as exc:
        raise FileUnreadable(f"{path} can't be read: {exc.strerror}.") from exc
    _Walk(folder, folder.root(path)).walk(fd, "", "")
    return folder


def list_together(paths: Sequence[Path]) -> Folder:
    """Returns these files and folders as one folder, in which each has its own name.

    Raises FileUnreadable, and ValueError with a sentence if two of them have the same name.
    """
    parents = {_absolute(path).parent for path in paths}
    name = parents.pop().name if len(parents) == 1 else ""
    folder = Folder(_readable(name) or NAME_OF_NONE)
    names: dict[str, Path] = {}
    for path in paths:
        own = _absolute(path).name
        if not own or own in names:
            raise ValueError(f"{names.get(own, path)} and {path} would have the same path in the folder.")
        names[own] = path
        real = Path(os.path.realpath(path))
        walk = _Walk(folder, folder.root(real.parent))
        try:
            above_fd = os.open(real.parent, DIRECTORY_FLAGS)
        except OSError as exc:
            raise FileUnreadable(f"{path} can't be read: {exc.strerror}.") from exc
        try:
            walk.look(above_fd, real.name, _readable(own), real.name)
        finally:
            os.close(above_fd)
    return folder


def _absolute(path: Path) -> Path:
    """Returns the path from the root on, without `..`, and with the names of links."""
    return Path(os.path.normpath(path.absolute()))


def _readable(name: str) -> str:
    """Returns a name as Unicode. What is not valid UTF-8 becomes U+FFFD."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "replace")


class _Walk:
    """Adds to a folder what is below one of its roots."""

    def __init__(self, folder: Folder, root: int) -> None:
        self._folder, self._root = folder, root

    def walk(self, fd: int, path: str, place: str) -> None:
        """Adds what is in an open folder, and closes it. `path`: in the manifest, `place`: in the system."""
        count = len(self._folder.entries)
        try:
            with os.scandir(fd) as found:
                names = sorted((entry.name for entry in found), key=os.fsencode)
            for name in names:
                readable = _readable(name)
                self.look(
                    fd, name, f"{path}/{readable}" if path else readable, f"{place}/{name}" if place else name
                )
            if path and len(self._folder.entries) == count:
                self._folder.add_empty_folder(path, place, self._root)
        except OSError as exc:
            self._can_not_read(place, exc.strerror or str(exc))
        finally:
            os.close(fd)

    def look(self, above_fd: int, name: str, path: str, place: str) -> None:
        """Adds a name in an open folder, whatever it is."""
        try:
            found = os.stat(name, dir_fd=above_fd, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode):
                self._add_file(above_fd, name, path, place, found)
            elif stat.S_ISDIR(found.st_mode) and path.count("/") >= MAX_DEPTH:
                limit = f"the limit is {MAX_DEPTH} names in a path"
                self._leave_out(place, f"is too deep in the folder: {limit}")
            elif stat.S_ISDIR(found.st_mode):
                self.walk(os.open(name, DIRECTORY_FLAGS, dir_fd=above_fd), path, place)
            else:
                self._folder.skipped.append(self._shown(place))
        except OSError as exc:
            if exc.errno not in VANISHED:
                self._can_not_read(place, exc.strerror or str(exc))

    def _add_file(self, above_fd: int, name: str, path: str, place: str, found: os.stat_result) -> None:
        if not os.access(name, os.R_OK, dir_fd=above_fd, effective_ids=True):
            self._can_not_read(place, os.strerror(errno.EACCES))
        elif not found.st_size and _has_content(above_fd, name):
            self._leave_out(place, "has a reported size of 0 bytes, but it has more")
        else:
            self._folder.add(path, place, self._root, found.st_size, found.st_mtime_ns)

    def _can_not_read(self, place: str, why: str) -> None:
        self._leave_out(place, f"can't be read: {why}")

    def _leave_out(self, place: str, why: str) -> None:
        path = self._shown(place)
        self._folder.unreadable[path] = f"{path} {why}."

    def _shown(self, place: str) -> str:
        return str(self._folder.roots[self._root] / place)


def _has_content(above_fd: int, name: str) -> bool:
    """Returns whether a file of 0 bytes has some. Files of /proc do. Raises OSError."""
    fd = os.open(name, FILE_FLAGS, dir_fd=above_fd)
    try:
        return bool(os.read(fd, 1))
    finally:
        os.close(fd)
