"""Sockets that are listened on: opened by somebody else and handed over. Our own are met in test_server."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from incoming.core.errors import BadSetting
from incoming.http import listeners
from incoming.http.listeners import inherited_listeners


@contextmanager
def handed_over(theirs: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Gives the environment of a process that was started with this socket."""
    descriptor = os.dup(theirs.fileno())
    monkeypatch.setattr(listeners, "FIRST_INHERITED", descriptor)
    yield {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "PATH": "y"}
    with suppress(OSError):
        os.close(descriptor)


def test_an_inherited_socket_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs, handed_over(theirs, monkeypatch) as environ:
        (listener,) = inherited_listeners(environ)
        assert listener.getsockname() == theirs.getsockname()
        assert environ == {"PATH": "y"}
        listener.detach()


@pytest.mark.parametrize(
    ("pid", "count"), [("1", "1"), ("", "1"), (str(os.getpid()), "")], ids=["another", "nobody", "no sockets"]
)
def test_a_socket_for_another_process_is_ignored(pid: str, count: str) -> None:
    environ = {"LISTEN_PID": pid, "LISTEN_FDS": count}
    assert inherited_listeners(environ) == []
    assert environ == {}


def test_an_inherited_socket_that_is_not_tcp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        socket.socket(socket.AF_UNIX) as theirs,
        handed_over(theirs, monkeypatch) as environ,
        pytest.raises(BadSetting, match="ListenStream"),
    ):
        inherited_listeners(environ)
