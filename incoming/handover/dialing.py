"""Connections to apps, to addresses that may be called only.

A name leads wherever its owner wants, and tomorrow to somewhere else. So no name is judged: it is looked up
once, each address that came of it is checked, and the connection goes to that very address. A name that
changes its mind after a check (DNS rebinding) finds none.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from incoming.networks import Networks, address, reached
from incoming.runtime import Place

SocketAddress = tuple[Any, ...]
LookUp = Callable[[str, int], Sequence[Place]]


class MustNotCall(Exception):
    """The host has no address but ones that are never called."""


class AppAdapter(HTTPAdapter):
    """Makes the connections of a Requests session."""

    def __init__(self, look_up: LookUp, refused: Networks, connections_a_host: int) -> None:
        """A call to an address in `refused` raises MustNotCall."""
        rules = {"refused": refused, "look_up": staticmethod(look_up)}
        http = type("_Http", (_Checked, HTTPConnection), rules)
        https = type("_Https", (_Checked, HTTPSConnection), rules)
        self._pools: Final = {
            "http": type("_HttpPool", (HTTPConnectionPool,), {"ConnectionCls": http}),
            "https": type("_HttpsPool", (HTTPSConnectionPool,), {"ConnectionCls": https}),
        }
        super().__init__(pool_connections=connections_a_host, pool_maxsize=connections_a_host)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """See HTTPAdapter."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools


class _Checked(HTTPConnection):
    """`_new_conn` is where urllib3's own SOCKS connections differ from others, too."""

    refused: Networks
    look_up: LookUp

    def _new_conn(self) -> socket.socket:
        """Connects to the first address that answers. Raises as urllib3 does, and MustNotCall."""
        try:
            places = self._places()
        except (socket.gaierror, UnicodeError) as exc:
            raise NameResolutionError(self.host, self, exc) from exc  # type: ignore[arg-type]
        trouble: OSError = OSError("its name leads nowhere")
        for family, place in places:
            try:
                return self._connected(family, place)
            except OSError as exc:
                trouble = exc
        if isinstance(trouble, TimeoutError):
            raise ConnectTimeoutError(self, f"{self.host} does not answer") from trouble
        raise NewConnectionError(self, f"{self.host}: {trouble}") from trouble

    def _places(self) -> list[tuple[int, SocketAddress]]:
        """Returns the addresses that may be called. Raises gaierror, UnicodeError, MustNotCall."""
        host = self.host.strip("[]")
        if numeric := _numeric(host, self.port):
            found = [numeric]  # without a thread, which a name with dead servers could have taken
        else:
            found = [(family, place) for family, _, _, _, place in self.look_up(host, self.port)]
        allowed = [(family, place) for family, place in found if not self._is_refused(place)]
        if found and not allowed:
            raise MustNotCall
        return allowed

    def _is_refused(self, place: SocketAddress) -> bool:
        where = address(str(place[0]))
        return where is None or reached(where) in self.refused

    def _connected(self, family: int, place: SocketAddress) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            if isinstance(self.timeout, int | float):
                sock.settimeout(self.timeout)
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
