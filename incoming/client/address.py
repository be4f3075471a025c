"""The server's address, parsed from what the user writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from incoming.core.networks import is_possible_host
from incoming.protocol.rules import UPLOAD_ROUTE

UPLOAD_PATH: Final = f"/incoming/{UPLOAD_ROUTE}"
_SCHEMES: Final = {"http": False, "https": True, "ws": False, "wss": True}


class BadAddress(Exception):
    """The server's address is not valid; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server. `prefix` is the path at which a proxy serves it, without a final slash."""

    host: str
    port: int
    secure: bool
    prefix: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' * self.secure}://{host}:{self.port}{self.prefix}"

    @property
    def path(self) -> str:
        """The path of the WebSocket handshake."""
        return self.prefix + UPLOAD_PATH

    @property
    def host_header(self) -> str:
        """The Host header: with the port unless it is the default of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def is_http(url: str) -> bool:
    """Returns whether the address is of HTTP, with a host that can exist."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # such as a bracket that is not closed
        return False
    return parts.scheme in ("http", "https") and is_possible_host(parts)


def parse(text: str) -> Address:
    """Returns the server at `http(s)://host[:port][/prefix]`. Raises BadAddress."""
    try:
        url = urlsplit(text.strip())
        port = url.port
    except ValueError as exc:
        raise BadAddress(f"{text!r} is not an address: {exc}.") from exc
    if url.hostname and not is_possible_host(url):
        raise BadAddress(f"{text!r} is not an address: no host can have this name.")
    if url.scheme not in _SCHEMES or not url.hostname or url.query or url.fragment:
        raise BadAddress(f"{text!r} is not an address like http://host:4000 or https://host/prefix.")
    if url.username is not None:
        raise BadAddress("A user name in the server's address is not supported.")
    if any(not 0x20 < ord(c) < 0x7F for c in url.path):
        raise BadAddress(f"The path of {text!r} has characters that must be percent-encoded.")
    secure = _SCHEMES[url.scheme]
    if port is None:
        port = 443 if secure else 80
    return Address(url.hostname, port, secure, url.path.rstrip("/").removesuffix("/incoming"))
