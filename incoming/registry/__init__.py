"""The seams between the service and what all its processes share: tickets, leases and news.

`memory`, `memory_leases` and `memory_news` are the implementations for one process; `journal` makes the
tickets survive a kill. An implementation that several processes share has the same Protocols, and
nothing above them asks how many processes there are. That is why a change of a ticket is one step here, and
not a get and a put. `tests/registry/contract` tests these promises for every implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from incoming.core.lifecycle import Event
from incoming.core.news import News
from incoming.core.ticket import Ticket


class Registry(Protocol):
    """All tickets of this server. Every method that changes one may raise StorageFull or StorageFailed."""

    def add(self, ticket: Ticket) -> None:
        """Adds a new ticket, which survives a kill from then on."""

    def check(self) -> None:
        """Raises StorageFull, StorageFailed if a new ticket could not be added at the moment."""

    def get(self, ticket_id: str) -> Ticket:
        """Returns the ticket. Raises UnknownTicket."""

    def change(
        self, ticket_id: str, event: Event, token: str | None = None, seen: Ticket | None = None
    ) -> Ticket:
        """Applies the event in one step and returns the new ticket, which survives from then on.

        `token` is that of the claim for which the change is made. It is the fence: the change is refused
        unless the ticket still has this token. With `seen` the change is refused unless the ticket is still
        equal to that one, because the decision was made on it.

        Raises UnknownTicket, TakenOver (the token), IllegalTransition (the state, `seen`); the ticket is then
        unchanged.
        """

    @property
    def has_room(self) -> bool:
        """Whether there is room for changes that may as well be lost. The last room is for all others."""

    def persist_recovered(self) -> None:
        """Makes the changes survive that this process had to make to tickets when it loaded them.

        If the disk refuses a change now, the next call tries it again.
        """

    def forget(self, ticket_id: str) -> None:
        """Removes the ticket. An unknown ticket is no error."""

    def unfinished(self, app: str) -> int:
        """Returns for how many tickets of an app bytes may still come."""

    def tickets(self) -> Iterator[Ticket]:
        """Yields every ticket that is there when it is called: for overviews, and at a start."""

    def due(self, now_s: float) -> Iterator[Ticket]:
        """Yields every ticket that housekeeping has to look at, as `core.due` defines it, and no other one.

        It costs time for what is due, not for every ticket. Tickets may change while it yields: each is as it
        is at that moment. A ticket stays due until it changes.
        """


class Leases(Protocol):
    """Which claim holds which upload, in all processes. The newest claim wins.

    The token of a claim names the holder. A lease lasts until it is released, or until another claim takes
    it. A lease with a deadline may expire; it then still has its holder until it is released, so that the
    caller can close the upload's file first. The fence of the registry does not depend on leases.

    Every method may raise StorageFailed.
    """

    def take(self, ticket_id: str, token: str, until_s: float | None = None) -> str | None:
        """Gives the upload to this claim, with a deadline (of the service's clock) or without one.

        Returns the token of the claim that held it before; None if none did.
        """

    def renew(self, ticket_id: str, token: str, until_s: float) -> bool:
        """Moves the deadline of a lease that has one; never to an earlier time.

        Returns False unless this claim holds the upload.
        """

    def release(self, ticket_id: str, token: str, expired_at_s: float | None = None) -> bool:
        """Ends the lease of this claim; with `expired_at_s` only if its deadline was over at that time.

        Returns False, and changes nothing, where that is not so or another claim holds the upload.
        """

    def holder(self, ticket_id: str) -> str | None:
        """Returns the token of the claim that holds the upload; None if none does."""

    def expired(self, now_s: float) -> Iterator[tuple[str, str]]:
        """Yields the ticket's id and the token of each lease whose deadline is over."""


NewsListener = Callable[[News], None]


class NewsChannel(Protocol):
    """Brings news of an upload to its claims, wherever their clients are connected.

    News may be lost between processes. Then a client learns later what has happened; nothing else depends on
    it. No method raises an error or waits.
    """

    def listen(self, ticket_id: str, token: str, listener: NewsListener) -> None:
        """Has `listener` called for all news of this claim, in a greenlet of its own, until `ignore`.

        A claim has one listener: a second one replaces it.
        """

    def ignore(self, ticket_id: str, token: str) -> None:
        """Ends `listen`. News that was told before may still come. A claim without a listener is no error."""

    def tell(self, ticket_id: str, news: News, token: str | None = None) -> None:
        """Tells the listener of this claim; without a token, the listeners of all claims of the upload."""
