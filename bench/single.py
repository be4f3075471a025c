"""How fast is one version-1 upload over loopback, and how far from the floor (see floor.py)?

    python -m bench.upload --size-mib 1024 --rounds 5 --storage DIR --under uwsgi,gunicorn

Run from the root of the source tree. See README.md for what the figures mean.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.app import ScriptedApp
from tests.support.client import KIB
from tests.support.data import MIB, FileBytes
from tests.support.flood import Flood, warm_up
from tests.support.hosts import GunicornServer, UwsgiServer
from tests.support.server import RunningServer, new_upload

NS_PER_S = 1e9
MB = 1e6
WARM_UP_FACTOR = 1.25
HOSTS: dict[str, type[RunningServer]] = {"uwsgi": UwsgiServer, "gunicorn": GunicornServer}


@dataclass(frozen=True)
class Sample:
    """One upload: wall time and the server's CPU time."""

    size_bytes: int
    wall_s: float
    cpu_s: float

    @property
    def mb_per_s(self) -> float:
        """Million bytes a second."""
        return self.size_bytes / MB / self.wall_s

    @property
    def cpu_s_per_gib(self) -> float:
        """Seconds of CPU that the server spent on each GiB."""
        return self.cpu_s / self.size_bytes * 1024 * MIB


def cpu_s(pid: int) -> float:
    """Returns the CPU time of a process and of those that it has started, so far, in seconds."""
    processes = [pid, *_children(pid)]
    schedstats = [file for one in processes for file in Path(f"/proc/{one}/task").glob("*/schedstat")]
    return sum(int(schedstat.read_text().split()[0]) for schedstat in schedstats) / NS_PER_S


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [descendant for child in map(int, found) for descendant in (child, *_children(child))]


def timed(pid: int, size_bytes: int, run: Callable[[], None]) -> Sample:
    """Runs an upload and returns what it cost."""
    cpu_before_s, began_s = cpu_s(pid), time.perf_counter()
    run()
    wall_s = time.perf_counter() - began_s
    return Sample(size_bytes, wall_s, cpu_s(pid) - cpu_before_s)


def upload(server: RunningServer, app: ScriptedApp, size_bytes: int, chunk_size_kib: int) -> Sample:
    """Uploads by version 1; the clock runs from the MsgAck to the last MsgChunkAck."""
    ticket_id = new_upload(server, app.url)
    flood = Flood(server.url, ticket_id, size_bytes // (chunk_size_kib * KIB), chunk_size_kib)
    sample = timed(server.pid, flood.size_bytes, flood.run)
    flood.hear_result()
    assert app.deliveries[-1].id == ticket_id
    return sample


def floor(pid: int, port: int, storage_dir: Path, size_bytes: int) -> Sample:
    """Sends the same bytes to the floor."""
    file = storage_dir / "floor"
    block = FileBytes(512 * 1024).read(0, size_bytes)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"{file} {size_bytes}\n".encode())
        assert connection.recv(1) == b"+"

        def run() -> None:
            for _ in range(size_bytes // len(block)):
                connection.sendall(block)
            assert connection.recv(1) == b"."

        sample = timed(pid, size_bytes, run)
    assert file.stat().st_size == size_bytes
    file.unlink()
    return sample


def show(name: str, samples: list[Sample]) -> None:
    """Prints a line of the table: medians, and the best of each."""
    rates = [s.mb_per_s for s in samples]
    costs = [s.cpu_s_per_gib for s in samples]
    sys.stdout.write(
        f"{name:10} {statistics.median(rates):6.0f} {max(rates):6.0f} MB/s"
        f"   {statistics.median(costs):6.3f} {min(costs):6.3f} CPU s/GiB\n"
    )


def ratios(uploads: list[Sample], floors: list[Sample]) -> str:
    """Returns how uploads compare with the others of their own round: the machine is no constant."""
    pairs = list(zip(uploads, floors, strict=True))
    rate = statistics.median(u.mb_per_s / f.mb_per_s for u, f in pairs)
    cost = statistics.median(u.cpu_s_per_gib / f.cpu_s_per_gib for u, f in pairs)
    return f"{rate:.2f} of the speed, {cost:.2f} times the CPU"


def measure(servers: dict[str, RunningServer], app: ScriptedApp, options: argparse.Namespace) -> None:
    """Interleaves uploads and floors, and prints what came of it. The first round warms up everything."""
    command = [sys.executable, "-m", "bench.floor"]
    size_bytes = options.size_mib * MIB
    samples: dict[str, list[Sample]] = {name: [] for name in ("floor", *servers)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port = int(process.stdout.readline())
            for _ in range(1 + options.rounds):
                for name, server in servers.items():
                    warm_up(server.storage_dir, int(size_bytes * WARM_UP_FACTOR))
                    samples[name].append(upload(server, app, size_bytes, options.chunk_size_kib))
                warm_up(server.storage_dir, int(size_bytes * WARM_UP_FACTOR))
                samples["floor"].append(floor(process.pid, port, server.storage_dir, size_bytes))
        finally:
            process.terminate()
    sys.stdout.write(f"{'':10} median   best          median   best\n")
    for name, measured in samples.items():
        show(name, measured[1:])
    for name in servers:
        sys.stdout.write(f"{name} / floor: {ratios(samples[name][1:], samples['floor'][1:])}\n")
    for name in list(servers)[1:]:
        sys.stdout.write(f"{name} / run.py: {ratios(samples[name][1:], samples['run.py'][1:])}\n")


def main() -> None:
    """Reads the options, starts the server, measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=1024, help="size of each upload (default 1024)")
    parser.add_argument("--rounds", type=int, default=5, help="how many uploads are measured (default 5)")
    parser.add_argument("--storage", type=Path, help="a directory on the disk that is meant")
    parser.add_argument("--chunk-size-kib", type=int, default=512)
    parser.add_argument("--send-ahead", type=int, default=8)
    parser.add_argument("--fsync", action="store_true", help="sync at the handover (peers do not)")
    parser.add_argument("--under", default="", help="also under these, with a comma: uwsgi,gunicorn")
    options = parser.parse_args()
    settings: dict[str, Any] = {
        "chunk_size_kib": options.chunk_size_kib,
        "send_ahead": options.send_ahead,
        "fsync": "yes" if options.fsync else "no",
    }
    kinds: dict[str, type[RunningServer]] = {"run.py": RunningServer}
    kinds |= {name: HOSTS[name] for name in options.under.split(",") if name}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.storage)))
        app = stack.enter_context(ScriptedApp())
        app.hash_files = False
        servers = {
            name: stack.enter_context(kind((folder / name / "storage"), **settings))
            for name, kind in kinds.items()
        }
        measure(servers, app, options)


if __name__ == "__main__":
    main()
