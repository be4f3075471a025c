"""The bytes of one upload: which are stored, which are in flight, and what may be sent when."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from incoming.client.protocol.events import SendChunk
from incoming.client.protocol.stored_prefix import Segment, StoredPrefix
from incoming.client.protocol.window import INITIAL_WINDOW_BYTES, MIN_CHUNK_BYTES, CongestionWindow
from incoming.core.rate_limit import Pace

LIMITS_VALID_S: Final = 1.0
"""How long the limits of an acknowledgement hold (docs/reference/protocol.md, "Flow control")."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """A chunk that was sent at `sent_s`. `in_flight_bytes` were in flight then, this chunk included."""

    segment: Segment
    sent_s: float
    in_flight_bytes: int


class Transfer:
    """All positions are offsets in the file, in bytes. One transfer spans all connections of an upload."""

    def __init__(self, length_bytes: int, max_bytes_per_s: int) -> None:
        """`max_bytes_per_s`: the user's rate limit; 0 means none."""
        self.length_bytes = length_bytes
        self.stored_bytes = 0
        self.sent_bytes = 0
        self.round = 0
        self.next_send_s = 0.0
        self.unacknowledged_since_s: float | None = None
        self.prefix = StoredPrefix()
        self._max_bytes_per_s = max_bytes_per_s
        self._pace = Pace(max_bytes_per_s)
        self._in_flight: deque[InFlight] = deque()
        self._window: CongestionWindow | None = None
        self._limits_until_s = 0.0

    def start_connection(self, offset_bytes: int, max_chunk_bytes: int, max_window_bytes: int) -> None:
        """Begins on a new connection: the server has so many bytes and these limits."""
        self._acknowledge(offset_bytes)
        # Half of the last window: the route may be another one.
        initial_bytes = max(INITIAL_WINDOW_BYTES, self._window.size_bytes // 2 if self._window else 0)
        self._window = CongestionWindow(max_chunk_bytes, max_window_bytes, initial_bytes)
        self._restart(offset_bytes, 0)

    def next_chunk(self, now_s: float) -> SendChunk | None:
        """Returns the chunk that may be sent now, if any."""
        if self._window is None or self.sent_bytes == self.length_bytes or now_s < self.next_send_s:
            return None
        if now_s > self._limits_until_s:
            self._window.reset_limits()
        size_bytes = min(self._chunk_bytes(self._window), self.length_bytes - self.sent_bytes)
        if not self._window.admits(self.sent_bytes - self.stored_bytes, size_bytes):
            return None
        return SendChunk(Segment(self.sent_bytes, self.sent_bytes + size_bytes), self.round)

    def _chunk_bytes(self, window: CongestionWindow) -> int:
        """With a rate limit, a chunk is at most what a quarter of a second allows: larger ones are bursts."""
        if not self._max_bytes_per_s:
            return window.chunk_bytes
        return min(window.chunk_bytes, max(MIN_CHUNK_BYTES, self._max_bytes_per_s // 4))

    def chunk_sent(self, segment: Segment, now_s: float) -> None:
        """The chunk from `next_chunk` is sent."""
        self.sent_bytes = segment.end
        self._in_flight.append(InFlight(segment, now_s, segment.end - self.stored_bytes))
        self.next_send_s = now_s + self._pace.delay_s(segment.end - segment.start, now_s)
        if self.unacknowledged_since_s is None:
            self.unacknowledged_since_s = now_s

    def set_limits(self, max_chunk_bytes: int, max_window_bytes: int, now_s: float) -> None:
        """Sets the limits of an acknowledgement. They hold for a short time."""
        if self._window and max_chunk_bytes:
            self._window.set_limits(max_chunk_bytes, max_window_bytes)
            self._limits_until_s = now_s + LIMITS_VALID_S

    def acknowledged(self, offset_bytes: int, now_s: float) -> bool:
        """All bytes before the offset are stored. Returns False if the offset is not possible."""
        if not self.stored_bytes <= offset_bytes <= self.sent_bytes:
            return False
        if offset_bytes > self.stored_bytes:
            newest = self._acknowledge(offset_bytes)
            if newest and self._window:
                self._window.acknowledged(newest.in_flight_bytes, newest.sent_s, now_s)
            self.stored_bytes = offset_bytes
            self.unacknowledged_since_s = now_s if offset_bytes < self.sent_bytes else None
        return True

    def go_back(self, offset_bytes: int, round_: int, now_s: float) -> bool:
        """Sends all bytes after the offset again, in a new round. Returns False if that is not possible."""
        if round_ <= self.round or not self.acknowledged(offset_bytes, now_s):
            return False
        self._restart(offset_bytes, round_)
        return True

    def crc32c(self) -> int | None:
        """Returns the checksum of the whole file once all of it is sent and read; None before."""
        if self.sent_bytes < self.length_bytes or self.prefix.gap(1):
            return None
        whole = StoredPrefix()
        whole.append(self.prefix.end_bytes, self.prefix.crc32c())
        for chunk in self._in_flight:
            whole.append(chunk.segment.end - chunk.segment.start, chunk.segment.crc32c or 0)
        return whole.crc32c()

    def all_stored(self, now_s: float) -> None:
        """The server has the whole file. What this process did not send has to be read for its checksum."""
        if self.sent_bytes < self.length_bytes:
            self._restart(self.length_bytes, self.round)
        else:
            self.acknowledged(self.length_bytes, now_s)

    def _restart(self, offset_bytes: int, round_: int) -> None:
        self.prefix.extend_to(offset_bytes)
        self.stored_bytes = self.sent_bytes = offset_bytes
        self.round = round_
        self._in_flight.clear()
        self.unacknowledged_since_s = None

    def _acknowledge(self, offset_bytes: int) -> InFlight | None:
        """Removes the chunks that are stored as a whole, and returns the newest of them."""
        newest = None
        while self._in_flight and self._in_flight[0].segment.end <= offset_bytes:
            newest = self._in_flight.popleft()
            self.prefix.append(newest.segment.end - newest.segment.start, newest.segment.crc32c or 0)
        return newest
