"""Where the bytes of uploads are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from incoming.composition.directory import OwnedDirectory
from incoming.composition.folder_bounds import folder_bounds
from incoming.core.units import MIB
from incoming.registry.clock import boot_id
from incoming.runtime.base import Runtime
from incoming.settings.table import Settings
from incoming.storage.local.directory import DIR_MODE
from incoming.storage.local.ownership import PASS
from incoming.storage.local.probe import Findings, Need, probe
from incoming.storage.local.storage import DiskFacts, LocalStorage

DATA_FOLDER: Final = "data"
DATA_NEEDS: Final = Need(
    DIR_MODE,
    closed_bits=0o006,
    kept_bits=PASS,
    if_open="Other users of this machine may read or change the files of all uploads.",
    open_bits=0o2070,
    if_closed="An app of another user may not be able to take its files from it.",
    stores=True,
)


def probe_data(directory: OwnedDirectory, settings: Settings) -> Findings:
    """Returns what the file system of the uploads can do. Raises BadSetting."""
    return probe(directory.path / DATA_FOLDER, replace(DATA_NEEDS, syncs=settings.fsync))


def local_storage(
    directory: OwnedDirectory, found: Findings, settings: Settings, runtime: Runtime
) -> LocalStorage:
    """Returns the storage in a directory whose file system was probed. Raises OSError."""
    facts = DiskFacts(
        found.tells_holes, found.counts_inodes, found.copies_on_write, boot_id(), settings.fsync,
        folder_bounds(settings),
    )  # fmt: skip
    reserve_bytes = settings.reserve_ahead_mib * MIB
    return LocalStorage(directory.path / DATA_FOLDER, reserve_bytes, runtime, facts, directory.lock)
