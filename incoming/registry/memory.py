"""The tickets of one process: a dict, backed by a journal."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Final

from incoming.core.due import Times, due_at_s, is_due, state_timeouts_s
from incoming.core.errors import StorageFailed, StorageFull, TakenOver, UnknownTicket
from incoming.core.lifecycle import RECEIVING, Event
from incoming.core.stats import Counters
from incoming.core.ticket import IllegalTransition, Ticket
from incoming.registry import TICKETS_AT_A_TIME
from incoming.registry.due_index import DueIndex
from incoming.registry.entries import ticket_entry, tombstone
from incoming.registry.group_commit import GroupCommit
from incoming.registry.journal import Journal
from incoming.runtime.base import Runtime, ServiceClock
from incoming.runtime.garbage import no_collection
from incoming.runtime.keyed_locks import KeyedLocks

log = logging.getLogger(__name__)

BETWEEN_STEPS_S: Final = 0.002
"""The event loop's own time between two steps of compaction. A step takes about half as long."""


class MemoryRegistry:
    """See registry.Registry. The journal has a change before any caller sees it."""

    index = None

    def __init__(
        self, journal: Journal, runtime: Runtime, clock: ServiceClock, counters: Counters, times: Times
    ) -> None:
        """Loads the journal's tickets, as they are after the end of the process that wrote it.

        Puts the clock forward to the newest time of a ticket, since the clock's file may be lost or older.
        `times` tell when a ticket is due.
        """
        self._counters = counters
        self._journal = journal
        self._commits = GroupCommit(runtime, journal.append)
        self._is_compacting = False
        self._timeouts_s = state_timeouts_s(times)
        self._due = DueIndex()
        self._runtime = runtime
        self._clock = clock
        self._tickets: dict[str, Ticket] = {}
        self._not_kept: set[str] = set()
        """Those that the start has changed."""
        self._waiting: set[str] = set()
        """Those with a change that may wait for the next one."""
        with no_collection():
            self._load()
        self._unfinished = Counter(t.app for t in self._tickets.values() if t.state in RECEIVING)
        self._change_locks = KeyedLocks[str](runtime.lock)

    def _load(self) -> None:
        tickets = self._journal.load()
        self._clock.at_least(max((max(t.issued_at_s, t.changed_at_s) for t in tickets), default=0.0))
        now_s = self._clock.now_s()
        for stored in tickets:
            ticket = stored.recovered(now_s)
            self._tickets[ticket.id] = ticket
            if ticket.state is not stored.state:
                self._not_kept.add(ticket.id)
            self._due.add(ticket.id, due_at_s(ticket, self._timeouts_s))

    def _append(self, entry: bytes) -> None:
        """Returns when the entry is durable in the journal. Raises StorageFull, StorageFailed."""
        self._commits.commit(entry)
        if self._journal.needs_compaction and not self._is_compacting:
            self._is_compacting = True
            self._runtime.spawn(self._compact)

    def _compact(self) -> None:
        """Compacts the journal while it is used, step by step."""
        try:
            while self._runtime.in_pool(self._journal.compact):
                self._runtime.sleep(BETWEEN_STEPS_S)
        finally:
            self._is_compacting = False

    def add(self, ticket: Ticket) -> None:
        """See registry.Registry."""
        self._append(ticket_entry(ticket))
        self._tickets[ticket.id] = ticket
        self._due.add(ticket.id, due_at_s(ticket, self._timeouts_s))
        self._unfinished[ticket.app] += 1
        self._counters.issued += 1

    def check(self) -> None:
        """See registry.Registry."""
        self._runtime.in_pool(self._journal.check)

    def get(self, ticket_id: str) -> Ticket:
        """See registry.Registry."""
        try:
            return self._tickets[ticket_id]
        except KeyError:
            raise UnknownTicket from None

    def change(
        self, ticket_id: str, event: Event, token: str | None = None, seen: Ticket | None = None,
        may_wait: bool = False,
    ) -> Ticket:  # fmt: skip
        """See registry.Registry."""
        with self._change_locks.of(ticket_id):
            old = self.get(ticket_id)
            if token is not None and token != old.token:
                raise TakenOver
            if seen is not None and old != seen:
                raise IllegalTransition(old.state, event)
            now_s = self._clock.now_s()
            new = old.apply(event, now_s)
            if not new.has_same_entry(old) or ticket_id in self._waiting:
                if may_wait:
                    self._waiting.add(ticket_id)
                else:
                    self._write(old, new, now_s)
                    self._waiting.discard(ticket_id)
            self._tickets[ticket_id] = new
            self._due.move(ticket_id, due_at_s(old, self._timeouts_s), due_at_s(new, self._timeouts_s))
            if old.state in RECEIVING and new.state not in RECEIVING:
                self._count_one_less(new)
            self._counters.changed(old, event, new)
            return new

    def _write(self, old: Ticket, new: Ticket, now_s: float) -> None:
        """Journals a change. A change that a restart would make anyway may stay in memory if it has to."""
        try:
            self._append(ticket_entry(new))
        except (StorageFull, StorageFailed) as exc:
            if new.id in self._waiting or not old.recovers_to(new, now_s):
                raise
            log.warning(
                "upload %(ticket)s: the state %(state)s could not be journaled: %(error)s",
                new.for_log(error=exc),
            )

    def keep(self, ticket_id: str) -> None:
        """See registry.Registry."""
        if ticket_id not in self._waiting:
            return
        with self._change_locks.of(ticket_id):
            if ticket_id in self._waiting:
                self._append(ticket_entry(self.get(ticket_id)))
                self._waiting.discard(ticket_id)

    def is_kept(self, ticket_id: str) -> bool:
        """See registry.Registry."""
        return ticket_id not in self._waiting

    @property
    def has_room(self) -> bool:
        """See registry.Registry."""
        return self._journal.has_room

    def persist_recovered(self) -> None:
        """See registry.Registry."""
        for ticket_id in list(self._not_kept):
            with self._change_locks.of(ticket_id):
                ticket = self._tickets.get(ticket_id)
                if ticket:
                    self._append(ticket_entry(ticket))
                self._not_kept.discard(ticket_id)

    def forget(self, ticket_id: str) -> None:
        """See registry.Registry."""
        with self._change_locks.of(ticket_id):
            self._append(tombstone(ticket_id))
            ticket = self._tickets.pop(ticket_id, None)
            self._waiting.discard(ticket_id)
            if ticket:
                self._due.remove(ticket_id, due_at_s(ticket, self._timeouts_s))
            if ticket and ticket.state in RECEIVING:
                self._count_one_less(ticket)

    def _count_one_less(self, ticket: Ticket) -> None:
        """Counts one unfinished ticket less for its app: this one receives no more bytes, or is forgotten."""
        self._unfinished[ticket.app] -= 1
        if not self._unfinished[ticket.app]:
            del self._unfinished[ticket.app]

    def unfinished(self, app: str) -> int:
        """See registry.Registry."""
        return self._unfinished[app]

    def tickets(self) -> Iterator[Ticket]:
        """See registry.Registry."""
        return iter(list(self._tickets.values()))

    def due(self, now_s: float) -> Iterator[Ticket]:
        """See registry.Registry."""
        for number, ticket_id in enumerate(self._due.about(now_s), 1):
            if not number % TICKETS_AT_A_TIME:
                self._runtime.yield_if_due()
            ticket = self._tickets.get(ticket_id)
            if ticket and is_due(ticket, self._timeouts_s, now_s):
                yield ticket
