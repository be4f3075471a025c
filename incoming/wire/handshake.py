"""The opening handshake of a websocket as data (RFC 6455 section 4.2): may it be, and what is answered.

gevent-websocket's handler answers it by itself; under other servers we do.
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
WHAT_NGINX_NEEDS: Final = (
    "nginx needs, where it passes /incoming/frontend/ on: proxy_http_version 1.1; "
    'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; (see deploy/nginx.conf).'
)


def is_asked_for(environ: Mapping[str, object]) -> bool:
    """Returns whether a request of this WSGI `environ` wants to become a websocket."""
    return environ.get("REQUEST_METHOD") == "GET" and not _missing(environ)


def spoilt_by_a_proxy(environ: Mapping[str, object]) -> str:
    """Returns what a proxy has done to the handshake, and what to do about it; empty where nothing shows one.

    Clients send the key together with the two headers, in HTTP/1.1. The two are for one hop only (RFC 9110
    section 7.6.1), so a proxy that is not told to passes on the key alone.
    """
    faults = [f"drops {name}" for name in _missing(environ)]
    if environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        faults.append("speaks HTTP/1.0")
    if not faults or environ.get("REQUEST_METHOD") != "GET" or not _header(environ, "SEC_WEBSOCKET_KEY"):
        return ""
    return (
        "A proxy in front of the server does not pass WebSockets on: "
        f"it {', '.join(faults)}. {WHAT_NGINX_NEEDS}"
    )


def why_not(environ: Mapping[str, object]) -> IncomingError | None:
    """Returns what is wrong with the handshake of a request; None when it can be answered."""
    spoilt = spoilt_by_a_proxy(environ)
    if spoilt or not is_asked_for(environ):
        return UpgradeRequired(spoilt)
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
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept(key) + b"\r\n\r\n"
    )


def accept(key: bytes) -> bytes:
    """Returns the Sec-WebSocket-Accept that shows that this Sec-WebSocket-Key was read (section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _missing(environ: Mapping[str, object]) -> list[str]:
    """Returns which of the two headers that ask for a websocket does not do so."""
    wanted = {"Upgrade": "websocket", "Connection": "upgrade"}
    return [name for name, token in wanted.items() if token not in _tokens(environ, name)]


def _tokens(environ: Mapping[str, object], name: str) -> list[str]:
    return [token.strip() for token in _header(environ, name.upper()).lower().split(",")]


def _header(environ: Mapping[str, object], name: str) -> str:
    return str(environ.get(f"HTTP_{name}", ""))
