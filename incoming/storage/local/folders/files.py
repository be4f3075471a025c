"""The files of one folder while they are written. Every method blocks on the disk and raises OSError.

One thread at a time calls it. What a kill leaves between any two system calls is a folder whose first files
are whole, see `layout`. So the order of the calls matters: a file is created when the one before has
all its bytes, and files are deleted from the last one on.

The disk writes most files while more come in. Otherwise the sync at the end would have all of them to write,
and the journal's syncs wait for it: up to 190 ms for a gigabyte.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from incoming.core.errors import BadFolder, BadParameter
from incoming.core.folder_manifest import (
    HEADER_BYTES,
    Entry,
    check_begins,
    check_length,
    head_bytes,
    parse_head,
)
from incoming.core.hashes import new_hash
from incoming.runtime.filesystem import set_mode, sync_folder
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local import posix
from incoming.storage.local.directory import DIR_MODE, FILE_MODE
from incoming.storage.local.folders import sums_log
from incoming.storage.local.folders.current_file import Current
from incoming.storage.local.folders.disk import FolderDisk, has_sound_head, head_name, list_name, log_name
from incoming.storage.local.folders.layout import FolderLayout
from incoming.storage.local.folders.sums_log import Digests, Kind, Log
from incoming.storage.local.folders.tree import FolderTree, set_time
from incoming.storage.local.posix import NO_FOLLOW, closing, folder, write_all
from incoming.storage.local.writer import OpenFile

MEDIUM_BYTES: Final = 64 * 1024
"""The disk begins to write a file of at least this size as soon as it is complete."""
LEFT_TO_SYNC_BYTES: Final = 32 * 1024 * 1024
"""How many bytes of smaller files the sync at the end may have to write: a moment for the disk."""
_CREATE: Final = os.O_RDWR | os.O_CREAT | NO_FOLLOW


class FolderFiles:
    """The open files of a folder."""

    def __init__(self, disk: FolderDisk, ticket_id: str, length_bytes: int | None) -> None:
        """Opens the folder; creates it if there is none. Raises StorageFailed."""
        self.disk = disk
        self.ticket_id = ticket_id
        self.length_bytes = length_bytes
        self.layout: FolderLayout | None = None
        self.offset = 0
        """How much is stored."""
        self.current: Current | None = None
        self.log = Log()
        self.wants_sha256 = False
        self._next_index = 0
        """Every entry before this one was created, or is left out."""
        self._records = bytearray()
        """Records that are not in the log yet."""
        self._log_fd = -1
        self._left_to_sync_bytes = 0
        self.large: set[int] = set()
        """The large files that are complete."""
        with contextlib.ExitStack() as undo:
            self._open(undo)
            undo.pop_all()
        self.trusts_since = self.disk.sync_failures if not self.offset else 0
        """The number of failed syncs of the file system before the first write of this folder."""

    # --- opening and closing -----------------------------------------------------------------------------

    def _open(self, undo: contextlib.ExitStack) -> None:
        disk, ticket_id = self.disk, self.ticket_id
        disk.directory.owner.check()
        disk.directory.check_not_replaced()
        place = disk.upload_folder(ticket_id)
        with contextlib.suppress(FileExistsError):
            os.mkdir(place, 0o700)  # noqa: PTH102 - by `os`, like all calls here
        self.folder_fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW)
        undo.callback(close_descriptor, self.folder_fd)
        set_mode(self.folder_fd, DIR_MODE)
        self.head_fd = os.open(head_name(ticket_id), _CREATE, FILE_MODE, dir_fd=self.folder_fd)
        undo.callback(close_descriptor, self.head_fd)
        set_mode(self.head_fd, FILE_MODE)
        self._open_tree()
        undo.callback(self.tree.close)
        known = disk.known(ticket_id)
        if known is None:
            raise OSError(errno.EIO, "The head of the folder has vanished")
        self.offset, self.layout, self.log = known
        if self.layout:
            undo.callback(self._close_log)
            self._open_log()
            self._open_stored(self.layout)
        elif not has_sound_head(self.head_fd):
            self._empty()  # there are files only if a power cut has damaged the head

    def _open_tree(self) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.ticket_id, DIR_MODE & 0o777, dir_fd=self.folder_fd)
        flags = os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW
        self.tree = FolderTree(os.open(self.ticket_id, flags, dir_fd=self.folder_fd))
        set_mode(self.tree.root_fd, DIR_MODE)

    def _open_log(self) -> None:
        self._log_fd = os.open(log_name(self.ticket_id), _CREATE, FILE_MODE, dir_fd=self.folder_fd)
        set_mode(self._log_fd, FILE_MODE)
        self.log = sums_log.read(self._log_fd)
        if os.fstat(self._log_fd).st_size > self.log.size_bytes:
            os.ftruncate(self._log_fd, self.log.size_bytes)  # no later record makes the rest count again
        if self.log.rules is None and self.layout:
            self.log.rules = self.layout.rules
            self._append(sums_log.begun(self.layout.rules, self.wants_sha256))

    def _mark(self) -> None:
        """Notes that every file was checked since the machine started."""
        self._append(sums_log.encode(Kind.STARTED, content=self.disk.mark))
        self.log.mark = self.disk.mark

    def _append(self, records: bytes | bytearray) -> None:
        """Adds records to the log. Raises OSError: then they are written again with the next ones."""
        self.log.size_bytes = write_all(self._log_fd, bytes(records), self.log.size_bytes)

    def _open_stored(self, layout: FolderLayout) -> None:
        """Finds out what is stored, and deletes everything after it."""
        found = self.disk.stored_in(layout, self.log, self.tree.size)
        for index in self.log.left_out:
            self.tree.unlink(layout.paths[index], self.disk.deletion)  # a kill may have come before
        self.offset, self._next_index = found.offset, found.next_index
        if self.log.mark != self.disk.mark:
            self._end_at_offset(layout)
        self._unlink_list()

    def _end_at_offset(self, layout: FolderLayout) -> None:
        """Deletes what a power cut has left after the end, and creates empty files that it took."""
        next_index, self._next_index = self._next_index, len(layout.paths)
        self._cut(layout, self.offset)
        self._next_index = min(self._next_index, next_index)
        for index in range(self._next_index):
            if not layout.manifest.entries[index].size_bytes and index not in self.log.left_out:
                self._create_empty(layout, index)
        self._mark()

    def _unlink_list(self) -> None:
        """Deletes the list for the app: more bytes may come."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(list_name(self.ticket_id), dir_fd=self.folder_fd)

    def close(self) -> None:
        """Closes everything. Does nothing the second time."""
        fds, self.folder_fd, self.head_fd = [self.folder_fd, self.head_fd], -1, -1
        self.tree.close()
        self._close_log()
        self.close_current()
        for fd in fds:
            if fd >= 0:
                close_descriptor(fd)

    def _close_log(self) -> None:
        fd, self._log_fd = self._log_fd, -1
        if fd >= 0:
            close_descriptor(fd)

    def close_current(self) -> None:
        """Closes the file that gets the next byte. The next byte opens it again."""
        current, self.current = self.current, None
        if current and current.fd >= 0:
            close_descriptor(current.fd)

    def want_sha256(self) -> None:
        """Computes the SHA-256 of each file, too."""
        self.wants_sha256 = True
        if self.layout and not self.log.wants_sha256:
            self.log.wants_sha256 = True
            self._append(sums_log.begun(self.layout.rules, wants_sha256=True))

    def set_length(self, length_bytes: int) -> None:
        """See storage.FolderWriter."""
        if self.layout:
            check_length(length_bytes, self.layout.length_bytes)
        elif length_bytes >= HEADER_BYTES:  # else it is not a folder at all
            check_length(length_bytes, self.offset + 1, at_least=True)
        self.length_bytes = length_bytes

    # --- the head ------------------------------------------------------------------------------------------

    def put_head(self, chunk: memoryview) -> int:
        """Stores what belongs to the head. Returns how many bytes that are. Raises BadFolder."""
        begun = os.pread(self.head_fd, HEADER_BYTES, 0)[: self.offset]
        header = begun + bytes(chunk[: HEADER_BYTES - len(begun)])
        check_begins(header, self.length_bytes)
        whole_bytes = head_bytes(header, self.disk.bounds) if len(header) == HEADER_BYTES else HEADER_BYTES
        check_length(self.length_bytes, whole_bytes, at_least=True)
        piece = chunk[: whole_bytes - self.offset]
        write_all(self.head_fd, piece, self.offset)
        self.offset += len(piece)
        if self.offset == whole_bytes and len(header) == HEADER_BYTES:
            self._begin(parse_layout(self))
        return len(piece)

    def _begin(self, layout: FolderLayout) -> None:
        """Begins the files, once the head is complete."""
        check_length(self.length_bytes, layout.length_bytes)
        status = os.fstatvfs(self.folder_fd)
        if status.f_files and status.f_favail < len(layout.paths):
            raise OSError(errno.ENOSPC, "There are too few inodes for its files")
        if status.f_blocks and status.f_bavail * status.f_frsize < _room_bytes(layout, self.offset):
            raise OSError(errno.ENOSPC, "There is no room for its files")
        self.layout = layout
        self._open_log()
        self._mark()
        if self.wants_sha256:
            self.want_sha256()
        self.disk.learn(self.ticket_id, self.head_fd, self._log_fd, layout)

    # --- files ----------------------------------------------------------------------------------------------

    def put(self, chunk: memoryview) -> int:
        """Stores what belongs to files that are not large. Returns how many bytes that are.

        It ends where a large file begins: then `current` is open, and gets its bytes by another way.
        """
        layout, done = self.begun(), 0
        try:
            while done < len(chunk):
                current = self.current or self._open_next(layout)
                if current.is_large:
                    break
                piece = chunk[done : done + current.missing_bytes]
                write_all(current.fd, piece, current.position)
                current.add(piece)
                done += len(piece)
                self.offset += len(piece)
                if not current.missing_bytes:
                    self._complete(current)
        finally:
            self.append_records()
        return done

    def begun(self) -> FolderLayout:
        """Returns the layout. Raises OSError before the head is complete, and once all is closed."""
        if self.layout is None or self.folder_fd < 0:
            raise OSError(errno.EBADF, "The folder is not open")
        return self.layout

    def append_records(self) -> None:
        """Writes the collected records to the log."""
        if self._records:
            self._append(self._records)
            self._records.clear()

    def _open_next(self, layout: FolderLayout) -> Current:
        """Opens the file that gets the next byte. A new one is created, and empty ones before it."""
        index = layout.manifest.index_at(self.offset)
        if index >= len(layout.paths):
            raise BadFolder("wrong_length", "It has more bytes than the list of its files says")
        position = self.offset - layout.manifest.range_of(index)[0]
        if self._next_index > index:
            fd = self.tree.open(layout.paths[index], os.O_RDWR)
        else:
            self.create_empty_before(index)
            fd = self.tree.create(layout.paths[index])
            self._next_index = index + 1
        self.current = Current(index, layout.manifest.entries[index], fd, position)
        if not position:
            self.current.crc32c = 0
            self.current.sha256 = new_hash("sha256") if self.wants_sha256 else None
        return self.current

    def create_empty_before(self, index: int) -> None:
        """Creates all entries before this one that are not there: they have no bytes."""
        layout = self.begun()
        while self._next_index < index:
            if self._next_index not in self.log.left_out:
                self._create_empty(layout, self._next_index)
            self._next_index += 1

    def _create_empty(self, layout: FolderLayout, index: int) -> None:
        entry, path = layout.manifest.entries[index], layout.paths[index]
        if entry.is_folder:
            self.tree.create_folder(path)
            return
        with contextlib.suppress(FileExistsError), closing(self.tree.create(path)) as fd:
            self.note(index, entry, Digests(0, new_hash("sha256").digest()), fd)

    def note(self, index: int, entry: Entry, digests: Digests | None, fd: int) -> None:
        """Notes that a file has all its bytes."""
        if digests:
            self._records += sums_log.complete(index, digests)
        if entry.modified_ms is not None:
            set_time(fd, entry.modified_ms)

    def _complete(self, current: Current) -> None:
        self.note(current.index, current.entry, current.digests, current.fd)
        if self.disk.syncs:
            self._write_behind(current.fd, current.entry.size_bytes)
        self.close_current()

    def path(self, layout: FolderLayout, index: int) -> Path:
        """Returns where an entry is."""
        return self.disk.directory.file(self.ticket_id) / layout.paths[index]

    def _write_behind(self, fd: int, size_bytes: int) -> None:
        """Tells the disk to write a complete file, and does not wait for it."""
        if size_bytes < MEDIUM_BYTES and self._left_to_sync_bytes + size_bytes <= LEFT_TO_SYNC_BYTES:
            self._left_to_sync_bytes += size_bytes  # a call for each small file would take as long
        elif posix.start_writing(fd, size_bytes):
            self.distrust()

    def opened_large(self) -> OpenFile:
        """Returns the large file that gets the next byte. The caller closes it."""
        layout, current = self.begun(), self.current
        if current is None:
            raise OSError(errno.EBADF, "No file is open")
        path = self.path(layout, current.index)
        fd, current.fd = current.fd, -1
        return OpenFile(path, fd, os.fstat(fd))

    def end_large(self) -> None:
        """Notes that the large file has all its bytes, and was closed."""
        layout, current = self.begun(), self.current
        if current:
            self.large.add(current.index)
            if current.entry.modified_ms is not None:
                self.tree.set_time(layout.paths[current.index], current.entry.modified_ms)
            if current.digests:  # a file with digests has its time
                self._append(sums_log.complete(current.index, current.digests))
            self.current = None

    def open_again(self, index: int) -> OpenFile:
        """Returns a large file that is complete. The caller closes it."""
        layout = self.begun()
        fd = self.tree.open(layout.paths[index], os.O_RDWR)
        return OpenFile(self.path(layout, index), fd, os.fstat(fd))

    # --- the end ----------------------------------------------------------------------------------------

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are there."""
        return self.layout is not None and self.offset == self.layout.length_bytes

    def distrust(self) -> None:
        """Notes that the disk did not write some bytes: nothing counts as written out."""
        self.trusts_since = -1

    def read_log(self) -> Log:
        """Returns what the log says, with the digests of complete files."""
        return sums_log.read(self._log_fd, with_digests=True)

    def sync_side_files(self) -> None:
        """Makes the files next to the folder survive a power cut, but not yet their names."""
        name, flags = list_name(self.ticket_id), os.O_RDONLY | NO_FOLLOW
        with closing(os.open(name, flags, dir_fd=self.folder_fd)) as fd:
            for one in (fd, self.head_fd, self._log_fd):
                os.fdatasync(one)

    # --- leaving out, and cutting off -------------------------------------------------------------------

    def leave_out(self, index: int) -> None:
        """See FolderWriter. Raises BadParameter."""
        layout = self.begun()
        if not 0 <= index < len(layout.paths):
            raise BadParameter("Index", "is not the number of an entry")
        start, end = layout.manifest.range_of(index)
        if index in self.log.left_out and end == self.offset:
            return
        if not start <= self.offset <= end or layout.manifest.entries[index].is_folder:
            raise BadParameter("Index", "is not the file that comes next, or that came last")
        self.close_current()
        self.create_empty_before(index)
        self.append_records()
        self._append(sums_log.encode(Kind.LEFT_OUT, index))
        self._sync_log()
        self.log.left_out.add(index)
        self.tree.unlink(layout.paths[index], self.disk.deletion)
        self.offset = end
        self._next_index = max(self._next_index, index + 1)

    def _sync_log(self) -> None:
        if self.disk.syncs:
            os.fdatasync(self._log_fd)
            sync_folder(self.folder_fd)
            with folder(self.disk.directory.path) as directory_fd:
                sync_folder(directory_fd)

    def cut(self, length_bytes: int) -> None:
        """Deletes everything after this offset, and the whole file there if that is left out."""
        self.disk.directory.owner.check()  # another process may have stored more
        self.close_current()
        self._records.clear()
        if self.layout is None or length_bytes <= self.layout.manifest.head_bytes:
            self._cut_head(length_bytes)
        else:
            self._cut(self.layout, length_bytes)

    def _cut_head(self, length_bytes: int) -> None:
        if self.layout:
            self._void(0)
            self._delete_files(self.layout, 0)
        if self.layout is None or length_bytes < self.layout.manifest.head_bytes:
            self._empty()
            self.layout = None
            os.ftruncate(self.head_fd, length_bytes)
        self.offset = length_bytes

    def _empty(self) -> None:
        """Deletes everything in the folder, and the log."""
        self._close_log()
        self.log = Log()
        self.tree.empty(self.disk.deletion)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(log_name(self.ticket_id), dir_fd=self.folder_fd)
        self._next_index = 0

    def _void(self, index: int) -> None:
        """Revokes what the log says of this entry and of all later ones, also after a power cut."""
        self._append(sums_log.encode(Kind.CUT, index))
        self._sync_log()
        self.log.left_out = {one for one in self.log.left_out if one < index}

    def _delete_files(self, layout: FolderLayout, first: int) -> None:
        """Deletes the files of this entry and of all later ones, the last one first."""
        while self._next_index > first:
            if not layout.manifest.entries[self._next_index - 1].is_folder:
                self.tree.unlink(layout.paths[self._next_index - 1], self.disk.deletion)
            self._next_index -= 1

    def _cut(self, layout: FolderLayout, length_bytes: int) -> None:
        index = layout.manifest.index_at(length_bytes)
        if index < len(layout.paths):
            size_bytes = length_bytes - layout.manifest.range_of(index)[0]
            if index in self.log.left_out:
                length_bytes -= size_bytes
                size_bytes = 0
            self._void(index)
            self._delete_files(layout, index + 1 if size_bytes else index)
            if size_bytes:
                self._shorten(layout.paths[index], size_bytes)
        self.offset = length_bytes

    def _shorten(self, path: str, size_bytes: int) -> None:
        with closing(self.tree.open(path, os.O_RDWR)) as fd:
            os.ftruncate(fd, size_bytes)


def parse_layout(files: FolderFiles) -> FolderLayout:
    """Returns the layout of a folder whose head is complete. Raises BadFolder."""
    manifest = parse_head(os.pread(files.head_fd, files.offset, 0), files.disk.bounds)
    return FolderLayout(manifest, files.disk.rules(files.ticket_id, files.folder_fd))


def _room_bytes(layout: FolderLayout, offset: int) -> int:
    """Returns how much space the entries after this offset take."""
    return layout.length_bytes - offset + layout.rounding_bytes(offset)
