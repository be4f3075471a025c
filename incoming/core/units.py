"""Units of sizes and times. Settings and limits that end with `_kib` or `_mib` are in binary units."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
NS_PER_MS: Final = 1_000_000
_DECIMAL: Final = ("B", "kB", "MB", "GB", "TB", "PB")
"""Units of 1,000: the ones that people know from their disks and networks."""


def readable_size(size_bytes: float) -> str:
    """Returns 999 as `999 B` and 1234567 as `1.23 MB`: three significant digits, for people."""
    unit = 0
    while size_bytes >= 999.5 and unit < len(_DECIMAL) - 1:
        size_bytes, unit = size_bytes / 1000, unit + 1
    digits = 0 if not unit or size_bytes >= 99.95 else 1 if size_bytes >= 9.995 else 2
    return f"{size_bytes:.{digits}f} {_DECIMAL[unit]}"
