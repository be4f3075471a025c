"""What goes into a session and what comes out of it: its phases, events and actions.

The client's messages are events too; they are in `messages`. Who handles which event when is in `session`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final

from incoming import errors, messages
from incoming.sameness import Ranges

MIN_CHUNK_BYTES: Final = 4096
FIRST_CHUNK_BYTES: Final = 512 * 1024
"""What a chunk may have before its client has heard more. Smaller ones cost more than the memory that they
save is worth."""
ALL_CHUNKS_BYTES: Final = 128 * 1024 * 1024
"""How much of the memory the chunks that are arriving may take, roughly."""
ASKED_PER_S: Final = 30
"""How many idle peers may be asked in a second whether they are there: some 60 to 90 us with the answer."""
LONGEST_UNASKED_S: Final = 300.0
LONGEST_SILENCE_S: Final = 45.0
"""Proxies cut a connection on which nobody speaks, many of them after 60 s."""
CLIENTS_ASK_LATER: Final = 1.25
"""Clients that hear from us before they would ask never do: a question and its answer cost most."""


def chunk_room_bytes(arriving: int) -> int:
    """Returns how large a chunk may be so that all of those that are just arriving fit into memory.

    A chunk is in memory until its last byte and its checksum are there. Pieces of files begin on pages.
    """
    room_bytes = max(ALL_CHUNKS_BYTES // max(arriving, 1), FIRST_CHUNK_BYTES)
    return 1 << (room_bytes.bit_length() - 1)


@dataclass(frozen=True, slots=True)
class Silence:
    """How long one who is idle may be silent: until we say that we are there, and until we ask the same."""

    say_after_s: float
    ask_after_s: float


def idle_silence(shortest_s: float, connections: int) -> Silence:
    """Returns what one of so many idle connections may have: a few are asked each time, thousands seldom."""
    ask_after_s = max(shortest_s, min(connections / ASKED_PER_S, LONGEST_UNASKED_S))
    return Silence(min(ask_after_s, max(shortest_s, LONGEST_SILENCE_S)), ask_after_s)


class Phase(Enum):
    """Where a conversation is."""

    OPENING = auto()
    AGREEING = auto()
    RECEIVING = auto()
    COMPLETING = auto()
    ARRIVED = auto()
    CANCELLING = auto()
    REFUSED = auto()
    PAUSED = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server asks of its clients: the first two of version 1, the others of version 2."""

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


# --- events, beside the client's messages ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """The connection stands."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message came that is none."""

    error: errors.IncomingError


@dataclass(frozen=True, slots=True)
class ChunkReceived:
    """A chunk of this many bytes is in the buffer; in version 2 it says where it belongs, and is it sound?"""

    size_bytes: int
    offset_bytes: int = 0
    round: int = 0
    sound: bool = True


@dataclass(frozen=True, slots=True)
class Claimed:
    """The ticket is ours; `offset_bytes` of `length_bytes` are stored.

    `arrived`: the handover has begun, or `finished` even: only the result is still of interest. `compare`:
    what a client of version 2 has to prove that it has of the file `meant`.
    """

    offset_bytes: int
    length_bytes: int
    arrived: bool = False
    finished: HandedOver | None = None
    compare: Ranges = ()
    meant: errors.FileMeant = field(default=errors.FileMeant("", 0, 0))
    max_bytes_per_s: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """The chunk of this many bytes is in the file; so many chunks, with it, are just arriving."""

    size_bytes: int
    arriving: int = 1


@dataclass(frozen=True, slots=True)
class Failed:
    """A claim, a chunk, a cancellation or the completion did not work out."""

    error: errors.IncomingError


@dataclass(frozen=True, slots=True)
class Same:
    """The client has the file that the upload was begun with, as far as was looked."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The upload is complete and durable: the app is being told."""


@dataclass(frozen=True, slots=True)
class CancelDone:
    """The client's cancellation counts."""


@dataclass(frozen=True, slots=True)
class CancelTooLate:
    """The client's cancellation does not count: the handover has begun."""


@dataclass(frozen=True, slots=True)
class CalledOff:
    """The app cancelled, or the ticket expired."""

    error: errors.UploadCancelled | errors.UploadExpired


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The app has the file, which has this checksum."""

    crc32c: int = 0


@dataclass(frozen=True, slots=True)
class WaitingForApp:
    """The app could not be reached; it is asked again."""


@dataclass(frozen=True, slots=True)
class NotHandedOver:
    """The app did not take the file; the words are for the user."""

    error: errors.HandoverFailed


@dataclass(frozen=True, slots=True)
class Interrupted:
    """This connection has to go, the upload goes on with another: a takeover, or the server stops."""

    error: errors.TakenOver | errors.Stopping


@dataclass(frozen=True, slots=True)
class TimeUp:
    """The time that StartTimer gave to a phase is over."""

    phase: Phase


News = CalledOff | HandedOver | NotHandedOver | WaitingForApp | Interrupted
"""What a ticket's watcher may hear at any moment."""
Event = (
    messages.FromClient | Opened | Unreadable | ChunkReceived | Claimed | Stored | Failed
    | Same | Completed | CancelDone | CancelTooLate | News | TimeUp
)  # fmt: skip


# --- actions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message."""

    message: messages.ToClient


@dataclass(frozen=True, slots=True)
class ClaimTicket:
    """Claim the ticket; the answer is Claimed or Failed."""

    request: messages.MsgUploadReq


@dataclass(frozen=True, slots=True)
class StoreChunk:
    """Write the chunk that is in the buffer; the answer is Stored or Failed."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class CompleteUpload:
    """All bytes are stored: hand the file over. The answer is Completed or Failed.

    `crc32c` is the checksum that the client says the whole file has; version 1 says none.
    """

    crc32c: int | None = None


@dataclass(frozen=True, slots=True)
class CheckSame:
    """Compare these checksums with those of what is stored. The answer is Same or Failed."""

    crc32c: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CancelUpload:
    """The client gives up; the answer is CancelDone, CancelTooLate or Failed."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReleaseTicket:
    """Let go of the claim."""


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Tell TimeUp(phase) after this time; a timer of an earlier phase is of no interest any more."""

    phase: Phase
    duration_s: float


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Send a close frame; whatever still comes in is read and dropped."""

    code: int
    reason: str = ""


Action = (
    Send | ClaimTicket | StoreChunk | CompleteUpload | CancelUpload | ReleaseTicket | StartTimer
    | CheckSame | CloseConnection
)  # fmt: skip
Actions = list[Action]
