"""Several instances of the service in one process: they share tickets, leases, news and a slow store.

An instance that was killed changes nothing any more, whatever its greenlets still try. Its leases are over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gevent

from incoming.core.news import News
from incoming.core.stats import Counters
from incoming.handover.callbacks import Callbacks
from incoming.registry import Leases, NewsListener, OthersListener, Registry
from incoming.registry.journal import Journal
from incoming.registry.memory import MemoryRegistry
from incoming.registry.memory_leases import MemoryLeases
from incoming.registry.memory_news import MemoryNews
from incoming.registry.redis.instances import Instances, this_instance
from incoming.registry.redis.leases import RedisLeases
from incoming.registry.redis.registry import RedisRegistry
from incoming.runtime.base import ServiceClock
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import open_redis
from incoming.settings.table import Settings
from incoming.storage import Storage
from incoming.storage.choice import Storages
from incoming.uploads.context import UploadContext
from incoming.uploads.housekeeping import sweep
from incoming.uploads.service import Uploads
from tests.support.fakes import FakeAnswer, FakeApp, FakeRuntime
from tests.support.redis_server import RedisServer
from tests.support.slow_storage import SlowStorage, SlowStore
from tests.support.uploads import TIMES, House


class Crash(gevent.GreenletExit):  # type: ignore[misc]
    """The instance is dead: no code of it gets any further."""


class World:
    """What all instances share."""

    def __init__(
        self, directory: Path, *answers: FakeAnswer, runtime: FakeRuntime | None = None, **settings: Any
    ) -> None:
        self.directory = directory
        self.runtime = runtime or FakeRuntime()
        self.settings = Settings(**{"min_free_mib": 0, "fsync": False, **TIMES, **settings})
        journal = Journal(directory / "journal", fsync=False)
        self.clock = ServiceClock(self.runtime.now_s, 0.0)
        self.registry: Registry = MemoryRegistry(journal, self.runtime, self.clock, Counters(), self.settings)
        self.leases = MemoryLeases()
        self.owners: dict[str, Instance] = {}
        """Which instance has made a token."""
        self.news = MemoryNews(self.runtime)
        self.heard_by: dict[Instance, OthersListener] = {}
        """What the instances do with the news of others."""
        self.store = SlowStore(self.runtime, put_s=0.0)
        self.answers = answers

    def leases_of(self, instance: Instance) -> Leases:
        """Returns the leases as an instance has them."""
        return InstanceLeases(instance)

    def bury(self, instance: Instance) -> None:
        """All instances know that this one is dead."""

    def unbury(self, instance: Instance) -> None:
        """All instances know that this one lives."""

    def pass_time(self, duration_s: float, *instances: Instance) -> None:
        """Lets the time pass, and has these instances sweep at once after it."""
        self.runtime.advance(duration_s)
        for instance in instances:
            self.runtime.spawn(sweep, instance.uploads)
        self.runtime.settle()


class RedisWorld(World):
    """What all instances share, with tickets and leases in a real Redis, which is emptied first.

    A call of it blocks this process, so it takes no time in the world of the test.
    """

    def __init__(self, directory: Path, redis: RedisServer, *answers: FakeAnswer, **settings: Any) -> None:
        super().__init__(directory, *answers, **settings)
        redis.client().flushall()
        self._connection = open_redis(redis.url, GeventRuntime())
        self.registry = RedisRegistry(self._connection, self.runtime, self.clock, Counters(), self.settings)
        self._known: dict[Instance, Instances] = {}

    def leases_of(self, instance: Instance) -> Leases:
        """See World. The instance lives, and beats once: nobody moves the clock in Redis on."""
        own = this_instance()
        self._known[instance] = Instances(self._connection, self.runtime, own)
        self._known[instance].beat()
        return RedisLeases(self._connection, own.id)

    def bury(self, instance: Instance) -> None:
        """See World."""
        self._known[instance].leave()

    def unbury(self, instance: Instance) -> None:
        """See World."""
        self._known[instance].beat()

    def close(self) -> None:
        """Ends the connections."""
        self._connection.close()


class Instance(House):
    """One instance: a House whose tickets, leases, news and store are those of a world."""

    def __init__(self, world: World, app: FakeApp | None = None) -> None:
        self.world = world
        self.is_dead = self.is_deaf = False
        self.calls_to_live: int | None = None
        """After so many calls over the network it is killed; None: it lives on."""
        self.after = False
        """Whether that last call still has its effect."""
        self.directory, self.runtime, self.settings = world.directory, world.runtime, world.settings
        self.boot_id = ""
        self.app = app or FakeApp(*world.answers)
        self.storage = SlowStorage(world.store)
        self.context = self._make_context()
        with patch("incoming.uploads.outbox.HttpClient", lambda *_: self.app):
            self.uploads = Uploads(self.context)

    def _make_context(self) -> UploadContext:
        return UploadContext(
            settings=self.settings,
            runtime=self.runtime,
            clock=self.world.clock,
            registry=Remote(self, self.world.registry),
            leases=Remote(self, self.world.leases_of(self)),
            news=InstanceNews(self),
            storages=Storages(self._make_storage()),
            callbacks=Callbacks(self.runtime, self.settings.handover_answer_timeout_s),
            counters=Counters(),
        )

    def _make_storage(self) -> Storage:
        return self.storage

    def die(self) -> None:
        """It is killed."""
        self.is_dead = True
        self.storage.die()
        self.world.bury(self)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Within it the instance does not run, and the others take it for dead."""
        self.is_dead = True
        self.world.bury(self)
        yield
        self.is_dead = False
        self.world.unbury(self)


class Remote:
    """What is asked over the network: others run meanwhile, and no call of a dead instance gets there."""

    def __init__(self, instance: Instance, target: object) -> None:
        self._instance = instance
        self._target = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            for _ in range(2):  # the question, and the answer
                gevent.sleep(0)
                if self._instance.is_dead:
                    raise Crash
            if self._instance.calls_to_live is not None:
                self._instance.calls_to_live -= 1
                if self._instance.calls_to_live < 0:
                    if self._instance.after:
                        found(*args, **kwargs)
                    self._instance.die()
                    raise Crash
            return found(*args, **kwargs)

        return call


class InstanceLeases:
    """See registry.Leases: a lease ends with its instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._leases = instance.world.leases
        self._owners = instance.world.owners

    def _is_over(self, token: str | None) -> bool:
        owner = self._owners.get(token or "")
        return owner is not None and owner.is_dead

    def take(self, ticket_id: str, token: str, until_s: float | None = None) -> str | None:
        """See registry.Leases."""
        self._owners[token] = self._instance
        before = self._leases.take(ticket_id, token, until_s)
        return None if self._is_over(before) else before

    def acquire(self, name: str, token: str, until_s: float, now_s: float) -> bool:
        """See registry.Leases."""
        holder = self._leases.holder(name)
        if holder and self._is_over(holder):
            self._leases.release(name, holder)
        self._owners.setdefault(token, self._instance)
        return self._leases.acquire(name, token, until_s, now_s)

    def renew(self, ticket_id: str, token: str, until_s: float) -> bool:
        """See registry.Leases."""
        return self._leases.renew(ticket_id, token, until_s)

    def release(self, ticket_id: str, token: str, expired_at_s: float | None = None) -> bool:
        """See registry.Leases."""
        return self._leases.release(ticket_id, token, None if self._is_over(token) else expired_at_s)

    def holder(self, ticket_id: str) -> str | None:
        """See registry.Leases."""
        holder = self._leases.holder(ticket_id)
        return None if self._is_over(holder) else holder

    def expired(self, now_s: float) -> Iterator[tuple[str, str]]:
        """See registry.Leases: its own, and those of the dead."""
        for ticket_id, token in list(self._leases._tokens.items()):
            if self._is_over(token):
                yield ticket_id, token
        for ticket_id, token in list(self._leases.expired(now_s)):
            if self._owners.get(token) is self._instance:
                yield ticket_id, token


class InstanceNews:
    """See registry.NewsChannel. A deaf instance is one whose subscription is lost."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._news = instance.world.news
        self._own: dict[tuple[str, str], NewsListener] = {}

    def listen(self, ticket_id: str, token: str, listener: NewsListener) -> None:
        """See registry.NewsChannel."""

        def hear(news: News) -> None:
            if not self._instance.is_dead and not self._instance.is_deaf:
                listener(news)

        self._news.listen(ticket_id, token, hear)

    def ignore(self, ticket_id: str, token: str) -> None:
        """See registry.NewsChannel."""
        self._news.ignore(ticket_id, token)

    def tell(self, ticket_id: str, news: News, token: str | None = None) -> None:
        """See registry.NewsChannel."""
        if self._instance.is_dead:
            return
        for instance, listener in self._instance.world.heard_by.items():
            if instance is not self._instance and not instance.is_dead and not instance.is_deaf:
                listener(ticket_id, news)
        self._news.tell(ticket_id, news, token)

    def listen_to_others(self, listener: OthersListener) -> None:
        """See registry.NewsChannel."""
        self._instance.world.heard_by[self._instance] = listener
