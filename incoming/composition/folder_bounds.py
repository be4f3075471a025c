"""How large the list of a folder's files may be, by the settings."""

from __future__ import annotations

from incoming.core.folder_manifest import Bounds
from incoming.core.units import MIB
from incoming.settings.table import Settings


def folder_bounds(settings: Settings) -> Bounds:
    """Returns the bounds for every storage."""
    return Bounds(settings.max_folder_entries, settings.max_folder_manifest_mib * MIB)
