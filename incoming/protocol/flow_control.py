"""What clients are asked for: chunks of which size, how many ahead, and how long one may be silent.

It depends on how much is just arriving, how many are connected, and how large and how fast an upload is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

MIN_CHUNK_BYTES: Final = 4096
FIRST_CHUNK_BYTES: Final = 512 * 1024
"""What a chunk may have before its client has heard more. Smaller ones cost more than the memory that they
save is worth."""
MANY_CHUNKS: Final = 256
"""A file of as many goes faster in half of them, and still tells its progress in steps below a percent."""
ALL_CHUNKS_BYTES: Final = 128 * 1024 * 1024
"""How much of the memory the chunks that are arriving may take, roughly."""
BUSY_CHUNK_BYTES: Final = 1024 * 1024
BUSY_WINDOW_BYTES: Final = 4 * BUSY_CHUNK_BYTES
"""What one may have on its way while others wait for their turn: some chunks, so that its turn finds some.

What TCP has no room for waits at the sender, and then each read has more sent, and the sender woken up: on
one machine, as with a proxy, in the reader's time. That and larger chunks cost a fifth of the speed."""
ASKED_PER_S: Final = 30
"""How many idle peers may be asked in a second whether they are there: some 60 to 90 us with the answer."""
LONGEST_UNASKED_S: Final = 300.0
LONGEST_SILENCE_S: Final = 45.0
"""Proxies cut a connection on which nobody speaks, many of them after 60 s."""
MESSAGE_GRACE_S: Final = 30.0
"""How long a message that has begun may make no progress worth mentioning, ..."""
MIN_MESSAGE_BYTES_PER_S: Final = 256
"""... and how fast it has to come in the long run. A modem's uplink is ten times as fast."""
CLIENTS_ASK_LATER: Final = 1.25
"""Clients that hear from us before they would ask never do: a question and its answer cost most."""


def chunk_room_bytes(arriving: int) -> int:
    """Returns how large a chunk may be so that all of those that are just arriving fit into memory.

    A chunk is in memory until its last byte and its checksum are there. Pieces of files begin on pages.
    """
    room_bytes = max(ALL_CHUNKS_BYTES // max(arriving, 1), FIRST_CHUNK_BYTES)
    return 1 << (room_bytes.bit_length() - 1)


def message_deadline_s(deadline_s: float, now_s: float, received_bytes: int) -> float:
    """Returns when a message has to have more, now that it has so many bytes more.

    Bytes that came at once buy no time for a drip: the deadline is never further away than MESSAGE_GRACE_S.
    """
    return min(deadline_s + received_bytes / MIN_MESSAGE_BYTES_PER_S, now_s + MESSAGE_GRACE_S)


@dataclass(frozen=True, slots=True)
class Room:
    """What a client of version 2 may do for now: how large a chunk may be, and all that is on its way."""

    chunk_bytes: int
    window_bytes: int


@dataclass(frozen=True, slots=True)
class Silence:
    """How long one who is idle may be silent: until we say that we are there, and until we ask the same."""

    say_after_s: float
    ask_after_s: float


def idle_silence(shortest_s: float, connections: int) -> Silence:
    """Returns what one of so many idle connections may have: a few are asked each time, thousands seldom."""
    ask_after_s = max(shortest_s, min(connections / ASKED_PER_S, LONGEST_UNASKED_S))
    return Silence(min(ask_after_s, max(shortest_s, LONGEST_SILENCE_S)), ask_after_s)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server asks of its clients: the first two of version 1, the others of version 2.

    A chunk of version 1 is not doubled beyond `max_chunk_bytes` either.
    """

    chunk_size_bytes: int
    send_ahead: int
    max_chunk_bytes: int = 4 * 1024 * 1024
    max_window_bytes: int = 64 * 1024 * 1024
    silence_s: float = 10.0
    idle_silence_s: float = 10.0

    def among(self, connections: int) -> Limits:
        """Returns the limits for one of so many connections: they ask more seldom whether we are there."""
        said_after_s = idle_silence(self.silence_s / 2, connections).say_after_s
        return replace(self, idle_silence_s=2 * CLIENTS_ASK_LATER * said_after_s)

    def first_room(self) -> Room:
        """Returns what a client may do before it has heard more."""
        return Room(min(FIRST_CHUNK_BYTES, self.max_chunk_bytes), self.max_window_bytes)

    def room(self, arriving: int, is_busy: bool) -> Room:
        """Returns what a client may do while so many chunks are arriving; `is_busy`: uploads wait in line."""
        chunk_bytes = min(chunk_room_bytes(arriving), self.max_chunk_bytes)
        if not is_busy:
            return Room(chunk_bytes, self.max_window_bytes)
        return Room(min(chunk_bytes, BUSY_CHUNK_BYTES), min(self.max_window_bytes, BUSY_WINDOW_BYTES))

    def for_length(self, length_bytes: int) -> Limits:
        """Returns the limits for a file of version 1: of a large one half as many chunks, twice as large."""
        doubled_bytes = 2 * self.chunk_size_bytes
        is_large = length_bytes >= MANY_CHUNKS * self.chunk_size_bytes
        if not is_large or self.send_ahead < 4 or doubled_bytes > self.max_chunk_bytes:
            return self
        return replace(self, chunk_size_bytes=doubled_bytes, send_ahead=self.send_ahead // 2)

    def within(self, max_bytes_per_s: int) -> Limits:
        """Returns the limits for an upload that is no faster: what is on its way passes within silence_s."""
        if not max_bytes_per_s:
            return self
        window_bytes = max(int(max_bytes_per_s * self.silence_s / 4), 2 * MIN_CHUNK_BYTES)
        return replace(
            self,
            max_chunk_bytes=min(self.max_chunk_bytes, max(window_bytes // 4, MIN_CHUNK_BYTES)),
            max_window_bytes=min(self.max_window_bytes, window_bytes),
        )
