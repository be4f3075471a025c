"""The checksums of the ranges that the server asks for, computed segment by segment."""

from __future__ import annotations

from incoming.client.protocol.stored_prefix import Segment
from incoming.core.checksum import combine


class ResumeProof:
    """Goes through `ranges` of a file. `checksums` is complete when `next_segment` returns None."""

    def __init__(self, ranges: tuple[tuple[int, int], ...]) -> None:
        self.checksums: list[int] = []
        self._ranges = ranges
        self._at = self._crc32c = 0
        self._begin_range()

    def next_segment(self, max_bytes: int) -> Segment | None:
        """Returns the segment to read next, of at most this many bytes; None when all ranges are read."""
        if len(self.checksums) == len(self._ranges):
            return None
        end = self._ranges[len(self.checksums)][1]
        return Segment(self._at, min(end, self._at + max_bytes))

    def add(self, segment: Segment) -> None:
        """Takes the checksum of the segment that `next_segment` returned."""
        self._crc32c = combine(self._crc32c, segment.crc32c or 0, segment.end - segment.start)
        self._at = segment.end
        self._end_ranges()

    def _begin_range(self) -> None:
        self._crc32c = 0
        done = len(self.checksums)
        self._at = self._ranges[done][0] if done < len(self._ranges) else 0
        self._end_ranges()

    def _end_ranges(self) -> None:
        """Moves to the next range at the end of one. An empty range ends where it begins."""
        done = len(self.checksums)
        if done < len(self._ranges) and self._at >= self._ranges[done][1]:
            self.checksums.append(self._crc32c)
            self._begin_range()
