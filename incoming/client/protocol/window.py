"""How much to have on its way, and in which pieces.

While a chunk makes its way, everything that was sent before it and is not stored yet gets through as well:
that is a sample of what the link carries. The window is what the link holds at that rate, and about a third
of a second more. As long as nothing queues, the highest rate that was seen counts, so the window grows with
each acknowledgement; once chunks take clearly longer than the fastest did, the link is full, and it follows
the mean.
"""

from __future__ import annotations

import math
from typing import Final

KIB: Final = 1024
MIN_CHUNK_BYTES: Final = 8 * KIB
FIRST_WINDOW_BYTES: Final = 64 * KIB
"""A quarter of a second at 2 Mbit/s."""
QUEUE_S: Final = 0.3
MAX_QUEUE_BYTES: Final = 16 * 1024 * KIB
"""Four large chunks keep any link busy."""
QUEUE_SEEN_S: Final = 0.1
RATE_OVER_S: Final = 1.0
MIN_SAMPLE_S: Final = 0.02
"""Acknowledgements come in bursts; what a shorter time shows means nothing."""


class Window:
    """The window of one connection, within what the server allows."""

    def __init__(
        self, max_chunk_bytes: int, max_window_bytes: int, first_bytes: int = FIRST_WINDOW_BYTES
    ) -> None:
        self._agreed_chunk_bytes, self._agreed_bytes = max_chunk_bytes, max_window_bytes
        self.allow(max_chunk_bytes, max_window_bytes)
        self.size_bytes = min(first_bytes, max_window_bytes)
        self._round_trip_s = math.inf
        self._bytes_per_s = 0.0
        self._sampled_s = 0.0
        self._queued_s = -math.inf

    @property
    def chunk_bytes(self) -> int:
        """A power of two between an eighth and a quarter of the window, as far as the server takes it."""
        quarter = max(self.size_bytes // 4, MIN_CHUNK_BYTES)
        return min(1 << (quarter.bit_length() - 1), self._max_chunk_bytes)

    def allow(self, max_chunk_bytes: int, max_window_bytes: int = 0) -> None:
        """The server takes chunks of this size, and for now a smaller window, if it says one."""
        self._allowed_bytes = min(max_window_bytes or self._agreed_bytes, self._agreed_bytes)
        self._max_chunk_bytes = min(max_chunk_bytes, self._allowed_bytes)

    def forget(self) -> None:
        """What the server has said since the connection began does not hold any more."""
        self.allow(self._agreed_chunk_bytes, self._agreed_bytes)

    def admits(self, ahead_bytes: int, chunk_bytes: int) -> bool:
        """Returns whether a chunk may follow while so many bytes are on their way.

        The last one may pass our own window, which would never be full otherwise; never the server's.
        """
        fits = ahead_bytes < self.size_bytes and ahead_bytes + chunk_bytes <= self._allowed_bytes
        return fits or not ahead_bytes

    def stored(self, ahead_bytes: int, sent_s: float, now_s: float) -> None:
        """A chunk is stored that was sent at `sent_s`; `ahead_bytes` were on their way then, it included."""
        took_s = max(now_s - sent_s, MIN_SAMPLE_S)
        # In the smallest window nothing queues: if it takes longer now, the way has become longer.
        smallest = self.size_bytes <= 2 * MIN_CHUNK_BYTES
        self._round_trip_s = took_s if smallest else min(self._round_trip_s, took_s)
        if took_s > self._round_trip_s + QUEUE_SEEN_S:
            self._queued_s = now_s
        self._note(ahead_bytes / took_s, now_s)
        rate = self._bytes_per_s
        wanted = rate * self._round_trip_s + min(rate * QUEUE_S, MAX_QUEUE_BYTES)
        self.size_bytes = min(max(int(wanted), 2 * MIN_CHUNK_BYTES), self._agreed_bytes)

    def _note(self, bytes_per_s: float, now_s: float) -> None:
        full = now_s - self._queued_s < RATE_OVER_S
        weight = 1 - math.exp((self._sampled_s - now_s) / RATE_OVER_S)
        if full:  # a single sample means little: TCP may just have mended a loss
            self._bytes_per_s += (bytes_per_s - self._bytes_per_s) * weight
        else:
            self._bytes_per_s = max(self._bytes_per_s, bytes_per_s)
        self._sampled_s = now_s
