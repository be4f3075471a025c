"""A connection to the server, up to the point where it is a websocket (RFC 6455 section 4.1)."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
import time
from typing import Final

from incoming import __version__
from incoming.client.address import Address

DIAL_TIMEOUT_S: Final = 15.0
MAX_HEAD_BYTES: Final = 16 * 1024
_ACCEPT_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PASSING_STATUSES: Final = (408, 429)
_UNKNOWN_HOST: Final = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


class DialFailed(Exception):
    """There is no connection; the words say why. `lasting`: it looks as if there will never be one."""

    def __init__(self, why: str, *, lasting: bool = False) -> None:
        super().__init__(why)
        self.lasting = lasting


def trust(ca_file: str | None) -> ssl.SSLContext:
    """Returns how a server proves who it is: by the system's certificates, and those of a file if given.

    Raises OSError when there are none in the file.
    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def dial(address: Address, context: ssl.SSLContext) -> tuple[socket.socket, bytes]:
    """Returns the socket of an open websocket, and what was read past its handshake. Raises DialFailed."""
    try:
        sock = _connect(address, context)
    except OSError as exc:
        raise _explained(exc, address) from exc
    try:
        return sock, _shake_hands(sock, address)
    except OSError as exc:
        sock.close()
        raise DialFailed(f"{address} does not answer: {exc.strerror or exc}.") from exc
    except BaseException:
        sock.close()
        raise


def _connect(address: Address, context: ssl.SSLContext) -> socket.socket:
    sock = socket.create_connection((address.host, address.port), timeout=DIAL_TIMEOUT_S)
    try:
        _check_not_ourselves(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(sock, server_hostname=address.host) if address.secure else sock
    except BaseException:
        sock.close()
        raise


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
    return DialFailed(f"{address} can't be reached: {exc.strerror or exc}.")


def _shake_hands(sock: socket.socket, address: Address) -> bytes:
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
    sock.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    head, ahead = _read_head(sock, address)
    status, *rows = head.split("\r\n")
    _check_status(status, address)
    fields = {name.strip().lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
    accept = base64.b64encode(hashlib.sha1(key + _ACCEPT_GUID).digest()).decode()
    if fields.get("sec-websocket-accept") != accept or "sec-websocket-extensions" in fields:
        raise DialFailed(f"{address} answers, but not as a websocket does.", lasting=True)
    return ahead


def _read_head(sock: socket.socket, address: Address) -> tuple[str, bytes]:
    """Returns the answer's status line and fields, and what came behind them."""
    received, give_up_s = b"", time.monotonic() + DIAL_TIMEOUT_S
    while b"\r\n\r\n" not in received:
        if len(received) > MAX_HEAD_BYTES or time.monotonic() > give_up_s:
            raise DialFailed(f"{address} answers, but not as a websocket does.")
        some = sock.recv(4096)
        if not some:
            raise DialFailed(f"{address} has closed the connection without an answer.")
        received += some
    head, _, ahead = received.partition(b"\r\n\r\n")
    return head.decode("latin-1"), ahead


def _check_status(line: str, address: Address) -> None:
    """Raises DialFailed unless the answer is "101 Switching Protocols"."""
    version, _, rest = line.partition(" ")
    status = int(rest[:3]) if rest[:3].isdecimal() else 0
    if not version.startswith("HTTP/1.") or not status:
        raise DialFailed(f"{address} answers, but does not speak HTTP.", lasting=True)
    if status == 101:
        return
    if status == 404:
        why = f"There is no Incoming!! server at {address} (status 404)."
    elif status in (400, 426):
        why = f"{address} does not make a websocket of the connection (status {status}). A proxy in front of "
        why += "it has to pass the Upgrade and Connection headers on."
    else:
        why = f"{address} answers with status {status}."
    raise DialFailed(why, lasting=status < 500 and status not in _PASSING_STATUSES)
