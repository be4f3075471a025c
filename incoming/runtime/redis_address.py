"""The address of a Redis, as a setting has it: which servers, with which password, over TLS or not.

    redis://[USER:PASSWORD@]HOST[:PORT][/DB]
    rediss://...                                                    the same over TLS
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST.../NAME[/DB]  the primary that these Sentinels name
    rediss+sentinel://...
    unix://[USER:PASSWORD@]/PATH[?db=DB]

The query may have `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile` (paths), and for Sentinels with a password
of their own `sentinel_username` and `sentinel_password`. A password is percent-encoded (RFC 3986, 2.1).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from incoming.core.errors import BadSetting

SETTING: Final = "registry"
DEFAULT_PORT: Final = 6379
DEFAULT_SENTINEL_PORT: Final = 26379
TLS_FILES: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
SENTINEL_LOGIN: Final = frozenset({"sentinel_username", "sentinel_password"})
SCHEMES: Final = frozenset({"redis", "rediss", "redis+sentinel", "rediss+sentinel", "unix"})
ODD_HOST: Final = (
    "it has an impossible host or port. In a name or a password, each special character has to be "
    "percent-encoded"
)
EXPOSED: Final = (
    "Redis at {host} is beyond this machine, so it needs TLS (rediss://) and a password: anyone who reaches "
    "it can read and change every upload. On a network that only your servers reach, set redis_insecure"
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis is. With `sentinel_name` the servers are Sentinels that know the primary by it."""

    servers: tuple[tuple[str, int], ...]
    db: int = 0
    is_tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    sentinel_name: str = ""
    unix_socket: str = ""
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        """What logs show: the servers, without a password."""
        pairs = ((f"[{host}]" if ":" in host else host, port) for host, port in self.servers)
        hosts = ",".join(f"{host}:{port}" for host, port in pairs)
        return self.unix_socket or (f"{self.sentinel_name} of {hosts}" if self.sentinel_name else hosts)

    def check_exposure(self, host: str = "") -> None:
        """Raises BadSetting if a server, or this `host`, is beyond this machine and not protected."""
        if self.is_tls and self.password:
            return
        for name in (host,) if host else tuple(name for name, _ in self.servers):
            if not is_loopback(name):
                raise BadSetting(SETTING, EXPOSED.format(host=name))


class _Malformed(ValueError):
    """What is wrong with an address, in words that have no part of it."""


def parse_address(url: str) -> RedisAddress:
    """Returns the address in a URL. Raises BadSetting; its text has no password."""
    try:
        return _parse(url)
    except _Malformed as exc:
        why = str(exc)
    except ValueError:  # urllib's words may have a password that is not encoded
        why = ODD_HOST
    raise BadSetting(SETTING, f"it is not an address of Redis: {why}")


def is_loopback(host: str) -> bool:
    """Returns whether a name or an address is surely this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parse(url: str) -> RedisAddress:
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise _Malformed(f"it begins with none of {', '.join(f'{name}://' for name in sorted(SCHEMES))}")
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    options = {name: unquote(value) for name, _, value in _options(parts.query)}
    is_sentinel = parts.scheme.endswith("+sentinel")
    is_tls = parts.scheme.startswith("rediss")
    is_unix = parts.scheme == "unix"
    if parts.fragment or "@" in "".join(options) + ("" if is_unix else parts.path):
        raise _Malformed("a /, ? or # in a name or a password has to be percent-encoded: %2F, %3F or %23")
    known = (TLS_FILES if is_tls else set()) | (SENTINEL_LOGIN if is_sentinel else set())
    known |= {"db"} if is_unix else set()
    if set(options) - known:
        raise _Malformed(f"it has the unknown option {min(set(options) - known)}")
    path = [unquote(step) for step in parts.path.strip("/").split("/") if step]
    if is_unix:
        if hosts or not path:
            raise _Malformed("it needs the path of a socket, with three slashes: unix:///run/redis.sock")
        db, path = options.pop("db", ""), []
    else:
        db = path.pop() if len(path) > is_sentinel else ""
    if len(path) != is_sentinel:
        name = "the name that the Sentinels have for the primary, then " if is_sentinel else ""
        raise _Malformed(f"its path has to be {name}the number of a database")
    if db and not db.isdecimal():
        raise _Malformed("the database has to be a number")
    port = DEFAULT_SENTINEL_PORT if is_sentinel else DEFAULT_PORT
    servers = () if is_unix else tuple(_server(text, port) for text in hosts.split(","))
    if len(servers) > 1 and not is_sentinel:
        raise _Malformed("it has several servers, which only redis+sentinel:// may have")
    return RedisAddress(
        servers,
        int(db or 0),
        is_tls,
        unquote(username),
        unquote(password),
        path[0] if path else "",
        unquote(parts.path) if is_unix else "",
        tuple(sorted(options.items())),
    )


def _options(query: str) -> list[tuple[str, str, str]]:
    """Returns the options of a query, still encoded. A + is a +, unlike in a form."""
    return [option.partition("=") for option in query.split("&") if option]


def _server(text: str, default_port: int) -> tuple[str, int]:
    server = urlsplit(f"//{text}")
    if not server.hostname:
        raise _Malformed("it has no host")
    return server.hostname, server.port or default_port
