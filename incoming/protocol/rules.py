"""The rules that both versions share: the path, timeouts, cancellation reasons and close codes."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from incoming.core import errors
from incoming.protocol.messages import MsgCancel
from incoming.wire import close_codes

PREFIXES: Final = ("/incoming/", "/incoming/0.1/")
"""Every route exists below each of these."""
UPLOAD_ROUTE: Final = "frontend/upload_ws"
"""The path of the WebSocket below `/incoming/`."""
UPLOAD_PATHS: Final = tuple(f"{prefix}{UPLOAD_ROUTE}" for prefix in PREFIXES)
"""The paths for WebSockets. `websocket.upgrade` takes what it can upgrade; the app gets the rest."""
UPLOADS_ROUTE: Final = "frontend/uploads"
"""The path below `/incoming/` of uploads over plain HTTP. Each ticket has its address below that."""
PROBE_ROUTE: Final = "frontend/probe"
"""The path below `/incoming/` at which `incoming doctor` learns what reaches the server."""
PROBE_MAX_HOLD_S: Final = 120
"""For how long a request to that address may ask the server to hold its answer."""
OPENING_TIMEOUT_S: Final = 15.0
"""How long a connection may stay open without a MsgUploadReq."""
AGREEING_TIMEOUT_S: Final = 60.0
"""How long a client may take to answer MsgUploadConf."""
ANSWER_TIMEOUT_S: Final = 5.0
"""How long a client of version 1 may take to answer MsgError or MsgCancel."""
MAX_REASON_CHARS: Final = 1000
"""Longer reasons for a cancellation are cut off."""
CANCELLED_BY_CLIENT: Final = "cancelled by the user"
"""The reason of a client that gives none."""

_CLOSE_CODES: Final[dict[type[errors.IncomingError], int]] = {
    errors.TakenOver: close_codes.TAKEN_OVER,
    errors.Stopping: close_codes.SERVICE_RESTART,
}


def upload_url(front: str, path: str, ticket_id: str) -> str:
    """Returns the address of a ticket's upload over plain HTTP.

    `front`: what comes before the prefix, such as the setting `public_url`. `path`: that of a request,
    below `front`. The address has the same prefix.
    """
    prefix = next((prefix for prefix in reversed(PREFIXES) if path.startswith(prefix)), PREFIXES[0])
    return f"{front.rstrip('/')}{prefix}{UPLOADS_ROUTE}/{quote(ticket_id)}"


def close_code(error: errors.IncomingError) -> int:
    """Returns the code that closes a connection after a retryable error."""
    return _CLOSE_CODES.get(type(error), close_codes.TRY_AGAIN_LATER)


def cancel_reason(cancel: MsgCancel) -> str:
    """Returns why a client cancels, as the app is told."""
    return cancel.reason[:MAX_REASON_CHARS] or CANCELLED_BY_CLIENT
