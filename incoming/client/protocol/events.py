"""The client session's stages, events, actions and outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from incoming.client.protocol.server_messages import ServerMessage
from incoming.client.protocol.stored_prefix import Segment
from incoming.core.folder_manifest import FolderManifest
from incoming.protocol.messages import FromClient
from incoming.wire import close_codes


class Stage(Enum):
    """Where an upload is."""

    BACKING_OFF = auto()
    """No connection until the next attempt is due."""
    CONNECTING = auto()
    REQUESTING = auto()
    """MsgUploadReq is sent."""
    PROVING = auto()
    """The file is read for the checksums that the server asks for."""
    SENDING = auto()
    COMPLETING = auto()
    """MsgComplete is sent."""
    AWAITING_APP = auto()
    """The server hands the file over to the app."""
    CANCELLING = auto()
    VERIFYING = auto()
    """The app has a file. Ours is read to see whether it is the same, which needs no connection."""
    ENDED = auto()


CONNECTED: Final = frozenset(
    {
        *(Stage.REQUESTING, Stage.PROVING, Stage.SENDING),
        *(Stage.COMPLETING, Stage.AWAITING_APP, Stage.CANCELLING),
    }
)
"""The stages in which there is a connection."""


@dataclass(frozen=True, slots=True)
class File:
    """The file: its name for the app, its length, and the time of its last change (since 1970).

    `manifest`: what is sent is a folder with these files; None for a file. The length is that of the stream,
    and the time is that of the newest file.
    """

    name: str
    length_bytes: int
    last_modified_ms: int
    manifest: FolderManifest | None = None

    @property
    def what(self) -> str:
        """What it is, for sentences."""
        return "folder" if self.manifest else "file"


@dataclass(frozen=True, slots=True)
class Options:
    """The user's limits: the transfer rate, and the time without progress; 0 means no limit.

    `leave_out`: a file of a folder that changed or can't be read is left out, instead of ending the upload.
    """

    max_bytes_per_s: int = 0
    give_up_after_s: float = 0.0
    leave_out: bool = False


class Ending(Enum):
    """How an upload ended, for programs."""

    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    GAVE_UP = "gave up"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an upload ended: a sentence for people, and whether the same ticket can be used again.

    `crc32c` is the checksum of the whole file after an upload has finished. It is None if the server no
    longer knows it.
    """

    ending: Ending
    text: str
    resumable: bool = False
    crc32c: int | None = None


# --- events, besides the server's messages ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """The WebSocket handshake is complete."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """An attempt to connect failed.

    `lasting`: the cause looks permanent, such as a wrong address. `retry_after_s`: the server's Retry-After,
    or 0.
    """

    why: str
    lasting: bool = False
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The connection has ended with this close code and reason, or is no longer usable."""

    code: int = close_codes.ABNORMAL
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PeerActive:
    """Something arrived that is not a message, such as a ping: the server is alive."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The user ends the upload. `cancel`: for good, so that it can't be resumed."""

    cancel: bool = False


@dataclass(frozen=True, slots=True)
class ChunkSent:
    """The requested chunk is sent. The segment has its checksum."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class SegmentRead:
    """The requested segment was read. It has its checksum."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class FileChanged:
    """The file is not what it was when the upload began. `why` is a sentence that names the file.

    `entry`: which entry of the folder it is; None where only one file is sent.
    """

    why: str
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class FileUnreadable:
    """The file can't be read at the moment. `why` is a sentence that names the file. `entry`: as above."""

    why: str
    entry: int | None = None


Event = (
    ServerMessage | ConnectionOpened | Unreachable | ConnectionClosed | PeerActive | Tick | Stop
    | ChunkSent | SegmentRead | FileChanged | FileUnreadable
)  # fmt: skip


# --- actions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send this message."""

    message: FromClient


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Send what is queued as far as the socket accepts it now, and close the connection, if there is one."""


@dataclass(frozen=True, slots=True)
class ReadAsZeros:
    """These entries of the folder are left out: from now on, the bytes of these and of no others are zeros.

    `why` is a sentence about the newest one. It is empty if an earlier run of the command has left it out.
    """

    entries: frozenset[int]
    why: str = ""


Action = SendMessage | CloseConnection | ReadAsZeros
Actions = list[Action]


# --- work: reading the file ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendChunk:
    """Read this segment and send it in this round; report ChunkSent."""

    segment: Segment
    round: int


@dataclass(frozen=True, slots=True)
class ReadSegment:
    """Read this segment for its checksum; report SegmentRead."""

    segment: Segment


Work = SendChunk | ReadSegment
