"""What an upload costs all processes of a browser: CPU time by kind of thread, and memory."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

NS_PER_S: Final = 1e9
WORKERS: Final = ("DedicatedWorker", "DOM Worker", "WebCore: Worker")
"""The names that Chromium, Firefox and WebKit give to the thread of a page's worker."""
DRIVERS: Final = ("chromedriver", "geckodriver", "WebKitWebDriver", "Xvfb")
LOOK_EVERY_S: Final = 0.25


def family(pid: int) -> Iterator[int]:
    """Yields a process and all that it has started."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue  # it has ended meanwhile
        for child in children:
            yield from family(int(child))


def _holds_pages(command: str) -> bool:
    last = command.rstrip().rpartition(" ")[2]
    return "--type=renderer" in command or "WebKitWebProcess" in command or last == "tab"


def kind_of(command: str, thread: str, is_first: bool) -> str:
    """Returns what a thread is: "page" (its scripts run there), "worker", "other" (browser's), or "driver".

    `command` is its process's, `thread` its name, `is_first` says whether it is the process's first one.
    """
    program = command.split(" ", 1)[0].rpartition("/")[2]
    if program.startswith(DRIVERS):
        return "driver"
    if _holds_pages(command) and is_first:
        return "page"
    return "worker" if thread in WORKERS else "other"


def cpu_by_thread(pid: int) -> dict[tuple[int, str], float]:
    """Returns the CPU time in seconds that each thread has used so far, by its id and kind."""
    spent: dict[tuple[int, str], float] = {}
    for member in family(pid):
        for task in Path(f"/proc/{member}/task").glob("*"):
            try:
                command = Path(f"/proc/{member}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                kind = kind_of(command, (task / "comm").read_text().rstrip("\n"), int(task.name) == member)
                spent[int(task.name), kind] = int((task / "schedstat").read_text().split()[0]) / NS_PER_S
            except OSError:
                continue  # it has ended meanwhile
    return spent


def cpu_since(before: Mapping[tuple[int, str], float], pid: int) -> defaultdict[str, float]:
    """Returns the CPU time in seconds of each kind of thread since then, without threads that have ended."""
    sums: defaultdict[str, float] = defaultdict(float)
    for thread, seconds in cpu_by_thread(pid).items():
        sums[thread[1]] += seconds - before.get(thread, 0.0)
    return sums


def resident_mib(pid: int) -> float:
    """Returns the memory of a browser's processes. Shared pages count once (PSS)."""
    total_kib = 0
    for member in family(pid):
        try:
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue  # it has ended meanwhile
        total_kib += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total_kib / 1024


class PeakMemory:
    """Measures the browser's memory four times a second, in a thread of its own."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self.before_mib = self.peak_mib = resident_mib(pid)
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def grown_mib(self) -> float:
        """The largest growth so far."""
        return self.peak_mib - self.before_mib

    def _watch(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            self.peak_mib = max(self.peak_mib, resident_mib(self._pid))
