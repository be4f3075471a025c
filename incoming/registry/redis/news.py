"""News of uploads for their claims, in all processes of a service: one channel that every instance hears.

Listeners of this process are told at once. For the others, one greenlet publishes and one reads the channel.
Redis keeps no message for an instance that is not connected. After such a gap `on_gap` is called, so that the
service looks at what its clients wait for.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from incoming.core.errors import IncomingError
from incoming.core.news import News
from incoming.registry import NewsListener, OthersListener
from incoming.registry.memory_news import MemoryNews
from incoming.registry.redis import scripts
from incoming.registry.redis.news_messages import Message, decode, encode
from incoming.runtime.base import Runtime, Task
from incoming.runtime.redis_connection import CALL_LIMIT_S, RedisConnection, Subscription

log = logging.getLogger(__name__)

MAX_WAITING_NEWS: Final = 10_000
"""How many messages wait while Redis does not answer. When there are more, the oldest are lost."""
MAX_PUBLISHED: Final = 100
RETRY_S: Final = 0.5
READ_WAIT_S: Final = 1.0
PUBLISH_WAIT_S: Final = 5.0


class RedisNews:
    """See registry.NewsChannel. `start` has to be called once."""

    def __init__(
        self,
        connection: RedisConnection,
        runtime: Runtime,
        instance: str,
        on_gap: Callable[[], object] = lambda: None,
    ) -> None:
        """`on_gap` is called, in a greenlet of its own, each time that news may have been missed."""
        self._connection = connection
        self._runtime = runtime
        self._instance = instance
        self.on_gap = on_gap
        self._local = MemoryNews(runtime)
        self._of_others: OthersListener = lambda *_: None
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING_NEWS)
        self._something_waits = runtime.signal()
        self._reader: Task | None = None
        self._closed = False
        self._is_published = runtime.signal()
        """Set when nothing is published any more."""
        self.is_connected = False
        """Whether the channel is subscribed at the moment."""

    def listen(self, ticket_id: str, token: str, listener: NewsListener) -> None:
        """See registry.NewsChannel."""
        self._local.listen(ticket_id, token, listener)

    def ignore(self, ticket_id: str, token: str) -> None:
        """See registry.NewsChannel."""
        self._local.ignore(ticket_id, token)

    def listen_to_others(self, listener: OthersListener) -> None:
        """See registry.NewsChannel."""
        self._of_others = listener

    def tell(self, ticket_id: str, news: News, token: str | None = None) -> None:
        """See registry.NewsChannel."""
        self._local.tell(ticket_id, news, token)
        if token is not None and self._local.hears(ticket_id, token):
            return  # a claim has one listener
        message = encode(Message(self._instance, ticket_id, token, news))
        if message is not None:
            self._waiting.append(message)
            self._something_waits.set()

    # --- the two greenlets -------------------------------------------------------------------------------

    def start(self) -> None:
        """Publishes and reads from now on, until `close`."""
        self._reader = self._runtime.spawn(self._read_all)
        self._runtime.spawn(self._publish_all)

    def close(self) -> None:
        """Ends both greenlets, and publishes what still waits if Redis is there."""
        reader, self._reader = self._reader, None
        if reader is None:
            return
        reader.kill(block=True)
        self._closed = True
        self._something_waits.set()
        self._is_published.wait(CALL_LIMIT_S)

    def _publish_all(self) -> None:
        while not self._closed:
            self._something_waits.wait(PUBLISH_WAIT_S)
            self._something_waits.clear()
            while self._waiting:
                if self._publish_some():
                    continue
                if self._closed:
                    break
                self._runtime.sleep(RETRY_S)
        self._is_published.set()

    def _publish_some(self) -> bool:
        """Publishes the oldest news. Returns False, and keeps them, if Redis does not answer."""
        batch = list(itertools.islice(self._waiting, MAX_PUBLISHED))
        try:
            self._connection.read_all([("PUBLISH", scripts.NEWS, message) for message in batch])
        except IncomingError:
            return False
        for message in batch:  # some may be lost already: newer ones have replaced them
            if self._waiting and self._waiting[0] is message:
                self._waiting.popleft()
        return True

    def _read_all(self) -> None:
        has_read = False
        while True:
            try:
                subscription = self._connection.subscribe(scripts.NEWS)
            except IncomingError:
                self._runtime.sleep(RETRY_S)
                continue
            if has_read:
                self._runtime.spawn(self.on_gap)
            has_read = True
            self._read(subscription)

    def _read(self, subscription: Subscription) -> None:
        """Passes news on until the subscription is cut."""
        self.is_connected = True
        try:
            while True:
                raw = subscription.next_message(READ_WAIT_S)
                if raw is not None:
                    self._hear(raw)
        except IncomingError as exc:
            log.warning("the news channel was cut: %(error)s", {"error": exc.__cause__ or "it is silent"})
        finally:
            self.is_connected = False
            subscription.close()

    def _hear(self, raw: bytes) -> None:
        message = decode(raw)
        if message and message.origin != self._instance:
            self._of_others(message.ticket_id, message.news)
            self._local.tell(message.ticket_id, message.news, message.token)
