"""What goes into the client's session and what comes out of it: stages, events, actions, and the end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from incoming.client.protocol.server_messages import ServerMessage
from incoming.client.protocol.stored_prefix import Piece
from incoming.protocol.messages import FromClient


class Stage(Enum):
    """Where an upload is."""

    WAITING = auto()
    """No connection, until the time of the next attempt."""
    DIALING = auto()
    ASKING = auto()
    """MsgUploadReq is out."""
    PROVING = auto()
    """The file is read for the checksums that the server has asked for."""
    SENDING = auto()
    COMPLETING = auto()
    """MsgComplete is out."""
    ARRIVED = auto()
    """The app is being told."""
    CANCELLING = auto()
    CHECKING = auto()
    """The app has a file; ours is read to see that it is the same. No connection is needed any more."""
    ENDED = auto()


CONNECTED: Final = frozenset(
    {Stage.ASKING, Stage.PROVING, Stage.SENDING, Stage.COMPLETING, Stage.ARRIVED, Stage.CANCELLING}
)
"""The stages in which there is a connection."""


@dataclass(frozen=True, slots=True)
class File:
    """The file: its name as the app is to see it, its length, and when it was last changed (since 1970)."""

    name: str
    length_bytes: int
    last_modified_ms: int


@dataclass(frozen=True, slots=True)
class Options:
    """What the user wishes: a limit of speed, and of the time in which nothing goes on; 0 sets none."""

    max_bytes_per_s: int = 0
    give_up_after_s: float = 0.0


class Ending(Enum):
    """How it ended, in a word."""

    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    GAVE_UP = "gave up"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end: a sentence for people, and whether the same ticket can be gone on with.

    `crc32c` is that of the whole file, and known when it has finished (None: an old ticket without one).
    """

    ending: Ending
    text: str
    resumable: bool = False
    crc32c: int | None = None


# --- events, beside the server's messages ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """The connection stands."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """There is no connection. `lasting`: it looks as if there will never be one (a wrong address, say).

    `retry_after_s`: when the server wants to be asked again; 0 if it does not say.
    """

    why: str
    lasting: bool = False
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over, with this close code (1006: none came) and reason; or it is of no use."""

    code: int = 1006
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """Something came that is no message (a ping): the server is alive."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The user wants it to end: here, or with `cancel` for good."""

    cancel: bool = False


@dataclass(frozen=True, slots=True)
class ChunkSent:
    """The chunk that was due is on its way, and has this checksum."""

    piece: Piece


@dataclass(frozen=True, slots=True)
class PieceRead:
    """The piece that was wanted was read, and has this checksum."""

    piece: Piece


@dataclass(frozen=True, slots=True)
class FileSpoiled:
    """The file is not what it was. `why`: a sentence that names it."""

    why: str


@dataclass(frozen=True, slots=True)
class FileUnreadable:
    """The file can't be read at the moment. `why`: a sentence that names it."""

    why: str


Event = (
    ServerMessage | ConnectionOpened | Unreachable | Closed | Heard | Tick | Stop | ChunkSent | PieceRead
    | FileSpoiled | FileUnreadable
)  # fmt: skip


# --- actions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Say:
    """Send this message."""

    message: FromClient


@dataclass(frozen=True, slots=True)
class HangUp:
    """Send what is queued if that goes at once, and close the connection, if there is one."""


Action = Say | HangUp
Actions = list[Action]


# --- work: what the file has to be read for ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendChunk:
    """Read this piece and send it in this round; tell ChunkSent."""

    piece: Piece
    round: int


@dataclass(frozen=True, slots=True)
class ReadPiece:
    """Read this piece for its checksum; tell PieceRead."""

    piece: Piece


Work = SendChunk | ReadPiece
