"""What the status of an HTTP answer says about trying again. Pure.

One rule for the server, which calls apps, and for the terminal client, which asks for a WebSocket.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

SWITCHING_PROTOCOLS: Final = 101
NOT_NOW: Final = frozenset({408, 421, 423, 425, 429})
"""Client errors that pass by themselves: a slow request, a connection to the wrong server, a lock, early
data, too many requests (RFC 9110 sections 15.5.9 and 15.5.20, RFC 4918, RFC 8470, RFC 6585)."""


def is_interim(status: int) -> bool:
    """Returns whether the answer proper is still to come (RFC 9110 section 15.2).

    101 is the last answer of its kind: what follows it is another protocol.
    """
    return 100 <= status < 200 and status != SWITCHING_PROTOCOLS


def may_pass(status: int, retry_after: str | None) -> bool:
    """Returns whether the same request can succeed later. `retry_after` is the header; None: there is none.

    404 is final: the simple example app means "I don't know this upload" by it.
    """
    if status >= 500 or status in NOT_NOW:
        return True
    return 400 <= status < 500 and retry_after is not None


def retry_after_s(retry_after: str | None, now_s: float) -> float:
    """Returns how long the header asks to wait, in seconds; 0 without a header, or for one without sense.

    `now_s`: seconds since 1970, for a header that is a date (RFC 9110 section 10.2.3).
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        return max(parsedate_to_datetime(text).timestamp() - now_s, 0.0)
    except (ValueError, OverflowError):
        return 0.0
