"""The checksum of the stored part of a file, combined from those of its segments.

A chunk that this process sends has a known checksum. Bytes that an earlier process sent, or whose
acknowledgement was lost, are gaps: they have to be read again.
"""

from __future__ import annotations

from dataclasses import dataclass

from incoming.core.checksum import combine


@dataclass(frozen=True, slots=True)
class Segment:
    """The bytes of a file from `start` to before `end`. The CRC-32C is None while it is not known."""

    start: int
    end: int
    crc32c: int | None = None


class StoredPrefix:
    """The first `end_bytes` of a file as a list of segments. Neighbours with known checksums are merged."""

    def __init__(self) -> None:
        self.end_bytes = 0
        self._segments: list[Segment] = []
        self._apart_at_bytes = 0

    def append(self, size_bytes: int, crc32c: int) -> None:
        """Extends the prefix by bytes with a known checksum."""
        self._append(Segment(self.end_bytes, self.end_bytes + size_bytes, crc32c))

    def extend_to(self, end_bytes: int) -> None:
        """Extends the prefix to this length by bytes without a checksum.

        A shorter length means that stored bytes are lost. Then no checksum is known.
        """
        if end_bytes < self.end_bytes:
            self.end_bytes, self._segments = 0, []
        self._append(Segment(self.end_bytes, end_bytes))

    def keep_apart(self) -> None:
        """Keeps the checksum of what follows apart, so that `cut_to` may cut here. One place only."""
        self._apart_at_bytes = self.end_bytes
        self._merge()

    def cut_to(self, end_bytes: int) -> None:
        """Shortens the prefix. What is left of a segment no longer has a checksum."""
        self._segments = [segment for segment in self._segments if segment.start < end_bytes]
        if self._segments and self._segments[-1].end > end_bytes:
            self._segments.append(Segment(self._segments.pop().start, end_bytes))
        self.end_bytes = min(self.end_bytes, end_bytes)

    def gap(self, max_bytes: int) -> Segment | None:
        """Returns the beginning of the first gap, at most this many bytes; None if there is no gap."""
        for segment in self._segments:
            if segment.crc32c is None:
                return Segment(segment.start, min(segment.end, segment.start + max_bytes))
        return None

    def fill(self, read: Segment) -> None:
        """Takes the checksum of a segment that was read, if a gap begins where it does."""
        for at, segment in enumerate(self._segments):
            if segment.crc32c is None and segment.start == read.start and read.end <= segment.end:
                self._segments[at : at + 1] = read, Segment(read.end, segment.end)
                break
        self._merge()

    def _merge(self) -> None:
        segments, self._segments = self._segments, []
        for segment in segments:
            self._append(segment)

    def crc32c(self) -> int:
        """Returns the checksum of the prefix, which must have no gap."""
        assert not self.gap(1)
        crc32c = 0
        for segment in self._segments:
            crc32c = combine(crc32c, segment.crc32c or 0, segment.end - segment.start)
        return crc32c

    def _append(self, segment: Segment) -> None:
        self.end_bytes = segment.end
        last = self._segments[-1] if self._segments else None
        if segment.start == segment.end:
            return
        joins = segment.start != self._apart_at_bytes
        if last and joins and last.crc32c is not None and segment.crc32c is not None:
            crc = combine(last.crc32c, segment.crc32c, segment.end - segment.start)
            self._segments[-1] = Segment(last.start, segment.end, crc)
        else:
            self._segments.append(segment)
