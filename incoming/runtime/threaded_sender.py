"""Sends large bodies in threads of the system, which copy and encrypt them beside the event loop.

The sockets are gevent's and belong to the event loop. While a body is sent, its greenlet waits for the
thread, so nobody else uses the socket.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Final

import gevent.lock
import gevent.ssl
import gevent.threadpool

from incoming.runtime.native_threads import real_poll

THREADS: Final = 64
"""How many bodies are sent at a time. A thread waits for its peer most of the time."""
_VIEWS_AT_ONCE: Final = 16


class ThreadedSender:
    """The threads of one process. They start when they are needed."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = gevent.threadpool.ThreadPool(threads)
        self._places = gevent.lock.BoundedSemaphore(threads)

    def send_all(self, sock: socket.socket, views: Sequence[memoryview], stall_limit_s: float) -> None:
        """Sends all these bytes. Nobody reads `views` any more when this returns or raises.

        So they may be used anew, also when the greenlet is killed or out of time. The connection is
        unusable then. Raises OSError; TimeoutError if the peer accepts nothing for `stall_limit_s`.
        """
        with self._places:
            sending = self._pool.spawn(_send_all, sock, list(views), stall_limit_s)
            try:
                error = sending.get()
            except BaseException:  # killed, or out of time
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)  # wakes the thread
                _wait_for(sending)
                raise
        if error is not None:
            raise error


def _wait_for(sending: Any) -> None:
    """Returns when the thread has ended, however often the greenlet is killed meanwhile."""
    while not sending.ready():
        with contextlib.suppress(BaseException):
            sending.wait()


def _send_all(sock: socket.socket, views: list[memoryview], stall_limit_s: float) -> OSError | None:
    """Runs in a thread. gevent prints a traceback for each error that leaves it, so this returns them."""
    try:
        if isinstance(sock, ssl.SSLSocket | gevent.ssl.SSLSocket):
            _send_encrypted(sock, views, stall_limit_s)
        else:
            _send_plain(sock.fileno(), views, stall_limit_s)
    except OSError as exc:
        return exc
    return None


def _send_plain(descriptor: int, views: list[memoryview], stall_limit_s: float) -> None:
    while views:
        try:
            _drop(views, os.writev(descriptor, views[:_VIEWS_AT_ONCE]))
        except BlockingIOError:
            _wait_until_ready(descriptor, select.POLLOUT, stall_limit_s)


def _send_encrypted(sock: ssl.SSLSocket, views: list[memoryview], stall_limit_s: float) -> None:
    # The socket's own methods would wait in the event loop of this thread.
    descriptor, session = sock.fileno(), sock._sslobj  # type: ignore[attr-defined]
    if session is None:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
    while views:
        try:
            _drop(views, session.write(views[0]))
        except ssl.SSLWantWriteError:
            _wait_until_ready(descriptor, select.POLLOUT, stall_limit_s)
        except ssl.SSLWantReadError:
            _wait_until_ready(descriptor, select.POLLIN, stall_limit_s)


def _drop(views: list[memoryview], size_bytes: int) -> None:
    """Removes the first bytes: they are sent."""
    while views and size_bytes >= len(views[0]):
        size_bytes -= len(views.pop(0))
    if size_bytes:
        views[0] = views[0][size_bytes:]


def _wait_until_ready(descriptor: int, events: int, limit_s: float) -> None:
    waiting = real_poll()
    waiting.register(descriptor, events)
    if not waiting.poll(limit_s * 1000):
        raise TimeoutError(f"the peer accepted nothing for {limit_s:g} s")
