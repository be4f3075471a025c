"""A cluster of several processes, whose tickets are in a Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from incoming.core.instance import Instance
from incoming.core.stats import StoreFigures
from incoming.registry.redis.instances import Instances
from incoming.registry.redis.leases import RedisLeases


class SeveralProcesses:
    """See uploads.cluster.Cluster."""

    registry_word = "registry"

    def __init__(
        self, instances: Instances, leases: RedisLeases, figures: Sequence[Callable[[], StoreFigures]]
    ) -> None:
        self._instances = instances
        self._leases = leases
        self._figures = figures
        self.own_id = instances.own.id

    def report(self, bytes_per_s: int, connections: int) -> None:
        """See Cluster."""
        self._instances.report(bytes_per_s, connections)

    def share_connections(self, count: Callable[[int], Mapping[str, int]]) -> None:
        """See Cluster."""
        self._instances.count_sources = count

    def connections_elsewhere(self, source: str) -> int:
        """See Cluster."""
        return self._instances.connections_elsewhere(source)

    def instances(self) -> Sequence[Instance]:
        """See Cluster. The others are as they were at the last beat of this one."""
        own = self._instances.own
        others = [one for one in self._instances.known if one.id != own.id]
        return sorted((own, *others), key=lambda one: (one.name, one.id))

    def holders(self, ticket_ids: Sequence[str]) -> Mapping[str, str]:
        """See Cluster. What a dead process holds is held by nobody."""
        holders = self._leases.instances_of(ticket_ids)
        names = self._names()
        if not names.keys() >= set(holders) - {None}:
            self._instances.refresh()  # one may have started since the last beat of this one
            names = self._names()
        found = zip(ticket_ids, holders, strict=True)
        return {ticket_id: names[holder] for ticket_id, holder in found if holder in names}

    def _names(self) -> dict[str | None, str]:
        return {one.id: one.name for one in self.instances()}

    def stores(self) -> Sequence[StoreFigures]:
        """See Cluster."""
        return [figures() for figures in self._figures]
