"""The states of a ticket, the events that may happen to it, and the one table of transitions.

    ISSUED         no client has used it yet
    UPLOADING      a claim holds it, and its client sends bytes
    PAUSED         bytes may be stored, and no claim holds it
    HANDING_OVER   all bytes are stored; the app is called until it answers
    WAITING        the app answered "wait" and will call finish_upload
    FINISHED       the app has the file
    FAILED         the app refused the file, or could not be reached for too long; the file is kept
    CANCELLED      the client, the app or the operator cancelled it
    EXPIRED        no client came for too long, or no app took a failed file

Two rules explain the table. From HANDING_OVER on, the file belongs to the app: no client can cancel, and
clients that connect or leave change nothing. And `Confirm` wins every race: the app may call finish_upload
before the server has read its "wait".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from incoming.core.checkpoints import Checkpoint


class State(StrEnum):
    """Where a ticket is in its life."""

    ISSUED = "issued"
    UPLOADING = "uploading"
    PAUSED = "paused"
    HANDING_OVER = "handing_over"
    WAITING = "waiting"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


RECEIVING: Final = frozenset({State.ISSUED, State.UPLOADING, State.PAUSED})
"""Bytes may still come."""
ARRIVED: Final = frozenset({State.HANDING_OVER, State.WAITING, State.FINISHED, State.FAILED})
"""All bytes have come."""
HAS_FILE: Final = ARRIVED - {State.FINISHED}
"""The file is there, and its app has not finished with it."""
CALLED_OFF: Final = frozenset({State.CANCELLED, State.EXPIRED})
"""Ended without a handover; the app is told, unless it was the app's own doing."""
ENDED: Final = CALLED_OFF | {State.FINISHED}
"""Nothing can change the outcome."""


# --- events ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim:
    """A client takes the upload. The newest claim wins.

    A transport makes it of what its client says of the file, which counts the first time. The first claim of
    a ticket says which file is meant. What a later one says of it counts with `Proved` only: the client may
    have another file. If nothing is stored, its name and time count then. `length_bytes` is None while the
    client does not know it. `last_modified_ms` (since 1970) is 0 when unknown. `proves`: the client shows
    that it has the same file, and will send a checksum at the end. The upload is complete only then. `token`
    is random, 128 bits or more. It fences out the claims before this one: see `Ticket.token`.
    `upload_metadata`: what a client of tus says of its file, unchanged, from the header Upload-Metadata. The
    first one that is not empty counts. `file_digest`: see `core.file_digest`; the first one with a value
    counts. `keeps_others_out`: from now on, another length is an error. It is so over WebSockets. A request
    over HTTP may name a length and send nothing, so its length counts against others only when bytes are
    stored.

    The service adds the last two fields. `right_bytes`: how many of the stored bytes are surely right.
    `boot_id`: that of the machine if all of them are, else empty.
    """

    length_bytes: int | None
    name: str = ""
    last_modified_ms: int = 0
    proves: bool = False
    token: str = field(default="", repr=False)
    right_bytes: int = 0
    boot_id: str = ""
    upload_metadata: str = field(default="", repr=False)
    file_digest: str = ""
    keeps_others_out: bool = True


@dataclass(frozen=True, slots=True)
class Proved:
    """The client of the newest claim has shown that it has the same file, of which `stored_bytes` are stored.

    What its `claim` says of the file counts from now on.
    """

    claim: Claim
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class SetLength:
    """The client tells the length of the file, which its claim did not.

    `stored_bytes` of the file are stored already, so its length cannot be less.
    """

    length_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class StartAgain:
    """What came is not what the ticket is for. The ticket is again as it was issued."""


@dataclass(frozen=True, slots=True)
class AddPart:
    """The client sends the file in parts, and this is one more. See `core.parts`."""

    length_bytes: int | None
    upload_metadata: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ClaimPart:
    """A client takes a part. The leases know which one, and who holds it."""


@dataclass(frozen=True, slots=True)
class SetPartLength:
    """The client tells the length of a part, of which `stored_bytes` are stored already."""

    number: int
    length_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class RemovePart:
    """The client discards a part."""

    number: int


@dataclass(frozen=True, slots=True)
class PlanAssembly:
    """The client says which parts make the file, and what it is. See `core.parts.Assembly`."""

    order: tuple[int, ...]
    address: str = ""
    name: str = ""
    upload_metadata: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Assemble:
    """The parts have become the file: all of it is right while the machine has this boot id."""

    whole: Checkpoint
    boot_id: str


@dataclass(frozen=True, slots=True)
class BeginUnchecked:
    """Bytes follow whose checksum comes after them. The `checked_bytes` before them are right."""

    checked_bytes: int


@dataclass(frozen=True, slots=True)
class EndUnchecked:
    """The unchecked bytes have agreed with their checksum, or they are not stored any more.

    `checkpoint`: that of all stored bytes, if it is known.
    """

    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """All bytes up to this checkpoint are acknowledged, and right while the machine has this boot id."""

    checkpoint: Checkpoint
    boot_id: str


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """A file of the folder is about to be left out: the stream has zeros in its place, from this offset on.

    So no checkpoint after it counts any more.
    """

    start_bytes: int


@dataclass(frozen=True, slots=True)
class Release:
    """The claim has ended. `checkpoint`: that of all stored bytes, if it is known. See `Ticket.is_whole`."""

    checkpoint: Checkpoint | None = None
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class FoundIncomplete:
    """The upload was taken for whole, and it is not."""


@dataclass(frozen=True, slots=True)
class Complete:
    """All bytes are stored, and these are their digests.

    `sha256` (hex) only if the app asked for it, `file_digest` (see `core.file_digest`) if the client did.
    `left_out`: the numbers of the files of a folder that are left out.
    """

    crc32c: int | None = None
    sha256: str = ""
    file_digest: str = ""
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancel:
    """The upload is cancelled. `by_app`: by its app, which then need not be called.

    `to_delete`: see `Ticket`.
    """

    reason: str
    by_app: bool = False
    to_delete: bool = False


@dataclass(frozen=True, slots=True)
class Expire:
    """The idle time, or the retention of a failed file, is over. `to_delete`: see `Ticket`."""

    reason: str
    to_delete: bool = False


@dataclass(frozen=True, slots=True)
class Post:
    """The app is about to be called."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The app answered "wait"."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """The app has the file. `to_delete`: see `Ticket`."""

    to_delete: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """The app does not take the file."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lapse:
    """The app did not answer, or did not call finish_upload, for too long; why, and is it final?"""

    reason: str
    final: bool = True


@dataclass(frozen=True, slots=True)
class Retry:
    """The backend or an operator asks for a failed handover again."""


@dataclass(frozen=True, slots=True)
class Told:
    """The app knows that the upload was called off, or has not answered for too long."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """The upload has ended, and the storage has nothing of it any more that is to be deleted."""


PartEvent = AddPart | ClaimPart | SetPartLength | RemovePart | PlanAssembly | Assemble
"""What happens to an upload that comes in parts."""

Event = (
    PartEvent | Claim | Proved | SetLength | StartAgain | BeginUnchecked | EndUnchecked | Record | LeaveOut
    | Release | Complete | Cancel | Expire | FoundIncomplete
    | Post | Wait | Confirm | Refuse | Lapse | Retry | Told | Deleted
)  # fmt: skip

TRANSITIONS: Final[dict[State, dict[type[Event], State]]] = {
    State.ISSUED: {
        Claim: State.UPLOADING,
        AddPart: State.PAUSED,
        Cancel: State.CANCELLED,
        Expire: State.EXPIRED,
    },
    State.UPLOADING: {
        Claim: State.UPLOADING,  # a takeover
        Proved: State.UPLOADING,
        SetLength: State.UPLOADING,
        StartAgain: State.ISSUED,
        BeginUnchecked: State.UPLOADING,
        EndUnchecked: State.UPLOADING,
        Record: State.UPLOADING,
        LeaveOut: State.UPLOADING,
        AddPart: State.UPLOADING,
        ClaimPart: State.UPLOADING,
        SetPartLength: State.UPLOADING,
        RemovePart: State.UPLOADING,
        PlanAssembly: State.UPLOADING,
        Release: State.PAUSED,
        Complete: State.HANDING_OVER,
        Cancel: State.CANCELLED,
    },
    State.PAUSED: {
        Claim: State.UPLOADING,
        AddPart: State.PAUSED,
        ClaimPart: State.UPLOADING,
        RemovePart: State.PAUSED,  # ISSUED if it was the last one
        PlanAssembly: State.PAUSED,
        Assemble: State.PAUSED,
        FoundIncomplete: State.PAUSED,
        Complete: State.HANDING_OVER,  # killed after the last byte
        Cancel: State.CANCELLED,
        Expire: State.EXPIRED,
    },
    State.HANDING_OVER: {
        Claim: State.HANDING_OVER,  # a client watches
        Release: State.HANDING_OVER,
        Post: State.HANDING_OVER,
        Wait: State.WAITING,
        Confirm: State.FINISHED,
        Refuse: State.FAILED,
        Lapse: State.FAILED,
    },
    State.WAITING: {
        Claim: State.WAITING,
        Release: State.WAITING,
        Confirm: State.FINISHED,
        Lapse: State.HANDING_OVER,  # asked again; FAILED when the lapse is final
    },
    State.FINISHED: {
        Claim: State.FINISHED,  # its client gets the result once more
        Release: State.FINISHED,
        Confirm: State.FINISHED,  # a repeated finish_upload is ok
        Deleted: State.FINISHED,
        Wait: State.FINISHED,  # the answer "wait" was read after finish_upload had come
    },
    State.FAILED: {
        Release: State.FAILED,
        Retry: State.HANDING_OVER,
        Expire: State.EXPIRED,
    },
    State.CANCELLED: {Release: State.CANCELLED, Told: State.CANCELLED, Deleted: State.CANCELLED},
    State.EXPIRED: {Release: State.EXPIRED, Told: State.EXPIRED, Deleted: State.EXPIRED},
}
