"""Completes a folder whose bytes have all arrived, for its app. Every function blocks on the disk."""

from __future__ import annotations

import os
from typing import Final

from incoming.core.folder_list import line
from incoming.core.folder_manifest import Entry
from incoming.runtime.filesystem import set_mode
from incoming.storage.local.directory import FILE_MODE
from incoming.storage.local.folders.current_file import read_digests
from incoming.storage.local.folders.disk import list_name
from incoming.storage.local.folders.files import FolderFiles
from incoming.storage.local.folders.layout import FolderLayout
from incoming.storage.local.folders.sums_log import Digests
from incoming.storage.local.posix import NO_FOLLOW, closing, write_all

LINES_AT_A_TIME: Final = 1000
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_TRUNC | NO_FOLLOW


def complete(files: FolderFiles) -> None:
    """Creates what has no bytes, sets the times and digests that are missing, and writes the list.

    A large file has to be closed. What was done before is not done again.
    """
    layout = files.begun()
    files.close_current()
    files.create_empty_before(len(layout.paths))
    files.append_records()
    for index in files.log.left_out:
        files.tree.create_folder(layout.paths[index].rpartition("/")[0])
    log = files.read_log()
    digests = log.digests
    for index, entry in enumerate(layout.manifest.entries):
        if entry.is_folder or index in files.log.left_out:
            continue
        known = digests.get(index)
        if index in log.untimed and entry.modified_ms is not None:
            files.tree.set_time(layout.paths[index], entry.modified_ms)
        if known is None or (files.wants_sha256 and not known.sha256):
            digests[index] = _read(files, layout, index, entry)
    files.append_records()
    _set_times_of_folders(files, layout)
    _write_list(files, layout, digests)


def _read(files: FolderFiles, layout: FolderLayout, index: int, entry: Entry) -> Digests:
    """Returns the digests of a file that was not seen from its first byte to its last."""
    with closing(files.tree.open(layout.paths[index])) as fd:
        digests = read_digests(fd, entry.size_bytes, files.wants_sha256)
        files.note(index, entry, digests, fd)
    return digests


def _set_times_of_folders(files: FolderFiles, layout: FolderLayout) -> None:
    for index, entry in enumerate(layout.manifest.entries):
        if entry.is_folder and entry.modified_ms is not None:
            files.tree.set_time(layout.paths[index], entry.modified_ms)


def _write_list(files: FolderFiles, layout: FolderLayout, digests: dict[int, Digests]) -> None:
    """Writes the list for the app. It appears as a whole."""
    name, folder_fd, position = list_name(files.ticket_id), files.folder_fd, 0
    with closing(os.open(f"{name}.new", _CREATE, FILE_MODE, dir_fd=folder_fd)) as fd:
        set_mode(fd, FILE_MODE)
        for start in range(0, len(layout.paths), LINES_AT_A_TIME):
            indices = range(start, min(start + LINES_AT_A_TIME, len(layout.paths)))
            lines = (_line(layout, index, digests.get(index), files.wants_sha256) for index in indices)
            position = write_all(fd, b"".join(lines), position)
    os.replace(f"{name}.new", name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)


def _line(layout: FolderLayout, index: int, digests: Digests | None, with_sha256: bool) -> bytes:
    entry, path = layout.manifest.entries[index], layout.paths[index]
    if digests is None:
        return line(entry, path)
    return line(entry, path, digests.crc32c, digests.sha256 if with_sha256 else b"")
