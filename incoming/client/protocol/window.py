"""The congestion window: how many bytes to have in flight, and how large chunks are.

A byte is in flight until the server has told that it took it. While a chunk is in flight, so is everything
that was sent before it and is not taken. All of that in the time of its round trip is a sample of the
delivery rate. The window is the bandwidth-delay product plus
about a third of a second of queue. While nothing queues, the highest rate counts, so the window grows with
each acknowledgement. Once round trips are clearly longer than the shortest one, the link is full and the mean
rate counts.

What the server has received is no longer on the link, but its storage may take long to store it. The server's
limit counts these bytes too. It is much larger than our own window where the link is slow.
"""

from __future__ import annotations

import math
from typing import Final

from incoming.core.units import KIB, MIB

MIN_CHUNK_BYTES: Final = 8 * KIB
INITIAL_WINDOW_BYTES: Final = 64 * KIB
"""A quarter of a second at 2 Mbit/s."""
QUEUE_S: Final = 0.3
MAX_QUEUE_BYTES: Final = 16 * MIB
"""Four large chunks keep any link busy."""
QUEUE_DETECTED_S: Final = 0.1
RATE_OVER_S: Final = 1.0
MIN_SAMPLE_S: Final = 0.02
"""Acknowledgements come in bursts, so a shorter sample means nothing."""


class CongestionWindow:
    """The window of one connection, within the server's limits."""

    def __init__(
        self, max_chunk_bytes: int, max_window_bytes: int, initial_bytes: int = INITIAL_WINDOW_BYTES
    ) -> None:
        self._initial_chunk_bytes, self._max_bytes = max_chunk_bytes, max_window_bytes
        self.set_limits(max_chunk_bytes, max_window_bytes)
        self.size_bytes = min(initial_bytes, max_window_bytes)
        self._round_trip_s = math.inf
        self._bytes_per_s = 0.0
        self._sampled_s = 0.0
        self._queued_s = -math.inf

    @property
    def chunk_bytes(self) -> int:
        """A power of two between an eighth and a quarter of the window, within the server's limit."""
        quarter = max(self.size_bytes // 4, MIN_CHUNK_BYTES)
        return min(1 << (quarter.bit_length() - 1), self._max_chunk_bytes)

    def set_limits(self, max_chunk_bytes: int, max_window_bytes: int = 0) -> None:
        """Sets the server's current limits; a `max_window_bytes` of 0 means that of the connection."""
        self._limit_bytes = min(max_window_bytes or self._max_bytes, self._max_bytes)
        self._max_chunk_bytes = min(max_chunk_bytes, self._limit_bytes)

    def reset_limits(self) -> None:
        """Returns to the limits that the connection began with."""
        self.set_limits(self._initial_chunk_bytes, self._max_bytes)

    def admits(self, in_flight_bytes: int, unstored_bytes: int, chunk_bytes: int) -> bool:
        """Returns whether a chunk may follow while this many bytes are in flight, and this many not stored.

        The last chunk may exceed our own window, which would never be full otherwise, but never the server's.
        """
        fits = in_flight_bytes < self.size_bytes and unstored_bytes + chunk_bytes <= self._limit_bytes
        return fits or not unstored_bytes

    def taken(self, in_flight_bytes: int, sent_s: float, now_s: float) -> None:
        """Takes a sample: the server has a chunk that was sent at `sent_s`.

        `in_flight_bytes` were in flight then, this chunk included.
        """
        round_trip_s = max(now_s - sent_s, MIN_SAMPLE_S)
        # Nothing queues in the smallest window: a longer round trip means a longer route.
        is_smallest = self.size_bytes <= 2 * MIN_CHUNK_BYTES
        self._round_trip_s = round_trip_s if is_smallest else min(self._round_trip_s, round_trip_s)
        if round_trip_s > self._round_trip_s + QUEUE_DETECTED_S:
            self._queued_s = now_s
        self._add_rate(in_flight_bytes / round_trip_s, now_s)
        rate = self._bytes_per_s
        wanted = rate * self._round_trip_s + min(rate * QUEUE_S, MAX_QUEUE_BYTES)
        self.size_bytes = min(max(int(wanted), 2 * MIN_CHUNK_BYTES), self._max_bytes)

    def _add_rate(self, bytes_per_s: float, now_s: float) -> None:
        is_full = now_s - self._queued_s < RATE_OVER_S
        weight = 1 - math.exp((self._sampled_s - now_s) / RATE_OVER_S)
        if is_full:  # one sample means little: TCP may just have repaired a loss
            self._bytes_per_s += (bytes_per_s - self._bytes_per_s) * weight
        else:
            self._bytes_per_s = max(self._bytes_per_s, bytes_per_s)
        self._sampled_s = now_s
