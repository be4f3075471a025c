"""Tickets in a Redis. It needs redis-py: import this module only where a Redis is configured."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from incoming.composition import storage_note
from incoming.composition.tickets import RepeatNews
from incoming.core.errors import BadSetting, IncomingError
from incoming.core.stats import Counters
from incoming.registry.redis.check import check_server
from incoming.registry.redis.clock import RedisClock
from incoming.registry.redis.instances import LIFE_S, Instances, this_instance
from incoming.registry.redis.leases import RedisLeases
from incoming.registry.redis.news import RedisNews
from incoming.registry.redis.registry import RedisRegistry
from incoming.registry.redis.shares import RedisShares
from incoming.runtime import logs
from incoming.runtime.base import Runtime
from incoming.runtime.redis_address import parse_address
from incoming.runtime.redis_connection import open_redis
from incoming.settings.table import Settings

NOTE_KEY: Final = "incoming:place"
"""Has the note of where the files are: see storage_note."""
ENDPOINT_KEY: Final = "incoming:endpoint"
"""Has the note of the endpoint of S3."""
REPEAT_NEWS_S: Final = 10.0
REPEATS_FOR_ARRIVED: Final = 5
SHARE_LIFE: Final = 2
"""A share that nobody changes is remembered for this many times the life of a reservation."""
OTHERS: Final = (
    "another server, {name}, has the tickets in this Redis, and keeps their files in {before}. Several "
    "servers need the same S3 storage, and no storage_choice. One that was killed counts for {life_s:.0f} s"
)
UNUSABLE: Final = "the Redis at {redis} can't be used: {why}"


class RedisTickets:
    """Tickets in a Redis, which other processes may share."""

    def __init__(self, settings: Settings, runtime: Runtime, counters: Counters) -> None:
        """Connects to the Redis. Raises BadSetting, also when it does not answer."""
        self._settings = settings
        self._address = parse_address(settings.registry)
        own = this_instance(settings.instance)
        with self._usable():
            self.connection = open_redis(settings.registry, runtime, insecure=settings.redis_insecure)
            self.instances = Instances(self.connection, runtime, own)
            check_server(self.connection)
            self.clock = RedisClock(self.connection, runtime.now_s)
            self.instances.beat()
        self.registry = RedisRegistry(self.connection, runtime, self.clock, counters, settings)
        self.leases = RedisLeases(self.connection, own.id)
        self.news = RedisNews(self.connection, runtime, own.id)
        self._runtime = runtime
        self._repeat_news: Callable[[], object] = lambda: None
        share_life_s = SHARE_LIFE * settings.reservation_idle_s + LIFE_S
        self.shares = RedisShares(self.connection, own.id, share_life_s)

    def start(self, repeat_news: RepeatNews) -> None:
        """See TicketStore. News can be lost when a process is killed before it has sent them."""
        self.news.on_gap = self._repeat_news = partial(repeat_news, False)
        self._runtime.spawn(self._repeat_regularly, repeat_news)
        logs.name_instance(self.instances.own.name)
        self.news.start()
        self._runtime.spawn(self.instances.run)

    def _repeat_regularly(self, repeat_news: RepeatNews) -> None:
        """A client that waits for its app waits for nothing else, so it is looked at more often."""
        for number in itertools.count(1):
            self._runtime.sleep(REPEAT_NEWS_S / REPEATS_FOR_ARRIVED)
            repeat_news(number % REPEATS_FOR_ARRIVED != 0)

    def is_same_boot(self) -> bool:
        """See TicketStore. What other machines do does not matter here."""
        return True

    def tick(self) -> float:
        """See TicketStore. If this process was paused, others may have considered it dead."""
        stood_still_s = self.clock.tick()
        if stood_still_s > LIFE_S:
            self._runtime.spawn(self._repeat_news)
        return stood_still_s

    def keep_clock(self) -> None:
        """See TicketStore. Each tick has kept it."""

    def close(self) -> None:
        """See TicketStore."""
        self.news.close()
        try:
            self.instances.leave()
        finally:
            self.connection.close()

    def check_storages(self, where: str) -> str:
        """Notes where the files of these tickets are, and returns the note. Warns of another endpoint of S3.

        Raises BadSetting if they are elsewhere, and needed, or if another process has them elsewhere.
        """
        with self._usable():
            try:
                before = (self.connection.read("GET", NOTE_KEY) or b"").decode()
                self._check_others(before, where)
                note = storage_note.check_same(before, where, self.registry.tickets)
                self.connection.read("SET", NOTE_KEY, note)
                if self._settings.storage:
                    before = (self.connection.read("GET", ENDPOINT_KEY) or b"").decode()
                    endpoint, all_tickets = self._settings.s3_endpoint, self.registry.tickets
                    now = storage_note.check_endpoint(before, endpoint, note, all_tickets)
                    self.connection.read("SET", ENDPOINT_KEY, now)
            except BadSetting:
                self.instances.leave()  # it does not start: the next one may
                raise
        return note

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        """Turns an error of Redis inside the with-block into BadSetting, with its reason."""
        try:
            yield
        except BadSetting:
            raise
        except IncomingError as exc:
            why = UNUSABLE.format(redis=self._address, why=exc.__cause__ or exc)
            raise BadSetting("registry", why) from exc

    def _check_others(self, before: str, where: str) -> None:
        """Raises BadSetting if another living process has its files in other storages than this one.

        A directory belongs to one process, and a ticket may name any storage.
        """
        if storage_note.are_same(before, where):
            return
        others = [one.name for one in self.instances.living() if one.id != self.instances.own.id]
        if before and others:
            shown = " and ".join(map(storage_note.shown, before.splitlines()))
            raise BadSetting("registry", OTHERS.format(name=others[0], before=shown, life_s=LIFE_S))
