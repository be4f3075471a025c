"""Connections to apps, but only to allowed addresses.

The owner of a name decides where it leads, and may change that at any time. So names are not checked. A name
is looked up once, each of its addresses is checked, and the connection goes to a checked address. A name that
changes after the check (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import math
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import unquote

from urllib3.util import parse_url

from incoming.core.networks import Networks, address, reached
from incoming.handover.failures import AddressRefused, NoAddress
from incoming.handover.tls import TlsSocket
from incoming.runtime.base import Runtime
from incoming.wire.answer_reader import Answer

SocketAddress = tuple[Any, ...]
Server = tuple[bool, str, int]
Trust = Callable[[], ssl.SSLContext]
MAX_IDLE: Final = 128
"""How many idle connections are kept for the next calls, to all hosts together."""
LOOK_UP_KEPT_S: Final = 1.0
"""How long a look-up is cached, so that a backlog of calls to one name shares it."""
MAX_LOOK_UPS_KEPT: Final = 256
THIS_MACHINE: Final = "this machine"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and port of an app."""

    family: int
    where: SocketAddress

    @property
    def key(self) -> tuple[str, int]:
        """The machine and the port, in any spelling. All loopback addresses are one machine."""
        found = address(str(self.where[0]))
        machine = reached(found) if found else None
        name = THIS_MACHINE if machine and machine.is_loopback else str(machine)
        return name, int(self.where[1])


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: the host to look up, and the request for it."""

    is_https: bool
    host: str
    port: int
    path: str
    headers: dict[str, str]
    """The Authorization header, if the URL has a user and a password."""

    @property
    def server(self) -> Server:
        """What an idle connection must match to be used again."""
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

    def __init__(self, runtime: Runtime, refused: Networks, connect_timeout_s: float, trust: Trust) -> None:
        """An address in `refused` is never called. `trust` returns what certificates are checked with."""
        self._runtime = runtime
        self._refused = refused
        self._connect_timeout_s = connect_timeout_s
        self._trust = trust
        self._idle: list[tuple[Server, Endpoint, Connection]] = []
        self._look_ups: dict[tuple[str, int], tuple[float, list[Endpoint] | Exception]] = {}

    def endpoints(self, where: Target) -> list[Endpoint]:
        """Returns the allowed addresses of the host. An idle connection saves the look-up.

        Raises OSError (gaierror), UnicodeError, NoAddress, AddressRefused.
        """
        for server, endpoint, _ in reversed(self._idle):
            if server == where.server:
                return [endpoint]
        if numeric := _numeric(where.host, where.port):
            found = [numeric]  # no thread is needed, and all of them may wait for dead name servers
        else:
            found = self._looked_up(where.host, where.port)
        if not found:
            raise NoAddress("the host name has no address")
        allowed = [endpoint for endpoint in found if not self._is_refused(endpoint)]
        if not allowed:
            raise AddressRefused
        return allowed

    def _looked_up(self, host: str, port: int) -> list[Endpoint]:
        """Returns the addresses of a name, possibly cached. Raises OSError (gaierror), UnicodeError."""
        asked_at_s, found = self._look_ups.get((host, port), (-math.inf, NoAddress()))
        if self._runtime.now_s() - asked_at_s > LOOK_UP_KEPT_S:
            try:
                answer = self._runtime.resolve(host, port)
                found = [Endpoint(family, endpoint) for family, _, _, _, endpoint in answer]
            except (OSError, UnicodeError) as exc:
                found = exc
            if len(self._look_ups) >= MAX_LOOK_UPS_KEPT:
                self._look_ups.clear()
            self._look_ups[host, port] = self._runtime.now_s(), found
        if isinstance(found, Exception):
            raise found.with_traceback(None)
        return found

    def _is_refused(self, endpoint: Endpoint) -> bool:
        found = address(str(endpoint.where[0]))
        return found is None or reached(found) in self._refused

    @contextmanager
    def to(self, where: Target, endpoint: Endpoint) -> Iterator[Connection]:
        """Context manager: a connection to one endpoint of a target.

        It is kept if the response was read to its end and no exception was raised. Raises OSError.
        """
        connection = self._idle_connection(where, endpoint) or self._new(where, endpoint)
        connection.is_done = False
        try:
            if connection.sock is None:
                connection.connect()
            yield connection
            if connection.sock and connection.is_done:
                self._keep(where, endpoint, connection)
                return
        except BaseException:
            connection.close()
            raise
        connection.close()

    def _new(self, where: Target, endpoint: Endpoint) -> Connection:
        if where.is_https:
            return TlsConnection(where, endpoint, self._connect_timeout_s, self._runtime, self._trust)
        return Connection(where, endpoint, self._connect_timeout_s, self._runtime)

    def _idle_connection(self, where: Target, endpoint: Endpoint) -> Connection | None:
        """Returns the most recently used connection that the peer has not closed."""
        for at in range(len(self._idle) - 1, -1, -1):
            server, its_endpoint, connection = self._idle[at]
            if (server, its_endpoint) == (where.server, endpoint):
                del self._idle[at]
                if connection.is_silent():
                    return connection
                connection.close()
        return None

    def _keep(self, where: Target, endpoint: Endpoint, connection: Connection) -> None:
        self._idle.append((where.server, endpoint, connection))
        if len(self._idle) > MAX_IDLE:
            self._idle.pop(0)[2].close()


class Connection(HTTPConnection):
    """One connection to an app."""

    def __init__(self, where: Target, endpoint: Endpoint, connect_timeout_s: float, runtime: Runtime) -> None:
        super().__init__(where.host, where.port, timeout=connect_timeout_s)
        self.response_class = self._answer  # type: ignore[assignment]
        self._endpoint = endpoint
        self._runtime = runtime
        self.is_done = False
        """Whether the response was read to its end."""
        self._unsent = b""

    def connect(self) -> None:
        """Connects. Raises OSError."""
        self.sock = _connected(self._endpoint, self.timeout)

    def send(self, data: Any) -> None:
        """Buffers it, so that head and body of a request are sent together."""
        self._unsent += data

    def getresponse(self) -> Answer:
        """Sends the request, and returns the answer's beginning. Raises OSError, HTTPException."""
        unsent, self._unsent = self._unsent, b""
        super().send(unsent)
        answer = super().getresponse()
        assert isinstance(answer, Answer)
        return answer

    def _answer(self, sock: socket.socket, method: str | None = None) -> Answer:
        return Answer(sock, self._runtime.yield_if_due, method)

    def is_silent(self) -> bool:
        """Returns whether the peer has neither sent anything nor closed since the last response."""
        self.sock.settimeout(0.0)
        try:
            self.sock.recv(1)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False


class TlsConnection(Connection):
    """The same over TLS, with a check of the host's certificate."""

    default_port = 443

    def __init__(
        self, where: Target, endpoint: Endpoint, connect_timeout_s: float, runtime: Runtime, trust: Trust
    ) -> None:
        super().__init__(where, endpoint, connect_timeout_s, runtime)
        self._trust = trust

    def connect(self) -> None:
        """Connects, and checks the host's certificate. Raises OSError (ssl.SSLError), AnswerTooLong."""
        trust = self._trust()
        super().connect()
        secured = TlsSocket(self.sock, trust, self.host, self._runtime.yield_if_due)
        self.sock = secured  # as much of a socket as http.client uses
        secured.shake_hands()


def _connected(endpoint: Endpoint, timeout_s: float | None) -> socket.socket:
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout_s)
        sock.connect(endpoint.where)
    except BaseException:
        sock.close()
        raise
    return sock


def _numeric(host: str, port: int) -> Endpoint | None:
    """Returns the endpoint of a numeric address; None for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return Endpoint(family, (host, port))
    return None
