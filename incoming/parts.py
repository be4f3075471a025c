"""What the service is put together from; the command line makes the real ones, tests make their own."""

from __future__ import annotations

from dataclasses import dataclass

from incoming.config import Settings
from incoming.registry import Registry
from incoming.runtime import Runtime, ServiceClock
from incoming.storage import Storage


@dataclass(frozen=True, slots=True)
class Parts:
    """The settings, the world around, and the two seams: where tickets and bytes are kept."""

    settings: Settings
    runtime: Runtime
    clock: ServiceClock
    registry: Registry
    storage: Storage
