"""How the stream of a folder is divided into pieces: pure.

The head is one piece, and so is each file that fits into a part. A larger file has the parts of a multipart
upload. An empty folder has no piece, and an empty file has an empty one. The ranges are fixed, so a piece
that is sent again, by whatever process, replaces the same bytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from incoming.core.errors import BadFolder
from incoming.core.folder_manifest import Bounds, Entry, FolderManifest, parse_head
from incoming.core.folder_names import NameRules, stored_paths
from incoming.storage.s3.keys import MAX_KEY_BYTES
from incoming.storage.s3.metadata.folder_states import StoredPiece
from incoming.storage.s3.part_plan import PartPlan, plan_for

HEAD_NUMBER: Final = 1
"""The number of the piece that is the head."""
NAMES: Final = NameRules(max_name_bytes=MAX_KEY_BYTES)
"""A bucket has no limit for a name, only for a whole key."""


class Piece(NamedTuple):
    """What a piece is of."""

    entry: int
    """The index of its entry."""
    part: int
    """Which part of a large file, from 1 on; 0 for a whole file."""
    size_bytes: int


class FolderPlan:
    """The pieces of a folder. The first one is the head, and the others are numbered from 2 on."""

    def __init__(self, manifest: FolderManifest, keys: Sequence[str], part_bytes: int) -> None:
        """`keys`: under which key each entry is stored."""
        self.manifest = manifest
        self.keys = keys
        self._part_bytes = part_bytes
        self._firsts = array("Q", bytes(8 * len(manifest.entries)))
        number = HEAD_NUMBER + 1
        for index, entry in enumerate(manifest.entries):
            self._firsts[index] = number
            if entry.size_bytes > part_bytes:
                number += -(-entry.size_bytes // plan_for(entry.size_bytes, part_bytes).part_bytes)
            elif not entry.is_folder:
                number += 1
        self.count = number - 1
        """How many pieces there are. The last one has this number."""

    def first(self, index: int) -> int:
        """Returns the number of the first piece of an entry."""
        return self._firsts[index]

    def last(self, index: int) -> int:
        """Returns the number of the last piece of an entry; less than that of its first if it has none."""
        return (self._firsts[index + 1] if index + 1 < len(self._firsts) else self.count + 1) - 1

    def parts_of(self, index: int) -> PartPlan | None:
        """Returns how a large file is divided; None for one that is stored whole."""
        size_bytes = self.manifest.entries[index].size_bytes
        return plan_for(size_bytes, self._part_bytes) if size_bytes > self._part_bytes else None

    def piece(self, number: int) -> Piece:
        """Returns what a piece is of; it is not the head."""
        index = bisect_right(self._firsts, number) - 1
        size_bytes = self.manifest.entries[index].size_bytes
        parts = self.parts_of(index)
        if parts is None:
            return Piece(index, 0, size_bytes)
        part = number - self._firsts[index] + 1
        return Piece(index, part, min(parts.part_bytes, size_bytes - parts.start(part)))

    def end(self, number: int) -> int:
        """Returns where a piece ends in the stream."""
        if number <= HEAD_NUMBER:
            return self.manifest.head_bytes * number
        piece = self.piece(number)
        start, end = self.manifest.range_of(piece.entry)
        parts = self.parts_of(piece.entry)
        return min(start + parts.start(piece.part + 1), end) if parts else end

    def last_within(self, length_bytes: int, count: int) -> int:
        """Returns the number of the last of the first `count` pieces that ends within `length_bytes`."""
        return bisect_right(range(1, count + 1), length_bytes, key=self.end)

    def left_out(self, pieces: Sequence[StoredPiece]) -> tuple[int, ...]:
        """Returns the indices of the entries that are left out, in order, of what is stored."""
        numbers = (
            number for number in range(HEAD_NUMBER + 1, len(pieces) + 1) if not pieces[number - 1].etag
        )
        return tuple(dict.fromkeys(self.piece(number).entry for number in numbers))

    def with_pieces(
        self, pieces: Sequence[StoredPiece]
    ) -> Iterator[tuple[int, Entry, Sequence[StoredPiece] | None]]:
        """Yields the index of each entry, the entry, and its pieces, of a folder with all its pieces.

        The pieces of a folder, and of a file that is left out, are None.
        """
        left_out = {*self.left_out(pieces)}
        for index, entry in enumerate(self.manifest.entries):
            is_stored = not entry.is_folder and index not in left_out
            yield index, entry, pieces[self.first(index) - 1 : self.last(index)] if is_stored else None

    def arrived(self, left_out: Sequence[int]) -> tuple[int, int]:
        """Returns how many files the app gets, and how many bytes these have."""
        entries = self.manifest.entries
        missing_bytes = sum(entries[index].size_bytes for index in left_out)
        files_bytes = self.manifest.length_bytes - self.manifest.head_bytes - missing_bytes
        return self.manifest.files - len(left_out), files_bytes


def read_plan(head: bytes, folder_key: str, part_bytes: int, bounds: Bounds) -> FolderPlan:
    """Returns the pieces of a folder that has this head. It takes long for many files. Raises BadFolder."""
    manifest = parse_head(head, bounds)
    keys = [f"{folder_key}/{path}" for path in stored_paths(manifest.entries, NAMES)]
    for index, (key, entry) in enumerate(zip(keys, manifest.entries, strict=True)):
        size_bytes = len(key) if key.isascii() else len(key.encode())
        if size_bytes > MAX_KEY_BYTES:
            about = f"its key in the store would have {size_bytes} bytes, the limit is {MAX_KEY_BYTES} bytes"
            raise BadFolder("path_too_long", f"has a path that is too long: {about}", index, entry.path)
        try:
            plan_for(entry.size_bytes, part_bytes)
        except ValueError as exc:
            raise BadFolder("bad_size", "is larger than an object can be", index, entry.path) from exc
    return FolderPlan(manifest, keys, part_bytes)
