"""What is on the disk of the folders in one directory. Every method blocks on the disk and raises OSError.

DIRECTORY/ID/ID            the folder, with the files that have come, at their paths
DIRECTORY/ID/ID.head       the head of the stream, as it came
DIRECTORY/ID/ID.sums       digests of complete files, and what was left out (`sums_log`)
DIRECTORY/ID/ID.manifest   the list for the app, once the folder has arrived
"""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from incoming.core.bounds import MAX_NAME_BYTES
from incoming.core.errors import BadFolder
from incoming.core.folder_manifest import (
    HEADER_BYTES,
    NO_BOUNDS,
    Bounds,
    FolderManifest,
    head_bytes,
    parse_head,
)
from incoming.core.folder_names import NameRules
from incoming.runtime.gevent_runtime import close_descriptor, thread_lock
from incoming.storage.local.deletion import Deletion
from incoming.storage.local.directory import UploadDirectory
from incoming.storage.local.folders import sums_log
from incoming.storage.local.folders.layout import FolderLayout, Stored, stored
from incoming.storage.local.folders.sums_log import Log
from incoming.storage.local.folders.tree import FolderTree
from incoming.storage.local.posix import GONE, NO_FOLLOW, closing, folder

MAX_CACHED_ENTRIES: Final = 200_000
"""How many entries of manifests stay in memory, in addition to those that are in use."""
_TRIAL: Final = "trial-é"
_SUFFIXES: Final = ("head", "sums", "manifest", "manifest.new", _TRIAL)


def head_name(ticket_id: str) -> str:
    """Returns the name of the file with the head."""
    return f"{ticket_id}.head"


def log_name(ticket_id: str) -> str:
    """Returns the name of the log of digests."""
    return f"{ticket_id}.sums"


def list_name(ticket_id: str) -> str:
    """Returns the name of the list for the app."""
    return f"{ticket_id}.manifest"


class Known(NamedTuple):
    """What is known of a folder: the length of the stored head, the layout once it is complete, the log."""

    head_bytes: int
    layout: FolderLayout | None
    log: Log


_Identity = tuple[tuple[int, int, int], tuple[int, int, int]]
"""Of the head and of the log: a file that is the same, and as long, and was not written since."""


@dataclass(slots=True)
class _Cached:
    identity: _Identity
    known: Known


@dataclass(slots=True)
class FolderDisk:
    """The folders of one directory. `mark`: of this start of the machine. `syncs`: whether it syncs."""

    directory: UploadDirectory
    deletion: Deletion
    bounds: Bounds
    mark: bytes
    syncs: bool
    sync_failures: int = 0
    """How often a sync of the whole file system failed."""
    _rules: NameRules | None = None
    _cache: OrderedDict[str, _Cached] = field(default_factory=OrderedDict)
    _lock: contextlib.AbstractContextManager[bool] = field(default_factory=thread_lock)

    def upload_folder(self, ticket_id: str) -> Path:
        """Returns the folder of an upload: the uploaded folder is in it, and the files of the server."""
        return self.directory.file(ticket_id).parent

    def rules(self, ticket_id: str, folder_fd: int) -> NameRules:
        """Returns which names the file system takes. The first call tries it in this folder."""
        with self._lock:
            if self._rules is None:
                self._rules = _rules_in(folder_fd, f"{ticket_id}.{_TRIAL}")
            return self._rules

    def known(self, ticket_id: str) -> Known | None:
        """Returns what is known of a folder; None if there is nothing."""
        try:
            with folder(self.upload_folder(ticket_id)) as folder_fd:
                return self._known(ticket_id, folder_fd)
        except GONE:
            self.directory.check_not_replaced()
            return None

    def _known(self, ticket_id: str, folder_fd: int) -> Known:
        with _opened(head_name(ticket_id), folder_fd) as head_fd:
            if head_fd < 0:
                raise FileNotFoundError
            with _opened(log_name(ticket_id), folder_fd) as log_fd:
                identity = _identity(head_fd), _identity(log_fd)
                cached = self._from_cache(ticket_id)
                if cached and cached.identity == identity:
                    return cached.known
                log = sums_log.read(log_fd) if log_fd >= 0 else Log()
                if cached and cached.identity[0] == identity[0] and cached.known.layout:
                    known = Known(cached.known.head_bytes, cached.known.layout, log)
                else:
                    known = self._read(ticket_id, folder_fd, head_fd, log)
        self._add_to_cache(ticket_id, _Cached(identity, known))
        return known

    def _from_cache(self, ticket_id: str) -> _Cached | None:
        with self._lock:
            return self._cache.get(ticket_id)

    def learn(self, ticket_id: str, head_fd: int, log_fd: int, layout: FolderLayout) -> None:
        """Keeps the layout of a folder whose head has just become complete."""
        known = Known(layout.manifest.head_bytes, layout, sums_log.read(log_fd))
        self._add_to_cache(ticket_id, _Cached((_identity(head_fd), _identity(log_fd)), known))

    def layout(self, ticket_id: str) -> FolderLayout | None:
        """Returns the layout of a folder; None while its head is not complete. It is usually in memory."""
        cached = self._from_cache(ticket_id)
        if cached and cached.known.layout:
            with (
                contextlib.suppress(*GONE),
                folder(self.upload_folder(ticket_id)) as folder_fd,
                _opened(head_name(ticket_id), folder_fd) as head_fd,
            ):
                if _identity(head_fd) == cached.identity[0]:
                    return cached.known.layout
        known = self.known(ticket_id)
        return known.layout if known else None

    def _read(self, ticket_id: str, folder_fd: int, head_fd: int, log: Log) -> Known:
        size_bytes = os.fstat(head_fd).st_size
        with contextlib.suppress(BadFolder):  # it was about to be refused, or a power cut has damaged it
            if manifest := _manifest_in(head_fd):
                rules = log.rules or self.rules(ticket_id, folder_fd)
                return Known(size_bytes, FolderLayout(manifest, rules), log)
        return Known(size_bytes, None, log)

    def _add_to_cache(self, ticket_id: str, cached: _Cached) -> None:
        with self._lock:
            self._cache[ticket_id] = cached
            self._cache.move_to_end(ticket_id)
            while len(self._cache) > 1 and sum(map(_weight, self._cache.values())) > MAX_CACHED_ENTRIES:
                self._cache.popitem(last=False)

    def forget(self, ticket_id: str) -> None:
        """Forgets what is known of a folder."""
        with self._lock:
            self._cache.pop(ticket_id, None)

    @contextlib.contextmanager
    def tree(self, ticket_id: str) -> Iterator[FolderTree]:
        """Yields the tree of a folder. Raises FileNotFoundError if it is gone."""
        with folder(self.upload_folder(ticket_id)) as folder_fd:
            fd = os.open(ticket_id, os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW, dir_fd=folder_fd)
        tree = FolderTree(fd)
        try:
            yield tree
        finally:
            tree.close()

    def stored(self, ticket_id: str) -> Stored | None:
        """Returns how much of a folder is stored; None if there is nothing."""
        known = self.known(ticket_id)
        return self.stored_of(ticket_id, known) if known else None

    def stored_of(self, ticket_id: str, known: Known) -> Stored:
        """Returns how much is stored of a folder of which this is known.

        Whoever opens the folder next finds just as much. So the list for the app is not looked at: a power
        cut may keep it and take the tree.
        """
        if known.layout is None:
            return Stored(known.head_bytes, 0)
        try:
            with self.tree(ticket_id) as tree:
                return self.stored_in(known.layout, known.log, tree.size)
        except GONE:
            return self.stored_in(known.layout, known.log, _nothing)

    def stored_in(self, layout: FolderLayout, log: Log, size_of: Callable[[str], int | None]) -> Stored:
        """Returns how much is stored of a folder with this layout and log."""
        return stored(layout, log.left_out, size_of, all_of_them=log.mark != self.mark)

    def has_list(self, ticket_id: str) -> bool:
        """Returns whether the list for the app is there: the folder has arrived."""
        return (self.upload_folder(ticket_id) / list_name(ticket_id)).exists()

    def delete_side_files(self, ticket_id: str, folder_fd: int, except_list: bool = False) -> None:
        """Deletes the files next to an uploaded folder. Call `deletion.start` next."""
        self.forget(ticket_id)
        for suffix in _SUFFIXES:
            name = f"{ticket_id}.{suffix}"
            if not (except_list and name == list_name(ticket_id)):
                with contextlib.suppress(FileNotFoundError):
                    self.deletion.unlink(name, folder_fd)


def _nothing(_: str) -> None:
    """Returns the length of a file in a tree that is gone."""


def has_sound_head(head_fd: int) -> bool:
    """Returns whether a head is complete, and undamaged. Its folder may be refused all the same."""
    try:
        return _manifest_in(head_fd) is not None
    except BadFolder as exc:
        return exc.reason not in (BadFolder.DAMAGED, BadFolder.NOT_A_FOLDER)


def _manifest_in(head_fd: int) -> FolderManifest | None:
    """Returns the manifest in a head; None while that is not complete. Raises BadFolder."""
    header, size_bytes = os.pread(head_fd, HEADER_BYTES, 0), os.fstat(head_fd).st_size
    if len(header) < HEADER_BYTES or head_bytes(header, NO_BOUNDS) != size_bytes:
        return None
    return parse_head(os.pread(head_fd, size_bytes, 0), NO_BOUNDS)


def _weight(cached: _Cached) -> int:
    return len(cached.known.layout.paths) if cached.known.layout else 1


def _identity(fd: int) -> tuple[int, int, int]:
    if fd < 0:
        return (0, 0, 0)
    status = os.fstat(fd)
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def _opened(name: str, folder_fd: int) -> Iterator[int]:
    """Yields a descriptor for reading; -1 if there is no such file."""
    try:
        fd = os.open(name, os.O_RDONLY | NO_FOLLOW, dir_fd=folder_fd)
    except FileNotFoundError:
        yield -1
        return
    with closing(fd):
        yield fd


def _rules_in(folder_fd: int, name: str) -> NameRules:
    """Returns which names a file system takes. It is tried with a file of this name, which ends with an é."""
    close_descriptor(os.open(name, os.O_WRONLY | os.O_CREAT | NO_FOLLOW, 0o600, dir_fd=folder_fd))
    try:
        others = name.upper(), unicodedata.normalize("NFD", name)
        return NameRules(any(_is_there(other, folder_fd) for other in others), _max_name_bytes(folder_fd))
    finally:
        os.unlink(name, dir_fd=folder_fd)


def _is_there(name: str, folder_fd: int) -> bool:
    try:
        os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except OSError:
        return False
    return True


def _max_name_bytes(folder_fd: int) -> int:
    return min(os.fstatvfs(folder_fd).f_namemax or MAX_NAME_BYTES, MAX_NAME_BYTES)
