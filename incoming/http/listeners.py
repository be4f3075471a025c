"""Sockets to listen on: of our own, or opened by somebody else and handed over."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Any, Final

import gevent.socket

from incoming.core.errors import BadSetting

BACKLOG: Final = 1024
FIRST_INHERITED: Final = 3
"""The descriptor of the first socket that systemd hands over."""


def listen(host: str, port: int) -> Any:
    """Returns a listening socket. Raises OSError when the address can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = gevent.socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def inherited_listeners(environ: MutableMapping[str, str]) -> list[Any]:
    """Returns the listening sockets that this process was started with (sd_listen_fds(3)), TCP ones only.

    They outlive the process: whoever connects while it is replaced waits, and is not refused. What says so is
    removed from `environ`, since it does not hold for our children. Raises BadSetting.
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
            raise BadSetting("ListenStream", "has to be a TCP port: the socket that was inherited is none")
        listener.setblocking(False)
        listeners.append(listener)
    return listeners


ANY_ADDRESS: Final = ("0.0.0.0", "::")


def address(host: str, port: int) -> str:
    """Returns the URL under which a browser on this machine reaches the server."""
    return f"http://{_reachable(host)}:{port}"


def _reachable(host: str) -> str:
    """Returns how a URL names the address that is listened on."""
    if host in ANY_ADDRESS:
        return "localhost"
    return f"[{host}]" if ":" in host else host
