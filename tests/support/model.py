"""What the service has to be like, seen from outside, in as few words as possible: a model for a test.

Every ticket is a record, every event a method that returns what the caller is told: an error's class, or a
value. There are no files, no greenlets and no journal here; what it says of a crash is what the docs say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from crc32c import crc32c

from incoming.core import errors
from incoming.core.lifecycle import ARRIVED, CALLED_OFF, RECEIVING, State
from incoming.settings.table import Settings

HUGE_BYTES: Final = 1 << 60
Told = object
"""What a caller gets: the class of an error, or a value."""


@dataclass
class MClient:
    """A connection: what it holds, why not any more, and the news it has heard, by name."""

    ticket: str
    content: bytes
    version: int
    proven: bool
    """Whether it may send: it has shown that it has what is stored, or need not."""
    lost: type[errors.IncomingError] | None = None
    news: list[str] = field(default_factory=list)


@dataclass
class MTicket:
    """One upload."""

    id: str
    secret: str
    remove: bool
    changed_at_s: float
    state: State = State.ISSUED
    length_bytes: int | None = None
    file: bytes | None = None
    """What is stored; None: there is no file."""
    needs_proof: bool = False
    suspect: bool = False
    asks: int = 0
    deliveries: int = 0
    app_told: bool = False
    calls: int = 0
    holder: int | None = None
    held_bytes: int = 0
    touched_at_s: float | None = None
    begun: bool = False
    """Whether it had any byte when room was last counted for it."""
    attempt: int = 0
    calls_again_at_s: float | None = None
    """When a delivery that got no answer is tried again."""

    @property
    def stored_bytes(self) -> int:
        """Where an upload goes on."""
        return len(self.file or b"")


class Model:
    """All tickets. `now_s` is the service's time; `app` says what the app does when it is called."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.now_s = 0.0
        self.tickets: dict[str, MTicket] = {}
        self.clients: dict[int, MClient] = {}
        self.app = "done"

    # --- the app's backend ---------------------------------------------------------------------------

    def issue(self, ticket_id: str, secret: str, remove: bool) -> Told:
        """A new ticket."""
        self.tickets[ticket_id] = MTicket(ticket_id, secret, remove, self.now_s)
        return None

    def _checked(self, ticket_id: str, secret: str) -> MTicket | type[errors.IncomingError]:
        ticket = self.tickets.get(ticket_id)
        if ticket is None:
            return errors.UnknownTicket
        return ticket if secret == ticket.secret else errors.WrongSecret

    def finish(self, ticket_id: str, secret: str) -> Told:
        """The app has the file."""
        ticket = self._checked(ticket_id, secret)
        if not isinstance(ticket, MTicket):
            return ticket
        if ticket.state not in (State.HANDING_OVER, State.WAITING, State.FINISHED):
            return errors.WrongState
        self._finish(ticket)
        return None

    def cancel_by_app(self, ticket_id: str, secret: str) -> Told:
        """The app gives up."""
        ticket = self._checked(ticket_id, secret)
        if not isinstance(ticket, MTicket):
            return ticket
        if ticket.state is State.CANCELLED:
            return None
        if ticket.state not in RECEIVING:
            return errors.WrongState
        self._call_off(ticket, State.CANCELLED, app_told=True)
        return None

    def retry(self, ticket_id: str, secret: str) -> Told:
        """A failed handover is tried again."""
        ticket = self._checked(ticket_id, secret)
        if not isinstance(ticket, MTicket):
            return ticket
        if ticket.state is not State.FAILED:
            return errors.WrongState
        ticket.asks = 0
        self._move(ticket, State.HANDING_OVER)
        self._start_delivery(ticket)
        return None

    # --- clients ---------------------------------------------------------------------------------------

    def claim(self, number: int, ticket_id: str, content: bytes, version: int, length_bytes: int) -> Told:
        """A connection comes. Returns (offset, what it has to prove, arrived)."""
        ticket = self.tickets.get(ticket_id)
        refused = errors.UnknownTicket if ticket is None else self._refusal(ticket, length_bytes)
        if refused or ticket is None:
            return refused
        if ticket.state in RECEIVING:
            ticket.file = ticket.file or b""
            if not ticket.stored_bytes:  # else that waits for the proof
                ticket.needs_proof = version > 1
            self._hold(ticket, length_bytes - ticket.stored_bytes)
            if ticket.length_bytes is None:
                ticket.changed_at_s = self.now_s
                ticket.length_bytes = length_bytes
            if ticket.state is not State.UPLOADING:
                self._move(ticket, State.UPLOADING)
        self._lose(ticket, errors.TakenOver, "Interrupted")
        arrived = ticket.state in ARRIVED
        proves = not arrived and version > 1 and ticket.stored_bytes
        compare = ((0, ticket.stored_bytes),) if proves else ()
        self.clients[number] = MClient(ticket_id, content, version, proven=not compare)
        ticket.holder = number
        return (length_bytes if arrived else ticket.stored_bytes, compare, arrived)

    def _refusal(self, ticket: MTicket, length_bytes: int) -> type[errors.IncomingError] | None:
        ends: dict[State, type[errors.IncomingError]] = {
            State.CANCELLED: errors.UploadCancelled,
            State.EXPIRED: errors.UploadExpired,
            State.FAILED: errors.HandoverFailed,
        }
        if ticket.state in ends:
            return ends[ticket.state]
        if ticket.length_bytes not in (None, length_bytes):
            return errors.LengthMismatch
        return errors.StorageFull if length_bytes >= HUGE_BYTES else None

    def prove(self, number: int) -> Told:
        """A client of version 2 says the checksum of what is stored, of its own file."""
        client = self.clients[number]
        if client.lost:
            return client.lost
        ticket = self.tickets[client.ticket]
        if crc32c(client.content[: ticket.stored_bytes]) == crc32c(ticket.file or b""):
            ticket.suspect = False
            client.proven = ticket.needs_proof = True
            return None
        if ticket.suspect:
            ticket.file = b""
            ticket.suspect = False
        return errors.WrongFile

    def write(self, number: int, chunk: bytes) -> Told:
        """A chunk comes."""
        client = self.clients[number]
        if client.lost:
            return client.lost
        ticket = self.tickets[client.ticket]
        ticket.needs_proof = client.version > 1
        ticket.file = (ticket.file or b"") + chunk
        self._hold(ticket, (ticket.length_bytes or 0) - ticket.stored_bytes)
        return None

    def complete(self, number: int) -> Told:
        """All bytes are there; version 2 says the checksum of its file."""
        client = self.clients[number]
        if client.lost:
            return client.lost
        ticket = self.tickets[client.ticket]
        if client.version > 1 and crc32c(client.content) != crc32c(ticket.file or b""):
            ticket.suspect = True
            return errors.Damaged
        ticket.needs_proof = client.version > 1
        self._arrive(ticket)
        return None

    def cancel_by_client(self, number: int) -> Told:
        """The user gives up."""
        client = self.clients[number]
        if client.lost:
            return client.lost
        ticket = self.tickets.get(client.ticket)
        if ticket is None:
            return errors.UnknownTicket
        if ticket.state not in RECEIVING:
            return errors.WrongState
        ticket.holder = None
        client.lost = errors.UploadCancelled
        self._call_off(ticket, State.CANCELLED)
        return None

    def release(self, number: int) -> Told:
        """The connection is gone."""
        client = self.clients[number]
        ticket = self.tickets.get(client.ticket)
        if ticket is not None and ticket.holder == number:
            ticket.holder = None
            if ticket.state is State.UPLOADING:
                self._move(ticket, State.PAUSED)
                if ticket.touched_at_s is not None:
                    self._hold(ticket, (ticket.length_bytes or 0) - ticket.stored_bytes)
        client.lost = client.lost or errors.TakenOver
        return None

    # --- time, and a crash -----------------------------------------------------------------------------

    def advance(self, duration_s: float) -> None:
        """Time passes, and apps that did not answer are called again."""
        until_s = self.now_s + duration_s
        while due := [t for t in self.tickets.values() if (t.calls_again_at_s or until_s + 1) <= until_s]:
            ticket = min(due, key=lambda t: t.calls_again_at_s or 0.0)
            self.now_s = ticket.calls_again_at_s or 0.0
            ticket.calls_again_at_s = None
            self._call(ticket)
        self.now_s = until_s

    def sweep(self) -> None:
        """What was idle for too long ends, lapses, or is forgotten."""
        times = self.settings
        for ticket in list(self.tickets.values()):
            idle_s = self.now_s - ticket.changed_at_s
            whole = ticket.length_bytes and ticket.stored_bytes == ticket.length_bytes
            match ticket.state:
                case State.PAUSED if whole and not ticket.needs_proof:
                    self._arrive(ticket)
                case State.ISSUED | State.PAUSED if idle_s > times.idle_timeout_s:
                    self._call_off(ticket, State.EXPIRED)
                case State.WAITING if idle_s > times.handover_wait_timeout_s:
                    self._lapse(ticket)
                case State.FAILED if idle_s > times.failed_retention_s:
                    self._call_off(ticket, State.EXPIRED)
                case State.FINISHED | State.CANCELLED | State.EXPIRED if idle_s > times.result_retention_s:
                    if ticket.state is State.FINISHED or ticket.app_told:
                        del self.tickets[ticket.id]

    def _lapse(self, ticket: MTicket) -> None:
        if self._app_has_taken(ticket):
            return self._finish(ticket)
        ticket.asks += 1
        if ticket.asks >= self.settings.handover_wait_asks:
            return self._fail(ticket)
        self._move(ticket, State.HANDING_OVER)
        return self._start_delivery(ticket)

    def crash(self) -> None:
        """The process dies. The next one calls apps again, and then sweeps."""
        self.clients.clear()
        for ticket in self.tickets.values():
            ticket.holder = ticket.calls_again_at_s = ticket.touched_at_s = None
            ticket.suspect = False
            ticket.attempt = 0
            if ticket.state is State.UPLOADING:
                self._move(ticket, State.PAUSED)
            if ticket.state in ARRIVED:
                ticket.deliveries = 1
        for ticket in self.tickets.values():
            if ticket.state is State.PAUSED:
                self._hold(ticket, (ticket.length_bytes or 0) - ticket.stored_bytes)
            elif ticket.state is State.HANDING_OVER or ticket.state in CALLED_OFF:
                self._start_delivery(ticket)
        self.sweep()

    # --- what follows ------------------------------------------------------------------------------------

    def _move(self, ticket: MTicket, state: State) -> None:
        if state is not ticket.state:
            ticket.changed_at_s = self.now_s
        ticket.state = state

    def _arrive(self, ticket: MTicket) -> None:
        self._move(ticket, State.HANDING_OVER)
        ticket.touched_at_s = None
        ticket.suspect = False
        self._start_delivery(ticket)

    def _finish(self, ticket: MTicket) -> None:
        self._move(ticket, State.FINISHED)
        self._tell(ticket, "HandedOver")
        if ticket.remove:
            ticket.file = None

    def _fail(self, ticket: MTicket) -> None:
        self._move(ticket, State.FAILED)
        self._tell(ticket, "NotHandedOver")

    def _call_off(self, ticket: MTicket, state: State, app_told: bool = False) -> None:
        self._move(ticket, state)
        self._lose(ticket, errors.UploadCancelled if state is State.CANCELLED else errors.UploadExpired,
                   "CalledOff")  # fmt: skip
        ticket.app_told = app_told
        ticket.deliveries = 0
        ticket.touched_at_s = None
        ticket.suspect = False
        ticket.file = None
        self._start_delivery(ticket)

    def _lose(self, ticket: MTicket, why: type[errors.IncomingError], news: str) -> None:
        if ticket.holder is not None:
            holder = self.clients[ticket.holder]
            holder.lost = why
            holder.news.append(news)
            ticket.holder = None

    def _tell(self, ticket: MTicket, news: str) -> None:
        if ticket.holder is not None:
            self.clients[ticket.holder].news.append(news)

    def _hold(self, ticket: MTicket, missing_bytes: int) -> None:
        """One without a byte stays as old as it is."""
        for _ in self._holding():
            pass  # so that those whose time is over are gone
        ticket.held_bytes = max(missing_bytes, 0)
        if ticket.stored_bytes or ticket.begun or ticket.touched_at_s is None:
            ticket.touched_at_s = self.now_s
        ticket.begun = ticket.stored_bytes > 0

    def reserved_bytes(self) -> int:
        """Returns what unfinished uploads may still take."""
        return sum(t.held_bytes for t in self._holding())

    def _holding(self) -> Iterator[MTicket]:
        for ticket in self.tickets.values():
            if ticket.touched_at_s is None:
                continue
            if self.now_s - ticket.touched_at_s >= self.settings.reservation_idle_s:
                ticket.touched_at_s = None
            else:
                yield ticket

    # --- telling the app -----------------------------------------------------------------------------------

    def _start_delivery(self, ticket: MTicket) -> None:
        if ticket.calls_again_at_s is None:
            ticket.attempt = 0
            self._call(ticket)

    def _call(self, ticket: MTicket) -> None:
        """The app is called, if there is still something to tell."""
        called_off = ticket.state in CALLED_OFF and not ticket.app_told
        if not called_off and ticket.state is not State.HANDING_OVER:
            return
        ticket.calls += 1
        silent = self.app in ("silent", "take_silent")
        if called_off:
            if silent and not self._too_long(ticket):
                self._call_later(ticket)
            else:
                ticket.app_told = True
            return
        ticket.deliveries += 1
        self._answered(ticket, silent)

    def _answered(self, ticket: MTicket, silent: bool) -> None:
        if self.app in ("take", "take_silent"):
            ticket.file = None
        if self.app in ("done", "take", "finish_first", "finish_and_fail"):
            self._finish(ticket)
        elif self.app == "wait":
            self._move(ticket, State.WAITING)
        elif silent and not self._too_long(ticket):
            self._tell(ticket, "WaitingForApp")
            self._call_later(ticket)
        elif ticket.deliveries > 1 and self._app_has_taken(ticket):
            self._finish(ticket)
        else:
            ticket.asks += silent
            self._fail(ticket)

    def _call_later(self, ticket: MTicket) -> None:
        ticket.attempt += 1
        first_s, max_s = self.settings.handover_retry_first_s, self.settings.handover_retry_max_s
        ticket.calls_again_at_s = self.now_s + min(first_s * 2.0 ** (ticket.attempt - 1), max_s)

    def _too_long(self, ticket: MTicket) -> bool:
        return self.now_s - ticket.changed_at_s > self.settings.handover_retry_for_s

    def _app_has_taken(self, ticket: MTicket) -> bool:
        return not ticket.remove and ticket.file is None
