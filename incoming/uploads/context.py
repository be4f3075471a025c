"""What the service works with: the settings, and the seams that have other implementations elsewhere.

The composition root makes the real ones, tests make their own. Nothing here changes after the start. What an
upload leaves in memory belongs to the module that needs it.
"""

from __future__ import annotations

from dataclasses import dataclass

from incoming.core.stats import Counters
from incoming.handover.callbacks import Callbacks
from incoming.registry import Leases, NewsChannel, Registry, Shares
from incoming.runtime.base import Clock, Runtime
from incoming.settings.table import Settings
from incoming.storage.choice import Storages


@dataclass(frozen=True, slots=True)
class UploadContext:
    """The settings, the process with its clock, the tickets and the bytes, its callbacks and its counters.

    `boot_id` is another one each time that the machine starts, and empty where the system does not tell it.
    `shares` is None where one process has all uploads.
    """

    settings: Settings
    runtime: Runtime
    clock: Clock
    registry: Registry
    leases: Leases
    news: NewsChannel
    storages: Storages
    callbacks: Callbacks
    counters: Counters
    boot_id: str = ""
    shares: Shares | None = None
