"""The phases of a session, the events that it takes, and the actions that it returns.

The client's messages are events too; they are in `messages`. `v1` and `v2` hold the transition tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from incoming.core import errors
from incoming.core.news import HandedOver, News
from incoming.core.resume_check import Ranges
from incoming.core.ticket import FILE
from incoming.protocol import messages


class Phase(Enum):
    """Where a session is. `v1` and `v2` say which of these they use and what each means."""

    OPENING = auto()
    AGREEING = auto()
    RECEIVING = auto()
    COMPLETING = auto()
    ARRIVED = auto()
    CANCELLING = auto()
    REFUSED = auto()
    PAUSED = auto()
    CLOSED = auto()


# --- events, besides the client's messages ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """The WebSocket handshake is complete."""


@dataclass(frozen=True, slots=True)
class MalformedMessage:
    """The client sent a text message that can't be parsed."""

    error: errors.IncomingError


@dataclass(frozen=True, slots=True)
class ChunkReceived:
    """A chunk of this many bytes is in the buffer.

    The other fields come from the chunk's header, which only version 2 has. `intact`: its checksum agrees.
    """

    size_bytes: int
    offset_bytes: int = 0
    round: int = 0
    intact: bool = True


@dataclass(frozen=True, slots=True)
class Claimed:
    """The session holds the ticket; `offset_bytes` of `length_bytes` are stored.

    `arrived`: the handover has begun, so only its result is missing; `finished`: that result, if it is known.
    `compare`: the ranges whose checksums a client of version 2 has to send. `expected_file`: the file that
    the upload began with. `max_bytes_per_s`: the ticket's rate limit; 0 means none. `window_bytes`: how much
    the storage wants a client to send ahead, see `Storage.window_bytes`. `stores_later`: see
    `Storage.stores_later`. `dest_type` is the ticket's. `left_out`: the numbers of the files in a folder that
    are left out.
    """

    offset_bytes: int
    length_bytes: int
    arrived: bool = False
    finished: HandedOver | None = None
    compare: Ranges = ()
    expected_file: errors.ExpectedFile = field(default=errors.ExpectedFile("", 0, 0))
    max_bytes_per_s: int = 0
    window_bytes: int = 0
    stores_later: bool = False
    dest_type: str = FILE
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """The chunk of this many bytes is in the file.

    `chunks_in_flight`: how many chunks the server is receiving now, this one included, on all connections.
    `is_busy`: uploads with data to read wait for the scheduler. `acknowledged_bytes`: how many bytes of the
    file may be acknowledged; None: all that are stored.
    """

    size_bytes: int
    chunks_in_flight: int = 1
    is_busy: bool = False
    acknowledged_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file of the folder is left out. Its range ends at `offset_bytes`, and all before it is durable."""

    offset_bytes: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A claim, a write, a cancellation or a completion failed."""

    error: errors.IncomingError


@dataclass(frozen=True, slots=True)
class ContentVerified:
    """The client's checksums agree with the stored bytes."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The upload is complete and durable, and the handover has begun."""


@dataclass(frozen=True, slots=True)
class CancelAccepted:
    """The client's cancellation has taken effect."""


@dataclass(frozen=True, slots=True)
class CancelTooLate:
    """The client's cancellation has no effect: the handover has begun."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The time that StartTimer gave to a phase has passed."""

    phase: Phase


Event = (
    messages.FromClient | ConnectionOpened | MalformedMessage | ChunkReceived | Claimed | Stored
    | LeftOut | Failed | ContentVerified | Completed | CancelAccepted | CancelTooLate | News | TimedOut
)  # fmt: skip


# --- actions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message."""

    message: messages.ToClient


@dataclass(frozen=True, slots=True)
class ClaimTicket:
    """Claim the ticket. The result is Claimed or Failed."""

    request: messages.MsgUploadReq


@dataclass(frozen=True, slots=True)
class StoreChunk:
    """Write the chunk that is in the buffer. The result is Stored or Failed."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """Leave the file with this number out of the folder. The result is LeftOut or Failed."""

    index: int


@dataclass(frozen=True, slots=True)
class MakeDurable:
    """Make all bytes that the storage has taken durable. The result is Durable or Failed."""


@dataclass(frozen=True, slots=True)
class CompleteUpload:
    """All bytes are stored: hand the file over. The result is Completed or Failed.

    `crc32c` is the checksum of the whole file as the client states it; None in version 1, which has none.
    """

    crc32c: int | None = None


@dataclass(frozen=True, slots=True)
class VerifyContent:
    """Compare these checksums with those of the stored bytes. The result is ContentVerified or Failed."""

    crc32c: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CancelUpload:
    """Cancel the upload for the client. The result is CancelAccepted, CancelTooLate or Failed."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReleaseTicket:
    """Release the claim."""


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Report TimedOut(phase) after this time. It replaces the timer of an earlier phase."""

    phase: Phase
    duration_s: float


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Send a close frame. Data that still arrives is read and discarded."""

    code: int
    reason: str = ""


Action = (
    Send | ClaimTicket | StoreChunk | CompleteUpload | CancelUpload | ReleaseTicket | StartTimer
    | LeaveOut | VerifyContent | MakeDurable | CloseConnection
)  # fmt: skip
Actions = list[Action]
