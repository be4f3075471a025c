"""Folders: files a second, from the start of the command until the app has the folder.

    python -m bench.folders --files 10000 --rounds 5 --storage DIR
    python -m bench.folders --files 100000 --rounds 1 --only folder
    python -m bench.folders --files 5000 --large-mib 2048 --only folder,file

`incoming send DIR` sends the folder as one upload: synced, with a checksum of each file, and with times set.
In addition, `incoming send FILE` sends one file with as many bytes. The others send each file by itself, and
sync nothing: tus-js-client to @tus/server, 20 files at a time as Uppy does, and u2c, copyparty's own client,
to copyparty. They have no app, so their clock stops when the client ends.

With `--large-mib`, the folder has one large file among the small ones, and the file is as large as that one.

No small file is removed between the runs. Where many were removed, ext4 makes new ones at a tenth of the
speed, for up to five minutes.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import measure, settings
from bench.disk_idle import wait_for_disk
from bench.measure import Figure
from bench.rivals import theirs
from bench.rivals.base import HERE, PYTHON
from bench.rivals.ours import Ours
from tests.support.data import MIB
from tests.support.flood import warm_memory
from tests.support.server import ROOT, new_upload
from tests.support.tools import program
from tests.support.trees import tree_of

SMALL_BYTES: Final = 10_000
FILES_OF_A_FOLDER: Final = 100
AT_ONCE: Final = "20"
"""How many uploads Uppy makes at a time."""
SAMPLE_EVERY_S: Final = 0.05
FOLDER: Final = "folder"
FILE: Final = "file"
LARGE: Final = "large"
"""The name of the large file."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: until the app has all, and the memory of the client and of the server."""

    wall_s: float
    client_cpu_s: float
    server_cpu_s: float
    client_mib: float
    server_mib: float


class Content:
    """What is sent: a folder, and one file with as many bytes. Each run sends other bytes."""

    def __init__(self, place: Path, files: int, large_mib: int) -> None:
        self.files = files + (large_mib > 0)
        self.folder, self.file = place / "folder", place / "file"
        self._small = [self.folder / f"{at // FILES_OF_A_FOLDER:04}" / f"{at:06}" for at in range(files)]
        self._stamp = 0
        for path in self._small:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(SMALL_BYTES))
        large = self.folder / f"{files // FILES_OF_A_FOLDER // 2:04}" / LARGE
        if large_mib:
            _write(large, large_mib * MIB)
            self.file.hardlink_to(large)
        else:
            _write(self.file, files * SMALL_BYTES)
        self.file_bytes = self.file.stat().st_size
        self.folder_bytes = files * SMALL_BYTES + large_mib * MIB

    def renew(self) -> None:
        """Changes each small file."""
        self._stamp += 1
        for number, path in enumerate(self._small):
            with path.open("r+b") as file:
                file.write(self._stamp.to_bytes(8) + number.to_bytes(8))


def _write(path: Path, size_bytes: int) -> None:
    block = os.urandom(MIB)
    with path.open("wb") as file:
        for _ in range(size_bytes // MIB):
            file.write(block)
        file.write(block[: size_bytes % MIB])


class Sent(Ours):
    """`incoming send` to our server."""

    title = "incoming send DIR"
    what: str = FOLDER

    def command(self, content: Content) -> list[str]:
        """Returns the command that uploads the content."""
        wants = {"destType": "folder"} if self.what == FOLDER else {}
        self.ticket_id = new_upload(self, self.app.url, **wants)
        path = content.folder if self.what == FOLDER else content.file
        options = ["--quiet", "--ticket", self.ticket_id, "--server", self.url]
        return [sys.executable, "-m", "incoming.commands.send", str(path), *options]

    def arrived(self) -> Path:
        """Returns what the app has."""
        return self.storage_dir / self.ticket_id


class SentFile(Sent):
    """One file with as many bytes."""

    title = "incoming send FILE, one file"
    what = FILE


class TusFolder(theirs.TusNode):
    """tus-js-client in Node.js."""

    title = "tus-js-client (20 at a time), @tus/server"

    def command(self, content: Content) -> list[str]:
        """Returns the command that uploads the content."""
        return [
            program("node"),
            str(HERE / "tus_folder.mjs"),
            str(content.folder),
            f"{self.url}/files",
            AT_ONCE,
        ]

    def arrived(self) -> Path:
        """Returns what is stored."""
        return self.files


class CopypartyFolder(theirs.Copyparty):
    """Its own client, with its usual options."""

    title = "u2c, copyparty"

    def command(self, content: Content) -> list[str]:
        """Returns the command that uploads the content."""
        self._number = next(self._numbers)
        return [str(PYTHON / "u2c"), "-ns", f"{self.url}/run-{self._number}/", str(content.folder)]

    def arrived(self) -> Path:
        """Returns what is stored."""
        return self.files / f"run-{self._number}"


Sender = Sent | TusFolder | CopypartyFolder
SENDERS: Final[dict[str, type[Sender]]] = {
    FOLDER: Sent, FILE: SentFile, "tus-js": TusFolder, "u2c": CopypartyFolder,
}  # fmt: skip


def one_run(sender: Sender, content: Content) -> Run:
    """Runs the command once, and checks what arrived. Raises AssertionError."""
    command = sender.command(content)
    server_before_s, client_before_s = measure.cpu_s(sender.pid), _cpu_of_ended_s()
    measure.reset_peak(sender.pid)
    with warm_memory(sender.storage_dir, content.folder_bytes):
        pass
    with tempfile.TemporaryFile() as stderr:
        began_s = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stderr)
        client_mib = _peak_mib_until_end(process)
        wall_s = time.perf_counter() - began_s
        stderr.seek(0)
        assert process.returncode == 0, stderr.read().decode()
    server_cpu_s = measure.cpu_s(sender.pid) - server_before_s
    client_cpu_s = _cpu_of_ended_s() - client_before_s
    run = Run(wall_s, client_cpu_s, server_cpu_s, client_mib, measure.peak_mib(sender.pid))
    check(sender, content)
    wait_for_disk(sender.storage_dir, sender.pid)
    return run


def _cpu_of_ended_s() -> float:
    """Returns the CPU time of all processes that this one has started, and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _peak_mib_until_end(process: subprocess.Popen[bytes]) -> float:
    """Waits until a process ends. Returns its peak memory in MiB, sampled every SAMPLE_EVERY_S."""
    peak_mib = 0.0
    while process.poll() is None:
        with suppress(OSError, RuntimeError):  # it may have just ended
            peak_mib = measure.peak_mib(process.pid)
        with suppress(subprocess.TimeoutExpired):
            process.wait(SAMPLE_EVERY_S)
    return peak_mib


def check(sender: Sender, content: Content) -> None:
    """Compares what arrived. Raises AssertionError."""
    if isinstance(sender, SentFile):
        assert measure.sha256(sender.arrived()) == measure.sha256(content.file)
        sender.arrived().unlink()
    elif isinstance(sender, Sent):
        assert tree_of(sender.arrived()) == tree_of(content.folder)
        for large in sender.arrived().rglob(LARGE):
            large.unlink()
    else:
        arrived = [path for path in sender.arrived().rglob("*") if path.stat().st_size == SMALL_BYTES]
        assert len(arrived) >= content.files


def run_all(names: Sequence[str], rounds: int, content: Content, storage: Path) -> dict[str, list[Run]]:
    """Returns the runs of each sender. They take turns in random order. The first round is a warm-up."""
    runs: dict[str, list[Run]] = {name: [] for name in names}
    with ExitStack() as stack:
        senders = {name: SENDERS[name](storage / name) for name in names}
        for sender in senders.values():
            stack.enter_context(sender)
        for number in range(rounds + 1):
            content.renew()
            for name in random.sample(list(names), len(names)):
                runs[name].append(one_run(senders[name], content))
                settings.progress(f"{name}: round {number} of {rounds}, {runs[name][-1].wall_s:.1f} s")
    return {name: measured[1:] or measured for name, measured in runs.items()}


def table(runs: Mapping[str, Sequence[Run]], content: Content) -> list[dict[str, Any]]:
    """Returns a row for each sender. `of_file`: the ratio of its bytes a second to those of the one file."""
    rows = []
    for name, measured in runs.items():
        sent_bytes = content.file_bytes if name == FILE else content.folder_bytes
        files = 1 if name == FILE else content.files
        row: dict[str, Any] = {
            "title": SENDERS[name].title,
            "files_per_s": Figure.of([files / run.wall_s for run in measured]),
            "mb_per_s": Figure.of([sent_bytes / measure.MB / run.wall_s for run in measured]),
            "client_us": statistics.median(run.client_cpu_s for run in measured) / files * 1e6,
            "server_us": statistics.median(run.server_cpu_s for run in measured) / files * 1e6,
            "client_mib": max(run.client_mib for run in measured),
            "server_mib": max(run.server_mib for run in measured),
        }
        if FILE in runs:
            pairs = zip(measured, runs[FILE], strict=True)
            of_file = sent_bytes / content.file_bytes
            row["of_file"] = statistics.median(of_file * other.wall_s / run.wall_s for run, other in pairs)
        rows.append(row)
    return rows


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the table."""
    line = "{:42} {:>22} {:>20} {:>8} {:>14} {:>12}\n"
    sys.stdout.write(
        line.format("", "files/s", "MB/s", "of file", "CPU us/file", "MiB")
        + line.format("", "", "", "", "client server", "client server")
    )
    for row in rows:
        files, rate = row["files_per_s"], row["mb_per_s"]
        spread = f"{files.median:,.0f} ({files.least:,.0f}-{files.most:,.0f})"
        rates = f"{rate.median:.0f} ({rate.least:.0f}-{rate.most:.0f})"
        cpu = f"{row['client_us']:.0f} {row['server_us']:.0f}"
        memory = f"{row['client_mib']:.0f} {row['server_mib']:.0f}"
        of_file = f"{row['of_file']:.2f}" if "of_file" in row else ""
        sys.stdout.write(line.format(row["title"], spread, rates, of_file, cpu, memory))


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000, help="how many small files (default: 10000)")
    parser.add_argument("--large-mib", type=int, default=0, help="the large file among them (default: none)")
    parser.add_argument("--rounds", type=int, default=settings.ROUNDS, help="how often each is measured")
    parser.add_argument("--storage", type=Path, help="a folder on the disk that matters")
    parser.add_argument("--only", default=",".join(SENDERS), help="which senders")
    options = parser.parse_args()
    with settings.storage(options.storage) as storage:
        content = Content(storage / "content", options.files, options.large_mib)
        show(table(run_all(options.only.split(","), options.rounds, content, storage), content))


if __name__ == "__main__":
    main()
