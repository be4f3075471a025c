"""Listening sockets, opened here or inherited from the parent process, and their URLs."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Any, Final

import gevent.socket

from incoming.core.errors import BadSetting

BACKLOG: Final = 1024
"""How many connections may wait to be accepted, if the kernel allows that (net.core.somaxconn)."""
FIRST_INHERITED: Final = 3
"""The descriptor of the first socket that systemd passes on."""
ANY_ADDRESS: Final = ("0.0.0.0", "::")


def listen(host: str, port: int) -> Any:
    """Returns a socket that listens on this address. Raises OSError when that is impossible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = gevent.socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def listen_as_set(host: str, port: int) -> Any:
    """Does the same for the address of the settings. Raises BadSetting."""
    try:
        return listen(host, port)
    except OSError as exc:
        raise BadSetting("port", f"the server can't listen on {host}:{port}: {exc.strerror or exc}") from exc


def inherited_listeners(environ: MutableMapping[str, str]) -> list[Any]:
    """Returns the listening TCP sockets that this process was started with (sd_listen_fds(3)).

    They outlive the process: a client that connects while it is replaced waits, and is not refused. Removes
    the variables from `environ`, because they do not apply to child processes. Raises BadSetting.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    listeners = []
    for number in range(FIRST_INHERITED, FIRST_INHERITED + int(count)):
        os.set_inheritable(number, False)
        listener = gevent.socket.socket(fileno=number)
        if listener.family not in (socket.AF_INET, socket.AF_INET6) or listener.type != socket.SOCK_STREAM:
            raise BadSetting("ListenStream", "must be a TCP port: the inherited socket is not a TCP socket")
        listener.setblocking(False)
        listeners.append(listener)
    return listeners


def browser_url(host: str, port: int) -> str:
    """Returns the URL at which a browser on this machine reaches a server that listens there."""
    return f"http://{reachable_host(host)}:{port}"


def reachable_host(host: str) -> str:
    """Returns how a URL names a host that a server listens on."""
    if host in ANY_ADDRESS:
        return "localhost"
    return f"[{host}]" if ":" in host else host
