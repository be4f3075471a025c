"""Calls that some file systems refuse, where a refusal loses nothing; and what is mounted where.

NAS, network mounts, FUSE and vfat refuse some calls that a local disk knows. To sync a folder, or to set a
mode, is worth having and not necessary: `probe` says at the start what is weaker, and here the refusal is
borne. An error that tells of a failing disk (EIO, ENOSPC) is never borne.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from incoming.core.errors import StorageFailed, StorageFull
from incoming.runtime.gevent_runtime import close_descriptor

NOT_THERE: Final = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EBADF, errno.EISDIR)
"""How a file system says that it does not know a call; fsync(2) of a folder on CIFS and FUSE: EINVAL."""
REFUSED: Final = (*NOT_THERE, errno.EPERM, errno.EACCES)
"""The same for modes, which may also be somebody else's to set."""
DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""How a disk says that there is no room: none left, none in the quota, or the file may not grow further."""
_BLOCK: Final = b"?" * 4096
"""A few bytes would need no room: some file systems keep them beside the name."""
_MOUNTS: Final = Path("/proc/self/mountinfo")


class DiskErrors:
    """Within it, an OSError becomes what a client may be told: StorageFull or StorageFailed."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, exc: BaseException | None, where: object) -> None:
        if isinstance(exc, OSError):
            raise (StorageFull() if exc.errno in DISK_FULL else StorageFailed()) from exc


disk_errors: Final = DiskErrors()


def sync_folder(fd: int) -> bool:
    """Makes the names in a folder survive a power cut. Returns False where its file system does not know how.

    Raises OSError where it failed.
    """
    return sync_if_known(os.fsync, fd)


def sync_if_known(sync: Callable[[int], None], fd: int) -> bool:
    """Calls os.fsync or os.fdatasync. Returns False where the file system does not know it.

    Raises OSError where it failed.
    """
    try:
        sync(fd)
    except OSError as exc:
        if exc.errno not in NOT_THERE:
            raise
        return False
    return True


def set_mode(fd: int, mode: int) -> bool:
    """Gives a file or folder this mode if it has another one. Returns False where that is refused.

    Raises OSError where it failed.
    """
    if stat.S_IMODE(os.fstat(fd).st_mode) == mode:
        return True
    try:
        os.fchmod(fd, mode)
    except OSError as exc:
        if exc.errno not in REFUSED:
            raise
        return False
    return True


def set_folder_mode(directory: Path, mode: int, kept_bits: int = 0) -> bool:
    """See `set_mode`; a link to the folder will do. It keeps those of `kept_bits` that it has."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return set_mode(fd, mode | (os.fstat(fd).st_mode & kept_bits))
    finally:
        close_descriptor(fd)


def try_to_write(directory: Path) -> None:
    """Writes a block into a file without a name, which is gone then. Raises OSError."""
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        file.write(_BLOCK)


def mounts() -> str:
    """Returns the table of mounts, as in proc(5), mountinfo; empty where it can't be read."""
    try:
        return _MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


def mounted(table: str, device: int) -> tuple[str, list[str]]:
    """Returns the kind of a device's file system (`ext4`) and its options; none where it is not in the table.

    `table` as `mounts` gives it, `device` a st_dev.
    """
    for line in table.splitlines():
        mount, _, filesystem = line.partition(" - ")
        if mount.split()[2:3] == [f"{os.major(device)}:{os.minor(device)}"]:
            return filesystem.split(" ")[0], filesystem.split(" ")[-1].split(",")
    return "", []
