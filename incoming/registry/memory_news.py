"""News of uploads for their claims, inside one process."""

from __future__ import annotations

from incoming.core.news import News
from incoming.registry import NewsListener, OthersListener
from incoming.runtime.base import Runtime


class MemoryNews:
    """See registry.NewsChannel."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._listeners: dict[str, dict[str, NewsListener]] = {}

    def listen(self, ticket_id: str, token: str, listener: NewsListener) -> None:
        """See registry.NewsChannel."""
        self._listeners.setdefault(ticket_id, {})[token] = listener

    def ignore(self, ticket_id: str, token: str) -> None:
        """See registry.NewsChannel."""
        listeners = self._listeners.get(ticket_id, {})
        listeners.pop(token, None)
        if not listeners:
            self._listeners.pop(ticket_id, None)

    def listen_to_others(self, listener: OthersListener) -> None:
        """See registry.NewsChannel. There are no others."""

    def hears(self, ticket_id: str, token: str) -> bool:
        """Returns whether this claim has a listener here."""
        return token in self._listeners.get(ticket_id, {})

    def tell(self, ticket_id: str, news: News, token: str | None = None) -> None:
        """See registry.NewsChannel."""
        for of_token, listener in self._listeners.get(ticket_id, {}).items():
            if token in (None, of_token):
                self._runtime.spawn(listener, news)
