"""Where the server is: from what the user writes to what is connected to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

UPLOAD_PATH: Final = "/incoming/frontend/upload_ws"
_SCHEMES: Final = {"http": False, "https": True, "ws": False, "wss": True}


class BadAddress(Exception):
    """The address of a server can't be used; the words say why."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server: `prefix` is the path under which a proxy shows it, without a slash at its end."""

    host: str
    port: int
    secure: bool
    prefix: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' * self.secure}://{host}:{self.port}{self.prefix}"

    @property
    def path(self) -> str:
        """What the websocket's handshake asks for."""
        return self.prefix + UPLOAD_PATH

    @property
    def host_header(self) -> str:
        """The host, with the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def parse(text: str) -> Address:
    """Returns the server that `http(s)://host[:port][/prefix]` means. Raises BadAddress."""
    try:
        url = urlsplit(text.strip())
        port = url.port
    except ValueError as exc:
        raise BadAddress(f"{text!r} is not an address: {exc}.") from exc
    if url.scheme not in _SCHEMES or not url.hostname or url.query or url.fragment:
        raise BadAddress(f"{text!r} is not an address like http://host:4000 or https://host/prefix.")
    if url.username is not None:
        raise BadAddress("A user name in the server's address is not supported.")
    if any(not 0x20 < ord(c) < 0x7F for c in url.path):
        raise BadAddress(f"The path of {text!r} has characters that have to be percent-encoded.")
    secure = _SCHEMES[url.scheme]
    if port is None:
        port = 443 if secure else 80
    return Address(url.hostname, port, secure, url.path.rstrip("/").removesuffix("/incoming"))
