"""Whether a request shows that a proxy is in front of the server.

Some proxies take an interim answer for the final one, or stop forwarding the body: nginx up to 1.29 does
both. So interim answers other than 100 are sent only where nothing shows a proxy. One that adds nothing to
what it forwards can't be seen: the setting `interim_responses` is for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from incoming.core.networks import Networks, address

HEADERS: Final = frozenset((
    *("HTTP_VIA", "HTTP_FORWARDED"),  # RFC 9110 section 7.6.3, RFC 7239
    *("HTTP_X_REAL_IP", "HTTP_TRUE_CLIENT_IP", "HTTP_CDN_LOOP"),
))  # fmt: skip
PREFIXES: Final = ("HTTP_X_FORWARDED_", "HTTP_CF_")
HTTP_PORT: Final = "80"


def is_proxied(environ: Mapping[str, object], trusted_proxies: Networks) -> bool:
    """Returns whether a request with this WSGI `environ` has come through a proxy, as far as it shows."""
    peer = address(str(environ.get("REMOTE_ADDR", "")))
    if peer is None or peer in trusted_proxies:  # a socket file has no address: a proxy is behind it
        return True
    if any(name in HEADERS or name.startswith(PREFIXES) for name in environ):
        return True
    return _named_port(str(environ.get("HTTP_HOST", ""))) != str(environ.get("SERVER_PORT", ""))


def _named_port(host: str) -> str:
    """Returns the port that a client believes that it talks to."""
    _, colon, port = host.rpartition(":")
    return port if colon and port.isdigit() else HTTP_PORT
