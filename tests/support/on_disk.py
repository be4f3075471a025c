"""Looks at files while a server or an app deletes them: a file that is gone counts as not there."""

from __future__ import annotations

import os
from pathlib import Path


def files_below(folder: Path) -> list[Path]:
    """Returns the files of a folder and of all folders in it. A folder that is deleted meanwhile has none."""
    return [Path(place, name) for place, _, names in os.walk(folder) for name in names]


def bytes_in(file: Path) -> int:
    """Returns the size of a file in bytes, or 0 if it does not exist."""
    status = _status(file)
    return status.st_size if status else 0


def disk_bytes_of(file: Path) -> int:
    """Returns how many bytes of the disk a file occupies, or 0 if it does not exist."""
    status = _status(file)
    return status.st_blocks * 512 if status else 0


def _status(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except FileNotFoundError:
        return None
