"""Waits until a disk has done what a run has left to it: discarding what was removed.

A filesystem that is mounted with `discard` tells the disk of removed files with its next commit, up to five
seconds later; some hundred MB keep this one away for 100 ms, and the run in which that happens looks slow.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.measure import processes
from incoming.registry.append_log import sync_directory

QUICK_S: Final = 0.005
QUICK_SYNCS: Final = 20
"""So many syncs in a row have to be quick."""
PAUSE_S: Final = 0.005
PATIENCE_S: Final = 15.0
"""A disk that is never quick is measured as it is."""


def wait_for_disk(folder: Path, pid: int) -> None:
    """Returns when a server with this pid removes nothing any more, and syncs in `folder` are quick."""
    give_up_s = time.monotonic() + PATIENCE_S
    while _removes(pid) and time.monotonic() < give_up_s:
        time.sleep(0.05)
    sync_directory(folder)
    quick = 0
    with tempfile.TemporaryFile(dir=folder) as file:
        while quick < QUICK_SYNCS and time.monotonic() < give_up_s:
            quick = quick + 1 if _sync_s(file.fileno()) < QUICK_S else 0
            time.sleep(PAUSE_S)


def _sync_s(fd: int) -> float:
    began_s = time.perf_counter()
    os.pwrite(fd, b"?" * 4096, 0)
    os.fdatasync(fd)
    return time.perf_counter() - began_s


def _removes(pid: int) -> bool:
    """Returns whether a server has files open that have no name any more."""
    return any(_is_nameless(file) for one in processes(pid) for file in Path(f"/proc/{one}/fd").iterdir())


def _is_nameless(file: Path) -> bool:
    try:
        return file.readlink().name.endswith(" (deleted)")
    except FileNotFoundError:  # closed meanwhile
        return False
