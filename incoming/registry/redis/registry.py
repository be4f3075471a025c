"""The tickets of a service, in a Redis that all its processes share.

A change applies the event here to the ticket that this process knows best, and replaces the one in Redis if
it is still that one. If another process was faster, the ticket is read, and all of it is done again. Mostly
the ticket was read or changed just before, and so a change is one call. The answer of a change that Redis
made may be lost. Then the same change is sent again, and Redis recognizes it by its mark (`by`).
"""

from __future__ import annotations

import itertools
import logging
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from incoming.core.due import (
    ALWAYS,
    DELETION_LEFT_S,
    Times,
    due_at_s,
    is_deletion_due,
    is_due,
    state_timeouts_s,
)
from incoming.core.errors import ForeignKeys, IncomingError, StorageFailed, TakenOver, UnknownTicket
from incoming.core.lifecycle import RECEIVING, Event, State
from incoming.core.redis_keys import manifest_key, ticket_key
from incoming.core.stats import Counters
from incoming.core.ticket import IllegalTransition, Ticket, short_id
from incoming.registry.entries import DamagedEntry, decode, encode
from incoming.registry.redis import scripts
from incoming.registry.redis.check import FOREIGN, foreign_keys
from incoming.runtime.base import Clock, Runtime
from incoming.runtime.keyed_locks import KeyedLocks
from incoming.runtime.redis_connection import RedisConnection, Script

log = logging.getLogger(__name__)

PAGE: Final = 100
"""How many tickets are read in one round trip."""
IDS_PAGE: Final = 500
MAX_ATTEMPTS: Final = 100
ROUNDING_S: Final = 0.001
"""Times are compared exactly here. What Redis finds may be this much too early."""
MAX_REMEMBERED: Final = 1000
"""How many tickets a process remembers. Each takes a few kB."""
FIELDS: Final = ("v", "by", "json", "token", "epoch", "deliveries", "to_delete")
"""The last one is in the JSON as well, where an instance of an older version loses it with a change."""
CHECK_KEY: Final = "incoming:check"
CHECK_LIFE_S: Final = 60


@dataclass(frozen=True, slots=True)
class _Found:
    """A ticket as it was in Redis once."""

    version: bytes
    mark: bytes
    """Of the change that made this version. After Redis has lost a change, another one has its version."""
    ticket: Ticket


class RedisRegistry:
    """See registry.Registry. Unlike a journal, it keeps who holds an upload when a process is killed."""

    def __init__(
        self, connection: RedisConnection, runtime: Runtime, clock: Clock, counters: Counters, times: Times
    ) -> None:
        """`times` tell when a ticket is due; `counters` count what this process does."""
        self._connection = connection
        self._runtime = runtime
        self._clock = clock
        self._counters = counters
        self._timeouts_s = state_timeouts_s(times)
        self._locks = KeyedLocks[str](runtime.lock)
        """So that the greenlets of this process do not make each other repeat their changes."""
        prefix, numbers = secrets.token_hex(8), itertools.count()
        self._marks = (f"{prefix}:{number}" for number in numbers)
        self._remembered: dict[str, _Found] = {}
        """What was found or written last. The oldest is first. Another process may have changed it since."""

    def add(self, ticket: Ticket) -> None:
        """See registry.Registry."""
        entry = (encode(ticket), ticket.token, ticket.epoch, ticket.deliveries, ticket.app)
        args = (ticket.id, next(self._marks), *entry, *self._place(ticket))
        if not self._connection.run(scripts.ADD, [ticket_key(ticket.id)], args, repeat=True):
            raise StorageFailed
        self._counters.issued += 1

    def _place(self, ticket: Ticket) -> tuple[str, int, str, str]:
        """Returns its state, whether bytes may still come, the index that has it, and its place there."""
        state, receives = ticket.state.value, int(ticket.state in RECEIVING)
        if due_at_s(ticket, self._timeouts_s) == ALWAYS:
            return state, receives, scripts.ACTIVE, "0"
        return state, receives, scripts.BY_STATE + state, repr(ticket.changed_at_s)

    def check(self) -> None:
        """See registry.Registry. Reading would not tell whether Redis has memory, a disk and replicas."""
        self._connection.read("SET", CHECK_KEY, "", "EX", CHECK_LIFE_S)
        if keys := foreign_keys(self._connection):
            raise ForeignKeys(f"Redis {FOREIGN.format(keys=', '.join(keys))}.")

    def get(self, ticket_id: str) -> Ticket:
        """See registry.Registry. Raises StorageFailed."""
        return self._find(ticket_id).ticket

    def _find(self, ticket_id: str) -> _Found:
        found = _decoded(ticket_id, self._connection.read("HMGET", ticket_key(ticket_id), *FIELDS))
        if found is None:
            raise UnknownTicket
        self._remember(found)
        return found

    def _remember(self, found: _Found) -> None:
        self._remembered.pop(found.ticket.id, None)
        self._remembered[found.ticket.id] = found
        if len(self._remembered) > MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]

    def change(
        self, ticket_id: str, event: Event, token: str | None = None, seen: Ticket | None = None,
        may_wait: bool = False,
    ) -> Ticket:  # fmt: skip
        """See registry.Registry. No change waits: other processes have to see it."""
        with self._locks.of(ticket_id):
            if found := self._remembered.pop(ticket_id, None):
                try:
                    new = self._applied(found.ticket, event, token, seen)
                except IncomingError:
                    pass  # perhaps only because it is outdated
                else:
                    if self._replace(found, new, event):
                        return new
            for _ in range(MAX_ATTEMPTS):
                found = self._find(ticket_id)
                new = self._applied(found.ticket, event, token, seen)
                if self._replace(found, new, event):
                    return new
        raise StorageFailed

    def _applied(self, old: Ticket, event: Event, token: str | None, seen: Ticket | None) -> Ticket:
        """Returns the ticket as it is after the event. See `change`."""
        if token is not None and token != old.token:
            raise TakenOver
        if seen is not None and old != seen:
            raise IllegalTransition(old.state, event)
        return old.apply(event, self._clock.now_s())

    def _replace(self, found: _Found, new: Ticket, event: Event) -> bool:
        """Returns whether `new` has replaced the ticket that was found. Raises UnknownTicket."""
        entry, mark = (encode(new), new.token, new.epoch, new.deliveries), next(self._marks)
        ended_at = repr(new.changed_at_s) if new.to_delete else ""
        args = (new.id, found.version, found.mark, mark, *entry, *self._place(new), ended_at)
        outcome = self._connection.run(scripts.CHANGE, [ticket_key(new.id)], args, repeat=True)
        if outcome < 0:
            raise UnknownTicket
        if not outcome:
            return False
        self._counters.changed(found.ticket, event, new)
        self._remember(_Found(b"%d" % (int(found.version) + 1), mark.encode(), new))
        return True

    def keep(self, ticket_id: str) -> None:
        """See registry.Registry. No change waits here."""

    def is_kept(self, ticket_id: str) -> bool:
        """See registry.Registry."""
        return True

    @property
    def has_room(self) -> bool:
        """See registry.Registry. Redis keeps no last room."""
        return True

    def persist_recovered(self) -> None:
        """See registry.Registry. A start changes no ticket here."""

    def forget(self, ticket_id: str) -> None:
        """See registry.Registry. What the storage keeps for the ticket is forgotten, too."""
        keys = [ticket_key(ticket_id), manifest_key(ticket_id)]
        self._remembered.pop(ticket_id, None)
        self._connection.run(scripts.FORGET, keys, [ticket_id], repeat=True)

    def unfinished(self, app: str) -> int:
        """See registry.Registry. Raises StorageFailed."""
        return int(self._connection.read("SCARD", scripts.APP + app))

    def tickets(self) -> Iterator[Ticket]:
        """See registry.Registry. Raises StorageFailed, in the middle too."""
        after = "-"
        while ids := self._texts("ZRANGEBYLEX", scripts.ALL, after, "+", "LIMIT", 0, PAGE):
            yield from self.load(ids)
            after = f"({ids[-1]}"

    @property
    def index(self) -> RedisRegistry:
        """See registry.Registry."""
        return self

    def active(self) -> Iterator[Ticket]:
        """See registry.TicketIndex."""
        after = "-"
        while ids := self._texts("ZRANGEBYLEX", scripts.ACTIVE, after, "+", "LIMIT", 0, PAGE):
            yield from self.load(ids)
            after = f"({ids[-1]}"

    def count_inactive(self) -> Counter[State]:
        """See registry.TicketIndex."""
        counts = self._connection.read_all(
            [("ZCOUNT", scripts.BY_STATE + state.value, "-inf", "+inf") for state in State]
        )
        return Counter(dict(zip(State, counts, strict=True)))

    def latest(self, state: State) -> Iterator[tuple[float, str]]:
        """See registry.TicketIndex."""
        first, key = 0, scripts.BY_STATE + state.value
        while page := self._texts("ZREVRANGE", key, first, first + IDS_PAGE - 1, "WITHSCORES"):
            yield from ((float(score), one) for one, score in zip(page[::2], page[1::2], strict=True))
            first += IDS_PAGE

    def due(self, now_s: float) -> Iterator[Ticket]:
        """See registry.Registry. Raises StorageFailed, in the middle too."""
        with_files = set[str]()  # which may be in two indexes
        for ids in self._unattended(now_s):
            for ticket in self.load(ids):
                if is_due(ticket, self._timeouts_s, now_s):
                    if ticket.to_delete:
                        with_files.add(ticket.id)
                    yield ticket
        for ids in self._undeleted(now_s):
            for ticket in self.load(ids):
                if ticket.id not in with_files and is_deletion_due(ticket, now_s):
                    yield ticket
        for ids in self._rested(now_s):
            for ticket in self.load(ids):
                if not ticket.to_delete and is_due(ticket, self._timeouts_s, now_s):
                    yield ticket

    def _unattended(self, now_s: float) -> Iterator[list[str]]:
        """Yields pages of ids of uploads without a holder, and of apps that nobody calls at the moment."""
        after: str | None = "-"
        while after:
            args = (after, PAGE, repr(now_s))
            last, *ids = self._connection.run(scripts.ACTIVE_PAGE, args=args, repeat=True)
            yield [ticket_id.decode() for ticket_id in ids]
            after = f"({last.decode()}" if last else None

    def _undeleted(self, now_s: float) -> Iterator[list[str]]:
        """Yields pages of ids of ended uploads that have left files which nobody deletes at the moment."""
        for ids in self._until({scripts.TO_DELETE: repr(now_s - DELETION_LEFT_S + ROUNDING_S)}):
            yield self._texts_of(scripts.NOT_DELETED, [], (repr(now_s), *ids))

    def _rested(self, now_s: float) -> Iterator[list[str]]:
        """Yields pages of ids of tickets that have been in their state for long enough."""
        before = {
            scripts.BY_STATE + state.value: repr(now_s - timeout_s + ROUNDING_S)
            for state, timeout_s in self._timeouts_s.items()
        }
        yield from self._until(before)

    def _until(self, before: Mapping[str, str]) -> Iterator[list[str]]:
        """Yields pages of ids from indexes, each up to a time of the service."""
        counts = self._connection.read_all([("ZCOUNT", key, "-inf", f"({before[key]}") for key in before])
        for key in itertools.compress(before, counts):
            place = ("-inf", "")
            while page := self._texts_of(scripts.STATE_PAGE, [key], (*place, before[key], PAGE)):
                yield page[::2]
                place = page[-1], page[-2]

    def _texts(self, *command: str | int) -> list[str]:
        return [text.decode() for text in self._connection.read(*command)]

    def _texts_of(self, script: Script, keys: Sequence[str], args: Sequence[str | int]) -> list[str]:
        return [text.decode() for text in self._connection.run(script, keys, args, repeat=True)]

    def load(self, ticket_ids: Sequence[str]) -> Iterator[Ticket]:
        """See registry.TicketIndex."""
        replies = self._connection.read_all([("HMGET", ticket_key(one), *FIELDS) for one in ticket_ids])
        for ticket_id, reply in zip(ticket_ids, replies, strict=True):
            try:
                found = _decoded(ticket_id, reply)
            except StorageFailed:
                continue  # it was logged
            if found:
                yield found.ticket
        self._runtime.yield_if_due()


def _decoded(ticket_id: str, reply: Sequence[bytes | None]) -> _Found | None:
    """Returns the ticket in the fields of its hash; None if there is none. Raises StorageFailed."""
    version, mark, content, token, epoch, deliveries, to_delete = reply
    if version is None or content is None:
        return None
    try:
        ticket = decode(content, ticket_id)
        ticket = replace(
            ticket,
            token=(token or b"").decode(),
            epoch=int(epoch or 0),
            deliveries=int(deliveries or 0),
            to_delete=to_delete is not None,
        )
    except (DamagedEntry, ValueError) as exc:
        log.error("ticket %(ticket)s is damaged: %(error)s", {"ticket": short_id(ticket_id), "error": exc})
        raise StorageFailed from exc
    return _Found(version, mark or b"", ticket)
