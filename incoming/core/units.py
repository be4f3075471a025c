"""Binary units, for the settings and limits whose names end with `_kib` or `_mib`."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
