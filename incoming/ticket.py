"""The life of a ticket: its states, the events that move it, and one table of what may follow what.

A ticket is the right to upload one file (CONTRACT 1). It is a frozen value; `ticket.apply(event, now_s)`
returns the ticket as it is after the event, or raises `IllegalTransition` and leaves everything as it was.
Nothing else in the house changes a state.

    ISSUED         nobody has used it yet
    UPLOADING      a connection holds the claim and sends bytes
    PAUSED         bytes may be there, nobody is connected
    HANDING_OVER   all bytes are there; the app is being told, again and again until it answers
    WAITING        the app answered "wait" and will call finish_upload
    FINISHED       the app has the file
    FAILED         the app refused the file, or could not be reached for too long; the file is kept
    CANCELLED      somebody gave up
    EXPIRED        nobody came, or fetched a failed file, for too long

Two rules stand behind the table. A file that has arrived is the app's business: from HANDING_OVER on
no client can cancel, and what clients do (come, go) changes nothing. And `Confirm` wins every race: the app
may call finish_upload before we have read its "wait" (CONTRACT 3).

Times are seconds of the service's own clock (`runtime.ServiceClock`), which stands still while the server
is down: an outage or a clock jump expires nobody.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from incoming.errors import WrongState


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
CALLED_OFF: Final = frozenset({State.CANCELLED, State.EXPIRED})
"""Ended without a handover; the app is told, unless it was the app's own doing."""


# --- events ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim:
    """A connection takes the ticket; the newest one wins. `length_bytes` and `name` count the first time."""

    length_bytes: int
    name: str


@dataclass(frozen=True, slots=True)
class Release:
    """The connection is gone."""


@dataclass(frozen=True, slots=True)
class Complete:
    """All bytes are stored."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody gives up. `by_app`: the backend itself, which is then not told about it."""

    reason: str
    by_app: bool = False


@dataclass(frozen=True, slots=True)
class Expire:
    """The idle time, or the retention of a failed file, is over."""

    reason: str


@dataclass(frozen=True, slots=True)
class Post:
    """The app is about to be called."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The app answered "wait"."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """The app has the file."""


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
    """The app knows that the upload was called off (or need not know any more)."""


Event = (
    Claim | Release | Complete | Cancel | Expire | Post | Wait | Confirm | Refuse | Lapse | Retry | Told
)

TRANSITIONS: Final[dict[State, dict[type[Event], State]]] = {
    State.ISSUED: {
        Claim: State.UPLOADING,
        Cancel: State.CANCELLED,
        Expire: State.EXPIRED,
    },
    State.UPLOADING: {
        Claim: State.UPLOADING,  # a takeover
        Release: State.PAUSED,
        Complete: State.HANDING_OVER,
        Cancel: State.CANCELLED,
    },
    State.PAUSED: {
        Claim: State.UPLOADING,
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
        Claim: State.FINISHED,  # hears the result once more
        Release: State.FINISHED,
        Confirm: State.FINISHED,  # a repeated finish_upload is ok
        Wait: State.FINISHED,  # the answer "wait" was read after finish_upload had come
    },
    State.FAILED: {
        Release: State.FAILED,
        Retry: State.HANDING_OVER,
        Expire: State.EXPIRED,
    },
    State.CANCELLED: {Release: State.CANCELLED, Told: State.CANCELLED},
    State.EXPIRED: {Release: State.EXPIRED, Told: State.EXPIRED},
}


class IllegalTransition(WrongState):
    """The event has no place in the ticket's state; the ticket is unchanged."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"The upload is {state.value.replace('_', ' ')}: it is not the time for this.")
        self.state = state
        self.event = event


# --- the ticket --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ticket:
    """One upload: what the app asked for, and how far it has come.

    `deliveries` counts the calls to the app since the file arrived (or the upload was called off);
    `asks` counts the times that a "wait" lapsed; `app_told` is the flag of CANCELLED and EXPIRED.
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
    length_bytes: int | None = None
    name: str = ""
    reason: str = ""
    deliveries: int = 0
    asks: int = 0
    app_told: bool = False

    @property
    def short_id(self) -> str:
        """What logs show: the id itself is a bearer secret (DESIGN 4)."""
        return self.id[:8]

    @property
    def file_is_ours(self) -> bool:
        """False once the app has it and wanted to move it: it is never touched again (CONTRACT 3)."""
        return self.state is not State.FINISHED or self.remove_file_when_finished

    @property
    def settled(self) -> bool:
        """True when nothing is left to be done but to remember the result."""
        return self.app_told if self.state in CALLED_OFF else self.state is State.FINISHED

    def admits(self, secret: str) -> bool:
        """Returns whether finish, cancel and retry may be asked for with this secret (CONTRACT 2).

        Apps of the older `signalFinishSecret` send none back; a wrong one is refused even from them.
        """
        if not secret and not self.secret_required:
            return True
        return hmac.compare_digest(secret.encode(), self.secret.encode())

    def apply(self, event: Event, now_s: float) -> Ticket:
        """Returns the ticket after `event`. Raises IllegalTransition; the ticket is then unchanged."""
        target = TRANSITIONS[self.state].get(type(event))
        if target is None:
            raise IllegalTransition(self.state, event)
        if isinstance(event, Lapse) and event.final:
            target = State.FAILED
        moved = self if target is self.state else replace(self, state=target, changed_at_s=now_s)
        return _remember(moved, event, now_s)

    def at_rest(self) -> Ticket:
        """Returns what is worth a journal entry: not the claims and calls, which die with the process."""
        return replace(self, epoch=0, deliveries=0)

    def recovered(self, now_s: float) -> Ticket:
        """Returns the ticket as it is after its process died and another one read it off the journal.

        Whoever uploaded is gone. The app may have been called: its next call is a repeated one (CONTRACT 3).
        """
        if self.state is State.UPLOADING:
            return replace(self, state=State.PAUSED, changed_at_s=now_s)
        return replace(self, deliveries=1) if self.state in ARRIVED else self


def _remember(ticket: Ticket, event: Event, now_s: float) -> Ticket:
    """Returns `ticket` with what the event says beside the new state."""
    match event:
        case Claim():
            return _claimed(ticket, event, now_s)
        case Cancel():
            return replace(ticket, reason=event.reason, app_told=event.by_app, deliveries=0)
        case Expire():
            return replace(ticket, reason=event.reason, deliveries=0)
        case Refuse():
            return replace(ticket, reason=event.reason)
        case Lapse():
            reason = event.reason if event.final else ""
            return replace(ticket, reason=reason, asks=ticket.asks + 1)
        case Retry():
            return replace(ticket, reason="", asks=0)
        case Post():
            return replace(ticket, deliveries=ticket.deliveries + 1)
        case Told():
            return replace(ticket, app_told=True)
        case _:
            return ticket


def _claimed(ticket: Ticket, claim: Claim, now_s: float) -> Ticket:
    """Returns the claimed ticket: a new epoch, and the file's length and name if they are news."""
    mine = replace(ticket, epoch=ticket.epoch + 1)
    if mine.length_bytes is not None:
        return mine
    return replace(mine, changed_at_s=now_s, length_bytes=claim.length_bytes, name=claim.name)
