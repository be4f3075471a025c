"""System calls that some file systems do not support; the mapping of disk errors; the table of mounts.

NAS, network mounts, FUSE and vfat do not support some calls of a local disk. To sync a folder or to set a
mode is useful and not necessary. So these functions ignore that a call is not supported, and the probe of the
storage logs at the start what is weaker. They never ignore the error of a failing disk (EIO, ENOSPC).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from incoming.core.errors import StorageFailed, StorageFull
from incoming.runtime.gevent_runtime import close_descriptor

UNSUPPORTED: Final = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EBADF, errno.EISDIR)
"""Error numbers for a call that is not supported; fsync(2) of a folder on CIFS and FUSE: EINVAL."""
REFUSED: Final = (*UNSUPPORTED, errno.EPERM, errno.EACCES)
"""The same for modes and owners, which only some users may set."""
DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers for a lack of space: none left, none in the quota, or the file may not grow further."""
_BLOCK: Final = b"?" * 4096
"""A whole block: some file systems store a few bytes together with the name, without using a block."""
TRIAL_FILE: Final = ".trial"
"""What `try_to_write` writes where every file has a name."""
_MOUNTS: Final = Path("/proc/self/mountinfo")


class DiskErrors:
    """Within this context an OSError becomes an error for clients: StorageFull or StorageFailed."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, exc: BaseException | None, where: object) -> None:
        if isinstance(exc, OSError):
            raise (StorageFull() if exc.errno in DISK_FULL else StorageFailed()) from exc


disk_errors: Final = DiskErrors()


def sync_folder(fd: int) -> bool:
    """Makes the names in a folder survive a power cut. Returns False if that is not supported.

    Raises OSError if it failed.
    """
    return sync_if_supported(os.fsync, fd)


def sync_if_supported(sync: Callable[[int], None], fd: int) -> bool:
    """Calls os.fsync or os.fdatasync. Returns False if the file system does not support it.

    Raises OSError if it failed.
    """
    try:
        sync(fd)
    except OSError as exc:
        if exc.errno not in UNSUPPORTED:
            raise
        return False
    return True


def set_mode(fd: int, mode: int) -> bool:
    """Sets the mode of a file or folder if it is another one. Returns False if that is not permitted.

    Raises OSError if it failed.
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
    """See `set_mode`. The path may be a link. Those of `kept_bits` that the folder has stay."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return set_mode(fd, mode | (os.fstat(fd).st_mode & kept_bits))
    finally:
        close_descriptor(fd)


def try_to_write(directory: Path) -> None:
    """Writes a block to a file that is gone afterwards. Raises OSError.

    The file has no name, where the file system supports that (O_TMPFILE). Else its name is `TRIAL_FILE`: what
    a killed process leaves is removed by the next call. It is closed first: FUSE and NFS give an open file
    that is removed another name. Two calls at the same time use the same file.
    """
    try:
        fd = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError:
        _try_named(directory / TRIAL_FILE)
        return
    try:
        os.write(fd, _BLOCK)
    finally:
        close_descriptor(fd)


def _try_named(file: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(file, flags, 0o600)
    try:
        os.write(fd, _BLOCK)
    finally:
        close_descriptor(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file)  # noqa: PTH108 - by `os`, like all calls here


def mounts() -> str:
    """Returns the table of mounts, see mountinfo in proc(5); empty if it can't be read."""
    try:
        return _MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


def mount_id(directory: Path) -> str:
    """Returns the number in the table of mounts of what a folder is on; empty if it can't be read.

    The device does not tell: each subvolume of Btrfs has one of its own, which is not in the table. Raises
    OSError if there is no such folder.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        about = Path(f"/proc/self/fdinfo/{fd}").read_text("utf-8")
    except OSError:
        return ""
    finally:
        close_descriptor(fd)
    return about.partition("mnt_id:")[2].partition("\n")[0].strip()


def mounted(table: str, number: str) -> tuple[str, list[str]]:
    """Returns the type of a mounted file system (`ext4`) and its options; none if it is not in the table.

    `table` is what `mounts` returns, `number` is a `mount_id`.
    """
    for line in table.splitlines():
        mount, _, filesystem = line.partition(" - ")
        if mount.split()[:1] == [number]:
            return filesystem.split(" ")[0], filesystem.split(" ")[-1].split(",")
    return "", []
