"""Where the tickets are: the seam between the service and whoever keeps them.

`memory` is the process-global dict that the websocket greenlets and the backend routes share, with `journal`
behind it so that it survives a kill. A registry that several processes share (Redis) comes behind the same
methods; that is why a change is one step here, and not a get and a put.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from incoming.core.lifecycle import Event
from incoming.core.ticket import Ticket


class Registry(Protocol):
    """All tickets of this server. Every method that changes one may raise StorageFull or StorageFailed."""

    def add(self, ticket: Ticket) -> None:
        """Keeps a new ticket; when it returns, the ticket survives."""

    def check(self) -> None:
        """Raises StorageFull, StorageFailed where a new ticket could not be kept."""

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
        """Whether there is room for what may as well not be kept. The rest is for what has to be."""

    def keep_found(self) -> None:
        """Makes what this process has found tickets to be after the last one's death survive, too.

        What the disk refuses now the next call tries again.
        """

    def forget(self, ticket_id: str) -> None:
        """Drops the ticket; an unknown one is fine."""

    def unfinished(self, app: str) -> int:
        """Returns how many tickets of an app bytes may still come for."""

    def tickets(self) -> Iterator[Ticket]:
        """Yields every ticket of the moment when it was called."""
