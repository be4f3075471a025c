"""The service as the command line puts it together, in a directory and in a world of the test's own.

Journal, registry and storage are the real ones; only the call to the app is replaced (`FakeApp`), since a
real one would stop all greenlets of this process, which is not monkey-patched. The real call has tests of its
own (handover/test_http_client).
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from incoming.core.errors import UnknownTicket
from incoming.core.folder_manifest import Entry, encode_head
from incoming.core.lifecycle import Claim, State
from incoming.core.news import News
from incoming.core.stats import Counters
from incoming.core.ticket import Ticket
from incoming.core.units import MIB
from incoming.handover.callbacks import Callbacks
from incoming.http import parameters
from incoming.registry import NewsListener
from incoming.registry.journal import Journal, read
from incoming.registry.memory import MemoryRegistry
from incoming.registry.memory_leases import MemoryLeases
from incoming.registry.memory_news import MemoryNews
from incoming.runtime.base import ServiceClock
from incoming.settings.table import Settings
from incoming.storage import FreeSpace, Storage
from incoming.storage.choice import Storages
from incoming.storage.local.storage import DiskFacts, LocalStorage
from incoming.uploads.claims import ClaimedUpload, new_token
from incoming.uploads.context import UploadContext
from incoming.uploads.housekeeping import recover, require_power_cut_checks, sweep
from incoming.uploads.service import Uploads
from tests.support.fakes import FakeAnswer, FakeApp, FakeRuntime

TIMES: Final[dict[str, Any]] = {
    "idle_timeout_s": 100.0,
    "handover_retry_first_s": 1.0,
    "handover_retry_max_s": 8.0,
    "handover_retry_for_s": 100.0,
    "handover_wait_timeout_s": 50.0,
    "handover_wait_asks": 2,
    "result_retention_s": 30.0,
    "failed_retention_s": 200.0,
}
"""Settings whose times are told apart easily."""


FOLDER_FILES: Final = {"a/b.txt": b"content", "c": b"", "d/": b""}


def stream_of(files: Mapping[str, bytes], modified_ms: int | None = None) -> bytes:
    """Returns the stream of a folder with these files; a path that ends with `/` is an empty folder."""
    entries = [Entry(path, len(content), modified_ms) for path, content in files.items()]
    return encode_head(entries) + b"".join(files.values())


FOLDER_CONTENT: Final = stream_of(FOLDER_FILES)


def new_claim(
    length_bytes: int | None, name: str = "a", last_modified_ms: int = 0, proves: bool = False
) -> Claim:
    """Returns a claim with a token of its own."""
    return Claim(length_bytes, name, last_modified_ms, proves, new_token())


class Client:
    """One connection's side of the service: its claim, and the news that it heard."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.claim: ClaimedUpload

    @property
    def listener(self) -> NewsListener:
        """What the service tells the news to."""
        return self.news.append


class House:
    """The service in a directory. Another one in the same directory is the next process."""

    def __init__(
        self,
        directory: Path,
        app: FakeApp | None = None,
        runtime: FakeRuntime | None = None,
        boot_id: str = "first boot",
        **settings: Any,
    ) -> None:
        self.directory = directory
        self.boot_id = boot_id
        self.runtime = runtime or FakeRuntime()
        self.app = app or FakeApp()
        self.settings = Settings(**{"min_free_mib": 0, "reserve_ahead_mib": 1, "fsync": False, **settings})
        self.journal = Journal(directory / "journal", self.settings.fsync)
        self.context = self._make_context()
        with patch("incoming.uploads.outbox.HttpClient", lambda *_: self.app):
            self.uploads = Uploads(self.context)

    def _make_context(self) -> UploadContext:
        clock = ServiceClock(self.runtime.now_s, self.journal.read_clock())
        counters = Counters()
        registry = MemoryRegistry(self.journal, self.runtime, clock, counters, self.settings)
        return UploadContext(
            settings=self.settings,
            runtime=self.runtime,
            clock=clock,
            registry=registry,
            leases=MemoryLeases(),
            news=MemoryNews(self.runtime),
            storages=Storages(*self._make_storages()),
            callbacks=Callbacks(self.runtime, self.settings.handover_answer_timeout_s),
            counters=counters,
            boot_id=self.boot_id,
        )

    def _make_storages(self) -> tuple[Storage, ...]:
        return (self._make_storage(),)

    def _make_storage(self) -> Storage:
        reserve_bytes = self.settings.reserve_ahead_mib * MIB
        facts = DiskFacts(boot_id=self.boot_id, syncs=self.settings.fsync)
        return LocalStorage(self.directory / "data", reserve_bytes, self.runtime, facts)

    def after_a_kill(self) -> House:
        """Returns the next process, when it has taken up what this one left."""
        house = self.restarted()
        recover(house.uploads)
        house.runtime.settle()
        return house

    def pass_time(self, duration_s: float) -> None:
        """Lets the time pass, and sweeps after it."""
        self.runtime.advance(duration_s)
        sweep(self.uploads)
        self.runtime.settle()

    def restarted(self) -> House:
        """Returns the next process after a kill: it has what is on the disk, the app, and the settings."""
        return self._next_process(self.boot_id)

    def after_a_power_cut(self) -> House:
        """Returns the first process after a power cut, before anybody comes; nothing is taken up yet."""
        house = self._next_process(f"{self.boot_id}, and another")
        require_power_cut_checks(house.uploads, machine_has_run_on=False)
        return house

    def _next_process(self, boot_id: str) -> House:
        self.journal.write_clock(self.context.clock.now_s())
        settings = dataclasses.asdict(self.settings)
        return type(self)(self.directory, self.app, FakeRuntime(5.0), boot_id, **settings)

    def new_ticket(self, **request: str) -> str:
        """Returns the id of a new ticket, asked for with these parameters of the route."""
        asked = parameters.new_upload({"signalFinishURL": "http://app.example.org/finished", **request})
        return self.uploads.issue(asked).id

    def claim(self, ticket_id: str, length_bytes: int, name: str = "holiday.mov") -> Client:
        """Returns a client that holds the ticket."""
        client = Client()
        client.claim = self.uploads.claim(ticket_id, new_claim(length_bytes, name), client.listener)
        return client

    def paused(self, length_bytes: int, stored: bytes) -> str:
        """Returns the id of an upload of this length that has paused with these bytes."""
        ticket_id = self.new_ticket()
        client = self.claim(ticket_id, length_bytes)
        self.uploads.write(client.claim, memoryview(stored))
        self.uploads.release(client.claim)
        return ticket_id

    def arrive(self, ticket_id: str, content: bytes | None = None) -> Client:
        """Uploads the content, and returns when the app was called (if it answers at once)."""
        if content is None:
            content = FOLDER_CONTENT if self.ticket(ticket_id).is_folder else b"content"
        client = self.claim(ticket_id, len(content))
        self.uploads.write(client.claim, memoryview(content))
        self.uploads.complete(client.claim)
        self.runtime.settle()
        return client

    def journaled(self) -> list[Ticket]:
        """Returns the tickets as they stand in the journal."""
        return read(self.directory / "journal")

    def ticket(self, ticket_id: str) -> Ticket:
        """Returns the ticket as it is."""
        return self.context.registry.get(ticket_id)

    def state(self, ticket_id: str) -> State:
        """Returns the ticket's state."""
        return self.ticket(ticket_id).state

    def file(self, ticket_id: str) -> Path:
        """Returns where the upload's bytes are; of an unknown one, where they would be."""
        storages = self.context.storages
        try:
            storage = storages.of(self.ticket(ticket_id))
        except UnknownTicket:
            storage = storages.default
        return Path(storage.location(ticket_id))

    @contextlib.contextmanager
    def journal_broken(self) -> Iterator[None]:
        """Within it the journal can't be written: its directory is gone."""
        aside = self.directory / "journal-aside"
        shutil.move(self.directory / "journal", aside)
        try:
            yield
        finally:
            shutil.move(aside, self.directory / "journal")


def free_space(house: House) -> FreeSpace:
    """Returns what tells how much space is left."""
    found = house.context.storages.default.free_space
    assert found
    return found


def arrived(directory: Path, *answers: FakeAnswer, **request: str) -> tuple[House, str]:
    """Returns a house whose app was told that a file of `content` is there, and the ticket's id."""
    house = House(directory, FakeApp(*answers), **TIMES)
    ticket_id = house.new_ticket(**request)
    house.arrive(ticket_id)
    return house, ticket_id
