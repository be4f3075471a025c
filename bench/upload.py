"""How fast is one version-1 upload over loopback, and how far from the floor (see floor.py)?

    python -m bench.upload --size-mib 1024 --rounds 5 --storage DIR

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
from dataclasses import dataclass
from pathlib import Path

from tests.support.app import ScriptedApp
from tests.support.client import KIB
from tests.support.data import MIB, FileBytes
from tests.support.flood import Flood, warm_up
from tests.support.server import RunningServer, new_upload

NS_PER_S = 1e9
MB = 1e6
WARM_UP_FACTOR = 1.25


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
    """Returns the CPU time of all threads of a process so far, in seconds."""
    schedstats = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(schedstat.read_text().split()[0]) for schedstat in schedstats) / NS_PER_S


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


def show_ratios(uploads: list[Sample], floors: list[Sample]) -> None:
    """Prints how an upload compares with the floor of its own round: the machine is no constant."""
    pairs = list(zip(uploads, floors, strict=True))
    rate = statistics.median(u.mb_per_s / f.mb_per_s for u, f in pairs)
    cost = statistics.median(u.cpu_s_per_gib / f.cpu_s_per_gib for u, f in pairs)
    sys.stdout.write(f"upload / floor: {rate:.2f} of the speed, {cost:.2f} times the CPU\n")


def measure(
    server: RunningServer, app: ScriptedApp, size_bytes: int, rounds: int, chunk_size_kib: int
) -> None:
    """Interleaves uploads and floors, and prints what came of it. The first round warms up everything."""
    command = [sys.executable, "-m", "bench.floor"]
    uploads: list[Sample] = []
    floors: list[Sample] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port = int(process.stdout.readline())
            for _ in range(1 + rounds):
                warm_up(server.storage_dir, int(size_bytes * WARM_UP_FACTOR))
                uploads.append(upload(server, app, size_bytes, chunk_size_kib))
                warm_up(server.storage_dir, int(size_bytes * WARM_UP_FACTOR))
                floors.append(floor(process.pid, port, server.storage_dir, size_bytes))
        finally:
            process.terminate()
    sys.stdout.write(f"{'':10} median   best          median   best\n")
    show("upload", uploads[1:])
    show("floor", floors[1:])
    show_ratios(uploads[1:], floors[1:])


def main() -> None:
    """Reads the options, starts the server, measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=1024, help="size of each upload (default 1024)")
    parser.add_argument("--rounds", type=int, default=5, help="how many uploads are measured (default 5)")
    parser.add_argument("--storage", type=Path, help="a directory on the disk that is meant")
    parser.add_argument("--chunk-size-kib", type=int, default=512)
    parser.add_argument("--send-ahead", type=int, default=8)
    parser.add_argument("--fsync", action="store_true", help="sync at the handover (peers do not)")
    options = parser.parse_args()
    settings = {
        "chunk_size_kib": options.chunk_size_kib,
        "send_ahead": options.send_ahead,
        "fsync": "yes" if options.fsync else "no",
    }
    with (
        tempfile.TemporaryDirectory(dir=options.storage) as folder,
        ScriptedApp() as app,
        RunningServer(Path(folder) / "storage", **settings) as server,
    ):
        app.hash_files = False
        measure(server, app, options.size_mib * MIB, options.rounds, options.chunk_size_kib)


if __name__ == "__main__":
    main()
