"""What the status of an HTTP answer means for a retry.

One rule for the server, which calls apps, and for the terminal client, which opens a WebSocket.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

SWITCHING_PROTOCOLS: Final = 101
TEMPORARY: Final = frozenset({408, 421, 423, 425, 429})
"""Client errors that a retry may resolve: a slow request, a connection to the wrong server, a lock, early
data, too many requests (RFC 9110 sections 15.5.9 and 15.5.20, RFC 4918, RFC 8470, RFC 6585)."""


def is_interim(status: int) -> bool:
    """Returns whether the final answer is still to come (RFC 9110 section 15.2).

    101 is final although it is below 200: another protocol follows it.
    """
    return 100 <= status < 200 and status != SWITCHING_PROTOCOLS


def is_retryable(status: int, retry_after: str | None) -> bool:
    """Returns whether the same request may succeed later; `retry_after` is that header, if there is one.

    404 is not: the simple example app answers it for an upload that it does not know.
    """
    if status >= 500 or status in TEMPORARY:
        return True
    return 400 <= status < 500 and retry_after is not None


def retry_after_s(retry_after: str | None, now_s: float) -> float:
    """Returns how many seconds the header asks to wait; 0 without a header, or for one that is malformed.

    `now_s`: seconds since 1970, for a header that is a date (RFC 9110 section 10.2.3).
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        return max(parsedate_to_datetime(text).timestamp() - now_s, 0.0)
    except (ValueError, OverflowError):
        return 0.0
