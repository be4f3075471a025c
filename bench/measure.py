"""What a run costs: wall time, CPU time of the server's processes, and their peak memory."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.data import MIB

NS_PER_S: Final = 1e9
MB: Final = 1e6
GIB: Final = 1024 * MIB
RESET_PEAK: Final = "5"
"""Written to clear_refs, it resets the peak of the resident memory (proc(5))."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one server."""

    size_bytes: int
    wall_s: float
    cpu_s: float
    peak_mib: float
    finished_s: float = 0.0
    """The time until the app has the file; equal to `wall_s` for servers without a handover."""

    @property
    def mb_per_s(self) -> float:
        """The speed in millions of bytes a second."""
        return self.size_bytes / MB / self.wall_s

    @property
    def finished_mb_per_s(self) -> float:
        """The speed until the app has the file, in millions of bytes a second."""
        return self.size_bytes / MB / self.finished_s

    @property
    def cpu_s_per_gib(self) -> float:
        """The CPU time in seconds that the server used for each GiB."""
        return self.cpu_s / self.size_bytes * GIB


def figures_of(samples: Sequence[Sample]) -> dict[str, Figure]:
    """Returns the figures of a server: `mb_per_s`, `cpu_s_per_gib`, `peak_mib` and `finished_mb_per_s`."""
    names = ("mb_per_s", "cpu_s_per_gib", "peak_mib", "finished_mb_per_s")
    return {name: Figure.of([getattr(one, name) for one in samples]) for name in names}


def processes(pid: int) -> list[int]:
    """Returns a process and all that it has started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(descendant for child in map(int, found) for descendant in processes(child))]


def cpu_s(pid: int) -> float:
    """Returns the CPU time in seconds of a process and of all that it has started."""
    schedstats = [file for one in processes(pid) for file in Path(f"/proc/{one}/task").glob("*/schedstat")]
    return sum(int(schedstat.read_text().split()[0]) for schedstat in schedstats) / NS_PER_S


def reset_peak(pid: int) -> None:
    """Resets the peak of the memory."""
    for one in processes(pid):
        Path(f"/proc/{one}/clear_refs").write_text(RESET_PEAK)


def peak_mib(pid: int) -> float:
    """Returns the peak of the resident memory of all processes, in MiB."""
    return sum(_status_kib(one, "VmHWM") for one in processes(pid)) / 1024


def resident_mib(pid: int) -> float:
    """Returns the resident memory of all processes, in MiB."""
    return sum(_status_kib(one, "VmRSS") for one in processes(pid)) / 1024


def _status_kib(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def sha256(file: Path) -> str:
    """Returns the SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Figure:
    """The median, the least and the largest value of some runs."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Returns the figure of these runs."""
        return cls(statistics.median(values), min(values), max(values))
