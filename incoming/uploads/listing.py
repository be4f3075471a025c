"""The tickets in the order in which people look at them, those that have some words, and their totals.

Where the tickets are far away, an index finds a page of them. Then only that page is read, and the active
ones: those that are uploading, or whose app is still to be called.

Other greenlets may run after every 200 tickets.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from incoming.core.backend_requests import Listing
from incoming.core.lifecycle import State
from incoming.core.ticket import SHORT_ID_CHARS, Ticket
from incoming.registry import TICKETS_AT_A_TIME, Registry, TicketIndex
from incoming.runtime.base import Runtime

FIRST: Final = (
    State.UPLOADING, State.FAILED, State.HANDING_OVER, State.WAITING, State.PAUSED, State.ISSUED,
)  # fmt: skip
"""What is listed first; ended uploads come last, and their states do not matter."""
RANKS: Final[tuple[tuple[State, ...], ...]] = (
    *((state,) for state in FIRST),
    tuple(state for state in State if state not in FIRST),
)
RANK_OF: Final = {state: rank for rank, states in enumerate(RANKS) for state in states}


MAX_SEARCHED: Final = 20_000
"""How many tickets a search looks at where tickets are far away: those that are listed first."""
WordsOf = Callable[[Ticket], str]
"""Returns what a ticket has to be found by besides its own fields, such as the server that has its client."""


def _nothing_more(_: Ticket) -> str:
    return ""


class Search:
    """Finds the tickets that have each of some words in any field, in upper or lower case."""

    def __init__(self, words: str, more: WordsOf = _nothing_more) -> None:
        self._words = words.casefold().split()
        self._more = more

    def __bool__(self) -> bool:
        return bool(self._words)

    def finds(self, ticket: Ticket) -> bool:
        """Returns whether a ticket has all words. An id has a word if it begins with it.

        Only the part of an id that lists show is compared: a search must not find out the rest, a secret.
        """
        fields = (ticket.name, ticket.app, ticket.state, ticket.storage, ticket.dest_type, ticket.reason)
        text = "\n".join((*fields, self._more(ticket))).casefold()
        short_id = ticket.short_id
        return all(word in text or short_id.startswith(word[:SHORT_ID_CHARS]) for word in self._words)


@dataclass(slots=True)
class Totals:
    """All uploads together."""

    by_state: Counter[State] = field(default_factory=Counter)
    undelivered: int = 0
    """How many uploads have a notification that their app has not received yet."""
    oldest_undelivered_s: float = 0.0

    def add(self, ticket: Ticket, now_s: float) -> None:
        """Counts one upload."""
        self.by_state[ticket.state] += 1
        if ticket.is_undelivered:
            self.undelivered += 1
            self.oldest_undelivered_s = max(self.oldest_undelivered_s, now_s - ticket.changed_at_s)


class Tickets:
    """All tickets, as they are now."""

    def __init__(self, registry: Registry, runtime: Runtime) -> None:
        self._runtime = runtime
        self._all = registry.tickets

    def totals(self, now_s: float) -> Totals:
        """Returns the totals of all uploads."""
        totals = Totals()
        for ticket in self._yielding_to_others(self._all()):
            totals.add(ticket, now_s)
        return totals

    def with_clients(self) -> list[Ticket]:
        """Returns the tickets that may have a client, if other processes may have it."""
        return []

    def starting_with(self, short_id: str) -> list[Ticket]:
        """Returns the tickets whose ids begin like this."""
        return [t for t in self._yielding_to_others(self._all()) if t.id.startswith(short_id)]

    def page(self, asked: Listing, more: WordsOf = _nothing_more) -> tuple[int, list[Ticket]]:
        """Returns the number of matching uploads, and those on the requested page.

        Sorts small runs and merges them, because sorting 10,000 at once blocks the process for 30 ms.
        """
        every = self._yielding_to_others(self._all())
        search = Search(asked.search, more)
        wanted = [t for t in every if asked.state in ("", t.state) and (not search or search.finds(t))]
        runs = []
        for start in range(0, len(wanted), TICKETS_AT_A_TIME):
            runs.append(sorted(wanted[start : start + TICKETS_AT_A_TIME], key=_sort_key))
            self._runtime.yield_if_due()
        in_order = self._yielding_to_others(heapq.merge(*runs, key=_sort_key))
        return len(wanted), list(islice(in_order, asked.start, asked.start + asked.limit))

    def _yielding_to_others(self, tickets: Iterable[Ticket]) -> Iterator[Ticket]:
        for number, ticket in enumerate(tickets, 1):
            if not number % TICKETS_AT_A_TIME:
                self._runtime.yield_if_due()
            yield ticket


class IndexedTickets:
    """All tickets of a registry with an index. Its methods raise StorageFailed.

    The active tickets are read once. Others may change meanwhile, so a total may be one too high or too low.
    """

    def __init__(self, index: TicketIndex) -> None:
        self._index = index
        self._active = list(index.active())
        self._inactive = index.count_inactive()

    def totals(self, now_s: float) -> Totals:
        """Returns the totals of all uploads."""
        totals = Totals(Counter(self._inactive))
        for ticket in self._active:
            totals.add(ticket, now_s)
        return totals

    def with_clients(self) -> list[Ticket]:
        """Returns the tickets that may have a client."""
        return self._active

    def starting_with(self, short_id: str) -> list[Ticket]:
        """Returns the tickets whose ids begin like this."""
        found = {ticket.id: ticket for ticket in self._active if ticket.id.startswith(short_id)}
        inactive = (one for state in State if self._inactive[state] for _, one in self._index.latest(state))
        wanted = {one for one in inactive if one.startswith(short_id)} - found.keys()
        return [*found.values(), *self._index.load([*wanted])]

    def page(self, asked: Listing, more: WordsOf = _nothing_more) -> tuple[int, list[Ticket]]:
        """Returns the number of matching uploads, and those on the requested page.

        Of a search it is the number among the first `MAX_SEARCHED`.
        """
        if search := Search(asked.search, more):
            return self._found(asked, search)
        ranks = [(State(asked.state),)] if asked.state else RANKS
        ids: dict[str, None] = {}  # one that changes meanwhile may come twice
        matching = 0
        for states in ranks:
            active = [ticket for ticket in self._active if ticket.state in states]
            count = sum(self._inactive[state] for state in states) + len(active)
            start, missing = max(asked.start - matching, 0), asked.limit - len(ids)
            if missing and start < count:
                ids.update(dict.fromkeys(islice(self._in_order(states, active), start, start + missing)))
            matching += count
        known = {ticket.id: ticket for ticket in self._active}
        loaded = {t.id: t for t in self._index.load([one for one in ids if one not in known])}
        found = (known.get(one) or loaded.get(one) for one in ids)
        return matching, [ticket for ticket in found if ticket]

    def _found(self, asked: Listing, search: Search) -> tuple[int, list[Ticket]]:
        ranks = [(State(asked.state),)] if asked.state else RANKS
        known = {ticket.id: ticket for ticket in self._active}
        every = (
            ticket_id
            for states in ranks
            for ticket_id in self._in_order(states, [t for t in self._active if t.state in states])
        )
        first = iter(dict.fromkeys(islice(every, MAX_SEARCHED)))
        found: list[Ticket] = []
        while some := list(islice(first, TICKETS_AT_A_TIME)):
            loaded = {t.id: t for t in self._index.load([one for one in some if one not in known])}
            tickets = (known.get(one) or loaded.get(one) for one in some)
            found += [ticket for ticket in tickets if ticket and search.finds(ticket)]
        return len(found), found[asked.start : asked.start + asked.limit]

    def _in_order(self, states: Sequence[State], active: list[Ticket]) -> Iterator[str]:
        """Yields the ids of the tickets in these states, the latest change first."""
        runs: list[Iterable[tuple[float, str]]] = [sorted((-t.changed_at_s, t.id) for t in active)]
        runs += [_negated(self._index.latest(state)) for state in states if self._inactive[state]]
        return (ticket_id for _, ticket_id in heapq.merge(*runs))


def _negated(changes: Iterator[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    return ((-changed_at_s, ticket_id) for changed_at_s, ticket_id in changes)


def look(registry: Registry, runtime: Runtime) -> Tickets | IndexedTickets:
    """Returns the tickets as they are now. Raises StorageFailed where they are far away."""
    return IndexedTickets(registry.index) if registry.index else Tickets(registry, runtime)


def _sort_key(ticket: Ticket) -> tuple[int, float, str]:
    """Returns the sort key: uploads that need attention first, then the most recently changed."""
    return RANK_OF[ticket.state], -ticket.changed_at_s, ticket.id
