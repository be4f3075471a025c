"""The interfaces between the service and what all its processes share: tickets, leases and news.

`memory`, `memory_leases` and `memory_news` are the implementations for one process; `journal` makes the
tickets survive a kill. An implementation that several processes share has the same Protocols, and
nothing above them asks how many processes there are. That is why a change of a ticket is one step here, and
not a get and a put. `tests/registry/contract` tests these promises for every implementation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from incoming.core.lifecycle import Event, State
from incoming.core.news import News
from incoming.core.ticket import Ticket

DELIVERY_LEASE: Final = "deliver/"
"""The lease of a call to an app has this name, followed by the ticket's id. `Registry.due` asks for it."""
DELETION_LEASE: Final = "delete/"
"""The same for the deletion of what an ended upload has left."""
TICKETS_AT_A_TIME: Final = 200
"""Other greenlets may run after this many tickets, and where tickets are far away, one call reads as many."""


class Registry(Protocol):
    """All tickets of this server. Every method that changes one may raise StorageFull or StorageFailed."""

    def add(self, ticket: Ticket) -> None:
        """Adds a new ticket, which survives a kill from then on."""

    def check(self) -> None:
        """Raises StorageFull, StorageFailed if a new ticket could not be added at the moment."""

    def get(self, ticket_id: str) -> Ticket:
        """Returns the ticket. Raises UnknownTicket."""

    def change(
        self, ticket_id: str, event: Event, token: str | None = None, seen: Ticket | None = None,
        may_wait: bool = False,
    ) -> Ticket:  # fmt: skip
        """Applies the event in one step and returns the new ticket, which survives from then on.

        With `may_wait` it need not survive before the next change of the ticket, or `keep`. Until then nobody
        may be told anything that a kill would make untrue.

        `token` is that of the claim for which the change is made. It is the fence: the change is refused
        unless the ticket still has this token. With `seen` the change is refused unless the ticket is still
        equal to that one, because the decision was made on it.

        Raises UnknownTicket, TakenOver (the token), IllegalTransition (the state, `seen`); the ticket is then
        unchanged.
        """

    def keep(self, ticket_id: str) -> None:
        """Makes a change survive that was allowed to wait. Else does nothing."""

    def is_kept(self, ticket_id: str) -> bool:
        """Returns whether the ticket would survive a kill as it is."""

    @property
    def has_room(self) -> bool:
        """Whether there is room for changes that may as well be lost. The last room is for all others."""

    def persist_recovered(self) -> None:
        """Makes the changes survive that this process had to make to tickets when it loaded them.

        If the disk refuses a change now, the next call tries it again.
        """

    def forget(self, ticket_id: str) -> None:
        """Removes the ticket. An unknown ticket is not an error."""

    def unfinished(self, app: str) -> int:
        """Returns for how many tickets of an app bytes may still come."""

    def tickets(self) -> Iterator[Ticket]:
        """Yields every ticket that is there from the call to the end: for overviews, and at a start.

        Each is as it is at some moment meanwhile. One that is added or forgotten meanwhile may be missing.
        """

    @property
    def index(self) -> TicketIndex | None:
        """Finds tickets by their state; None where `tickets` costs next to nothing."""

    def due(self, now_s: float) -> Iterator[Ticket]:
        """Yields every ticket that housekeeping has to look at, as `core.due` defines it, and no other one.

        It costs time for what is due, not for every ticket. Tickets may change while it yields: each is as it
        is at that moment. A ticket stays due until it changes. Where several processes share the tickets, it
        leaves out an upload that a claim holds, and one whose app is called at the moment, or whose files are
        deleted.
        """


class TicketIndex(Protocol):
    """Capability: the tickets are far away, and a list need not read them all.

    Every method may raise StorageFailed. A ticket is active while it is uploading, while its app does not
    know its state yet, or when it only has to be completed.
    """

    def active(self) -> Iterator[Ticket]:
        """Yields every active ticket; see `Registry.tickets`."""

    def count_inactive(self) -> Counter[State]:
        """Returns how many tickets there are in each state, without the active ones."""

    def latest(self, state: State) -> Iterator[tuple[float, str]]:
        """Yields when each of those in a state has changed, and its id; the latest change comes first."""

    def load(self, ticket_ids: Sequence[str]) -> Iterator[Ticket]:
        """Yields those of these tickets that are there, in this order, and as they are now."""


class Leases(Protocol):
    """Which claim holds which upload, in all processes. The newest claim wins.

    The token of a claim names the holder. A lease lasts until it is released, or until another claim takes
    it. A lease with a deadline may expire; it then still has its holder until it is released, so that the
    caller can close the upload's file first. A lease without one ends with its process at the latest. The
    fence of the registry does not depend on leases.

    `acquire` is for work that one process does at a time, such as a call to an app. Its lease has nothing to
    close, so it ends by itself at its deadline.

    Every method may raise StorageFailed.
    """

    def take(self, ticket_id: str, token: str, until_s: float | None = None) -> str | None:
        """Gives the upload to this claim, with a deadline (of the service's clock) or without one.

        Returns the token of the claim that held it before; None if none did.
        """

    def acquire(self, name: str, token: str, until_s: float, now_s: float) -> bool:
        """Takes the lease of a piece of work, unless another token has it: returns whether it did.

        A lease whose deadline is over at `now_s` is free. The holder may acquire it again, which sets its
        deadline. `renew` and `release` work as for uploads; `expired` never yields it.
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
        """Yields the ticket's id and the token of each lease of a claim whose deadline is over."""


class Shares(Protocol):
    """How many bytes the unfinished uploads of each client address still lack, in all processes.

    An upload is counted when it is claimed, and by the process where it was claimed last. What comes in since
    then counts a few seconds later. What a process counts ends with it.
    """

    def admit(self, source: str, upload_id: str, missing_bytes: int, limit_bytes: int) -> bool:
        """Counts an upload for its source, if all uploads of that source then lack no more than the limit.

        Returns whether it did. Raises StorageFailed.
        """

    def keep(self, held: Mapping[str, tuple[str, int]]) -> None:
        """Brings up to date what this process counts: `held` has the source and the bytes of each upload.

        Raises StorageFailed; the next call does all of it.
        """


NewsListener = Callable[[News], None]
OthersListener = Callable[[str, News], None]
"""Gets the id of the ticket and the news."""


class NewsChannel(Protocol):
    """Brings news of an upload to its claims, wherever their clients are connected.

    News may be lost between processes. Then a client learns later what has happened; nothing else depends on
    it. No method raises an error or waits.
    """

    def listen(self, ticket_id: str, token: str, listener: NewsListener) -> None:
        """Calls `listener` for all news of this claim, in a greenlet of its own, until `ignore`.

        A claim has one listener: a second one replaces it.
        """

    def ignore(self, ticket_id: str, token: str) -> None:
        """Ends `listen`. News that was told before may still come. One without a listener is not an error."""

    def tell(self, ticket_id: str, news: News, token: str | None = None) -> None:
        """Tells the listener of this claim; without a token, the listeners of all claims of the upload."""

    def listen_to_others(self, listener: OthersListener) -> None:
        """Calls `listener` for all news that other processes tell, before the listeners of claims hear it.

        It may not wait. There is one: a second one replaces it.
        """
