"""Why the apps that other servers call are late, as their news say. In memory, and bounded."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from incoming.core.news import CalledOff, HandedOver, News, NotHandedOver, WaitingForApp

MAX_KEPT: Final = 10_000
"""The oldest reasons are forgotten first."""


class LateElsewhere:
    """Remembers the last reason of each ticket. A server repeats it each time that its call fails."""

    def __init__(self, kept_for_s: float) -> None:
        """`kept_for_s`: for how long a reason counts that is not repeated. Its server may be gone."""
        self._kept_for_s = kept_for_s
        self._reasons: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """(reason, when it was heard), the oldest first."""

    def hear(self, ticket_id: str, news: News, now_s: float) -> None:
        """Another server tells these news of a ticket."""
        match news:
            case WaitingForApp(why):
                self._reasons.pop(ticket_id, None)
                self._reasons[ticket_id] = why, now_s
                if len(self._reasons) > MAX_KEPT:
                    self._reasons.popitem(last=False)
            case CalledOff() | HandedOver() | NotHandedOver():
                self._reasons.pop(ticket_id, None)

    def why(self, ticket_id: str, now_s: float) -> str:
        """Returns the reason; an empty text if none is known, or if it is old."""
        reason, heard_at_s = self._reasons.get(ticket_id, ("", now_s))
        return reason if now_s - heard_at_s <= self._kept_for_s else ""
