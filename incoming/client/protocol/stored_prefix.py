"""The checksum of what the server has of a file, put together from that of its pieces.

Chunks that were sent bring theirs along. What was stored otherwise (by an earlier process, or without an
acknowledgement that reached us) has to be read again for it: those are gaps.
"""

from __future__ import annotations

from dataclasses import dataclass

from incoming.core.checksum import combine


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes of a file from `start` to before `end`; the CRC-32C is None where it is not known."""

    start: int
    end: int
    crc32c: int | None = None


class Prefix:
    """The first `end_bytes` of a file, as a row of pieces. Neighbours that are known are one piece."""

    def __init__(self) -> None:
        self.end_bytes = 0
        self._pieces: list[Piece] = []

    def add(self, size_bytes: int, crc32c: int) -> None:
        """So many more bytes are there, and have this checksum."""
        self._append(Piece(self.end_bytes, self.end_bytes + size_bytes, crc32c))

    def reach(self, end_bytes: int) -> None:
        """So many bytes are there; nothing is known of new ones, nor of any if some have got lost."""
        if end_bytes < self.end_bytes:
            self.end_bytes, self._pieces = 0, []
        self._append(Piece(self.end_bytes, end_bytes))

    def gap(self, max_bytes: int) -> Piece | None:
        """Returns the first piece that has to be read, or as much of it; None when all is known."""
        for piece in self._pieces:
            if piece.crc32c is None:
                return Piece(piece.start, min(piece.end, piece.start + max_bytes))
        return None

    def fill(self, read: Piece) -> None:
        """Takes the checksum of what was read, if that begins where the first gap does."""
        pieces, self._pieces, self.end_bytes = self._pieces, [], 0
        for piece in pieces:
            if piece.crc32c is None and piece.start == read.start and read.end <= piece.end:
                self._append(read)
                self._append(Piece(read.end, piece.end))
            else:
                self._append(piece)

    def crc32c(self) -> int:
        """Returns the checksum of all of it. There must be no gap."""
        assert not self.gap(1)
        return (self._pieces[0].crc32c or 0) if self._pieces else 0

    def _append(self, piece: Piece) -> None:
        self.end_bytes = piece.end
        last = self._pieces[-1] if self._pieces else None
        if piece.start == piece.end:
            return
        if last and last.crc32c is not None and piece.crc32c is not None:
            crc = combine(last.crc32c, piece.crc32c, piece.end - piece.start)
            self._pieces[-1] = Piece(last.start, piece.end, crc)
        else:
            self._pieces.append(piece)
