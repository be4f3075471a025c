"""IP addresses and networks: what a text means, and what an address really reaches.

The same machine has several spellings. All access rules (who may call, who may be called, who is one
source) compare what these functions return, so another spelling can't bypass them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import SplitResult

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last four bytes are the IPv4 address that is reached."""


def address(text: str) -> Address | None:
    """Returns the address, if the text is one; an IPv4 one that came over IPv6 is the IPv4 one."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def network(text: str) -> Network:
    """Returns the network; one of IPv4 addresses written as IPv6 ones is the IPv4 one. Raises ValueError."""
    found = ipaddress.ip_network(text, strict=False)
    if isinstance(found, ipaddress.IPv6Network) and found.prefixlen >= 96:
        mapped = found.network_address.ipv4_mapped
        if mapped:
            return ipaddress.ip_network((mapped, found.prefixlen - 96))
    return found


def is_possible_host(url: SplitResult) -> bool:
    """Returns whether the host of a URL can exist: an address, or a name that DNS can look up.

    A label of a name may be neither empty nor too long (RFC 1035 section 2.3.4). What brackets enclose is an
    IPv6 address.
    """
    host = url.hostname or ""
    if "[" in url.netloc.rpartition("@")[2]:
        return ":" in host and address(host) is not None
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


class Networks:
    """Some networks, each given as `10.0.0.0/8`, or an address alone."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Raises ValueError for a text that is not a network."""
        self._networks = [network(text) for text in texts]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, found: Address | None) -> bool:
        return found is not None and any(found in network for network in self._networks)


def reached(found: Address) -> Address:
    """Returns the address that a connection to this one gets to.

    Linux takes "unspecified" for this machine, and NAT64 gateways know an IPv6 address for each IPv4 one.
    """
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64:
            return reached(ipaddress.IPv4Address(found.packed[-4:]))
        return ipaddress.IPv6Address("::1") if found.is_unspecified else found
    return ipaddress.IPv4Address("127.0.0.1") if found.is_unspecified else found
