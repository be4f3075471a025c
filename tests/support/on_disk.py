"""Looks at files while a server or an app deletes them: a file that is gone counts as not there."""

from __future__ import annotations

import os
from pathlib import Path


def files_below(folder: Path) -> list[Path]:
    """Returns the files of a folder and of all folders in it. A folder that is deleted meanwhile has none."""
    return [Path(place, name) for place, _, names in os.walk(folder) for name in names]


def bytes_in(file: Path) -> int:
    """Returns the size of a file; 0 if there is none."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def disk_bytes_of(file: Path) -> int:
    """Returns how much of the disk a file takes; 0 if there is none."""
    try:
        return file.stat().st_blocks * 512
    except FileNotFoundError:
        return 0
