"""Flow control and keepalive: how much a client may send, and how long a connection may be silent.

The limits depend on the number of chunks in flight, the number of connections, and the size and rate limit
of the upload.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from incoming.core.units import KIB, MIB
from incoming.settings.table import Settings

MIN_CHUNK_BYTES: Final = 4096
INITIAL_CHUNK_BYTES: Final = 512 * 1024
"""The largest chunk before the first acknowledgement. Smaller chunks cost more time than their memory is
worth."""
MANY_CHUNKS: Final = 256
"""A file of at least this many chunks of version 1 gets chunks twice as large. Its progress still moves in
steps below one percent."""
RECEIVE_MEMORY_BYTES: Final = 128 * 1024 * 1024
"""The approximate memory for all chunks in flight together."""
BUSY_CHUNK_BYTES: Final = 1024 * 1024
BUSY_WINDOW_BYTES: Final = 4 * BUSY_CHUNK_BYTES
"""The window while uploads wait for the scheduler: a few chunks, so that each turn finds data.

A larger window only moves the queue into the sender's socket buffer. Each read then wakes the sender up to
refill it. Where both share a machine, as with a proxy, that costs a fifth of the throughput, larger chunks
included."""
MAX_PINGS_PER_S: Final = 30
"""The ping rate for all idle connections together. A ping and its pong cost 60 to 90 microseconds."""
MAX_PING_INTERVAL_S: Final = 300.0
MAX_PONG_INTERVAL_S: Final = 45.0
"""Proxies cut idle connections, many of them after 60 s."""
MESSAGE_STALL_TIMEOUT_S: Final = 30.0
"""How long a message that has begun may make no progress."""
MIN_MESSAGE_BYTES_PER_S: Final = 256
"""The slowest rate of a message in the long run. A modem's uplink is ten times as fast."""
CLIENT_PING_MARGIN: Final = 1.25
"""Clients ping this much later than the server sends. So they need no pings of their own, which are the
most expensive part of an idle connection."""

RETRY_AFTER_S: Final = 2.0
"""When clients of a stopping server should reconnect, each after a random time around it."""
SHARED_RETRY_AFTER_S: Final = 0.3
"""The same where other servers have the uploads, too, and none of them has to start first. A client whose
first try fails tries again 1.3 s later at most. It has then waited less than 2 s in all."""


def chunk_limit_bytes(chunks_in_flight: int) -> int:
    """Returns the largest chunk size with which all chunks in flight fit into memory.

    A chunk stays in memory until its last byte has arrived and its checksum is known. The size is a power of
    two, so chunks begin at page boundaries of the file.
    """
    limit_bytes = max(RECEIVE_MEMORY_BYTES // max(chunks_in_flight, 1), INITIAL_CHUNK_BYTES)
    return 1 << (limit_bytes.bit_length() - 1)


def piece_limit_bytes(buffer_bytes: int, pieces_in_flight: int = 1, is_contended: bool = False) -> int:
    """Returns how much of a request's body is read before it is stored: a power of two, as above.

    `is_contended`: uploads wait for the scheduler. Then pieces are small, so that they are still in the CPU's
    cache when they are written.
    """
    limit_bytes = min(chunk_limit_bytes(pieces_in_flight), buffer_bytes)
    if is_contended:
        limit_bytes = min(limit_bytes, BUSY_CHUNK_BYTES)
    return 1 << (limit_bytes.bit_length() - 1)


def message_deadline_s(deadline_s: float, now_s: float, received_bytes: int) -> float:
    """Returns the new deadline for more bytes of a message after `received_bytes` have arrived.

    The deadline is at most MESSAGE_STALL_TIMEOUT_S away, so a burst does not pay for a slow drip after it.
    """
    return min(deadline_s + received_bytes / MIN_MESSAGE_BYTES_PER_S, now_s + MESSAGE_STALL_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class SendLimits:
    """What a client of version 2 may send now: the largest chunk, and the unacknowledged bytes in total."""

    chunk_bytes: int
    window_bytes: int


@dataclass(frozen=True, slots=True)
class KeepaliveIntervals:
    """After how long an idle connection gets a pong from the server, and after how long a ping."""

    pong_after_s: float
    ping_after_s: float


def idle_keepalive(shortest_s: float, connections: int) -> KeepaliveIntervals:
    """Returns the intervals for one of this many idle connections. With more of them, pings are rarer."""
    ping_after_s = max(shortest_s, min(connections / MAX_PINGS_PER_S, MAX_PING_INTERVAL_S))
    return KeepaliveIntervals(min(ping_after_s, max(shortest_s, MAX_PONG_INTERVAL_S)), ping_after_s)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server asks of one client. Version 1 uses the first two fields, version 2 the others.

    Version 1 also respects `max_chunk_bytes` where it doubles its chunks.
    """

    chunk_size_bytes: int
    send_ahead: int
    max_chunk_bytes: int = 4 * 1024 * 1024
    max_window_bytes: int = 64 * 1024 * 1024
    silence_s: float = 10.0
    idle_silence_s: float = 10.0
    min_window_bytes: int = 0
    """What the storage has in flight at a time: with a smaller window, it waits for its clients."""
    retry_after_s: float = RETRY_AFTER_S
    """When clients of a stopping server should reconnect, each after a random time around it."""

    def for_connections(self, connections: int) -> Limits:
        """Returns the limits for one of this many connections: the more there are, the rarer clients ping."""
        pong_after_s = idle_keepalive(self.silence_s / 2, connections).pong_after_s
        return replace(self, idle_silence_s=2 * CLIENT_PING_MARGIN * pong_after_s)

    def for_storage(self, window_bytes: int) -> Limits:
        """Returns the limits for an upload whose storage needs a client to send this many bytes ahead.

        See `Storage.window_bytes`.
        """
        if not window_bytes:
            return self
        return replace(
            self,
            send_ahead=max(self.send_ahead, -(-window_bytes // self.chunk_size_bytes)),
            max_window_bytes=max(self.max_window_bytes, window_bytes),
            min_window_bytes=window_bytes,
        )

    def initial_send_limits(self) -> SendLimits:
        """Returns what a client may send before the first acknowledgement."""
        return SendLimits(min(INITIAL_CHUNK_BYTES, self.max_chunk_bytes), self.max_window_bytes)

    def send_limits(self, chunks_in_flight: int, is_busy: bool) -> SendLimits:
        """Returns what a client may send now; `is_busy`: uploads wait for the scheduler."""
        chunk_bytes = min(chunk_limit_bytes(chunks_in_flight), self.max_chunk_bytes)
        if not is_busy:
            return SendLimits(chunk_bytes, self.max_window_bytes)
        busy_bytes = max(BUSY_WINDOW_BYTES, self.min_window_bytes)
        return SendLimits(min(chunk_bytes, BUSY_CHUNK_BYTES), min(self.max_window_bytes, busy_bytes))

    def for_length(self, length_bytes: int) -> Limits:
        """Returns the limits for a file in version 1: a large one has half as many chunks, twice as large."""
        doubled_bytes = 2 * self.chunk_size_bytes
        is_large = length_bytes >= MANY_CHUNKS * self.chunk_size_bytes
        if not is_large or self.send_ahead < 4 or doubled_bytes > self.max_chunk_bytes:
            return self
        return replace(self, chunk_size_bytes=doubled_bytes, send_ahead=self.send_ahead // 2)

    def for_rate(self, max_bytes_per_s: int) -> Limits:
        """Returns the limits for an upload with a rate limit: a full window drains well within silence_s."""
        if not max_bytes_per_s:
            return self
        window_bytes = max(int(max_bytes_per_s * self.silence_s / 4), 2 * MIN_CHUNK_BYTES)
        return replace(
            self,
            max_chunk_bytes=min(self.max_chunk_bytes, max(window_bytes // 4, MIN_CHUNK_BYTES)),
            max_window_bytes=min(self.max_window_bytes, window_bytes),
        )


def limits_of(settings: Settings) -> Limits:
    """Returns the limits that the settings give."""
    return Limits(
        chunk_size_bytes=settings.chunk_size_bytes,
        send_ahead=settings.send_ahead,
        max_chunk_bytes=settings.max_chunk_kib * KIB,
        max_window_bytes=settings.max_window_mib * MIB,
        silence_s=settings.connection_timeout_s,
        retry_after_s=SHARED_RETRY_AFTER_S if settings.is_shared else RETRY_AFTER_S,
    )
