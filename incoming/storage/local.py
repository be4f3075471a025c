"""Uploads as files in a directory: `DIRECTORY/ID/ID`.

- The offset of an upload is the length of its file, read off the disk, never kept elsewhere. Space is
  reserved ahead of the writer with fallocate(2) and FALLOC_FL_KEEP_SIZE, which leaves the length alone
  (posix_fallocate changes it).
- A write goes straight into the page cache, on the event loop: a thread costs twice the CPU. When the page
  cache stops taking it (a slow disk), the writes of all uploads go to the pool until they are quick again, so
  that one disk does not stop everybody. Everything else that can wait for a disk is always in the pool.
- Folders are setgid 2770 and files 0660, so that an app of the same group can move the file away. What is
  opened is never a link. A file that its ticket gives to another user: see `giving`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Container
from pathlib import Path
from typing import Final

from incoming.core.errors import StorageFailed
from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import set_folder_mode, set_mode, try_to_write
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage import Strays
from incoming.storage.deletion import Removal
from incoming.storage.ownership import PASS, Giving
from incoming.storage.posix import NO_LINK, Syncs, cut_at_first_hole, fallocate, folder, storage_errors
from incoming.storage.write_path import Disk

DIR_MODE: Final = 0o2770
FILE_MODE: Final = 0o660
SLICE_BYTES: Final = 512 * 1024
"""What is written before the turn may pass to others: the page cache takes it in less than a millisecond."""
Opened = tuple[Path, int, os.stat_result]
"""A file, its descriptor, and what fstat(2) says of it."""
STAT_BLOCK_BYTES: Final = 512
"""The unit of st_blocks, whatever the file system's own blocks are (stat(2))."""
ROUNDING_BYTES: Final = 4096
"""A file's last block takes less than this beyond its end, on nearly all file systems."""
SHORT_SYNC_BYTES: Final = 1024 * 1024
READ_BYTES: Final = 1024 * 1024
INODES: Final = 2
"""What an upload takes: a folder and a file."""
UNKNOWN_FREE_BYTES: Final = 1 << 60
"""What counts as free where the file system does not tell its size, as some network mounts: enough."""
_NO_FALLOCATE: Final = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def allocated_bytes(status: os.stat_result, most_ahead_bytes: int | None = None) -> int:
    """Returns up to where the disk counts a file's space as used: its length, and what is reserved behind it.

    Where zeros become holes, or blocks are compressed or not counted yet, st_blocks is less than the length:
    then the length counts. Where it is more than we reserve ahead (copies, metadata), `most_ahead_bytes` do.
    """
    size_bytes = status.st_size
    ahead_bytes = status.st_blocks * STAT_BLOCK_BYTES - size_bytes
    if ahead_bytes < ROUNDING_BYTES:
        return size_bytes
    return size_bytes + (ahead_bytes if most_ahead_bytes is None else min(ahead_bytes, most_ahead_bytes))


class LocalWriter:
    """See storage.Writer."""

    def __init__(
        self, opened: Opened, disk: Disk, syncs: Syncs, length_bytes: int, reserve_bytes: int
    ) -> None:
        """`syncs` makes the file durable, and its name.

        Nothing is reserved before the first byte comes: a client that sends none takes no space.
        """
        self._syncs = syncs
        self.reserved: Callable[[int], object] = lambda _: None
        """Hears of each reservation, see Storage.open."""
        self._file, self._fd, status = opened
        self.offset_bytes = status.st_size
        self.allocated_bytes = allocated_bytes(status, reserve_bytes)
        self._torn = False
        """Whether bytes may stand behind the offset: of a write that has failed."""
        self._length_bytes = length_bytes
        self._reserve_bytes = reserve_bytes
        self._disk = disk
        self._runtime = disk.runtime
        self._reserving = False
        self._file_lock = self._runtime.lock()

    def write(self, chunk: memoryview) -> None:
        """See storage.Writer. The offset moves when all of the chunk is in the file."""
        position = self.offset_bytes
        self._torn = True
        with storage_errors:
            while chunk:
                written = self._disk.write(self._fd, chunk[:SLICE_BYTES], position)
                position += written
                chunk = chunk[written:]
                if chunk:
                    self._runtime.breathe(comes_first=True)  # while the chunk is in the cache
        self.offset_bytes, self._torn = position, False
        self.allocated_bytes = max(self.allocated_bytes, position)
        self._reserve_ahead()

    def _reserve_ahead(self) -> None:
        """Keeps at least half of the reserve ahead of the writer, without waiting for it."""
        end = min(self.offset_bytes + self._reserve_bytes, self._length_bytes)
        ahead = self.allocated_bytes - self.offset_bytes
        if self._reserving or end <= self.allocated_bytes or ahead > self._reserve_bytes // 2:
            return
        if end - self.offset_bytes <= SLICE_BYTES:
            return  # one write takes it all
        self._reserving = True
        self._runtime.spawn(self._reserve, end)

    def _reserve(self, end: int) -> None:
        with self._file_lock:
            start = self.allocated_bytes
            if self._fd >= 0 and end > start:
                error = self._runtime.in_pool(fallocate, self._fd, start, end - start)
                if not error:
                    self.allocated_bytes = max(self.allocated_bytes, end)
                    self.reserved(self.allocated_bytes)
                elif error in _NO_FALLOCATE:
                    self._reserve_bytes = 0  # this filesystem can't; writing works all the same
                else:
                    self._reserve_bytes //= 2  # nearly full: the writer itself will find out
        self._reserving = False

    def sync(self) -> None:
        """See storage.Writer."""
        with storage_errors, self._file_lock:
            if self.offset_bytes <= SHORT_SYNC_BYTES:
                self._runtime.in_pool(self._sync)
                return
            position = 0
            while position < self.offset_bytes:
                with self._disk.large_sync:
                    turn = self._file, self._fd, position, self.offset_bytes
                    position = self._runtime.in_pool(self._syncs.write_out, *turn)
                self._runtime.sleep(0)  # the next one in line takes it, and not this one again
            with self._disk.large_sync:
                self._runtime.in_pool(self._sync)

    def _sync(self) -> None:
        self._syncs.sync(self._file, self._fd)
        fd, self._fd = self._fd, -1
        with contextlib.suppress(OSError):  # what is stored is stored
            self._trim_and_close(fd)

    def cut(self, length_bytes: int) -> None:
        """See storage.Writer."""
        with storage_errors, self._file_lock:
            self._runtime.in_pool(self._cut, self._fd, length_bytes)
            self.offset_bytes = self.allocated_bytes = length_bytes
            self._torn = False

    def close(self) -> None:
        """See storage.Writer. Truncating to the same length frees what was reserved beyond it."""
        with storage_errors, self._file_lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                self._runtime.in_pool(self._trim_and_close, fd)

    def _trim_and_close(self, fd: int) -> None:
        try:
            if self.allocated_bytes > self.offset_bytes or self._torn:
                self._cut(fd, self.offset_bytes)
        finally:
            close_descriptor(fd)

    def _cut(self, fd: int, size_bytes: int) -> None:
        self._disk.check_owner()  # another process may have stored more
        os.ftruncate(fd, size_bytes)


class LocalStorage:
    """See storage.Storage."""

    def __init__(
        self, directory: Path, reserve_bytes: int, runtime: Runtime, tells_holes: bool = True,
        check_owner: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """Creates the directory when there is none. `tells_holes`: see probe.Findings. Raises OSError.

        `check_owner` raises StorageFailed once the files may be another process's: then none is opened, cut
        or removed any more.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        set_folder_mode(directory, DIR_MODE, PASS)
        self._directory = directory.resolve()
        above = directory.parent.resolve()
        self._giving = Giving(self._directory, above if above == self._directory.parent else None, DIR_MODE)
        self._giving_lock = runtime.lock()
        self._place = _identity(self._directory)
        self._tells_holes = tells_holes
        self._reserve_bytes = reserve_bytes
        self._runtime = runtime
        self._syncs = Syncs(self._directory)
        self._disk = Disk(runtime, check_owner)
        self._removal = Removal(self._directory, runtime)

    def _file(self, ticket_id: str) -> Path:
        return self._directory / ticket_id / ticket_id

    def path(self, ticket_id: str) -> str:
        """See storage.Storage."""
        return str(self._file(ticket_id))

    def open(
        self, ticket_id: str, length_bytes: int, reserved: Callable[[int], object] = lambda _: None
    ) -> LocalWriter:
        """See storage.Storage. Raises StorageFull, StorageFailed."""
        with storage_errors:
            opened = self._runtime.in_pool(self._open, self._file(ticket_id))
        writer = LocalWriter(opened, self._disk, self._syncs, length_bytes, self._reserve_bytes)
        writer.reserved = reserved
        return writer

    def _open(self, file: Path) -> Opened:
        self._disk.check_owner()
        self._check_place()
        with contextlib.suppress(FileExistsError):
            os.mkdir(file.parent, 0o700)  # noqa: PTH102
        with folder(file.parent) as folder_fd:
            set_mode(folder_fd, DIR_MODE)  # mkdir takes neither the setgid bit nor a mode past the umask
            fd = os.open(file.name, os.O_RDWR | os.O_CREAT | NO_LINK, FILE_MODE, dir_fd=folder_fd)
        set_mode(fd, FILE_MODE)
        return file, fd, os.fstat(fd)

    def stored_bytes(self, ticket_id: str) -> int | None:
        """See storage.Storage."""
        status = self._status(ticket_id)
        return None if status is None else status.st_size

    def _status(self, ticket_id: str) -> os.stat_result | None:
        try:
            return self._status_where_it_is(self._file(ticket_id))
        except OSError as exc:
            raise StorageFailed from exc

    def _status_where_it_is(self, file: Path) -> os.stat_result | None:
        try:
            return file.stat(follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            self._check_place()
            return None

    def give_back(self, ticket_id: str) -> int:
        """See storage.Storage. A file system that does not give it back goes on counting it as used."""
        status = self._status(ticket_id)
        if status is None:
            return 0
        if allocated_bytes(status) <= status.st_size:
            return status.st_size
        with storage_errors:
            status = self._runtime.in_pool(self._trim, self._file(ticket_id))
        return allocated_bytes(status, self._reserve_bytes)

    def _trim(self, file: Path) -> os.stat_result:
        with folder(file.parent) as folder_fd:
            fd = os.open(file.name, os.O_RDWR | NO_LINK, dir_fd=folder_fd)
        try:
            with contextlib.suppress(OSError):  # what it keeps is counted
                os.ftruncate(fd, os.fstat(fd).st_size)
            return os.fstat(fd)
        finally:
            close_descriptor(fd)

    def drop_lost(self, ticket_id: str) -> int:
        """See storage.Storage. Files are written without gaps, but zeros may be kept as a hole, too."""
        if not self._tells_holes:
            return 0
        try:
            with folder(self._file(ticket_id).parent) as folder_fd:
                fd = os.open(ticket_id, os.O_RDWR | NO_LINK, dir_fd=folder_fd)
        except (FileNotFoundError, NotADirectoryError):
            return 0
        try:
            return cut_at_first_hole(fd)
        finally:
            close_descriptor(fd)

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """See storage.Storage. Raises StorageFailed, also when the file is shorter."""
        with storage_errors:
            self._runtime.in_pool(self._read, self._file(ticket_id), start, end, take)

    def _read(self, file: Path, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        buffer = memoryview(bytearray(min(READ_BYTES, end - start)))
        with folder(file.parent) as folder_fd:
            fd = os.open(file.name, os.O_RDONLY | NO_LINK, dir_fd=folder_fd)
        try:
            while start < end:
                count = os.preadv(fd, [buffer[: end - start]], start)
                if not count:
                    raise OSError(errno.EIO, "the file is shorter than it was")
                take(buffer[:count])
                start += count
        finally:
            close_descriptor(fd)

    def names(self) -> frozenset[str]:
        """See storage.Storage."""
        with storage_errors:
            return self._runtime.in_pool(self._names)

    def _names(self) -> frozenset[str]:
        return frozenset(place.name for place in self._directory.iterdir())

    def strays(self, known: Callable[[], Container[str]]) -> Strays:
        """See storage.Storage."""
        with storage_errors:
            return self._runtime.in_pool(self._strays, known)

    def _strays(self, known: Callable[[], Container[str]]) -> Strays:
        names = self._names()
        tickets = known()
        strays = sorted(name for name in names if name not in tickets)
        return Strays(tuple(strays), sum(_size_bytes(self._directory / name) for name in strays))

    def free_bytes(self) -> int:
        """See storage.Storage."""
        with storage_errors:
            status = os.statvfs(self._directory)
        if not status.f_blocks:
            return UNKNOWN_FREE_BYTES
        return status.f_bavail * status.f_frsize

    def check(self) -> None:
        """See storage.Storage."""
        with storage_errors:
            self._runtime.in_pool(self._check)

    def _check(self) -> None:
        self._check_place()
        try_to_write(self._directory)
        status = os.statvfs(self._directory)
        if status.f_files and status.f_favail < INODES:
            raise OSError(errno.ENOSPC, "No inodes are left", str(self._directory))

    def _check_place(self) -> None:
        """Raises FileNotFoundError where the directory is not in its place any more: unmounted, or moved.

        Then a file that is not there may be elsewhere, and a new one would be on the wrong disk.
        """
        if _identity(self._directory) != self._place:
            raise FileNotFoundError(errno.ENOENT, "Another folder is in its place", str(self._directory))

    def give_to(self, ticket_id: str, owner_uid: int) -> None:
        """See storage.Storage."""
        with storage_errors:
            self._runtime.in_pool(self._giving.give, self._file(ticket_id), owner_uid)

    def can_give_to(self, owner_uid: int) -> bool:
        """See storage.Storage."""
        with storage_errors, self._giving_lock:
            return self._runtime.in_pool(self._giving.can_give_to, owner_uid)

    def remove(self, ticket_id: str) -> None:
        """See storage.Storage. Removes only what the server itself has put there."""
        try:
            with storage_errors:
                self._runtime.in_pool(self._remove, self._file(ticket_id))
        finally:
            self._removal.go_on()

    def _remove(self, file: Path) -> None:
        self._disk.check_owner()
        self._check_place()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), folder(file.parent) as folder_fd:
            self._removal.unlink(file.name, folder_fd)
        self._syncs.forget(file)
        self._remove_folder(file.parent)

    def tidy(self, ticket_id: str) -> None:
        """See storage.Storage."""
        with storage_errors:
            self._runtime.in_pool(self._remove_folder, self._file(ticket_id).parent)

    def _remove_folder(self, folder: Path) -> None:
        self._disk.check_owner()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            try:
                folder.rmdir()
            except OSError as exc:
                if exc.errno != errno.ENOTEMPTY:  # somebody keeps something there
                    raise


def _identity(directory: Path) -> tuple[int, int]:
    status = directory.stat()
    return status.st_dev, status.st_ino


def _size_bytes(place: Path) -> int:
    """Returns how long a file is, or what is in a folder of ours; 0 where that can't be seen."""
    try:
        status = place.lstat()
        if not stat.S_ISDIR(status.st_mode):
            return status.st_size
        return sum(file.lstat().st_size for file in place.iterdir())
    except OSError:
        return 0
