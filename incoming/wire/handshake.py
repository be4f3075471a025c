"""The opening handshake of a WebSocket (RFC 6455 section 4.2): whether it is valid, and its answer.

gevent-websocket's handler answers it; under other servers we do.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Final

from incoming.core.errors import BadRequest, IncomingError, UpgradeRequired

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
VERSION: Final = "13"
KEY_BYTES: Final = 16
NGINX_ADVICE: Final = (
    "For nginx, in the location of /incoming/frontend/: proxy_http_version 1.1; "
    'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; (see deploy/nginx.conf).'
)


def is_upgrade_request(environ: Mapping[str, object]) -> bool:
    """Returns whether a request with this WSGI `environ` asks for an upgrade to a WebSocket."""
    return environ.get("REQUEST_METHOD") == "GET" and not _missing(environ)


def proxy_fault(environ: Mapping[str, object]) -> str:
    """Returns what a proxy did to the handshake, and the remedy; empty when nothing shows that one did.

    Clients send the key together with the headers Upgrade and Connection, in HTTP/1.1. These two are for one
    hop only (RFC 9110 section 7.6.1), so a proxy without configuration for them forwards the key alone.
    """
    faults = [f"drops {name}" for name in _missing(environ)]
    if environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        faults.append("speaks HTTP/1.0")
    if not faults or environ.get("REQUEST_METHOD") != "GET" or not _header(environ, "SEC_WEBSOCKET_KEY"):
        return ""
    return (
        f"A proxy in front of the server does not forward WebSockets: it {', '.join(faults)}. {NGINX_ADVICE}"
    )


def refusal(environ: Mapping[str, object]) -> IncomingError | None:
    """Returns the error that a handshake is refused with; None for a valid one."""
    fault = proxy_fault(environ)
    if fault or not is_upgrade_request(environ):
        return UpgradeRequired(fault)
    if _header(environ, "SEC_WEBSOCKET_VERSION").strip() != VERSION:
        return UpgradeRequired(f"This server supports version {VERSION} of the WebSocket protocol only.")
    try:
        key = base64.b64decode(_header(environ, "SEC_WEBSOCKET_KEY").strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        return BadRequest(f"Sec-WebSocket-Key must be {KEY_BYTES} bytes in base64.")
    return None


def answer(environ: Mapping[str, object]) -> bytes:
    """Returns the response that opens the WebSocket, without extensions and without a subprotocol."""
    key = _header(environ, "SEC_WEBSOCKET_KEY").strip().encode("latin-1")
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept(key) + b"\r\n\r\n"
    )


def accept(key: bytes) -> bytes:
    """Returns the Sec-WebSocket-Accept for this Sec-WebSocket-Key (section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _missing(environ: Mapping[str, object]) -> list[str]:
    """Returns which of the headers Upgrade and Connection do not ask for a WebSocket."""
    wanted = {"Upgrade": "websocket", "Connection": "upgrade"}
    return [name for name, token in wanted.items() if token not in _tokens(environ, name)]


def _tokens(environ: Mapping[str, object], name: str) -> list[str]:
    return [token.strip() for token in _header(environ, name.upper()).lower().split(",")]


def _header(environ: Mapping[str, object], name: str) -> str:
    return str(environ.get(f"HTTP_{name}", ""))
