"""How long something takes, without the time in which a busy machine let other programs work instead."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

NS_PER_S: Final = 1e9


def waited_for_a_cpu_s(*processes: int) -> float:
    """Returns how long the threads of these processes were ready, and other programs had the CPUs.

    Each counts: one that holds the interpreter keeps the others waiting.
    """
    waited_ns = 0
    for process in processes:
        for stat in Path(f"/proc/{process}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # the thread has ended
                waited_ns += int(stat.read_text("ascii").split()[1])
    return waited_ns / NS_PER_S


class Stopwatch:
    """Measures what this process does together with others."""

    def __init__(self, *processes: int) -> None:
        """It starts at once. `processes`: the ids of the others."""
        self._processes = (os.getpid(), *processes)
        self._waited_s = waited_for_a_cpu_s(*self._processes)
        self._began_s = time.perf_counter()

    def worked_s(self) -> float:
        """Returns the seconds since the start, without the waits for a CPU."""
        took_s = time.perf_counter() - self._began_s
        return took_s - max(waited_for_a_cpu_s(*self._processes) - self._waited_s, 0.0)
