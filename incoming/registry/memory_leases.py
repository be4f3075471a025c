"""Who holds which upload, in the memory of one process."""

from __future__ import annotations

import heapq
from collections.abc import Iterator


class MemoryLeases:
    """See registry.Leases. A lease without a deadline takes one entry of a dict."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}
        self._until_s: dict[str, float] = {}
        self._by_deadline: list[tuple[float, str]] = []
        """A heap of deadlines and ids. An entry counts while `_until_s` has the same deadline."""
        self._acquired: dict[str, tuple[str, float]] = {}
        """The token and the deadline of each piece of work."""

    def take(self, ticket_id: str, token: str, until_s: float | None = None) -> str | None:
        """See registry.Leases."""
        before = self._tokens.get(ticket_id)
        self._tokens[ticket_id] = token
        self._until_s.pop(ticket_id, None)
        if until_s is not None:
            self._set_deadline(ticket_id, until_s)
        return before

    def acquire(self, name: str, token: str, until_s: float, now_s: float) -> bool:
        """See registry.Leases."""
        of_token, is_over_at_s = self._acquired.get(name, (token, until_s))
        if of_token != token and is_over_at_s > now_s:
            return False
        self._acquired[name] = token, until_s
        return True

    def renew(self, ticket_id: str, token: str, until_s: float) -> bool:
        """See registry.Leases. The heap learns of a later deadline only when the earlier one is over."""
        if ticket_id in self._acquired and self._acquired[ticket_id][0] == token:
            self._acquired[ticket_id] = token, max(self._acquired[ticket_id][1], until_s)
            return True
        if self._tokens.get(ticket_id) != token:
            return False
        if ticket_id not in self._until_s:
            return True
        self._until_s[ticket_id] = max(self._until_s[ticket_id], until_s)
        return True

    def release(self, ticket_id: str, token: str, expired_at_s: float | None = None) -> bool:
        """See registry.Leases."""
        if ticket_id in self._acquired and self._acquired[ticket_id][0] == token:
            return self._release_acquired(ticket_id, expired_at_s)
        if self._tokens.get(ticket_id) != token:
            return False
        if expired_at_s is not None and not self._is_over(ticket_id, expired_at_s):
            return False
        del self._tokens[ticket_id]
        self._until_s.pop(ticket_id, None)
        return True

    def _release_acquired(self, name: str, expired_at_s: float | None) -> bool:
        if expired_at_s is not None and self._acquired[name][1] > expired_at_s:
            return False
        del self._acquired[name]
        return True

    def holder(self, ticket_id: str) -> str | None:
        """See registry.Leases."""
        return self._tokens.get(ticket_id) or self._acquired.get(ticket_id, (None,))[0]

    def expired(self, now_s: float) -> Iterator[tuple[str, str]]:
        """See registry.Leases."""
        found: dict[str, str] = {}
        while self._by_deadline and self._by_deadline[0][0] <= now_s:
            _, ticket_id = heapq.heappop(self._by_deadline)
            until_s = self._until_s.get(ticket_id)
            if until_s is not None and until_s <= now_s:
                found[ticket_id] = self._tokens[ticket_id]
            elif until_s is not None:
                heapq.heappush(self._by_deadline, (until_s, ticket_id))
        for ticket_id in found:  # each stays until it is released
            heapq.heappush(self._by_deadline, (self._until_s[ticket_id], ticket_id))
        return iter(found.items())

    def _set_deadline(self, ticket_id: str, until_s: float) -> None:
        self._until_s[ticket_id] = until_s
        heapq.heappush(self._by_deadline, (until_s, ticket_id))

    def _is_over(self, ticket_id: str, now_s: float) -> bool:
        until_s = self._until_s.get(ticket_id)
        return until_s is not None and until_s <= now_s
