"""The proof that it is the same file: checksums of what the server asks for, read piece by piece."""

from __future__ import annotations

from incoming.client.protocol.stored_prefix import Piece
from incoming.core.checksum import combine


class Proof:
    """Goes through `ranges` of a file; `found` has the checksum of each when `due` returns None."""

    def __init__(self, ranges: tuple[tuple[int, int], ...]) -> None:
        self.found: list[int] = []
        self._ranges = ranges
        self._at = self._crc32c = 0
        self._begin()

    def due(self, max_bytes: int) -> Piece | None:
        """Returns what is to be read next, at most so many bytes; None when all was."""
        if len(self.found) == len(self._ranges):
            return None
        end = self._ranges[len(self.found)][1]
        return Piece(self._at, min(end, self._at + max_bytes))

    def read(self, piece: Piece) -> None:
        """Takes the checksum of the piece that was due."""
        self._crc32c = combine(self._crc32c, piece.crc32c or 0, piece.end - piece.start)
        self._at = piece.end
        self._end_ranges()

    def _begin(self) -> None:
        self._crc32c = 0
        self._at = self._ranges[len(self.found)][0] if len(self.found) < len(self._ranges) else 0
        self._end_ranges()

    def _end_ranges(self) -> None:
        """Goes on to the next range at the end of one; an empty one ends where it begins."""
        if len(self.found) < len(self._ranges) and self._at >= self._ranges[len(self.found)][1]:
            self.found.append(self._crc32c)
            self._begin()
