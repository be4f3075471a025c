"""Who counts as one source, and how much of the server one source may have.

A source is a client's address, or the network of 64 bits that an IPv6 client is in: a customer of a provider
has all of that. Behind a proxy it is the address that the proxy names, if the proxy is one that the settings
trust: else each client could name another one with each request. This machine is not counted, nor is a
trusted proxy, which speaks for many.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping
from typing import Final

from incoming.core.errors import TooMany
from incoming.core.networks import Networks, address

ONE_SITE_BITS: Final = 64
"""The prefix length of what one customer of an IPv6 provider has at least."""


class ClientLimits:
    """The sources of one server, and how many connections each of them has."""

    def __init__(self, trusted_proxies: tuple[str, ...], max_connections: int) -> None:
        """`max_connections` are those of one source; 0 sets no limit."""
        self._trusted = Networks(trusted_proxies)
        self._max_connections = max_connections
        self._connections: Counter[str] = Counter()

    def source_of(self, environ: Mapping[str, object]) -> str:
        """Returns the source of a request; empty for one that is not counted."""
        forwarded_for = str(environ.get("HTTP_X_FORWARDED_FOR", ""))
        return self.source_behind(str(environ.get("REMOTE_ADDR", "")), forwarded_for)

    def source_behind(self, remote: str, forwarded_for: str = "") -> str:
        """Returns the same for the other end of a connection, and what it says in X-Forwarded-For.

        A trusted proxy is believed who was before it, and so on: each appends whom it has heard.
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
        """Counts one more connection; False, and not counted, when the source has as many as it may."""
        if not source or not self._max_connections:
            return True
        if self._connections[source] >= self._max_connections:
            return False
        self._connections[source] += 1
        return True

    @property
    def refusal(self) -> TooMany:
        """What a connection is told that was not admitted."""
        return TooMany("connections from this address", self._max_connections)

    def leave(self, source: str) -> None:
        """A connection that was admitted has ended."""
        self._connections[source] -= 1
        if self._connections[source] <= 0:
            del self._connections[source]


def _without_port(hop: str) -> str:
    """Some proxies add the client's port: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
