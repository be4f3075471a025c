"""Connections to apps, to addresses that may be called only.

A name leads wherever its owner wants, and tomorrow to somewhere else. So no name is judged: it is looked up
once, each address that came of it is checked, and the connection goes to that very address. A name that
changes its mind after a check (DNS rebinding) finds none.
"""

from __future__ import annotations

import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from http.client import HTTPConnection, HTTPResponse
from typing import Any, Final
from urllib.parse import unquote

import certifi
from urllib3.util import parse_url

from incoming.networks import Networks, address, reached
from incoming.runtime import Place

SocketAddress = tuple[Any, ...]
Server = tuple[bool, str, int]
LookUp = Callable[[str, int], Sequence[Place]]
MAX_IDLE: Final = 128
"""How many connections wait for a next call, to all hosts together."""
_NOTHING_YET: Final = (BlockingIOError, ssl.SSLWantReadError)


class MustNotCall(Exception):
    """The host has no address but ones that are never called."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: a host as it is looked up, and what to ask it for."""

    is_https: bool
    host: str
    port: int
    path: str
    headers: dict[str, str]
    """What its user and password make of the request."""

    @property
    def server(self) -> Server:
        """What a connection is good for."""
        return self.is_https, self.host, self.port


@lru_cache(maxsize=256)
def target(url: str) -> Target:
    """Returns where a URL leads. Raises ValueError (urllib3's LocationParseError)."""
    parts = parse_url(url)
    if not parts.host:
        raise ValueError("no host")
    headers = {"Authorization": f"Basic {_secret(parts.auth)}"} if parts.auth else {}
    is_https = parts.scheme == "https"
    port = parts.port or (443 if is_https else 80)
    return Target(is_https, parts.host.strip("[]"), port, parts.request_uri, headers)


def _secret(user_and_password: str) -> str:
    user, _, password = user_and_password.partition(":")
    return b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


class Connections:
    """Connections to apps, kept alive for their next call."""

    def __init__(self, look_up: LookUp, refused: Networks, connect_timeout_s: float) -> None:
        """A call to an address in `refused` raises MustNotCall."""
        self._dial: Final = Dial(look_up, refused)
        self._connect_timeout_s = connect_timeout_s
        self._idle: list[tuple[Server, Connection]] = []

    @contextmanager
    def to(self, where: Target) -> Iterator[Connection]:
        """Gives a connection; it is kept when its answer was read to the end, and nothing was raised.

        Raises OSError (also TimeoutError, gaierror), UnicodeError, MustNotCall.
        """
        connection = self._kept(where) or self._new(where)
        connection.is_done = False
        try:
            if connection.sock is None:
                connection.connect()
            yield connection
            if connection.sock and connection.is_done:
                self._keep(where, connection)
                return
        except BaseException:
            connection.close()
            raise
        connection.close()

    def _new(self, where: Target) -> Connection:
        kind = TlsConnection if where.is_https else Connection
        return kind(self._dial, where.host, where.port, self._connect_timeout_s)

    def _kept(self, where: Target) -> Connection | None:
        """Returns the connection that was used last, and that its other end has not closed."""
        for at in range(len(self._idle) - 1, -1, -1):
            server, connection = self._idle[at]
            if server == where.server:
                del self._idle[at]
                if connection.is_silent():
                    return connection
                connection.close()
        return None

    def _keep(self, where: Target, connection: Connection) -> None:
        self._idle.append((where.server, connection))
        if len(self._idle) > MAX_IDLE:
            self._idle.pop(0)[1].close()


class Connection(HTTPConnection):
    """One connection to an app."""

    def __init__(self, dial: Dial, host: str, port: int, connect_timeout_s: float) -> None:
        super().__init__(host, port, timeout=connect_timeout_s)
        self._dial = dial
        self.is_done = False
        """Whether all that was asked for has been read."""
        self._unsent = b""

    def connect(self) -> None:
        """Connects. Raises as Dial does."""
        self.sock = self._dial.connected(self.host, self.port, self.timeout)

    def send(self, data: Any) -> None:
        """Keeps it: a request's head and its body go out together."""
        self._unsent += data

    def getresponse(self) -> HTTPResponse:
        """Sends the request, and returns the answer's beginning. Raises OSError, HTTPException."""
        unsent, self._unsent = self._unsent, b""
        super().send(unsent)
        return super().getresponse()

    def is_silent(self) -> bool:
        """Returns whether nothing has come since the last answer, not even the end."""
        self.sock.settimeout(0.0)
        try:
            self.sock.recv(1)
        except _NOTHING_YET:
            return True
        except OSError:
            pass
        return False


@cache
def tls() -> ssl.SSLContext:
    """Returns what certificates are checked with: those that sign for the web."""
    return ssl.create_default_context(cafile=certifi.where())


class TlsConnection(Connection):
    """The same, encrypted, with a host that proves its name."""

    default_port = 443

    def connect(self) -> None:
        """Connects, and checks the host's certificate. Raises as Dial does; ssl.SSLError is an OSError."""
        super().connect()
        self.sock = tls().wrap_socket(self.sock, server_hostname=self.host)


class Dial:
    """Connects to hosts, and only to those of their addresses that may be called."""

    def __init__(self, look_up: LookUp, refused: Networks) -> None:
        self._look_up = look_up
        self._refused = refused

    def connected(self, host: str, port: int, timeout_s: float | None) -> socket.socket:
        """Connects to the first address that answers. Raises OSError, UnicodeError, MustNotCall."""
        trouble = OSError("its name leads nowhere")
        for family, place in self._places(host, port):
            try:
                return _connected(family, place, timeout_s)
            except OSError as exc:
                trouble = exc
        raise trouble

    def _places(self, host: str, port: int) -> list[tuple[int, SocketAddress]]:
        """Returns the addresses that may be called. Raises gaierror, UnicodeError, MustNotCall."""
        if numeric := _numeric(host, port):
            found = [numeric]  # without a thread, which a name with dead servers could have taken
        else:
            found = [(family, place) for family, _, _, _, place in self._look_up(host, port)]
        allowed = [(family, place) for family, place in found if not self._is_refused(place)]
        if found and not allowed:
            raise MustNotCall
        return allowed

    def _is_refused(self, place: SocketAddress) -> bool:
        where = address(str(place[0]))
        return where is None or reached(where) in self._refused


def _connected(family: int, place: SocketAddress, timeout_s: float | None) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout_s)
        sock.connect(place)
    except BaseException:
        sock.close()
        raise
    return sock


def _numeric(host: str, port: int) -> tuple[int, SocketAddress] | None:
    """Returns what an address in figures leads to; None for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return family, (host, port)
    return None
