"""Refusals: the one place that counts and logs what the server refuses.

A refusal is an error that ends a connection, a claim of a client or a request of an app, or a handover that
the app does not accept. Each is counted by its kind and its code. It is logged once, unless there are very
many. In an outage all tries of all clients are refused for the same reason, so the log has that reason once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from incoming.core.errors import IncomingError, StorageFailed, StorageFull
from incoming.core.stats import Counters
from incoming.core.ticket import short_id
from incoming.runtime.logs import LogRateLimit, SourceLogLimit

log = logging.getLogger(__name__)

LOGGED_PER_INTERVAL: Final = 20
LOG_INTERVAL_S: Final = 60.0
"""Strangers can cause refusals. This many lines of one kind and code are logged in this time."""
OUTAGE_INTERVAL_S: Final = 300.0
"""Refusals for the same reason of the storage, or of what keeps the tickets, are logged once in this time."""
_FOR_THE_OPERATOR: Final = frozenset((401, 403, 429))
"""HTTP statuses of refusals that a setting or the app's developer can mend."""


class Kind(StrEnum):
    """What was refused."""

    CONNECTION = "connection"
    CLAIM = "claim"
    REQUEST = "request"
    HANDOVER = "handover"


class Refusals:
    """Counts and logs the refusals of one service."""

    def __init__(self, counters: Counters, now_s: Callable[[], float]) -> None:
        self._counters = counters
        self._log_limit = LogRateLimit(LOG_INTERVAL_S, LOGGED_PER_INTERVAL, now_s)
        self._outage_limit = LogRateLimit(OUTAGE_INTERVAL_S, now_s=now_s)
        self._source_limit = SourceLogLimit(LOG_INTERVAL_S, LOGGED_PER_INTERVAL, now_s)

    def count(self, kind: Kind, error: IncomingError) -> None:
        """Counts a refusal that the caller logs."""
        self._counters.refusals[kind, error.code] += 1

    def record(self, kind: Kind, error: IncomingError, ticket_id: str = "", route: str = "") -> None:
        """Counts a refusal and logs it: `ticket_id` as it was sent, `route` for a request."""
        self.count(kind, error)
        limit, key, reason = self._log_limit, f"{kind} {error.code}", str(error)
        if cause := _outage(error):
            limit, key, reason = self._outage_limit, f"{key} {_sort(cause)}", f"{error} ({_words(cause)})"
        if limit.allows(key):
            self._log(error, reason, ticket_id, route or kind.value, limit.take_suppressed(key))

    def record_from(self, source: str, kind: Kind, error: IncomingError) -> None:
        """Counts and logs a refusal of something malformed, of which only the source is known.

        It hides no line of other refusals, and is logged once for each source in LOG_INTERVAL_S.
        """
        self.count(kind, error)
        key = f"{kind} {error.code}"
        if self._source_limit.allows(key, source):
            suppressed = self._source_limit.take_suppressed(key)
            self._log(error, str(error), "", f"{kind.value} from {source}", suppressed)

    def _log(self, error: IncomingError, reason: str, ticket_id: str, what: str, suppressed: int) -> None:
        fields: dict[str, object] = {"what": what, "code": error.code, "reason": reason, "more": ""}
        if suppressed:
            fields["suppressed"] = suppressed
            fields["more"] = f" ({suppressed} more were not logged)"
        is_for_operator = error.http_status in _FOR_THE_OPERATOR or error.http_status >= 500
        level = logging.WARNING if is_for_operator else logging.INFO
        if ticket_id:
            fields["ticket"] = short_id(ticket_id)
            log.log(level, "upload %(ticket)s: %(what)s refused (%(code)s): %(reason)s%(more)s", fields)
        else:
            log.log(level, "%(what)s refused (%(code)s): %(reason)s%(more)s", fields)


def _outage(error: IncomingError) -> BaseException | None:
    """Returns the system's reason if the storage fails, or what keeps the tickets, and not one upload."""
    return error.__cause__ if isinstance(error, StorageFailed | StorageFull) else None


def _sort(cause: BaseException) -> str:
    """Returns which reason it is. There are few, whatever the texts say."""
    return f"{type(cause).__name__} {cause.errno if isinstance(cause, OSError) else ''}"


def _words(cause: BaseException) -> str:
    """Returns the reason for people, without file names, which contain ticket ids."""
    return cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
