"""Limits for each source: which client address counts, and how many connections it may have.

A source is a client's address, or the /64 network of an IPv6 client, because a provider's customer has all of
it. Behind a proxy it is the address in X-Forwarded-For, but only if the settings trust the proxy. Otherwise a
client could claim another address with each request. Connections from this machine and from trusted proxies,
which serve many clients, are not counted.

Where several processes serve, they tell each other every few seconds which sources have many connections. So
a limit is for all of them together, and costs no call. What they do not tell is a quarter of the limit at
most.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from incoming.core.errors import TooMany
from incoming.core.networks import Networks, address

ONE_SITE_BITS: Final = 64
"""The prefix length of the smallest IPv6 network that a provider gives to a customer."""
UNTOLD_SHARE: Final = 4
"""A source that no process reports has less than this part of its limit in connections."""
MAX_TOLD: Final = 256
"""How many sources a process reports: those with the most connections."""


class ClientLimits:
    """Finds the source of a request, and limits the connections of each source."""

    def __init__(
        self, trusted_proxies: tuple[str, ...], max_connections: int,
        elsewhere: Callable[[str], int] = lambda _: 0,
    ) -> None:  # fmt: skip
        """`max_connections`: the limit for one source; 0 sets no limit.

        `elsewhere` returns how many connections a source has to other processes, as far as that is known.
        """
        self._trusted = Networks(trusted_proxies)
        self._max_connections = max_connections
        self._elsewhere = elsewhere
        self._connections: Counter[str] = Counter()

    def source_of(self, environ: Mapping[str, object]) -> str:
        """Returns the source of a request; empty for one that is not counted."""
        forwarded_for = str(environ.get("HTTP_X_FORWARDED_FOR", ""))
        return self.source_behind(str(environ.get("REMOTE_ADDR", "")), forwarded_for)

    def source_behind(self, remote: str, forwarded_for: str = "") -> str:
        """Returns the same for a peer's address and the X-Forwarded-For header.

        Each proxy appends the address of its peer. They are read from the last to the first, as long as the
        proxy is trusted.
        """
        hops = [*(hop.strip() for hop in forwarded_for.split(",") if hop.strip()), remote]
        found = address(hops.pop())
        while hops and found in self._trusted:
            found = address(_without_port(hops.pop())) or found
        if found is None or found.is_loopback or found in self._trusted:
            return ""
        if isinstance(found, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((found, ONE_SITE_BITS), strict=False))
        return str(found)

    def admit(self, source: str) -> bool:
        """Counts a new connection. Returns False without counting if the source has reached its limit."""
        if not source or not self._max_connections:
            return True
        if self._connections[source] + self._elsewhere(source) >= self._max_connections:
            return False
        self._connections[source] += 1
        return True

    def busiest(self, processes: int) -> dict[str, int]:
        """Returns the sources that the other processes have to know, with their connections here."""
        if not self._max_connections:
            return {}
        least = max(self._max_connections // (UNTOLD_SHARE * max(processes, 1)), 1)
        busy = Counter({source: count for source, count in self._connections.items() if count >= least})
        return dict(busy.most_common(MAX_TOLD))

    @property
    def refusal(self) -> TooMany:
        """The error for a connection that was not admitted."""
        return TooMany("connections from this address", self._max_connections)

    def leave(self, source: str) -> None:
        """Counts the end of an admitted connection."""
        self._connections[source] -= 1
        if self._connections[source] <= 0:
            del self._connections[source]


def _without_port(hop: str) -> str:
    """Removes the port that some proxies add: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
