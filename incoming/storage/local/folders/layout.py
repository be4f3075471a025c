"""Where the files of a folder are on the disk, and how many bytes of the stream they have.

Files are created in the order of the manifest, each once the one before has all its bytes. So the files that
are there are the first ones, and the last of them tells where the stream ends: it is found in a few steps,
however many there are. After a power cut all of them are looked at, since each may have lost bytes, or its
name.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection
from typing import NamedTuple

from incoming.core.folder_manifest import FolderManifest
from incoming.core.folder_names import NameRules, stored_paths
from incoming.storage.local.posix import ROUNDING_BYTES


class FolderLayout:
    """The manifest of a folder, the paths of its files, and the space that they take."""

    def __init__(self, manifest: FolderManifest, rules: NameRules) -> None:
        """Raises BadFolder. It takes a second for each few 100,000 entries."""
        self.manifest = manifest
        self.rules = rules
        self.paths = stored_paths(manifest.entries, rules)
        """The path of each entry, below the folder."""
        self._rounding = array("Q", bytes(8 * (len(manifest.entries) + 1)))
        sum_bytes = 0
        for index in range(len(manifest.entries) - 1, -1, -1):
            entry = manifest.entries[index]
            sum_bytes += ROUNDING_BYTES if entry.is_folder else -entry.size_bytes % ROUNDING_BYTES
            self._rounding[index] = sum_bytes

    @property
    def length_bytes(self) -> int:
        """How long the stream is."""
        return self.manifest.length_bytes

    def rounding_bytes(self, offset: int) -> int:
        """Returns how much space the entries after this offset take beyond their bytes."""
        return self._rounding[self.manifest.index_at(offset)]


class Stored(NamedTuple):
    """How much of a stream is stored. Every entry before `next_index` was created, or it is left out."""

    offset: int
    next_index: int


def stored(
    layout: FolderLayout, left_out: Collection[int], size_of: Callable[[str], int | None], all_of_them: bool
) -> Stored:
    """Returns how much is stored. `size_of` returns the length of the file with this path, or None.

    `all_of_them`: look at every file, since there was a power cut. Blocks on the disk.
    """
    if all_of_them:
        return _first_that_lacks(layout, left_out, size_of)
    entries = enumerate(layout.manifest.entries)
    files = [index for index, entry in entries if not entry.is_folder and index not in left_out]
    count = bisect_left(files, True, key=lambda index: size_of(layout.paths[index]) is None)
    newest = files[count - 1] if count else -1
    return _end_at(layout, newest, left_out, size_of)


def _end_at(
    layout: FolderLayout, newest: int, left_out: Collection[int], size_of: Callable[[str], int | None]
) -> Stored:
    """Returns where the stream ends if `newest` is the newest file; -1 for none."""
    manifest = layout.manifest
    if newest >= 0:
        start, end = manifest.range_of(newest)
        size_bytes = size_of(layout.paths[newest]) or 0
        if start + size_bytes < end:
            return Stored(start + size_bytes, newest + 1)
    last = max([newest, *left_out])
    return Stored(manifest.range_of(last)[1] if last >= 0 else manifest.head_bytes, last + 1)


def _first_that_lacks(
    layout: FolderLayout, left_out: Collection[int], size_of: Callable[[str], int | None]
) -> Stored:
    """Returns where the first file lacks bytes. Empty files and folders may be missing before it."""
    manifest = layout.manifest
    offset, next_index = manifest.head_bytes, 0
    for index, entry in enumerate(manifest.entries):
        if index not in left_out:
            if not entry.size_bytes:
                continue
            size_bytes = size_of(layout.paths[index])
            if size_bytes is None:
                break
            if size_bytes < entry.size_bytes:
                return Stored(offset + size_bytes, index + 1)
        offset, next_index = manifest.ends[index], index + 1
    return Stored(offset, next_index)
