"""What goes into a session and what comes out of it: its phases, events and actions.

The client's messages are events too; they are in `messages`. Who handles which event when is in `session`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from incoming.core import errors
from incoming.core.news import HandedOver, News
from incoming.core.resume_check import Ranges
from incoming.protocol import messages


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
    """The chunk of this many bytes is in the file; so many chunks, with it, are just arriving.

    `is_busy`: there is more to read than time, so uploads wait for their turn.
    """

    size_bytes: int
    arriving: int = 1
    is_busy: bool = False


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
class TimeUp:
    """The time that StartTimer gave to a phase is over."""

    phase: Phase


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
