"""Makes a folder survive a power cut: one sync of the whole file system, or one for each file.

syncfs(2) writes out all files at once, with their names and times. It also writes what others have written,
and reports their errors. Since Linux 5.8 it reports every failed write, once to each descriptor that was open
by then. So where it fails, any file of any unfinished folder may have lost bytes, and Linux counts these as
written. Then each file is read, compared with its digest, written again and synced by itself.

What syncfs promises is known of some file systems only. On others each file is synced. So are the files of a
folder with few of them: that waits for nothing else.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

from incoming.core.errors import BytesLost
from incoming.runtime.filesystem import mount_id, mounted, mounts, sync_folder
from incoming.storage.local import posix
from incoming.storage.local.folders.completion import complete
from incoming.storage.local.folders.current_file import read_digests
from incoming.storage.local.folders.files import FolderFiles
from incoming.storage.local.folders.layout import FolderLayout
from incoming.storage.local.folders.tree import set_time
from incoming.storage.local.posix import closing, folder, write_again

KNOWN_KINDS: Final = ("ext4", "xfs", "btrfs", "f2fs", "bcachefs", "ext3", "ext2", "overlay", "tmpfs")
"""File systems on which one sync makes everything durable."""
FEW_FILES: Final = 8
_TELLS_SINCE: Final = (5, 8)


def syncs_at_once(directory: Path) -> bool:
    """Returns whether one sync of its file system makes everything in a directory durable, or fails."""
    kind = mounted(mounts(), mount_id(directory))[0]
    return kind in KNOWN_KINDS and _version(platform.release()) >= _TELLS_SINCE


def _version(release: str) -> tuple[int, ...]:
    numbers = release.split("-", maxsplit=1)[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())


def sync(files: FolderFiles, at_once: bool) -> None:
    """Returns when a complete folder survives a power cut. Blocks on the disk. Raises OSError, BytesLost."""
    layout, disk = files.layout, files.disk
    if layout is None:
        return
    trusted = files.trusts_since == disk.sync_failures
    if trusted and at_once and layout.manifest.files > FEW_FILES:
        try:
            posix.syncfs(files.folder_fd)
        except OSError:
            disk.sync_failures += 1
        else:
            return
        trusted = False
    _sync_each(files, layout, writes_again=not trusted)
    files.trusts_since = disk.sync_failures


def _sync_each(files: FolderFiles, layout: FolderLayout, writes_again: bool) -> None:
    if writes_again:
        complete(files)  # writes the list again
    digests = files.read_log().digests if writes_again else {}
    for index, entry in enumerate(layout.manifest.entries):
        if entry.is_folder or index in files.log.left_out:
            continue
        with closing(files.tree.open(layout.paths[index], os.O_RDWR)) as fd:
            if writes_again:
                if read_digests(fd, entry.size_bytes, False).crc32c != digests[index].crc32c:
                    files.cut(layout.manifest.range_of(index)[0])
                    raise BytesLost
                write_again(fd)
                if entry.modified_ms is not None:
                    set_time(fd, entry.modified_ms)
            os.fsync(fd)  # fdatasync would not keep the time
    files.sync_side_files()
    for path in sorted(_folders(layout)):  # each next to its parent, which is still open then
        sync_folder(files.tree.folder(path))
    sync_folder(files.folder_fd)
    with folder(files.disk.directory.path) as directory_fd:
        sync_folder(directory_fd)


def _folders(layout: FolderLayout) -> set[str]:
    """Returns the paths of all folders; that of the uploaded one is empty."""
    found = {""}
    for entry, path in zip(layout.manifest.entries, layout.paths, strict=True):
        above = path if entry.is_folder else path.rpartition("/")[0]
        while above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found
