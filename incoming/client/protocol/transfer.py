"""The bytes of one upload: which are stored, which are in flight, and what may be sent when."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from incoming.client.protocol.events import SendChunk
from incoming.client.protocol.stored_prefix import Segment, StoredPrefix
from incoming.client.protocol.window import INITIAL_WINDOW_BYTES, MIN_CHUNK_BYTES, CongestionWindow
from incoming.core.checksum import zeros_checksum
from incoming.core.folder_manifest import FolderManifest
from incoming.core.rate_limit import Pace

LIMITS_VALID_S: Final = 1.0
"""How long the limits of an acknowledgement hold (docs/reference/protocol.md, "Flow control")."""


@dataclass(frozen=True, slots=True)
class SentChunk:
    """A chunk that is not stored, and was sent at `sent_s`.

    `in_flight_bytes` were in flight then, this chunk included.
    """

    segment: Segment
    sent_s: float
    in_flight_bytes: int


class Transfer:
    """All positions are offsets in the file, in bytes. One transfer spans all connections of an upload."""

    def __init__(
        self, length_bytes: int, max_bytes_per_s: int, manifest: FolderManifest | None = None
    ) -> None:
        """`max_bytes_per_s`: the user's rate limit; 0 means none. `manifest`: that of a folder."""
        self.length_bytes = length_bytes
        self.stored_bytes = 0
        self.taken_bytes = 0
        """What the server has received. It is `stored_bytes` at least, and `sent_bytes` at most."""
        self.sent_bytes = 0
        self.round = 0
        self.next_send_s = 0.0
        self.in_flight_since_s: float | None = None
        """Since when bytes are in flight without any arriving; None: the server has received all of them."""
        self.prefix = StoredPrefix()
        self._max_bytes_per_s = max_bytes_per_s
        self._pace = Pace(max_bytes_per_s)
        self._unstored: deque[SentChunk] = deque()
        self._window: CongestionWindow | None = None
        self._limits_until_s = 0.0
        self._manifest = manifest
        self._leaving: int | None = None

    def start_connection(self, offset_bytes: int, max_chunk_bytes: int, max_window_bytes: int) -> None:
        """Begins on a new connection: the server has this many bytes and these limits."""
        self._store(offset_bytes)
        # Half of the last window: the route may be a different one.
        initial_bytes = max(INITIAL_WINDOW_BYTES, self._window.size_bytes // 2 if self._window else 0)
        self._window = CongestionWindow(max_chunk_bytes, max_window_bytes, initial_bytes)
        self._leaving = None
        self._restart(offset_bytes, 0)

    def next_chunk(self, now_s: float) -> SendChunk | None:
        """Returns the chunk that may be sent now, if any."""
        if self._window is None or self.sent_bytes == self._limit_bytes or now_s < self.next_send_s:
            return None
        if now_s > self._limits_until_s:
            self._window.reset_limits()
        size_bytes = self._fitted(min(self._chunk_bytes(self._window), self._limit_bytes - self.sent_bytes))
        in_flight_bytes = self.sent_bytes - self.taken_bytes
        if not self._window.admits(in_flight_bytes, self.sent_bytes - self.stored_bytes, size_bytes):
            return None
        return SendChunk(Segment(self.sent_bytes, self.sent_bytes + size_bytes), self.round)

    def _chunk_bytes(self, window: CongestionWindow) -> int:
        """With a rate limit, a chunk is at most what a quarter of a second allows: larger ones are bursts."""
        if not self._max_bytes_per_s:
            return window.chunk_bytes
        return min(window.chunk_bytes, max(MIN_CHUNK_BYTES, self._max_bytes_per_s // 4))

    def _fitted(self, size_bytes: int) -> int:
        """Returns how large the next chunk is. One that ends inside a file of a folder has no other file.

        So what was sent of a file has a checksum of its own until the file is whole, and can be taken back.
        """
        manifest, end_bytes = self._manifest, self.sent_bytes + size_bytes
        if manifest is None or end_bytes >= self.length_bytes:
            return size_bytes
        start, _ = manifest.range_of(manifest.index_at(end_bytes))
        return start - self.sent_bytes if self.sent_bytes < start < end_bytes else size_bytes

    # --- leaving files of a folder out -----------------------------------------------------------------

    @property
    def _limit_bytes(self) -> int:
        """Up to where chunks may be sent."""
        if self._leaving is None or self._manifest is None:
            return self.length_bytes
        return max(self._manifest.range_of(self._leaving)[0], self.sent_bytes)

    def may_leave_out(self, entry: int) -> bool:
        """Returns whether nothing after an entry of the folder has been sent, and not all of the entry."""
        return self._manifest is not None and self.sent_bytes < self._manifest.ends[entry]

    def begin_leaving_out(self, entry: int) -> None:
        """Sends nothing more of an entry, and nothing after it."""
        self._leaving = entry

    @property
    def is_ready_to_leave_out(self) -> bool:
        """Whether all that comes before the entry is stored, and nothing is in flight."""
        return self.stored_bytes == self.sent_bytes == self._limit_bytes

    def left_out(self, entry: int) -> None:
        """The server counts the range of an entry as zeros. All before it is stored."""
        assert self._manifest
        start, end = self._manifest.range_of(entry)
        self._store(start)
        self._unstored.clear()
        self.prefix.cut_to(start)
        self.prefix.extend_to(start)
        self.prefix.append(end - start, zeros_checksum(end - start))
        self.stored_bytes = self.taken_bytes = self.sent_bytes = end
        self.in_flight_since_s = self._leaving = None

    # --- what the server says --------------------------------------------------------------------------

    def chunk_sent(self, segment: Segment, now_s: float) -> None:
        """The chunk from `next_chunk` is sent."""
        self.sent_bytes = segment.end
        self._unstored.append(SentChunk(segment, now_s, segment.end - self.taken_bytes))
        self.next_send_s = now_s + self._pace.delay_s(segment.end - segment.start, now_s)
        if self.in_flight_since_s is None:
            self.in_flight_since_s = now_s

    def still_at_work(self, now_s: float) -> None:
        """The server has what is in flight, and waits for its storage."""
        if self.in_flight_since_s is not None:
            self.in_flight_since_s = now_s

    def set_limits(self, max_chunk_bytes: int, max_window_bytes: int, now_s: float) -> None:
        """Sets the limits of an acknowledgement. They hold for a short time."""
        if self._window and max_chunk_bytes:
            self._window.set_limits(max_chunk_bytes, max_window_bytes)
            self._limits_until_s = now_s + LIMITS_VALID_S

    def acknowledged(self, offset_bytes: int, now_s: float, taken_bytes: int = 0) -> bool:
        """All bytes before the offset are stored. Returns False if the offset is not possible.

        `taken_bytes`: how many bytes the server has received; 0: no more than are stored.
        """
        if not self.stored_bytes <= offset_bytes <= self.sent_bytes:
            return False
        self._take(min(max(offset_bytes, taken_bytes), self.sent_bytes), now_s)
        if offset_bytes > self.stored_bytes:
            self._store(offset_bytes)
            self.stored_bytes = offset_bytes
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
        for chunk in self._unstored:
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
        self.stored_bytes = self.taken_bytes = self.sent_bytes = offset_bytes
        self.round = round_
        self._unstored.clear()
        self.in_flight_since_s = None

    def _take(self, up_to_bytes: int, now_s: float) -> None:
        """The server has received all bytes up to here: a sample of the link."""
        if up_to_bytes <= self.taken_bytes:
            return
        newest = next((sent for sent in reversed(self._unstored) if sent.segment.end <= up_to_bytes), None)
        if newest and newest.segment.end > self.taken_bytes and self._window:
            self._window.taken(newest.in_flight_bytes, newest.sent_s, now_s)
        self.taken_bytes = up_to_bytes
        self.in_flight_since_s = now_s if up_to_bytes < self.sent_bytes else None

    def _store(self, offset_bytes: int) -> None:
        """Removes the chunks that are stored as a whole."""
        while self._unstored and self._unstored[0].segment.end <= offset_bytes:
            chunk = self._unstored.popleft()
            if self._begins_file(chunk.segment):
                self.prefix.keep_apart()
            self.prefix.append(chunk.segment.end - chunk.segment.start, chunk.segment.crc32c or 0)

    def _begins_file(self, segment: Segment) -> bool:
        """Returns whether these bytes are the beginning of a file of the folder, and not all of it."""
        if self._manifest is None:
            return False
        index = self._manifest.index_at(segment.start)
        start, end = self._manifest.range_of(index) if index < len(self._manifest.entries) else (0, 0)
        return start == segment.start and segment.end < end
