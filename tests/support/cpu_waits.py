"""How long something takes, without the time in which a busy machine let other programs work instead."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Final

NS_PER_S: Final = 1e9


def waits_for_a_cpu_s(process: int) -> dict[int, float]:
    """Returns for each thread of a process how long it was ready, and other programs had the CPUs."""
    waits_s: dict[int, float] = {}
    for task in Path(f"/proc/{process}/task").glob("*"):
        with contextlib.suppress(OSError):  # the thread has ended
            waits_s[int(task.name)] = int((task / "schedstat").read_text("ascii").split()[1]) / NS_PER_S
    return waits_s


class Stopwatch:
    """Measures what the calling thread does together with the main threads of other processes."""

    def __init__(self, *processes: int) -> None:
        """It starts at once. `processes`: the ids of the others."""
        self._threads = {process: process for process in processes}
        self._threads[os.getpid()] = threading.get_native_id()
        self._before_s = {process: waits_for_a_cpu_s(process) for process in self._threads}
        self._began_s = time.perf_counter()

    def worked_s(self) -> float:
        """Returns the seconds since the start, without the waits for a CPU.

        A thread waits, too, while another one of its process has the interpreter and waits for a CPU. It is
        not known which one had it. So the longest of these waits counts, and the result may be too short.
        """
        took_s = time.perf_counter() - self._began_s
        for process, thread in self._threads.items():
            before_s = self._before_s[process]
            waits_s = {
                one: wait_s - before_s.get(one, 0.0) for one, wait_s in waits_for_a_cpu_s(process).items()
            }
            took_s -= waits_s.pop(thread, 0.0) + max(waits_s.values(), default=0.0)
        return max(took_s, 0.0)
