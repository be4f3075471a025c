"""The rules for the paths of an uploaded folder: each is kept, changed, or refused before a file is stored.

Names are kept as they were sent, whatever they mean to people or to other systems. A source tree with the
files `aux.c`, `A` and `a` is the same tree afterwards. Names that could do harm are not:

- A path that leads out of the folder is refused: `..`, absolute paths, drive letters. So is one with a name
  that no file system can have. So is a folder that no file system could hold: the same path twice, or one
  path for a file and a folder.
- A name that is dangerous in a terminal, in a log or on Windows gets other characters there: control
  characters, backslashes, and a colon after a drive letter. A name that is too long is shortened.
- Where the file system takes two names for one, the second gets a number.

A changed name never takes that of another file. The app is told of each change.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from incoming.core.bounds import MAX_EXTENSION_BYTES, MAX_NAME_BYTES, cut
from incoming.core.errors import BadFolder
from incoming.core.folder_manifest import Entry

MAX_DEPTH: Final = 100
"""How many names a path may have."""
MAX_PATH_BYTES: Final = 3000
"""Programs can't open paths of more than 4095 bytes, and this one gets a folder in front."""
REPLACEMENT: Final = "_"


class NameRules(NamedTuple):
    """What a place for files takes. `folds`: it takes names for one that differ by case or Unicode form."""

    folds: bool = False
    max_name_bytes: int = MAX_NAME_BYTES


KEEPS_ALL: Final = NameRules()
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")


@dataclass(slots=True)
class _Folder:
    """A folder of the tree."""

    names: dict[str, bool] = field(default_factory=dict)
    """What is in it, by the names that were sent, and whether it is a folder."""
    changes: bool = False
    """Whether one of the names has to be changed."""


def stored_paths(entries: Sequence[Entry], rules: NameRules = KEEPS_ALL) -> list[str]:
    """Returns under which path each entry is to be stored, without `/` at its end. Raises BadFolder."""
    tree = _Tree(rules)
    for index, entry in enumerate(entries):
        tree.add(index, entry.path)
    return tree.stored([entry.path.removesuffix("/") for entry in entries])


def _is_plain(path: str) -> bool:
    """Returns True for most valid paths. It takes far less time than a full check."""
    begins_well = path[:1] not in ("", ".", "/") and path[1:2] != ":"
    return begins_well and path.isprintable() and not ("/." in path or "//" in path or "\\" in path)


def _check(index: int, path: str) -> None:
    """Raises BadFolder if a path leads elsewhere, or is not a path."""
    if "\0" in path:
        raise BadFolder("nul_character", "has a NUL character in its path", index, path)
    if path.startswith("/") or re.match(r"[A-Za-z]:(?:[/\\]|$)", path):
        raise BadFolder("absolute_path", "has an absolute path", index, path)
    names = path.removesuffix("/").split("/")
    if ".." in names or "." in names:
        raise BadFolder("leads_elsewhere", "has a path with . or .. as a name", index, path)
    if "" in names:
        raise BadFolder("empty_name", "has a path with an empty name", index, path)
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise BadFolder("not_unicode", "has a path that is not valid Unicode", index, path) from exc


class _Tree:
    """All names of a folder, by the folders in it."""

    def __init__(self, rules: NameRules) -> None:
        self._rules = rules
        self._folders = {"": _Folder()}
        self._stored = {"": ""}
        """Under which path each folder is stored."""
        self._names: dict[str, dict[str, str]] = {}
        """Which names were changed, in each folder that has such."""
        self._changes = rules.folds
        self._empty: set[str] = set()

    def add(self, index: int, path: str) -> None:
        """Adds the path of an entry. Raises BadFolder."""
        is_plain = _is_plain(path)
        if not is_plain:
            _check(index, path)
        size_bytes = len(path) if path.isascii() else len(path.encode("utf-8"))
        if size_bytes > MAX_PATH_BYTES:
            limit = f"{size_bytes} bytes, the limit is {MAX_PATH_BYTES} bytes"
            raise BadFolder("path_too_long", f"has a path of {limit}", index, path)
        bare = path.removesuffix("/")
        if bare.count("/") >= MAX_DEPTH:
            limit = f"the limit is {MAX_DEPTH} names in a path"
            raise BadFolder("too_deep", f"is too deep in the folder: {limit}", index, path)
        if bare is path:
            self._put(index, path, bare, is_folder=False)
        elif bare in self._empty:
            raise BadFolder("duplicate_path", "has the path of another one", index, path)
        else:
            self._empty.add(bare)
            self._folder(index, path, bare)
        if not is_plain or size_bytes > self._rules.max_name_bytes:
            self._look_for_changes(bare)

    def _folder(self, index: int, path: str, place: str) -> _Folder:
        """Returns the folder with this path. `path` is that of an entry in it."""
        folder = self._folders.get(place)
        if folder is None:
            self._put(index, path, place, is_folder=True)
            folder = self._folders[place] = _Folder()
        return folder

    def _put(self, index: int, path: str, place: str, is_folder: bool) -> None:
        above, _, name = place.rpartition("/")
        names = (self._folders.get(above) or self._folder(index, path, above)).names
        known = names.get(name)
        if known is None:
            names[name] = is_folder
        elif known is not is_folder:
            raise BadFolder("file_and_folder", "has the path of a file and of a folder", index, path)
        else:
            raise BadFolder("duplicate_path", "has the path of another one", index, path)

    def _look_for_changes(self, place: str) -> None:
        above, _, name = place.rpartition("/")
        if self._changed(name, above) != name:
            self._folders[above].changes = self._changes = True
        if above:
            self._look_for_changes(above)

    def _changed(self, name: str, above: str) -> str:
        """Returns a name as it may be stored."""
        if not above and _DRIVE.match(name):
            name = name[0] + REPLACEMENT + name[2:]
        if len(name) * 4 <= self._rules.max_name_bytes and not _UNSAFE.search(name):
            return name
        return _fitted(_UNSAFE.sub(REPLACEMENT, name), "", self._rules.max_name_bytes)

    def stored(self, paths: list[str]) -> list[str]:
        """Returns under which path each of these is stored."""
        return [self._stored_path(path) for path in paths] if self._changes else paths

    def _stored_path(self, path: str) -> str:
        found = self._stored.get(path)
        if found is not None:
            return found
        above, _, name = path.rpartition("/")
        names = self._names.get(above)
        if names is None:
            names = self._names[above] = self._assign(above)
        parent = self._stored_path(above)
        stored = names.get(name, name)
        if parent:
            stored = path if parent == above and stored == name else f"{parent}/{stored}"
        if path in self._folders:
            self._stored[path] = stored
        return stored

    def _assign(self, above: str) -> dict[str, str]:
        """Returns the changed names of a folder. Those that can stay are the first to have theirs."""
        folder = self._folders[above]
        if not folder.changes and not self._rules.folds:
            return {}
        names = _Names(self._rules)
        others = [
            name for name in folder.names if self._changed(name, above) != name or not names.claim(name)
        ]
        return {name: names.free(self._changed(name, above)) for name in others}


class _Names:
    """The names in a folder as they are stored."""

    def __init__(self, rules: NameRules) -> None:
        self._rules = rules
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def claim(self, name: str) -> bool:
        """Takes a name. Returns False if it is taken."""
        key = _fold(name) if self._rules.folds else name
        if key in self._taken:
            return False
        self._taken.add(key)
        return True

    def free(self, name: str) -> str:
        """Takes a name, with a number if the name itself is taken. Returns it."""
        if self.claim(name):
            return name
        key = _fold(name) if self._rules.folds else name
        number = self._counts.get(key, 1)
        while True:
            number += 1
            numbered = _fitted(name, f" ({number})", self._rules.max_name_bytes)
            if self.claim(numbered):
                self._counts[key] = number
                return numbered


def _fold(name: str) -> str:
    """Returns what is the same for names that differ by case or Unicode form only."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _fitted(name: str, end: str, max_bytes: int) -> str:
    """Returns a name with `end` before its extension, shortened to `max_bytes` bytes of UTF-8."""
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode("utf-8")) >= MAX_EXTENSION_BYTES:
        stem, dot, extension = name, "", ""
    tail = end + dot + extension
    return cut(stem, max_bytes - len(tail.encode("utf-8"))) + tail
