"""Who may use the backend routes: the app on this machine, allowed addresses, and holders of the token.

The server listens on all addresses, because browsers have to reach it. Whoever reaches the backend routes can
make the server call any URL, so a web page or a proxy must not get there by accident: a request that shows
signs of either is refused, whatever address it comes from (DESIGN 4).
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from typing import Final

from incoming.errors import NotAllowed

PROXY_HEADERS: Final = ("HTTP_FORWARDED", "HTTP_VIA")
PROXY_PREFIX: Final = "HTTP_X_FORWARDED_"
PAGE_HEADERS: Final = ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class BackendAccess:
    """The rule for one server."""

    def __init__(self, allowed_backends: tuple[str, ...], token: str) -> None:
        """`allowed_backends`: addresses and networks; none means this machine."""
        self._networks = [_network(text) for text in allowed_backends]
        self._token = token.encode()

    def check(self, environ: Mapping[str, object], server_address: str) -> None:
        """Raises NotAllowed unless the request of this WSGI `environ` may use the backend routes.

        `server_address` is this end of its connection; a connection from the same address is this machine's.
        """
        if self._has_token(str(environ.get("HTTP_AUTHORIZATION", ""))):
            return
        if any(name in environ for name in PROXY_HEADERS + PAGE_HEADERS) or any(
            name.startswith(PROXY_PREFIX) for name in environ
        ):
            raise NotAllowed(
                "The backend routes are for the app's server only; this request came through a proxy or "
                "from a web page. A proxy that should be let through needs the backend_token."
            )
        client = _address(str(environ.get("REMOTE_ADDR", "")))
        if client is None or not self._is_allowed(client, _address(server_address)):
            raise NotAllowed(
                "The backend routes are not open to this address. The setting allowed_backends opens them."
            )

    def _has_token(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        if not self._token or scheme.lower() != "bearer":  # RFC 9110 section 11.1: the scheme has no case
            return False
        return hmac.compare_digest(token.encode("latin-1", "replace"), self._token)  # PEP 3333: Latin-1

    def _is_allowed(self, client: _Address, server: _Address | None) -> bool:
        if self._networks:
            return any(client in network for network in self._networks)
        return client.is_loopback or client == server


def _network(text: str) -> _Network:
    """Returns the network; one of IPv4 addresses written as IPv6 ones is the IPv4 one, as in `_address`."""
    network = ipaddress.ip_network(text, strict=False)
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped:
            return ipaddress.ip_network((mapped, network.prefixlen - 96))
    return network


def _address(text: str) -> _Address | None:
    """Returns the address; an IPv4 one that came over IPv6 is the IPv4 one."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
