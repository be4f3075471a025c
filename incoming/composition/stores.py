"""Opens the tickets and the files that the settings name, in any combination that can keep its promises.

| registry | storage | processes |
|---|---|---|
| a journal | a directory | one; both are in `storage_dir` |
| a journal | S3 | one; the journal and the list of stored parts are in `storage_dir` |
| Redis | a directory | one, which owns `storage_dir` |
| Redis | S3 | any number, on any number of machines |

With a `storage_choice` there are both a directory and S3. One process owns the directory: the only one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from incoming.composition import storage_note
from incoming.composition.directory import OwnedDirectory
from incoming.composition.files import local_storage, probe_data
from incoming.composition.tickets import JournalTickets, TicketStore
from incoming.core.stats import Counters, StoreFigures
from incoming.core.storage_kinds import LOCAL, S3, name_in
from incoming.runtime.base import Runtime
from incoming.settings.table import Settings
from incoming.storage import RemoteStorage, Storage
from incoming.storage.choice import Storages
from incoming.storage.local.probe import Findings, unusable, warn
from incoming.uploads.cluster import Cluster, SingleProcess

if TYPE_CHECKING:
    from incoming.composition.redis_tickets import RedisTickets


REMOTE: Final = {S3: ("incoming.composition.s3_files", "s3_storage")}
"""The module and the function that open each kind of storage with an address, see core.storage_kinds.

A module is imported only if the setting `storage` names its kind: it may need packages that are optional.
"""


@dataclass(frozen=True, slots=True)
class Stores:
    """What was opened. `location` tells a person where uploads are stored."""

    tickets: TicketStore
    storages: Storages
    counters: Counters
    directory: OwnedDirectory | None
    location: str
    cluster: Cluster


def open_stores(settings: Settings, runtime: Runtime, undo: contextlib.ExitStack) -> Stores:
    """Opens all, and has `undo` release it. Raises StorageInUse, BadSetting."""
    counters = Counters()
    storage_dir = Path(settings.storage_dir).absolute()
    if settings.is_shared:
        storage_note.check_drained(storage_dir)
        redis = _redis_tickets(settings, runtime, counters)
        storage = _remote_storage(settings, runtime, redis, None, undo)
        redis.check_storages(settings.storage)
        location, cluster = _location(settings, redis), _cluster(redis, redis, storage.figures)
        return Stores(redis, Storages(storage), counters, None, location, cluster)
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
        storage_note.check_drained(directory.path)
        redis = _redis_tickets(settings, runtime, counters)
        note = redis.check_storages(_note(settings, f"{LOCAL} {storage_note.directory_id(directory.path)}"))
        tickets: TicketStore = redis
    else:
        tickets = journal = JournalTickets(directory, settings, runtime, counters)
        found.append(journal.found)
        before = storage_note.read_note(directory.path)
        note = storage_note.check_same(before, _note(settings, LOCAL), journal.registry.tickets)
        storage_note.write_note(directory.path, note)
        if settings.storage:
            all_tickets = journal.registry.tickets
            storage_note.check_endpoint_in(directory.path, settings.s3_endpoint, note, all_tickets)
    warn(found)
    figures: list[Callable[[], StoreFigures]] = []
    opened: dict[str, Storage] = {}
    if LOCAL in settings.storages:
        opened[LOCAL] = local_storage(directory, found[0], settings, runtime)
    if settings.storage:
        remote = _remote_storage(settings, runtime, redis, directory, undo)
        opened[remote.name] = remote
        figures.append(remote.figures)
    storages = Storages(*(opened[name] for name in settings.storages), nameless=storage_note.nameless(note))
    if settings.fsync:
        directory.sync()
    location, cluster = _location(settings, redis, directory), _cluster(tickets, redis, *figures)
    return Stores(tickets, storages, counters, directory, location, cluster)


def _note(settings: Settings, directory: str) -> str:
    """Returns the note of where files are; `directory` is its line for the directory."""
    return "\n".join(directory if name == LOCAL else settings.storage for name in settings.storages)


def _redis_tickets(settings: Settings, runtime: Runtime, counters: Counters) -> RedisTickets:
    module = import_module("incoming.composition.redis_tickets")
    tickets: RedisTickets = module.RedisTickets(settings, runtime, counters)
    return tickets


def _remote_storage(
    settings: Settings, runtime: Runtime, redis: RedisTickets | None, directory: OwnedDirectory | None,
    undo: contextlib.ExitStack,
) -> RemoteStorage:  # fmt: skip
    """Opens what the setting `storage` names. Its metadata is in Redis, or else in the directory."""
    module, function = REMOTE[name_in(settings.storage)]
    storage: RemoteStorage = getattr(import_module(module), function)(
        settings, runtime, redis, directory, undo
    )
    return storage


def _cluster(
    tickets: TicketStore, redis: RedisTickets | None, *figures: Callable[[], StoreFigures]
) -> Cluster:
    if redis is None:
        return SingleProcess(tickets.leases, figures)
    module = import_module("incoming.composition.several_processes")
    shared: Cluster = module.SeveralProcesses(
        redis.instances, redis.leases, (redis.connection.figures, *figures)
    )
    return shared


def _location(settings: Settings, redis: RedisTickets | None, directory: OwnedDirectory | None = None) -> str:
    own = str(directory.path if directory else "")
    files = " and ".join(own if name == LOCAL else settings.storage for name in settings.storages)
    return f"{files}, tickets in Redis at {redis.connection.address}" if redis else files
