"""Connects to the server and opens the WebSocket (RFC 6455 section 4.1)."""

from __future__ import annotations

import base64
import errno
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, Final, TypeVar

from incoming import __version__
from incoming.client.address import Address
from incoming.wire import handshake, http_status

CONNECT_TIMEOUT_S: Final = 15.0
POLL_INTERVAL_S: Final = 0.1
MAX_HEAD_BYTES: Final = 16 * 1024
_UNKNOWN_HOST: Final = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))

_T = TypeVar("_T")


class ConnectFailed(Exception):
    """The connection failed; the text says why.

    `lasting`: the cause looks permanent. `retry_after_s`: the server's Retry-After, or 0.
    """

    def __init__(self, why: str, *, lasting: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(why)
        self.lasting = lasting
        self.retry_after_s = retry_after_s


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Returns a context that trusts the system's certificates, and those in `ca_file` if it is given.

    Raises OSError if the file holds none.
    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


class ConnectAborted(Exception):
    """The user has stopped the upload."""


class _Waiter:
    """Waits for sockets, for CONNECT_TIMEOUT_S per address, in short polls so that a signal can end it.

    A signal handler can't end it by an exception: with gevent's patches it runs in another greenlet.
    """

    def __init__(self, is_aborted: Callable[[], bool], max_wait_s: float) -> None:
        """`max_wait_s`: how long all addresses together may take."""
        self._broken_off = is_aborted
        self._end_s = time.monotonic() + max_wait_s
        self.begin()

    def begin(self) -> None:
        """Starts the timeout of another address."""
        self._give_up_s = min(time.monotonic() + CONNECT_TIMEOUT_S, self._end_s)

    def wait(self, sock: socket.socket, event: int) -> None:
        """Returns when the socket is ready for POLLIN or POLLOUT. Raises TimeoutError, ConnectAborted."""
        poll = select.poll()
        poll.register(sock, event)
        while not poll.poll(POLL_INTERVAL_S * 1000):
            self.check()

    def check(self) -> None:
        """Raises TimeoutError, ConnectAborted when one is due, even while a server sends without end."""
        if self._broken_off():
            raise ConnectAborted
        if time.monotonic() > self._give_up_s:
            raise TimeoutError

    def until_done(self, sock: socket.socket, what: Callable[[], _T], event: int) -> _T:
        """Repeats a call until it does not block, and returns its result. Raises the same, and OSError."""
        while True:
            try:
                return what()
            except ssl.SSLWantWriteError:
                self.wait(sock, select.POLLOUT)
            except ssl.SSLWantReadError:
                self.wait(sock, select.POLLIN)
            except BlockingIOError:
                self.wait(sock, event)


def connect(
    address: Address,
    context: ssl.SSLContext,
    is_aborted: Callable[[], bool] = lambda: False,
    max_wait_s: float = inf,
) -> tuple[socket.socket, bytes]:
    """Returns the non-blocking socket of an open WebSocket, and the bytes read after its handshake.

    `is_aborted` is called now and then; True ends the attempt. `max_wait_s`: how long it may take, if that
    is less than the usual time for each address of the host. Raises ConnectFailed, ConnectAborted.
    """
    waiter = _Waiter(is_aborted, max_wait_s)
    try:
        sock = _connect(address, context, waiter)
    except OSError as exc:
        raise _connect_failed(exc, address) from exc
    try:
        return sock, _shake_hands(sock, address, waiter)
    except OSError as exc:
        sock.close()
        raise ConnectFailed(f"{address} does not answer{_reason(exc)}.") from exc
    except BaseException:
        sock.close()
        raise


def _connect(address: Address, context: ssl.SSLContext, waiter: _Waiter) -> socket.socket:
    """Tries the host's addresses one after the other. Raises the OSError of the last one."""
    error: OSError = ConnectionRefusedError()
    for family, kind, protocol, _, place in socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, protocol)
        waiter.begin()
        try:
            return _open(sock, place, address.host if address.secure else "", context, waiter)
        except OSError as exc:
            sock.close()
            error = exc
        except BaseException:
            sock.close()
            raise
    raise error


def _open(
    sock: socket.socket, place: Any, tls_host: str, context: ssl.SSLContext, waiter: _Waiter
) -> socket.socket:
    sock.setblocking(False)
    if (code := sock.connect_ex(place)) == errno.EINPROGRESS:
        waiter.wait(sock, select.POLLOUT)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    _check_not_own_socket(sock)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not tls_host:
        return sock
    secured = context.wrap_socket(sock, server_hostname=tls_host, do_handshake_on_connect=False)
    try:
        waiter.until_done(secured, secured.do_handshake, select.POLLIN)
    except BaseException:
        secured.close()
        raise
    return secured


def _reason(exc: OSError) -> str:
    return f": {exc.strerror}" if exc.strerror else ""


def _check_not_own_socket(sock: socket.socket) -> None:
    """On loopback, a connect to a port without a listener can reach its own socket."""
    if sock.getsockname() == sock.getpeername():
        raise ConnectionRefusedError


def _connect_failed(exc: OSError, address: Address) -> ConnectFailed:
    """Returns the error as a sentence."""
    if isinstance(exc, socket.gaierror):
        unknown = exc.errno in _UNKNOWN_HOST
        return ConnectFailed(f"The host {address.host} is not found: {exc.strerror}.", lasting=unknown)
    if isinstance(exc, ssl.SSLCertVerificationError):
        why = exc.verify_message.rstrip(".")
        return ConnectFailed(f"The certificate of {address.host} is not trusted: {why}.", lasting=True)
    if isinstance(exc, ssl.SSLError) and not isinstance(exc, ssl.SSLEOFError):
        return ConnectFailed(f"{address} failed the TLS handshake: {exc.reason or exc}.", lasting=True)
    if isinstance(exc, ConnectionRefusedError):
        return ConnectFailed(f"No server listens at {address}.")
    if isinstance(exc, TimeoutError):
        return ConnectFailed(f"{address} does not answer.")
    return ConnectFailed(f"{address} can't be reached{_reason(exc)}.")


def _shake_hands(sock: socket.socket, address: Address, waiter: _Waiter) -> bytes:
    key = base64.b64encode(os.urandom(16))
    lines = (
        f"GET {address.path} HTTP/1.1",
        f"Host: {address.host_header}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key.decode()}",
        "Sec-WebSocket-Version: 13",
        f"User-Agent: incoming-send/{__version__}",
    )
    request = "".join(f"{line}\r\n" for line in (*lines, "")).encode()
    while request:
        request = request[waiter.until_done(sock, partial(sock.send, request), select.POLLOUT) :]
    status_line, fields, ahead = _read_answer(sock, address, waiter)
    _check_status(status_line, fields.get("retry-after"), address)
    accept = handshake.accept(key).decode()
    if fields.get("sec-websocket-accept") != accept or "sec-websocket-extensions" in fields:
        raise ConnectFailed(f"{address} answers, but not with a WebSocket.", lasting=True)
    return ahead


def _read_answer(sock: socket.socket, address: Address, waiter: _Waiter) -> tuple[str, dict[str, str], bytes]:
    """Returns the status line of the response, its fields by lower-case name, and the bytes after them.

    Interim responses are skipped. MAX_HEAD_BYTES and the timeout apply to all responses together.
    """
    received, read_bytes = b"", 0
    while True:
        while b"\r\n\r\n" not in received:
            if read_bytes > MAX_HEAD_BYTES:
                raise ConnectFailed(f"{address} answers, but not with a WebSocket.")
            some = waiter.until_done(sock, partial(sock.recv, 4096), select.POLLIN)
            if not some:
                raise ConnectFailed(f"{address} closed the connection without a response.")
            received += some
            read_bytes += len(some)
            waiter.check()
        head, _, received = received.partition(b"\r\n\r\n")
        status_line, *rows = head.decode("latin-1").split("\r\n")
        if not http_status.is_interim(_status(status_line, address)):
            pairs = (row.partition(":") for row in rows)
            return status_line, {name.strip().lower(): value.strip() for name, _, value in pairs}, received


def _status(line: str, address: Address) -> int:
    """Returns the status in a status line. Raises ConnectFailed."""
    version, _, rest = line.partition(" ")
    status = int(rest[:3]) if rest[:3].isascii() and rest[:3].isdecimal() else 0
    if not version.startswith("HTTP/1.") or not status:
        raise ConnectFailed(f"{address} answers, but does not speak HTTP.", lasting=True)
    return status


def _check_status(line: str, retry_after: str | None, address: Address) -> None:
    """Raises ConnectFailed unless the status is 101 Switching Protocols."""
    status = _status(line, address)
    if status == 101:
        return
    if status == 404:
        why = f"There is no Incoming!! server at {address} (status 404)."
    elif status in (400, 426):
        why = f"{address} did not open a WebSocket (status {status}). A proxy in front of it "
        why += "must pass the Upgrade and Connection headers on."
    else:
        why = f"{address} answers with status {status}."
    raise ConnectFailed(
        why,
        lasting=not http_status.is_retryable(status, retry_after),
        retry_after_s=http_status.retry_after_s(retry_after, time.time()),
    )
