"""A ticket: the right to upload one file, as a frozen value.

`ticket.apply(event, now_s)` returns the ticket as it is after the event, by the table in `lifecycle`; or it
raises an error and changes nothing. Nothing else changes a state.

Times are seconds of the service's own clock (`runtime.ServiceClock`), which stops while the server is down.
So neither an outage nor a jump of the system's clock expires a ticket.
"""

from __future__ import annotations

import dataclasses
import hmac
import re
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from incoming.core import file_digest
from incoming.core.bounds import (
    MAX_REASON_BYTES,
    MAX_REMEMBERED_LEFT_OUT,
    MAX_UPLOAD_METADATA_BYTES,
    cut,
    cut_name,
)
from incoming.core.checkpoints import Checkpoint, Checkpoints, added, up_to
from incoming.core.errors import ExpectedFile, InParts, LengthMismatch, NotInParts, WrongState
from incoming.core.file_name import bare_file_name
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
    """The ticket's state does not allow the event. The ticket is unchanged."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"This is not possible: the upload is {state.value.replace('_', ' ')}.")
        self.state = state
        self.event = event


# --- the ticket --------------------------------------------------------------------------------

SHORT_ID_CHARS: Final = 8
"""How much of an id logs and lists show. The whole id is a secret: it allows the upload."""
TICKET_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FILE: Final = "file"
FOLDER: Final = "folder"
DEST_TYPES: Final = (FILE, FOLDER)
"""What a ticket can be for."""
_SECRET_FIELDS: Final = frozenset({"secret", "token", "metadata", "return_url", "upload_metadata", "parts"})
"""Fields that `repr` leaves out, because they are secret or may be."""


def short_id(ticket_id: str) -> str:
    """Returns what logs and lists show of the id of a ticket, or of a part."""
    return ticket_id[:SHORT_ID_CHARS]


def with_short_ids(text: str) -> str:
    """Returns a text for logs. A reader who knew the whole id of a ticket could upload."""
    return TICKET_ID.sub(lambda found: short_id(found[0]), text)


class Ticket(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One upload: what the app asked for, and how far it has come.

    What a field says of "the file" holds for a folder, too: its bytes are one stream.

    The journal and Redis leave out the fields that have their defaults, so the default of a field never
    changes. Nothing that a ticket refers to refers back to it, so the garbage collector need not visit it.
    """

    id: str
    signal_finish_url: str
    """The URL of the app that is called, or the name of a callback."""
    secret: str = ""
    """What the app may have to send to finish, cancel or retry the upload: see `admits`."""
    secret_required: bool = False
    """Whether the app has to send the secret. Apps that use the older `signalFinishSecret` need not."""
    remove_file_when_finished: bool = True
    """Whether the server deletes the file once the app has it. If not, the app may move it away."""
    file_owner_uid: int | None = None
    """Which user of the system gets the file; None: it stays the server's."""
    issued_at_s: float = 0.0
    """When the ticket was issued."""
    changed_at_s: float = 0.0
    """When the state last changed."""
    state: State = State.ISSUED
    epoch: int = 0
    """How many claims there have been, for logs."""
    token: str = ""
    """The token of the newest claim. A claim changes the ticket only while this is its own token.

    So a claim that was taken over can't change the ticket.
    """
    length_bytes: int | None = None
    """The length of the file; None while it is unknown. It is known from the start if the app has set it."""
    name: str = ""
    """The name of the file, as its client says."""
    reason: str = ""
    """Why the upload was called off, or why its handover failed."""
    deliveries: int = 0
    """How many calls to the app there were since the file arrived, or since the upload was called off."""
    asks: int = 0
    """How often the app has said "wait", and has not called `finish_upload` in time."""
    app_told: bool = False
    """Whether the app knows that the upload was called off."""
    last_modified_ms: int = 0
    """When the file was last modified, as its client says: milliseconds since 1970; 0: unknown."""
    needs_proof: bool = False
    """Whether only a checksum from the client completes the upload."""
    wants_sha256: bool = False
    """Whether the app wants the SHA-256 of the file."""
    crc32c: int | None = None
    """The CRC-32C of the file, once it has arrived."""
    sha256: str = ""
    """The SHA-256 of the file in hex, once it has arrived, if the app wants it."""
    metadata: str = ""
    """What the app gets back with each call. Nothing here reads it."""
    max_bytes_per_s: int = 0
    """The rate limit; 0 sets no limit."""
    max_bytes: int = 0
    """How large the file may be; 0 sets no limit."""
    boot_id: str = ""
    """At which start of the machine all stored bytes were last known to be right.

    An older version left it empty.
    """
    checkpoints: Checkpoints = ()
    """Checksums of the acknowledged bytes of an unfinished upload."""
    return_url: str = ""
    """Where a form without JavaScript leads once the app has the file."""
    upload_metadata: str = ""
    """What a client of tus says of its file, as it was sent."""
    file_digest: str = ""
    """The digest that a client names or asks for: see `core.file_digest`."""
    parts: UploadParts | None = None
    """The parts of an upload that comes, or came, in parts."""
    checked_bytes: int | None = None
    """The number of checked bytes, while others wait for their checksum; None: all stored bytes are checked.

    Unchecked bytes count as not stored, and the next claim discards them.
    """
    destination: str = ""
    """The key that the app wants its object to have in S3; empty: the server chooses one."""
    storage: str = ""
    """The storage that has the file: see `storage.choice`. An older version left it empty."""
    issued_unix_s: float = 0.0
    """When the ticket was issued, by the system's clock, in seconds since 1970.

    It is for people who look at the ticket: nothing is decided by it. An older version left it 0.
    """
    is_whole: bool = False
    """Whether the upload is paused, has all its bytes, and waits for nothing from its client.

    Any process that finds such an upload completes it.
    """
    dest_type: str = FILE
    """What the ticket is for, one of DEST_TYPES.

    The bytes of a folder are the list of its files, and then their contents: see `core.folder_manifest`.
    """
    to_delete: bool = False
    """Whether the upload has ended, and its storage still has files that the server has to delete.

    Any process that finds such an upload deletes them. An end sets this where a start does not find such
    files by itself: see `Storage.inventory`.
    """
    left_out: tuple[int, ...] = ()
    """The numbers of the files that are left out of a folder that has arrived; none if there are too many.

    Its client needs them to compute the checksum, also when the app has the folder.
    """
    length_is_said: bool = False
    """Whether a client over HTTP has said the length, and not the app.

    As long as nothing is stored, a client with a file of another length may replace it.
    """
    had_other_length: bool = False
    """Whether a client with a file of another length has replaced the first one.

    Then a client of tus has to name the length with the address: the first client does not know that its file
    is no longer expected.
    """

    def __repr__(self) -> str:
        """Shows the fields that do not have their defaults, apart from secret ones."""
        known = [(one.name, getattr(self, one.name), one.default) for one in _SHOWN_FIELDS]
        shown = (f"{name}={value!r}" for name, value, default in known if value != default)
        return f"Ticket({', '.join(shown)})"

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
        """What logs and lists show of the id."""
        return short_id(self.id)

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
        """The names of the wanted hashes of the whole file.

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
    def may_be_forgotten(self) -> bool:
        """True once the upload has ended, its app knows that, and nothing is left to be deleted.

        Until then the ticket has to be kept. After that only its result is of interest.
        """
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
            or self._has_other_name(claim)
            or self.needs_proof != claim.proves
            or (not self.upload_metadata and bool(claim.upload_metadata))
            or file_digest.first(self.file_digest, claim.file_digest) != self.file_digest
        )

    def has_other_length(self, claim: Claim) -> bool:
        """Returns whether the file of this claim can't be the one that another client has told about."""
        is_other = claim.length_bytes not in (None, self.length_bytes)
        return is_other and self.length_is_said and self.state in RECEIVING and not self.is_in_parts

    def _has_other_name(self, claim: Claim) -> bool:
        """Returns whether a claim names another file. A name in the metadata of tus is never replaced."""
        is_other = bool(claim.name) and cut_name(claim.name) != self.name
        return is_other and not (self.upload_metadata or self.is_in_parts)

    def named_by(self, claim: Claim) -> Ticket:
        """Returns the ticket with the name and the time of a claim's file, if it names another one.

        It is for as long as nothing is stored: an earlier request may have named a file and sent nothing.
        """
        if not self._has_other_name(claim):
            return self
        return replace(self, name=cut_name(claim.name), last_modified_ms=claim.last_modified_ms)

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
            moved = replace(self, state=target, changed_at_s=now_s, is_whole=False)
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

    def has_same_entry(self, other: Ticket) -> bool:
        """Returns whether both tickets have the same journal entry."""
        return self.persisted() == other.persisted()

    def recovers_to(self, other: Ticket, now_s: float) -> bool:
        """Returns whether a restart turns this ticket into `other`, apart from its checkpoints."""
        known = replace(other, checkpoints=self.checkpoints)
        return self.persisted().recovered(now_s).has_same_entry(known)

    def persisted(self) -> Ticket:
        """Returns the ticket as the journal has it. Claims and calls to apps end with the process."""
        return replace(self, epoch=0, token="", deliveries=0)

    def recovered(self, now_s: float) -> Ticket:
        """Returns the ticket as the next process has it after this one was killed.

        Its client is not connected any more. The app may have been called, so its next call counts as a
        repeated one.
        """
        if self.state is State.UPLOADING:
            return replace(self, state=State.PAUSED, changed_at_s=now_s)
        return replace(self, deliveries=1) if self.state in ARRIVED else self


_SHOWN_FIELDS: Final = tuple(one for one in msgspec.structs.fields(Ticket) if one.name not in _SECRET_FIELDS)


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
                left_out=event.left_out if len(event.left_out) <= MAX_REMEMBERED_LEFT_OUT else (),
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
    """Returns the ticket of an upload that was called off. Its app does not know that yet."""
    return replace(ticket, checkpoints=(), checked_bytes=None, parts=None, deliveries=0, to_delete=to_delete)


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
        ticket = replace(
            ticket,
            name=bare_file_name(""),
            last_modified_ms=claim.last_modified_ms,
            length_bytes=None,
            upload_metadata="",
            file_digest="",
            had_other_length=True,
        )
    if not stored_bytes:
        ticket = ticket.named_by(claim)
    described = replace(
        ticket,
        needs_proof=claim.proves,
        upload_metadata=ticket.upload_metadata or _bounded(claim.upload_metadata),
        file_digest=file_digest.first(ticket.file_digest, claim.file_digest),
    )
    if claim.length_bytes is None:
        return described
    # What is no folder, sent to the ticket of one by mistake, shows that only with its first byte.
    is_said = ticket.is_folder or not claim.keeps_others_out
    return _measured(described, claim.length_bytes, stored_bytes, is_said)


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
        expected = dataclasses.replace(ticket.expected_file, min_bytes=stored_bytes)
        raise LengthMismatch(expected, length_bytes)
    may_be_replaced = is_said and (ticket.length_bytes is None or ticket.length_is_said)
    return replace(ticket, length_bytes=length_bytes, length_is_said=may_be_replaced)


def _with(ticket: Ticket, checkpoint: Checkpoint | None) -> Ticket:
    """Returns the ticket with a new checkpoint. One of unchecked bytes says nothing that counts."""
    if checkpoint is None or ticket.acknowledged_bytes(checkpoint.end_bytes) < checkpoint.end_bytes:
        return ticket
    return replace(ticket, checkpoints=added(ticket.checkpoints, checkpoint))
