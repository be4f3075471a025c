"""A folder as one stream: the head with the list of its files, then the bytes of all files.

Each file is checked for changes as it is read. One that has changed, that is gone or that can't be read is
reported with its number in the list, so that the upload can stop with its name or leave it out.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from incoming.client.folder_files import FolderFiles
from incoming.client.folder_walk import DIRECTORY_FLAGS, VANISHED, Folder
from incoming.client.protocol.events import File
from incoming.client.read_ahead import SMALL_BYTES, Batch, ReadAhead
from incoming.client.source import FileChanged, FileUnreadable
from incoming.core.folder_manifest import FolderManifest, encode_head

AHEAD_BYTES: Final = 10 * 1024 * 1024
"""How far ahead of the stream small files are read: more than two of the largest chunks."""
AHEAD_ENTRIES: Final = 8192
READERS: Final = 2
"""The stream is read for chunks at one offset, and for the checksum of what was sent earlier at another."""


class FolderSource:
    """See Source. The entries of `folder` must no longer change."""

    def __init__(self, folder: Folder) -> None:
        """Raises FileUnreadable."""
        self.folder = folder
        self._head = encode_head(folder.entries)
        self.manifest = FolderManifest(len(self._head), folder.entries)
        newest_ms = max((entry.modified_ms or 0 for entry in folder.entries), default=0)
        self._file = File(folder.name, self.manifest.length_bytes, max(newest_ms, 0), self.manifest)
        self._left_out: set[int] = set()
        self._roots: list[int] = []
        self._identities: list[int] = []
        self._ahead: ReadAhead | None = None
        self._readers: deque[_Reader] = deque()
        self.open()

    @property
    def file(self) -> File:
        """See Source."""
        return self._file

    def open(self) -> None:
        """See Source."""
        self.close()
        for path in self.folder.roots:
            try:
                self._roots.append(os.open(path, DIRECTORY_FLAGS & ~os.O_NOFOLLOW))
            except OSError as exc:
                raise FileUnreadable(f"{path} can't be read: {exc.strerror}.") from exc
        self._identities = self._identities or [_identity(os.fstat(fd)) for fd in self._roots]
        self._ahead = ReadAhead(self.folder, self.manifest, self._roots, self._left_out)
        self._readers.extend(_Reader(self, self._ahead) for _ in range(READERS))

    def close(self) -> None:
        """See Source."""
        if self._ahead:
            self._ahead.stop()
        self._ahead = None
        for reader in self._readers:
            reader.close()
        self._readers.clear()
        for fd in self._roots:
            os.close(fd)
        self._roots.clear()

    def leave_out(self, entries: frozenset[int]) -> None:
        """See Source."""
        self._left_out.clear()
        self._left_out.update(entries)
        for reader in self._readers:
            reader.forget()

    def is_left_out(self, entry: int) -> bool:
        """Returns whether the bytes of an entry read as zeros."""
        return entry in self._left_out

    def read_into(self, buffer: memoryview, offset_bytes: int) -> None:
        """See Source."""
        size_bytes = len(buffer)
        if offset_bytes < len(self._head):
            part = self._head[offset_bytes : offset_bytes + size_bytes]
            buffer[: len(part)] = part
            buffer, offset_bytes = buffer[len(part) :], offset_bytes + len(part)
        if buffer:
            self._reader(offset_bytes).read_into(buffer, offset_bytes)

    def _reader(self, offset_bytes: int) -> _Reader:
        """Returns the reader that is at this offset, or else the one that was used longest ago."""
        reader = next((one for one in self._readers if one.offset_bytes == offset_bytes), self._readers[0])
        self._readers.remove(reader)
        self._readers.append(reader)
        return reader

    def files(self) -> list[FolderFiles]:
        """Returns a way to the files of each root."""
        return [FolderFiles(os.dup(fd)) for fd in self._roots]

    def check(self) -> None:
        """See Source. A file that is gone may have been moved by a script: it was read in time."""
        roots = self.files()
        try:
            for index, entry in enumerate(self.folder.entries):
                if not entry.is_folder and index not in self._left_out:
                    self._check(index, roots)
        finally:
            for files in roots:
                files.close()

    def _check(self, index: int, roots: Sequence[FolderFiles]) -> None:
        folder = self.folder
        with suppress(OSError):
            now = roots[folder.root_of[index]].stat(folder.places[index])
            size_bytes = folder.entries[index].size_bytes
            if (now.st_size, now.st_mtime_ns) != (size_bytes, folder.modified_ns[index]):
                raise self.failure(index, None)

    def failure(self, index: int, exc: OSError | None) -> FileChanged | FileUnreadable:
        """Returns the error for an entry that could not be read; `exc` is None if it has changed."""
        path = self.folder.path(index)
        if exc is None:
            return FileChanged(f"{path} has changed since its upload began.", index)
        for root, identity in zip(self.folder.roots, self._identities, strict=True):
            with suppress(OSError):
                next(root.iterdir(), None)  # a drive that is gone may have left its folder in a cache
                if _identity(root.stat()) == identity:
                    continue
            return FileUnreadable(f"{root} can't be read at the moment.")
        if exc.errno in VANISHED:
            return FileChanged(f"{path} is gone.", index)
        return FileUnreadable(f"{path} can't be read: {exc.strerror}.", index)


def _identity(found: os.stat_result) -> int:
    """Returns what tells a folder from the one at the same path while its drive is away.

    A drive that comes back may have another device number.
    """
    return found.st_ino


class _Reader:
    """Reads the stream from one offset on."""

    def __init__(self, source: FolderSource, ahead: ReadAhead) -> None:
        self._source, self._manifest, self._ahead = source, source.manifest, ahead
        self.offset_bytes = -1
        """Where the last read has ended."""
        self._batches: deque[Batch] = deque()
        self._unasked = 0
        """The first entry that no batch has."""
        self._files = source.files()
        self._large = (-1, -1)
        """The large file that is open: its index and its descriptor."""

    def close(self) -> None:
        """Closes what is open."""
        self._close_large()
        for files in self._files:
            files.close()
        self.forget()

    def forget(self) -> None:
        """Drops what was read ahead."""
        self.offset_bytes = -1
        while self._batches:
            self._ahead.take_back(self._batches.popleft())

    def read_into(self, buffer: memoryview, offset_bytes: int) -> None:
        """Fills `buffer` with the stream's bytes from the offset on. Raises FileChanged, FileUnreadable."""
        index = self._manifest.index_at(offset_bytes)
        while self._batches and self._batches[0].end <= offset_bytes:
            self._ahead.take_back(self._batches.popleft())
        if offset_bytes != self.offset_bytes and not (
            self._batches and self._batches[0].start <= offset_bytes
        ):
            self.forget()
            self._unasked = index
        while buffer:
            self._ask_ahead(index, offset_bytes)
            size_bytes = self._read_some(index, buffer, offset_bytes)
            buffer, offset_bytes = buffer[size_bytes:], offset_bytes + size_bytes
            index = self._manifest.index_at(offset_bytes)
        self.offset_bytes = offset_bytes

    def _ask_ahead(self, index: int, offset_bytes: int) -> None:
        """Asks for the batches of small files that begin soon."""
        count = len(self._manifest.entries)
        self._unasked = at = max(self._unasked, index)
        while at < min(count, index + AHEAD_ENTRIES):
            start, end = self._manifest.range_of(at)
            if start > offset_bytes + AHEAD_BYTES:
                break
            if end - start > SMALL_BYTES or end == start:
                at += 1
            else:
                batch = self._ahead.ask(at)
                self._batches.append(batch)
                at = batch.after
        self._unasked = at

    def _read_some(self, index: int, buffer: memoryview, offset_bytes: int) -> int:
        """Reads from an entry, and from those that were read with it. Returns how many bytes."""
        start, end = self._manifest.range_of(index)
        if self._source.is_left_out(index):
            size_bytes = min(end - offset_bytes, len(buffer))
            buffer[:size_bytes] = bytes(size_bytes)
        elif end - start > SMALL_BYTES:
            size_bytes = min(end - offset_bytes, len(buffer))
            self._read_large(index, buffer[:size_bytes], offset_bytes - start, end - start)
        else:
            batch = next(one for one in self._batches if one.first <= index < one.after)
            batch.wait()
            if batch.failures:  # entry by entry: some may be left out
                if index in batch.failures:
                    raise self._source.failure(index, batch.failures[index])
                size_bytes = min(end - offset_bytes, len(buffer))
            else:
                size_bytes = min(batch.end - offset_bytes, len(buffer))
            at = offset_bytes - batch.start
            buffer[:size_bytes] = memoryview(batch.content)[at : at + size_bytes]
        return size_bytes

    # --- large files -------------------------------------------------------------------------------

    def _read_large(self, index: int, buffer: memoryview, at_bytes: int, size_bytes: int) -> None:
        """Reads from a large file, which stays open."""
        folder = self._source.folder
        try:
            if self._large[0] != index:
                self._close_large()
                fd = self._files[folder.root_of[index]].open(folder.places[index])
                self._large = index, fd
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            fd = self._large[1]
            while buffer:
                read_bytes = os.preadv(fd, [buffer], at_bytes)
                if not read_bytes:
                    break
                buffer, at_bytes = buffer[read_bytes:], at_bytes + read_bytes
            has_more = at_bytes == size_bytes and os.pread(fd, 1, at_bytes)
            now = os.fstat(fd)
        except OSError as exc:
            raise self._source.failure(index, exc) from exc
        is_same = (now.st_size, now.st_mtime_ns) == (size_bytes, folder.modified_ns[index])
        if buffer or has_more or not is_same:
            raise self._source.failure(index, None)

    def _close_large(self) -> None:
        if self._large[1] >= 0:
            os.close(self._large[1])
        self._large = -1, -1
