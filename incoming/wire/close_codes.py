"""The close codes that Incoming!! sends or acts on (RFC 6455 section 7.4, and its IANA registry)."""

from __future__ import annotations

from typing import Final

NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
UNSUPPORTED_DATA: Final = 1003
NO_CODE: Final = 1005
"""Stands for a close frame without a code; never sent."""
ABNORMAL: Final = 1006
"""Stands for a connection that ended without a close frame; never sent."""
INVALID_DATA: Final = 1007
"""A text message or a close reason is not UTF-8."""
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013
TAKEN_OVER: Final = 4001
"""Another connection has claimed the upload. Applications own 4000 to 4999."""

_REGISTERED: Final = range(1000, 1015)
_NEVER_SENT: Final = frozenset({1004, NO_CODE, ABNORMAL})
_UNREGISTERED: Final = range(3000, 5000)
"""3000 to 3999 belong to libraries, 4000 to 4999 to applications."""


def may_be_sent(code: int) -> bool:
    """Returns whether a close frame may carry this code."""
    return (code in _REGISTERED and code not in _NEVER_SENT) or code in _UNREGISTERED
