"""A ticket: the right to upload one file, as a frozen value.

`ticket.apply(event, now_s)` returns the ticket as it is after the event, by the table in `lifecycle`; or it
raises an error and changes nothing. Nothing else changes a state.

Times are seconds of the service's own clock (`runtime.ServiceClock`), which stops while the server is down.
So neither an outage nor a jump of the system's clock expires a ticket.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from operator import attrgetter
from typing import Final
from urllib.parse import urlsplit

from incoming.core import file_digest
from incoming.core.bounds import MAX_LEFT_OUT, MAX_REASON_BYTES, MAX_UPLOAD_METADATA_BYTES, cut, cut_name
from incoming.core.checkpoints import Checkpoint, Checkpoints, added, up_to
from incoming.core.errors import ExpectedFile, InParts, LengthMismatch, NotInParts, WrongState
from incoming.core.lifecycle import (
    ARRIVED,
    CALLED_OFF,
    ENDED,
    RECEIVING,
    TRANSITIONS,
    AddPart,
    Assemble,
    BeginUnchecked,
    Cancel,
    Claim,
    Complete,
    Confirm,
    Deleted,
    EndUnchecked,
    Event,
    Expire,
    FoundIncomplete,
    Lapse,
    LeaveOut,
    PartEvent,
    PlanAssembly,
    Post,
    Proved,
    Record,
    Refuse,
    Release,
    RemovePart,
    Retry,
    SetLength,
    SetPartLength,
    StartAgain,
    State,
    Told,
)
from incoming.core.networks import address
from incoming.core.parts import NO_PARTS, UploadParts, part_id
from incoming.core.quoted_text import unquoted

DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class IllegalTransition(WrongState):
    """The event has no place in the ticket's state; the ticket is unchanged."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"The upload is {state.value.replace('_', ' ')}: it is not the time for this.")
        self.state = state
        self.event = event


# --- the ticket --------------------------------------------------------------------------------

SHORT_ID_CHARS: Final = 8
FILE: Final = "file"
FOLDER: Final = "folder"
DEST_TYPES: Final = (FILE, FOLDER)
"""What a ticket can be for."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One upload: what the app asked for, and how far it has come.

    `dest_type` is what the ticket is for, one of DEST_TYPES. The bytes of a folder are one stream: the list
    of its files, then their contents (`core.folder_manifest`). What is said here of a file holds for that.

    `deliveries` counts the calls to the app since the file arrived or the upload was called off. `asks`
    counts how often a "wait" lapsed. `app_told` says whether the app knows that the upload was called off.

    `last_modified_ms` (since 1970; 0: unknown) is the file's, as its client says. `needs_proof`: only a
    checksum from the client completes the upload. `crc32c` and `sha256` (hex) are known once the file has
    arrived. `max_bytes` and `max_bytes_per_s`: 0 sets no limit.

    `token` is that of the newest claim. A change for a claim counts only while the ticket has the claim's
    token, so no claim that was taken over can change the ticket. `epoch` counts the claims, for logs.

    `checkpoints` are checksums of the acknowledged bytes of an unfinished upload. `boot_id` names the start
    of the machine at which all stored bytes were last known to be right; an older version left it empty.

    `length_bytes` is known from the start if the app has set it. `return_url`: where a form without
    JavaScript leads once the app has the file. `upload_metadata`: what a client of tus says of its file.
    `file_digest`: the digest that a client names or asks for, see `core.file_digest`. `parts`: those of an
    upload that came, or comes, in parts.

    `length_is_said`: the length is what a client over HTTP has said, and not the app. As long as nothing is
    stored, a client with a file of another length may take its place. `had_other_length`: one has. Then a
    client of tus has to name the length with the address, since the client before does not know that its file
    is not meant.

    `storage` names the storage that has the file, see `storage.choice`; an older version left it empty.
    `destination` is the key that the app wants its object to have in S3; empty: the server chooses one.

    `issued_unix_s` is when it was issued by the system's clock, in seconds since 1970, for people who look at
    it: nothing is decided by it. An older version left it 0.

    `is_whole`: the upload is paused, has all its bytes, and waits for nothing from its client. Any process
    that finds it completes it.

    `to_delete`: the upload has ended, and what its storage has of it is not deleted yet, as far as that is
    the server's to delete. Any process that finds it deletes that. An end sets it where a start does not find
    such files by itself: see `Storage.inventory`.

    `left_out` are the numbers of the files that are left out of a folder that has arrived. Its client needs
    them to compute the checksum, also when the app has the folder. They are missing if there are too many.

    `checked_bytes` is a mark. While it is set, the stored bytes after so many wait for their checksum. They
    count as not stored, and the next claim discards them.
    """

    id: str
    signal_finish_url: str
    secret: str = field(default="", repr=False)
    secret_required: bool = False
    remove_file_when_finished: bool = True
    file_owner_uid: int | None = None
    issued_at_s: float = 0.0
    changed_at_s: float = 0.0
    state: State = State.ISSUED
    epoch: int = 0
    token: str = field(default="", repr=False)
    length_bytes: int | None = None
    name: str = ""
    reason: str = ""
    deliveries: int = 0
    asks: int = 0
    app_told: bool = False
    last_modified_ms: int = 0
    needs_proof: bool = False
    wants_sha256: bool = False
    crc32c: int | None = None
    sha256: str = ""
    metadata: str = field(default="", repr=False)
    max_bytes_per_s: int = 0
    max_bytes: int = 0
    boot_id: str = ""
    checkpoints: Checkpoints = ()
    return_url: str = field(default="", repr=False)
    upload_metadata: str = field(default="", repr=False)
    file_digest: str = ""
    parts: UploadParts | None = field(default=None, repr=False)
    checked_bytes: int | None = None
    destination: str = ""
    storage: str = ""
    issued_unix_s: float = 0.0
    is_whole: bool = False
    dest_type: str = FILE
    to_delete: bool = False
    left_out: tuple[int, ...] = ()
    length_is_said: bool = False
    had_other_length: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether the ticket is for a folder."""
        return self.dest_type == FOLDER

    @property
    def app(self) -> str:
        """The app: its host and port, since the rest of its URL may be secret, or the name of a callback."""
        return _app(self.signal_finish_url)

    @property
    def short_id(self) -> str:
        """What logs show of the id. The whole id is a secret: it allows the upload."""
        return self.id[:SHORT_ID_CHARS]

    def for_log(self, **more: object) -> dict[str, object]:
        """Returns what log lines say of the ticket, and `more`; nothing in it is secret."""
        about = {"ticket": self.short_id, "state": self.state.value, "length_bytes": self.length_bytes}
        return {**about, "reason": self.reason, **more}

    @property
    def is_in_parts(self) -> bool:
        """True while bytes may come in parts only."""
        return self.state in RECEIVING and self.parts is not None and self.parts.may_grow

    @property
    def is_assembled(self) -> bool:
        """True once the file has been made of parts."""
        return self.parts is not None and self.parts.is_done

    @property
    def expected_bytes(self) -> int | None:
        """The length of the file as far as it is known: of one in parts, that of its parts."""
        if self.length_bytes is None and self.parts:
            return self.parts.length_bytes
        return self.length_bytes

    def of_part(self, number: int) -> Ticket:
        """Returns what a ticket of its own would be for this part. Raises UnknownPart."""
        part = (self.parts or NO_PARTS).get(number)
        alone = replace(self, id=part_id(self.id, number), name="", parts=None, checkpoints=())
        return replace(alone, length_bytes=part.length_bytes, upload_metadata=part.upload_metadata)

    @property
    def hashes(self) -> tuple[str, ...]:
        """The names of the hashes of the whole file that somebody wants.

        An app that wants the SHA-256 of a folder gets that of each file, which the storage computes.
        """
        digest = file_digest.read(self.file_digest)
        by_client = (digest.hash_name,) if digest else ()
        return ("sha256", *by_client) if self.wants_sha256 and not self.is_folder else by_client

    @property
    def file_is_ours(self) -> bool:
        """False once the app has the file and wanted to move it. Then the server never touches it again."""
        return self.state is not State.FINISHED or self.remove_file_when_finished

    @property
    def is_undelivered(self) -> bool:
        """True while the app has to be called: a file is there, or the upload was called off."""
        if self.state in CALLED_OFF:
            return not self.app_told
        return self.state is State.HANDING_OVER

    @property
    def settled(self) -> bool:
        """True when nothing is left to be done but to remember the result."""
        return self.state in ENDED and not self.is_undelivered and not self.to_delete

    @property
    def expected_file(self) -> ExpectedFile:
        """The file that the upload was begun with."""
        app_has_it = self.state is State.FINISHED
        return ExpectedFile(self.name, self.length_bytes, self.last_modified_ms, app_has_it=app_has_it)

    def admits(self, secret: str) -> bool:
        """Returns whether a caller with this secret may finish, cancel and retry the upload.

        Apps that use the older `signalFinishSecret` send no secret back; a wrong secret is refused even from
        them. A secret in the quotes of a JSON string is the same secret: the ticket's may also be in quotes.
        """
        spellings = {secret, unquoted(secret)}
        if "" in spellings and not self.secret_required:
            return True
        same = [hmac.compare_digest(spelling.encode(), self.secret.encode()) for spelling in spellings]
        return any(same)

    def would_learn(self, claim: Claim) -> bool:
        """Returns whether `Proved` would tell something new of the file, in what this claim says of it."""
        if self.state not in RECEIVING:
            return False
        if self.has_other_length(claim):
            return True
        return (
            (self.length_bytes is None and claim.length_bytes is not None)
            or self.needs_proof != claim.proves
            or (not self.upload_metadata and bool(claim.upload_metadata))
            or file_digest.first(self.file_digest, claim.file_digest) != self.file_digest
        )

    def has_other_length(self, claim: Claim) -> bool:
        """Returns whether the file of this claim can't be the one that another client has told about."""
        is_other = claim.length_bytes not in (None, self.length_bytes)
        return is_other and self.length_is_said and self.state in RECEIVING and not self.is_in_parts

    def acknowledged_bytes(self, stored_bytes: int) -> int:
        """Returns how many of the stored bytes count: those that do not wait for their checksum.

        No claim of an issued ticket has survived, so nobody was told of bytes that a killed process left.
        """
        if self.state is State.ISSUED:
            return 0
        return stored_bytes if self.checked_bytes is None else min(stored_bytes, self.checked_bytes)

    def apply(self, event: Event, now_s: float) -> Ticket:
        """Returns the ticket after `event`. Raises IllegalTransition, LengthMismatch.

        An upload cannot be complete while its length is unknown, or some of its bytes are unchecked.
        """
        target = TRANSITIONS[self.state].get(type(event))
        if target is None or not self._admits_event(event):
            raise IllegalTransition(self.state, event)
        self._check_parts(event)
        if isinstance(event, Lapse) and event.final:
            target = State.FAILED
        if isinstance(event, RemovePart) and self.parts and not self.parts.remove(event.number).present:
            target = State.ISSUED  # as if there had never been a part
        moved = self
        if target is not self.state:
            moved = _quickly_replaced(self, state=target, changed_at_s=now_s, is_whole=False)
        return _remember(moved, event, self.state)

    def _check_parts(self, event: Event) -> None:
        """Raises InParts, NotInParts, IllegalTransition for what only other uploads allow."""
        if self.is_in_parts:
            if isinstance(event, Claim):
                raise InParts
            if isinstance(event, Complete | Proved | SetLength | StartAgain | BeginUnchecked):
                raise IllegalTransition(self.state, event)
        elif isinstance(event, AddPart):
            if self.state is not State.ISSUED:
                raise NotInParts
        elif isinstance(event, PartEvent):
            raise IllegalTransition(self.state, event)

    def _admits_event(self, event: Event) -> bool:
        """Returns whether the ticket has what an event needs, apart from its state."""
        match event:
            case Complete():
                return self.length_bytes is not None and self.checked_bytes in (None, self.length_bytes)
            case BeginUnchecked():
                return self.checked_bytes is None
            case _:
                return True

    def rests_as(self, other: Ticket) -> bool:
        """Returns whether both tickets have the same journal entry."""
        if self.state is not other.state:
            return False
        same = {"epoch": self.epoch, "token": self.token, "deliveries": self.deliveries}
        return self == _quickly_replaced(other, **same)

    def recovers_to(self, other: Ticket, now_s: float) -> bool:
        """Returns whether a restart turns this ticket into `other`, apart from its checkpoints."""
        known = replace(other, checkpoints=self.checkpoints)
        return self.at_rest().recovered(now_s).rests_as(known)

    def at_rest(self) -> Ticket:
        """Returns what the journal keeps of the ticket. Claims and calls end with the process."""
        return _quickly_replaced(self, epoch=0, token="", deliveries=0)

    def recovered(self, now_s: float) -> Ticket:
        """Returns the ticket as the next process has it after this one was killed.

        Its client is not connected any more. The app may have been called, so its next call counts as a
        repeated one.
        """
        if self.state is State.UPLOADING:
            return _quickly_replaced(self, state=State.PAUSED, changed_at_s=now_s)
        return _quickly_replaced(self, deliveries=1) if self.state in ARRIVED else self


_NAMES: Final = tuple(field.name for field in fields(Ticket))
_VALUES: Final = attrgetter(*_NAMES)
_SLOTS: Final = tuple(getattr(Ticket, name).__set__ for name in _NAMES)


def _quickly_replaced(ticket: Ticket, **changes: object) -> Ticket:
    """Returns what dataclasses.replace does, in a third of the time: a start does this for each ticket."""
    new = object.__new__(Ticket)
    for set_slot, value in zip(_SLOTS, _VALUES(ticket), strict=True):
        set_slot(new, value)
    for name, value in changes.items():
        object.__setattr__(new, name, value)
    return new


@lru_cache(maxsize=1024)
def _app(url: str) -> str:
    """Returns the same text for each spelling of a host and port; a URL without a host as it is."""
    parts = urlsplit(url)
    if not parts.hostname:
        return url
    found = address(parts.hostname)
    host = str(found) if found else _ascii(parts.hostname.removesuffix("."))
    port = parts.port if parts.port != DEFAULT_PORTS.get(parts.scheme) else None
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def _ascii(host: str) -> str:
    """Returns the name as DNS has it."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def _remember(ticket: Ticket, event: Event, was: State) -> Ticket:
    """Returns `ticket`, which has its new state, with what else the event says. `was`: its state before."""
    match event:
        case Claim():
            return _claimed(ticket, event, is_first=was is State.ISSUED)
        case Proved() | SetLength() | StartAgain():
            return _with_file(ticket, event)
        case BeginUnchecked():
            return replace(ticket, checked_bytes=event.checked_bytes)
        case EndUnchecked():
            return _with(replace(ticket, checked_bytes=None), event.checkpoint)
        case Record():
            return _with(replace(ticket, boot_id=event.boot_id), event.checkpoint)
        case LeaveOut():
            return replace(ticket, checkpoints=up_to(ticket.checkpoints, event.start_bytes))
        case Release() if ticket.state in RECEIVING:
            return _with(replace(ticket, is_whole=event.is_whole), event.checkpoint)
        case FoundIncomplete():
            return replace(ticket, is_whole=False)
        case AddPart() | SetPartLength() | RemovePart() | PlanAssembly() | Assemble():
            return _with_parts(ticket, event, ticket.parts or NO_PARTS)
        case Complete():
            return replace(
                ticket,
                crc32c=event.crc32c,
                sha256=event.sha256,
                file_digest=event.file_digest,
                left_out=event.left_out if len(event.left_out) <= MAX_LEFT_OUT else (),
                checkpoints=(),
                checked_bytes=None,
            )
        case Confirm() if was is not State.FINISHED:  # a repeated one ends nothing
            return replace(ticket, to_delete=event.to_delete)
        case _:
            return _with_outcome(ticket, event)


def _with_outcome(ticket: Ticket, event: Event) -> Ticket:
    """Returns `ticket` with what an event says of its end, or of the calls to its app."""
    match event:
        case Cancel():
            ended = replace(ticket, reason=_reason(event.reason), app_told=event.by_app)
            return _with_nothing_stored(ended, event.to_delete)
        case Expire():
            return _with_nothing_stored(replace(ticket, reason=_reason(event.reason)), event.to_delete)
        case Refuse():
            return replace(ticket, reason=_reason(event.reason))
        case Lapse():
            reason = _reason(event.reason) if event.final else ""
            return replace(ticket, reason=reason, asks=ticket.asks + 1)
        case Retry():
            return replace(ticket, reason="", asks=0)
        case Post():
            return replace(ticket, deliveries=ticket.deliveries + 1)
        case Told():
            return replace(ticket, app_told=True)
        case Deleted():
            return replace(ticket, to_delete=False)
        case _:
            return ticket


def _with_nothing_stored(ticket: Ticket, to_delete: bool) -> Ticket:
    """Returns the ticket of an upload that was called off, of which the app has not heard yet."""
    nothing = {"checkpoints": (), "checked_bytes": None, "parts": None}
    return _quickly_replaced(ticket, **nothing, deliveries=0, to_delete=to_delete)


def _reason(reason: str) -> str:
    """Returns the part of a reason that is kept: clients and apps give reasons of any length."""
    return cut(reason, MAX_REASON_BYTES)


def _claimed(ticket: Ticket, claim: Claim, is_first: bool) -> Ticket:
    """Returns the claimed ticket. The first claim says which file is meant."""
    mine = replace(ticket, epoch=ticket.epoch + 1, token=claim.token)
    if ticket.state in RECEIVING:
        right = up_to(ticket.checkpoints, claim.right_bytes)
        boot_id = claim.boot_id or ticket.boot_id
        mine = replace(mine, boot_id=boot_id, checkpoints=right, checked_bytes=None)
    if not is_first:
        return mine
    named = replace(mine, name=cut_name(claim.name), last_modified_ms=claim.last_modified_ms)
    return _described(named, claim, 0)


def _with_file(ticket: Ticket, event: Proved | SetLength | StartAgain) -> Ticket:
    """Returns the ticket with what its client says of the file. Raises LengthMismatch."""
    match event:
        case Proved(claim, stored_bytes):
            return _described(ticket, claim, stored_bytes)
        case SetLength(length_bytes, stored_bytes):
            return _measured(ticket, length_bytes, stored_bytes, is_said=True)
        case StartAgain():
            return replace(
                ticket,
                length_bytes=None,
                length_is_said=False,
                name="",
                last_modified_ms=0,
                needs_proof=False,
                upload_metadata="",
                file_digest="",
                checkpoints=(),
                checked_bytes=None,
                parts=None,
            )


def _described(ticket: Ticket, claim: Claim, stored_bytes: int) -> Ticket:
    """Returns the ticket with what its client has said of the file. Raises LengthMismatch."""
    if not stored_bytes and ticket.has_other_length(claim):
        named = replace(ticket, name=cut_name(claim.name), last_modified_ms=claim.last_modified_ms)
        nothing = {"length_bytes": None, "upload_metadata": "", "file_digest": ""}
        ticket = _quickly_replaced(named, **nothing, had_other_length=True)
    described = replace(
        ticket,
        needs_proof=claim.proves,
        upload_metadata=ticket.upload_metadata or _bounded(claim.upload_metadata),
        file_digest=file_digest.first(ticket.file_digest, claim.file_digest),
    )
    if claim.length_bytes is None:
        return described
    return _measured(described, claim.length_bytes, stored_bytes, is_said=not claim.keeps_others_out)


def _bounded(upload_metadata: str) -> str:
    """Returns the metadata; nothing of those that are too long, which the service refuses."""
    return upload_metadata if cut(upload_metadata, MAX_UPLOAD_METADATA_BYTES) == upload_metadata else ""


def _with_parts(
    ticket: Ticket, event: AddPart | SetPartLength | RemovePart | PlanAssembly | Assemble, parts: UploadParts
) -> Ticket:
    """Returns the ticket after an event of its parts."""
    match event:
        case AddPart(length_bytes, upload_metadata):
            return replace(ticket, parts=parts.add(length_bytes, upload_metadata))
        case SetPartLength(number, length_bytes, stored_bytes):
            return _fitting(replace(ticket, parts=parts.measure(number, length_bytes, stored_bytes)))
        case RemovePart(number):
            return replace(ticket, parts=parts.remove(number))
        case PlanAssembly(order, address, name, upload_metadata):
            named = replace(ticket, name=cut_name(name), upload_metadata=_bounded(upload_metadata))
            return _fitting(replace(named, parts=parts.plan(order, address)))
        case Assemble(whole, boot_id):
            done = replace(ticket, parts=parts.finish(), length_bytes=whole.end_bytes, boot_id=boot_id)
            return _with(replace(done, checkpoints=()), whole)


def _fitting(ticket: Ticket) -> Ticket:
    """Returns a ticket whose file has the length that its app has set, if it has. Raises LengthMismatch."""
    length_bytes = ticket.parts.length_bytes if ticket.parts and ticket.parts.assembly else None
    if length_bytes is not None and ticket.length_bytes not in (None, length_bytes):
        raise LengthMismatch(ticket.expected_file, length_bytes)
    return ticket


def _measured(ticket: Ticket, length_bytes: int, stored_bytes: int, is_said: bool) -> Ticket:
    """Returns the ticket with its length. The first one counts, and the stored bytes are part of the file.

    `is_said`: a client of another file may take the place of this one while nothing is stored.
    """
    if ticket.length_bytes not in (None, length_bytes):
        raise LengthMismatch(ticket.expected_file, length_bytes)
    if length_bytes < stored_bytes:
        raise LengthMismatch(replace(ticket.expected_file, least_bytes=stored_bytes), length_bytes)
    may_be_replaced = is_said and (ticket.length_bytes is None or ticket.length_is_said)
    return replace(ticket, length_bytes=length_bytes, length_is_said=may_be_replaced)


def _with(ticket: Ticket, checkpoint: Checkpoint | None) -> Ticket:
    """Returns the ticket with a new checkpoint. One of unchecked bytes says nothing that counts."""
    if checkpoint is None or ticket.acknowledged_bytes(checkpoint.end_bytes) < checkpoint.end_bytes:
        return ticket
    return replace(ticket, checkpoints=added(ticket.checkpoints, checkpoint))
