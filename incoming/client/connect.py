"""A connection to the server, up to the point where it is a websocket (RFC 6455 section 4.1)."""

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
from typing import Any, Final, TypeVar

from incoming import __version__
from incoming.client.address import Address
from incoming.wire import handshake, http_status

DIAL_TIMEOUT_S: Final = 15.0
NAP_S: Final = 0.1
MAX_HEAD_BYTES: Final = 16 * 1024
_UNKNOWN_HOST: Final = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))

_T = TypeVar("_T")


class DialFailed(Exception):
    """There is no connection; the words say why.

    `lasting`: it looks as if there will never be one. `retry_after_s`: when the server wants to be asked
    again; 0 if it does not say.
    """

    def __init__(self, why: str, *, lasting: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(why)
        self.lasting = lasting
        self.retry_after_s = retry_after_s


def trust(ca_file: str | None) -> ssl.SSLContext:
    """Returns how a server proves who it is: by the system's certificates, and those of a file if given.

    Raises OSError when there are none in the file.
    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


class BrokenOff(Exception):
    """The user does not want to wait any longer."""


class _Waiter:
    """Waits for sockets, for DIAL_TIMEOUT_S an address, and in short naps: a signal can end it that way.

    Its handler can't do so by an exception: with gevent's patches it runs elsewhere.
    """

    def __init__(self, broken_off: Callable[[], bool]) -> None:
        self._broken_off = broken_off
        self.begin()

    def begin(self) -> None:
        """Another address has its time."""
        self._give_up_s = time.monotonic() + DIAL_TIMEOUT_S

    def wait(self, sock: socket.socket, event: int) -> None:
        """Returns when the socket is ready for POLLIN or POLLOUT. Raises TimeoutError, BrokenOff."""
        poll = select.poll()
        poll.register(sock, event)
        while not poll.poll(NAP_S * 1000):
            self.check()

    def check(self) -> None:
        """Raises TimeoutError, BrokenOff when it is time, also for a server that sends without end."""
        if self._broken_off():
            raise BrokenOff
        if time.monotonic() > self._give_up_s:
            raise TimeoutError

    def until_done(self, sock: socket.socket, what: Callable[[], _T], event: int) -> _T:
        """Returns what a call returns once it need not wait any more. Raises the same, and OSError."""
        while True:
            try:
                return what()
            except ssl.SSLWantWriteError:
                self.wait(sock, select.POLLOUT)
            except ssl.SSLWantReadError:
                self.wait(sock, select.POLLIN)
            except BlockingIOError:
                self.wait(sock, event)


def dial(
    address: Address, context: ssl.SSLContext, broken_off: Callable[[], bool] = lambda: False
) -> tuple[socket.socket, bytes]:
    """Returns the non-blocking socket of an open websocket, and what was read past its handshake.

    `broken_off` is asked now and then whether to go on. Raises DialFailed, BrokenOff.
    """
    waiter = _Waiter(broken_off)
    try:
        sock = _connect(address, context, waiter)
    except OSError as exc:
        raise _explained(exc, address) from exc
    try:
        return sock, _shake_hands(sock, address, waiter)
    except OSError as exc:
        sock.close()
        raise DialFailed(f"{address} does not answer{_because(exc)}.") from exc
    except BaseException:
        sock.close()
        raise


def _connect(address: Address, context: ssl.SSLContext, waiter: _Waiter) -> socket.socket:
    """Tries the host's addresses, one after the other. Raises the last one's OSError."""
    trouble: OSError = ConnectionRefusedError()
    for family, kind, protocol, _, place in socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, protocol)
        waiter.begin()
        try:
            return _open(sock, place, address.host if address.secure else "", context, waiter)
        except OSError as exc:
            sock.close()
            trouble = exc
        except BaseException:
            sock.close()
            raise
    raise trouble


def _open(
    sock: socket.socket, place: Any, tls_host: str, context: ssl.SSLContext, waiter: _Waiter
) -> socket.socket:
    sock.setblocking(False)
    if (code := sock.connect_ex(place)) == errno.EINPROGRESS:
        waiter.wait(sock, select.POLLOUT)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    _check_not_ourselves(sock)
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


def _because(exc: OSError) -> str:
    return f": {exc.strerror}" if exc.strerror else ""


def _check_not_ourselves(sock: socket.socket) -> None:
    """On loopback, whoever knocks on a port where nobody listens can get through to himself."""
    if sock.getsockname() == sock.getpeername():
        raise ConnectionRefusedError


def _explained(exc: OSError, address: Address) -> DialFailed:
    """Returns what an error means, in a sentence."""
    if isinstance(exc, socket.gaierror):
        unknown = exc.errno in _UNKNOWN_HOST
        return DialFailed(f"The host {address.host} can't be found: {exc.strerror}.", lasting=unknown)
    if isinstance(exc, ssl.SSLCertVerificationError):
        why = exc.verify_message.rstrip(".")
        return DialFailed(f"The certificate of {address.host} is not trusted: {why}.", lasting=True)
    if isinstance(exc, ssl.SSLError) and not isinstance(exc, ssl.SSLEOFError):
        return DialFailed(f"{address} does not speak TLS as it should: {exc.reason or exc}.", lasting=True)
    if isinstance(exc, ConnectionRefusedError):
        return DialFailed(f"Nobody listens at {address}.")
    if isinstance(exc, TimeoutError):
        return DialFailed(f"{address} does not answer.")
    return DialFailed(f"{address} can't be reached{_because(exc)}.")


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
        raise DialFailed(f"{address} answers, but not as a websocket does.", lasting=True)
    return ahead


def _read_answer(
    sock: socket.socket, address: Address, waiter: _Waiter
) -> tuple[str, dict[str, str], bytes]:
    """Returns the answer's status line, its fields by their lower-case names, and what came behind them.

    Interim answers are skipped. All of them and the answer proper have MAX_HEAD_BYTES and the dial's time.
    """
    received, read_bytes = b"", 0
    while True:
        while b"\r\n\r\n" not in received:
            if read_bytes > MAX_HEAD_BYTES:
                raise DialFailed(f"{address} answers, but not as a websocket does.")
            some = waiter.until_done(sock, partial(sock.recv, 4096), select.POLLIN)
            if not some:
                raise DialFailed(f"{address} has closed the connection without an answer.")
            received += some
            read_bytes += len(some)
            waiter.check()
        head, _, received = received.partition(b"\r\n\r\n")
        status_line, *rows = head.decode("latin-1").split("\r\n")
        if not http_status.is_interim(_status(status_line, address)):
            pairs = (row.partition(":") for row in rows)
            return status_line, {name.strip().lower(): value.strip() for name, _, value in pairs}, received


def _status(line: str, address: Address) -> int:
    """Returns the status in a status line. Raises DialFailed."""
    version, _, rest = line.partition(" ")
    status = int(rest[:3]) if rest[:3].isascii() and rest[:3].isdecimal() else 0
    if not version.startswith("HTTP/1.") or not status:
        raise DialFailed(f"{address} answers, but does not speak HTTP.", lasting=True)
    return status


def _check_status(line: str, retry_after: str | None, address: Address) -> None:
    """Raises DialFailed unless the answer is "101 Switching Protocols"."""
    status = _status(line, address)
    if status == 101:
        return
    if status == 404:
        why = f"There is no Incoming!! server at {address} (status 404)."
    elif status in (400, 426):
        why = f"{address} does not make a websocket of the connection (status {status}). A proxy in front of "
        why += "it has to pass the Upgrade and Connection headers on."
    else:
        why = f"{address} answers with status {status}."
    raise DialFailed(
        why,
        lasting=not http_status.may_pass(status, retry_after),
        retry_after_s=http_status.retry_after_s(retry_after, time.time()),
    )
