"""The cluster that this process belongs to: all processes with the same uploads, and the stores they share.

It is for people, metrics, health checks and the limits of addresses. The service does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from incoming.core.instance import Instance
from incoming.core.stats import StoreFigures
from incoming.registry import Leases


class Cluster(Protocol):
    """The processes and the stores of a cluster. Only `holders` asks one of them."""

    @property
    def registry_word(self) -> str:
        """The stable word for what keeps the tickets, for `healthz`."""

    @property
    def own_id(self) -> str:
        """Which of the instances this process is; empty if there are no others."""

    def report(self, bytes_per_s: int, connections: int) -> None:
        """Tells the other processes what this one does."""

    def share_connections(self, count: Callable[[int], Mapping[str, int]]) -> None:
        """Tells the other processes which client addresses have many connections to this one.

        `count` returns them, for a number of processes: see `ClientLimits.busiest`.
        """

    def connections_elsewhere(self, source: str) -> int:
        """Returns how many connections an address has to the other processes, as last heard. Never waits."""

    def instances(self) -> Sequence[Instance]:
        """Returns the processes that live, as they were last heard of; none if there are no others."""

    def holders(self, ticket_ids: Sequence[str]) -> Mapping[str, str]:
        """Returns the name of the process that holds an upload, for each of these that a claim holds.

        Raises StorageFailed.
        """

    def stores(self) -> Sequence[StoreFigures]:
        """Returns how the stores answer that are beyond this machine."""


class SingleProcess:
    """See Cluster. This is its only process."""

    registry_word = "journal"
    own_id = ""

    def __init__(self, leases: Leases, figures: Sequence[Callable[[], StoreFigures]] = ()) -> None:
        """`figures` are those of stores beyond this machine."""
        self._leases = leases
        self._figures = figures

    def report(self, bytes_per_s: int, connections: int) -> None:
        """See Cluster."""

    def share_connections(self, count: Callable[[int], Mapping[str, int]]) -> None:
        """See Cluster."""

    def connections_elsewhere(self, source: str) -> int:
        """See Cluster."""
        return 0

    def instances(self) -> Sequence[Instance]:
        """See Cluster."""
        return ()

    def holders(self, ticket_ids: Sequence[str]) -> Mapping[str, str]:
        """See Cluster."""
        held = (ticket_id for ticket_id in ticket_ids if self._leases.holder(ticket_id) is not None)
        return dict.fromkeys(held, "")

    def stores(self) -> Sequence[StoreFigures]:
        """See Cluster."""
        return [figures() for figures in self._figures]
