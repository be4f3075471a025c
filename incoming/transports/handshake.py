"""The opening handshake of a websocket as data (RFC 6455 section 4.2): may it be, and what is answered.

gevent-websocket's handler answers it by itself; under other servers we do.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Final

from incoming.errors import BadRequest, IncomingError, UpgradeRequired

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
VERSION: Final = "13"
KEY_BYTES: Final = 16


def is_asked_for(environ: Mapping[str, object]) -> bool:
    """Returns whether a request of this WSGI `environ` wants to become a websocket."""
    connection = [token.strip() for token in _header(environ, "CONNECTION").lower().split(",")]
    upgrade = [token.strip() for token in _header(environ, "UPGRADE").lower().split(",")]
    return environ.get("REQUEST_METHOD") == "GET" and "upgrade" in connection and "websocket" in upgrade


def why_not(environ: Mapping[str, object]) -> IncomingError | None:
    """Returns what is wrong with the handshake of a request; None when it can be answered."""
    if not is_asked_for(environ):
        return UpgradeRequired()
    if environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        return BadRequest("A websocket needs HTTP/1.1; a proxy in front of the server speaks HTTP/1.0 to it.")
    if _header(environ, "SEC_WEBSOCKET_VERSION").strip() != VERSION:
        return UpgradeRequired(f"Only version {VERSION} of the WebSocket protocol is spoken here.")
    try:
        key = base64.b64decode(_header(environ, "SEC_WEBSOCKET_KEY").strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        return BadRequest(f"Sec-WebSocket-Key has to be {KEY_BYTES} bytes in base64.")
    return None


def answer(environ: Mapping[str, object]) -> bytes:
    """Returns the response that opens the websocket. No extension and no subprotocol is ever agreed on."""
    key = _header(environ, "SEC_WEBSOCKET_KEY").strip().encode("latin-1")
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def _header(environ: Mapping[str, object], name: str) -> str:
    return str(environ.get(f"HTTP_{name}", ""))
