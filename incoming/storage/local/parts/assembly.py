"""Makes one file out of the parts of an upload.

Parts that follow each other in the file are the file already: it only gets its name. Anything else
is copied into a new file by the kernel (copy_file_range(2)), which shares the blocks where the file system
can do that. The new file gets its name when it is complete and synced. So a kill leaves the parts as they
were, or the file.

No part has a writer meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from incoming.core.checkpoints import START, Checkpoint
from incoming.core.checksum import combine
from incoming.core.parts import Part, are_adjacent, total_bytes
from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import UNSUPPORTED, set_mode, sync_folder
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.directory import DIR_MODE, FILE_MODE
from incoming.storage.local.parts.files import (
    PartFiles,
    assembly_name,
    offsets_name,
    part_name,
    regions_name,
)
from incoming.storage.local.posix import NO_FOLLOW, FileSync, fallocate, folder
from incoming.storage.local.reading import EndOfFile, read_checksum
from incoming.storage.local.write_path import WritePath

STEP_BYTES: Final = 16 * 1024 * 1024
"""How much a thread copies at a time: some milliseconds."""
COPY_BYTES: Final = 1024 * 1024
_NO_COPY: Final = (*UNSUPPORTED, errno.EXDEV, errno.EPERM, errno.ETXTBSY)
"""The file system, or the kernel, does not copy ranges between these files."""


class Assembler:
    """Puts together the parts of one upload."""

    def __init__(
        self, ticket_id: str, parts: Sequence[Part], files: PartFiles, write_path: WritePath,
        file_sync: FileSync | None,
    ) -> None:  # fmt: skip
        """`parts`: in the order of the file; one may come twice. Without `file_sync` nothing is synced."""
        self._ticket_id = ticket_id
        self._parts = parts
        self._files = files
        self._write_path = write_path
        self._runtime: Runtime = write_path.runtime
        self._file_sync = file_sync
        """Makes files durable; None where nothing is synced."""
        self._file = files.directory.file(ticket_id)
        self._total_bytes = total_bytes(parts) or 0
        self._is_moved = are_adjacent(parts) and self._total_bytes > 0
        self._name = regions_name(ticket_id) if self._is_moved else assembly_name(ticket_id)
        self._place = self._file.with_name(self._name)

    def run(
        self, is_wanted: Callable[[], bool], on_reserve: Callable[[int], object], reserves: bool
    ) -> Checkpoint | None:
        """See storage.PartStorage. `reserves`: whether space is reserved for a copy. Raises OSError."""
        whole = self._runtime.in_pool(self._expected)
        if self._runtime.in_pool(self._is_done, whole):
            return whole
        fd = self._runtime.in_pool(self._open)
        try:
            if not self._is_moved:
                accounted_bytes = self._runtime.in_pool(self._reserve, fd) if reserves else 0
                for source, at, position, size_bytes in self._ranges():
                    on_reserve(max(accounted_bytes, position))
                    if not is_wanted():
                        return None
                    self._runtime.in_pool(self._copy, fd, source, at, position, size_bytes)
                    self._write_out(fd, position, position + size_bytes)
            self._write_out(fd, 0, self._total_bytes)
            if not is_wanted():
                return None
            self._runtime.in_pool(self._install, fd)
        finally:
            self._runtime.in_pool(self._close, fd)
        return whole

    def _write_out(self, fd: int, start: int, end: int) -> None:
        """Writes a range out, in turns with other files."""
        if self._file_sync:
            self._write_path.write_out(self._file_sync, self._place, fd, end, start)

    # --- what is there ------------------------------------------------------------------------------------

    def _expected(self) -> Checkpoint:
        """Returns the length and the checksum of the file to be."""
        self._files.directory.owner.check()
        self._files.directory.check_not_replaced()
        whole = START
        for part, stored in zip(self._parts, self._files.stored(self._ticket_id, self._parts), strict=True):
            if stored.end_bytes != part.length_bytes:
                raise OSError(errno.EIO, f"The part {part.number} is not complete")
            crc = combine(whole.crc32c, stored.crc32c, stored.end_bytes)
            whole = Checkpoint(whole.end_bytes + stored.end_bytes, crc)
        return whole

    def _is_done(self, whole: Checkpoint) -> bool:
        """Returns whether the file is there already: the process was killed when it had its name.

        One that differs was not synced before a power cut. Then it is made again, if the parts are left.
        """
        try:
            fd = self._files.open(self._ticket_id, self._ticket_id, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            is_same = os.fstat(fd).st_size == whole.end_bytes
            with contextlib.suppress(EndOfFile):
                is_same = is_same and read_checksum(fd, 0, whole.end_bytes) == whole.crc32c
        finally:
            close_descriptor(fd)
        if not is_same:
            if self._is_moved:  # the parts are in this file, and nowhere else
                raise OSError(errno.EIO, "The file differs from its parts")
            with folder(self._file.parent) as folder_fd:
                os.unlink(self._ticket_id, dir_fd=folder_fd)
        return is_same

    # --- the file ------------------------------------------------------------------------------------------

    def _open(self) -> int:
        """Opens what becomes the file: a new one, or that of the parts, truncated after them."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._file.parent, 0o700)  # noqa: PTH102 - empty parts have no files
        with folder(self._file.parent) as folder_fd:
            set_mode(folder_fd, DIR_MODE)
            flags = os.O_RDWR if self._is_moved else os.O_RDWR | os.O_CREAT | os.O_TRUNC
            fd = os.open(self._name, flags | NO_FOLLOW, FILE_MODE, dir_fd=folder_fd)
        set_mode(fd, FILE_MODE)
        if self._is_moved:
            os.ftruncate(fd, self._total_bytes)
        return fd

    def _install(self, fd: int) -> None:
        """Makes the file survive a power cut, and the offsets, by which it is complete. Then names it."""
        if self._file_sync:
            self._file_sync.sync(self._place, fd)
            self._sync_offsets()
        self._files.directory.owner.check()
        with folder(self._file.parent) as folder_fd:
            os.replace(self._name, self._ticket_id, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
            if self._file_sync:
                sync_folder(folder_fd)

    def _sync_offsets(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            fd = self._files.open(self._ticket_id, offsets_name(self._ticket_id), os.O_RDWR)
            try:
                os.fdatasync(fd)
            finally:
                close_descriptor(fd)

    def _close(self, fd: int) -> None:
        """Closes what was opened, and deletes a copy that did not become the file."""
        close_descriptor(fd)
        if not self._is_moved:
            with contextlib.suppress(OSError), folder(self._file.parent) as folder_fd:
                os.unlink(self._name, dir_fd=folder_fd)

    # --- a copy --------------------------------------------------------------------------------------------

    def _reserve(self, fd: int) -> int:
        """Reserves the space of the copy, so that a full disk shows at once. Returns how much is reserved."""
        error = fallocate(fd, 0, self._total_bytes) if self._total_bytes else 0
        if error and error not in UNSUPPORTED:
            raise OSError(error, os.strerror(error))
        return 0 if error else self._total_bytes

    def _ranges(self) -> Iterator[tuple[Part, int, int, int]]:
        """Yields what to copy: a part, where in it, to where in the file, and how many bytes."""
        position = 0
        for part in self._parts:
            length_bytes = part.length_bytes or 0
            for at in range(0, length_bytes, STEP_BYTES):
                size_bytes = min(STEP_BYTES, length_bytes - at)
                yield part, at, position, size_bytes
                position += size_bytes

    def _copy(self, fd: int, part: Part, at: int, position: int, size_bytes: int) -> None:
        source = self._files.open(self._ticket_id, part_name(self._ticket_id, part), os.O_RDONLY)
        try:
            copy_range(source, (part.start_bytes or 0) + at, fd, position, size_bytes)
        finally:
            close_descriptor(source)


def copy_range(source: int, source_at: int, target: int, target_at: int, size_bytes: int) -> None:
    """Copies a range of a file into another one. Raises OSError; EndOfFile if the source ends before."""
    while size_bytes:
        try:
            count = os.copy_file_range(source, target, size_bytes, source_at, target_at)
        except OSError as exc:
            if exc.errno not in _NO_COPY:
                raise
            count = _copy_by_hand(source, source_at, target, target_at, size_bytes)
        if not count:
            raise EndOfFile
        source_at, target_at, size_bytes = source_at + count, target_at + count, size_bytes - count


def _copy_by_hand(source: int, source_at: int, target: int, target_at: int, size_bytes: int) -> int:
    piece = os.pread(source, min(COPY_BYTES, size_bytes), source_at)
    return os.pwrite(target, piece, target_at) if piece else 0
