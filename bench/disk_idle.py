"""Waits until a disk has discarded the files that a run has removed.

A file system that is mounted with `discard` tells the disk about removed files at its next commit, up to five
seconds later. Some hundred MB keep the disk busy for 100 ms. A run in which that happens would look slow.
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
"""How many syncs in a row have to be quick."""
PAUSE_S: Final = 0.005
PATIENCE_S: Final = 15.0
"""After this time a disk that is never quick is measured as it is."""


def wait_for_disk(folder: Path, pid: int) -> None:
    """Waits until the server with this pid removes no more files, and syncs in `folder` are quick."""
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
    """Returns whether a server has open files that were removed."""
    return any(_is_nameless(file) for one in processes(pid) for file in Path(f"/proc/{one}/fd").iterdir())


def _is_nameless(file: Path) -> bool:
    try:
        return file.readlink().name.endswith(" (deleted)")
    except FileNotFoundError:  # closed meanwhile
        return False
