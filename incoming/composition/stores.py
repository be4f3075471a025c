"""Opens the tickets and the files that the settings name, in any combination that can keep its promises.

| registry | storage | processes |
|---|---|---|
| a journal | a directory | one; both are in `storage_dir` |
| a journal | S3 | one; the journal and the list of stored parts are in `storage_dir` |
| Redis | a directory | one, which owns `storage_dir` |
| Redis | S3 | any number, on any number of machines |

With a `storage_choice` there are a directory and S3. One process owns the directory, so it is alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from incoming.composition import place
from incoming.composition.directory import OwnedDirectory
from incoming.composition.files import local_storage, probe_data
from incoming.composition.tickets import JournalTickets, TicketStore
from incoming.core.stats import Counters, StoreFigures
from incoming.runtime.base import Runtime
from incoming.settings.table import Settings
from incoming.storage import Storage
from incoming.storage.choice import LOCAL, S3, Storages
from incoming.storage.local.probe import Findings, unusable, warn
from incoming.uploads.cluster import Cluster, SingleProcess

if TYPE_CHECKING:
    from incoming.composition.redis_tickets import RedisTickets
    from incoming.storage.s3.storage import S3Storage


@dataclass(frozen=True, slots=True)
class Stores:
    """What was opened. `place` tells a person where uploads are stored."""

    tickets: TicketStore
    storages: Storages
    counters: Counters
    directory: OwnedDirectory | None
    place: str
    cluster: Cluster


def open_stores(settings: Settings, runtime: Runtime, undo: contextlib.ExitStack) -> Stores:
    """Opens all, and has `undo` release it. Raises StorageInUse, BadSetting."""
    counters = Counters()
    storage_dir = Path(settings.storage_dir).absolute()
    if settings.is_shared:
        place.check_drained(storage_dir)
        redis = _redis_tickets(settings, runtime, counters)
        storage = _s3_storage(settings, runtime, redis, None, undo)
        redis.check_place(settings.storage)
        shown, cluster = _shown(settings, redis), _cluster(redis, redis, storage.figures)
        return Stores(redis, Storages(storage), counters, None, shown, cluster)
    directory = OwnedDirectory(storage_dir, settings.wait_for_storage, runtime)
    undo.callback(directory.release)
    with unusable(storage_dir):
        return _in_directory(settings, runtime, counters, directory, undo)


def _in_directory(
    settings: Settings, runtime: Runtime, counters: Counters, directory: OwnedDirectory,
    undo: contextlib.ExitStack,
) -> Stores:  # fmt: skip
    """Opens what is in a directory, of which this process is the owner. Raises BadSetting, OSError."""
    found: list[Findings] = []
    if LOCAL in settings.storages:
        found.append(probe_data(directory, settings))
    redis: RedisTickets | None = None
    if settings.registry:
        place.check_drained(directory.path)
        redis = _redis_tickets(settings, runtime, counters)
        note = redis.check_place(_where(settings, f"{LOCAL} {place.directory_id(directory.path)}"))
        tickets: TicketStore = redis
    else:
        tickets = journal = JournalTickets(directory, settings, runtime, counters)
        found.append(journal.found)
        before = place.read_note(directory.path)
        note = place.check_same(before, _where(settings, LOCAL), journal.parts.registry.tickets)
        place.write_note(directory.path, note)
    warn(found)
    figures: list[Callable[[], StoreFigures]] = []
    opened: dict[str, Storage] = {}
    if LOCAL in settings.storages:
        opened[LOCAL] = local_storage(directory, found[0], settings, runtime)
    if S3 in settings.storages:
        opened[S3] = s3 = _s3_storage(settings, runtime, redis, directory, undo)
        figures.append(s3.figures)
    storages = Storages(*(opened[name] for name in settings.storages), nameless=place.nameless(note))
    if settings.fsync:
        directory.sync()
    shown, cluster = _shown(settings, redis, directory), _cluster(tickets, redis, *figures)
    return Stores(tickets, storages, counters, directory, shown, cluster)


def _where(settings: Settings, directory: str) -> str:
    """Returns the note of where files are; `directory` is its line for the directory."""
    lines = {LOCAL: directory, S3: settings.storage}
    return "\n".join(lines[name] for name in settings.storages)


def _redis_tickets(settings: Settings, runtime: Runtime, counters: Counters) -> RedisTickets:
    module = import_module("incoming.composition.redis_tickets")
    tickets: RedisTickets = module.RedisTickets(settings, runtime, counters)
    return tickets


def _s3_storage(
    settings: Settings, runtime: Runtime, redis: RedisTickets | None, directory: OwnedDirectory | None,
    undo: contextlib.ExitStack,
) -> S3Storage:  # fmt: skip
    module = import_module("incoming.composition.s3_files")
    storage: S3Storage = module.s3_storage(settings, runtime, redis, directory, undo)
    return storage


def _cluster(
    tickets: TicketStore, redis: RedisTickets | None, *figures: Callable[[], StoreFigures]
) -> Cluster:
    if redis is None:
        return SingleProcess(tickets.parts.leases, figures)
    module = import_module("incoming.composition.several_processes")
    shared: Cluster = module.SeveralProcesses(
        redis.instances, redis.leases, (redis.connection.figures, *figures)
    )
    return shared


def _shown(settings: Settings, redis: RedisTickets | None, directory: OwnedDirectory | None = None) -> str:
    places = {LOCAL: str(directory.path if directory else ""), S3: settings.storage}
    files = " and ".join(places[name] for name in settings.storages)
    return f"{files}, tickets in Redis at {redis.connection.address}" if redis else files
