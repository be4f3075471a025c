"""The bytes of one upload: what is stored, what is on its way, and what may follow when."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from incoming.client.protocol.events import SendChunk
from incoming.client.protocol.stored_prefix import Piece, Prefix
from incoming.client.protocol.window import FIRST_WINDOW_BYTES, MIN_CHUNK_BYTES, Window
from incoming.core.rate_limit import Pace

ALLOWED_FOR_S: Final = 1.0
"""How long the sizes hold that an acknowledgement has told (docs/protocol.md)."""


@dataclass(frozen=True, slots=True)
class OnItsWay:
    """A chunk that was sent at `sent_s`, when `ahead_bytes` were on their way, it included."""

    piece: Piece
    sent_s: float
    ahead_bytes: int


class Transfer:
    """Positions are offsets in the file, in bytes. It lasts for all connections of an upload."""

    def __init__(self, length_bytes: int, max_bytes_per_s: int) -> None:
        """`max_bytes_per_s`: no more than that on the average; 0 sets no limit."""
        self.length_bytes = length_bytes
        self.stored_bytes = 0
        self.sent_bytes = 0
        self.round = 0
        self.may_send_s = 0.0
        self.waiting_since_s: float | None = None
        self.prefix = Prefix()
        self._max_bytes_per_s = max_bytes_per_s
        self._pace = Pace(max_bytes_per_s)
        self._on_way: deque[OnItsWay] = deque()
        self._window: Window | None = None
        self._allowed_until_s = 0.0

    def begin(self, offset_bytes: int, max_chunk_bytes: int, max_window_bytes: int) -> None:
        """A new connection: the server has so many bytes, and takes chunks and a window of these sizes."""
        self._take_stored(offset_bytes)
        # Half of what was good last time: the way may be another one.
        first_bytes = max(FIRST_WINDOW_BYTES, self._window.size_bytes // 2 if self._window else 0)
        self._window = Window(max_chunk_bytes, max_window_bytes, first_bytes)
        self._restart(offset_bytes, 0)

    def next_chunk(self, now_s: float) -> SendChunk | None:
        """Returns what may be sent now, if anything may."""
        if self._window is None or self.sent_bytes == self.length_bytes or now_s < self.may_send_s:
            return None
        if now_s > self._allowed_until_s:
            self._window.forget()
        size_bytes = min(self._chunk_bytes(self._window), self.length_bytes - self.sent_bytes)
        if not self._window.admits(self.sent_bytes - self.stored_bytes, size_bytes):
            return None
        return SendChunk(Piece(self.sent_bytes, self.sent_bytes + size_bytes), self.round)

    def _chunk_bytes(self, window: Window) -> int:
        """With a limit, a quarter of a second's worth: larger ones would go in bursts."""
        if not self._max_bytes_per_s:
            return window.chunk_bytes
        return min(window.chunk_bytes, max(MIN_CHUNK_BYTES, self._max_bytes_per_s // 4))

    def sent(self, piece: Piece, now_s: float) -> None:
        """The chunk that was due is on its way."""
        self.sent_bytes = piece.end
        self._on_way.append(OnItsWay(piece, now_s, piece.end - self.stored_bytes))
        self.may_send_s = now_s + self._pace.delay_s(piece.end - piece.start, now_s)
        if self.waiting_since_s is None:
            self.waiting_since_s = now_s

    def allow(self, max_chunk_bytes: int, max_window_bytes: int, now_s: float) -> None:
        """The server has said how large chunks and the window may be while chunks follow each other."""
        if self._window and max_chunk_bytes:
            self._window.allow(max_chunk_bytes, max_window_bytes)
            self._allowed_until_s = now_s + ALLOWED_FOR_S

    def stored(self, offset_bytes: int, now_s: float) -> bool:
        """All before the offset is stored. Returns False if that makes no sense."""
        if not self.stored_bytes <= offset_bytes <= self.sent_bytes:
            return False
        if offset_bytes > self.stored_bytes:
            newest = self._take_stored(offset_bytes)
            if newest and self._window:
                self._window.stored(newest.ahead_bytes, newest.sent_s, now_s)
            self.stored_bytes = offset_bytes
            self.waiting_since_s = now_s if offset_bytes < self.sent_bytes else None
        return True

    def go_back(self, offset_bytes: int, round_: int, now_s: float) -> bool:
        """What follows the offset is sent again, in a new round. Returns False if that makes no sense."""
        if round_ <= self.round or not self.stored(offset_bytes, now_s):
            return False
        self._restart(offset_bytes, round_)
        return True

    def crc32c(self) -> int | None:
        """Returns the checksum of the whole file once all of it was sent and read; None before."""
        if self.sent_bytes < self.length_bytes or self.prefix.gap(1):
            return None
        whole = Prefix()
        whole.add(self.prefix.end_bytes, self.prefix.crc32c())
        for chunk in self._on_way:
            whole.add(chunk.piece.end - chunk.piece.start, chunk.piece.crc32c or 0)
        return whole.crc32c()

    def arrived(self, now_s: float) -> None:
        """The server has all of it; what this process has not sent has to be read for its checksum."""
        if self.sent_bytes < self.length_bytes:
            self._restart(self.length_bytes, self.round)
        else:
            self.stored(self.length_bytes, now_s)

    def _restart(self, offset_bytes: int, round_: int) -> None:
        self.prefix.reach(offset_bytes)
        self.stored_bytes = self.sent_bytes = offset_bytes
        self.round = round_
        self._on_way.clear()
        self.waiting_since_s = None

    def _take_stored(self, offset_bytes: int) -> OnItsWay | None:
        """Books the chunks that have arrived as a whole, and returns the newest of them."""
        newest = None
        while self._on_way and self._on_way[0].piece.end <= offset_bytes:
            newest = self._on_way.popleft()
            self.prefix.add(newest.piece.end - newest.piece.start, newest.piece.crc32c or 0)
        return newest
