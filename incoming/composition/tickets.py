"""Where this process keeps tickets, and the clock, the leases and the news that belong to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from incoming.composition.directory import OwnedDirectory
from incoming.core.stats import Counters
from incoming.registry import Leases, NewsChannel, Registry, Shares
from incoming.registry.journal import MODE, Journal
from incoming.registry.memory import MemoryRegistry
from incoming.registry.memory_leases import MemoryLeases
from incoming.registry.memory_news import MemoryNews
from incoming.runtime.base import Clock, Runtime, ServiceClock
from incoming.settings.table import Settings
from incoming.storage.local.probe import Findings, Need, probe

JOURNAL_NEEDS: Final = Need(
    MODE,
    closed_bits=0o077,
    if_open="Other users of this machine may read the secrets of all uploads.",
    renames=True,
)
RepeatNews = Callable[[bool], object]
"""See Uploads.repeat_news."""


class TicketStore(Protocol):
    """Opens and closes what keeps tickets: one implementation of each interface of `incoming.registry`."""

    @property
    def registry(self) -> Registry:
        """The tickets."""

    @property
    def leases(self) -> Leases:
        """Which claim holds which upload."""

    @property
    def news(self) -> NewsChannel:
        """What happens to uploads in other processes."""

    @property
    def clock(self) -> Clock:
        """The time of the service."""

    @property
    def shares(self) -> Shares | None:
        """What the uploads of a client's address lack; None where one process has all uploads."""

    def start(self, repeat_news: RepeatNews) -> None:
        """Starts the background tasks.

        `repeat_news` is called when news of other processes may have been lost.
        """

    def is_same_boot(self) -> bool:
        """Returns whether the machine has surely not rebooted since the last process wrote here."""

    def tick(self) -> float:
        """Lets the clock advance. Returns for how many seconds this process was paused before."""

    def keep_clock(self) -> None:
        """Stores the service's time. Raises StorageFull, StorageFailed."""

    def close(self) -> None:
        """Closes it properly. Raises StorageFull, StorageFailed; it is closed then, too."""


class JournalTickets:
    """Tickets in the memory of this process, with a journal in a directory that the process owns."""

    def __init__(
        self, directory: OwnedDirectory, settings: Settings, runtime: Runtime, counters: Counters
    ) -> None:
        """Reads the journal. Raises BadSetting, OSError."""
        folder = directory.path / "journal"
        self.found: Findings = probe(folder, replace(JOURNAL_NEEDS, syncs=settings.fsync))
        self._runtime = runtime
        self._journal = Journal(folder, settings.fsync, directory.lock.check)
        self.clock = ServiceClock(runtime.now_s, self._journal.read_clock())
        self.registry = MemoryRegistry(self._journal, runtime, self.clock, counters, settings)
        self.leases, self.news, self.shares = MemoryLeases(), MemoryNews(runtime), None

    def start(self, repeat_news: RepeatNews) -> None:
        """See TicketStore. Nothing has to run, and no news are lost."""

    def is_same_boot(self) -> bool:
        """See TicketStore."""
        return self._journal.is_same_boot()

    def tick(self) -> float:
        """See TicketStore."""
        return self.clock.tick()

    def keep_clock(self) -> None:
        """See TicketStore."""
        self._runtime.in_pool(self._journal.write_clock, self.clock.now_s())

    def close(self) -> None:
        """See TicketStore."""
        self._journal.close(self.clock.now_s())
