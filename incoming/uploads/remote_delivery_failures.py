"""The failures of deliveries that other servers make, as their news tell. In memory, and bounded."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from incoming.core.news import CalledOff, HandedOver, News, NotHandedOver, WaitingForApp

MAX_KEPT: Final = 10_000
"""The oldest reasons are forgotten first."""


class RemoteDeliveryFailures:
    """The last failure of each ticket. The server that calls its app tells it each time that a call fails."""

    def __init__(self, kept_for_s: float) -> None:
        """`kept_for_s`: how long a reason counts that is not repeated. Its server may be gone."""
        self._kept_for_s = kept_for_s
        self._reasons: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """(reason, when it was heard), the oldest first."""

    def note(self, ticket_id: str, news: News, now_s: float) -> None:
        """Notes what news of another server say of a ticket: a failed call, or that no call is left."""
        match news:
            case WaitingForApp(why):
                self._reasons.pop(ticket_id, None)
                self._reasons[ticket_id] = why, now_s
                if len(self._reasons) > MAX_KEPT:
                    self._reasons.popitem(last=False)
            case CalledOff() | HandedOver() | NotHandedOver():
                self._reasons.pop(ticket_id, None)

    def last_reason(self, ticket_id: str, now_s: float) -> str:
        """Returns why the last call failed; an empty text if none is known, or if it is old."""
        reason, heard_at_s = self._reasons.get(ticket_id, ("", now_s))
        return reason if now_s - heard_at_s <= self._kept_for_s else ""
