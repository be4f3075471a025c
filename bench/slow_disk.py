"""A disk that is much slower than the network: its effect on other requests and on memory.

    python -m bench.slow_disk --mb-per-s 20 --size-mib 128

One client uploads as fast as it can. Others ask for `incoming.js` and tickets, and upload small files
meanwhile. The disk is an ext4 file system in a file, mounted with `-o sync`, so that write(2) itself waits.
The kernel throttles the server's writes to it (cgroup v1, blkio). That needs root. There are two runs: one
with only the bytes of uploads on that disk, and one with all of the server's storage.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from bench import content, load, settings
from bench import measure as figures
from bench.keep_alive import KeepAliveConnection, new_ticket
from bench.quick_app import quick_app
from bench.rivals.base import run
from bench.small import OursWithoutFsync
from tests.support.data import MIB

BLKIO: Final = Path("/sys/fs/cgroup/blkio")
ASK_EVERY_S: Final = 0.02
LAG: Final = re.compile(r'^incoming_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.M)
FAR_AHEAD_BYTES: Final = 1 << 60


@contextmanager
def slow_disk(folder: Path, size_mib: int, mb_per_s: int) -> Iterator[tuple[Path, Path]]:
    """Yields a mounted file system, and the cgroup whose processes write to it at this speed at most."""
    image, mounted = folder / "slow.img", folder / "slow"
    group = BLKIO / f"incoming-bench-{os.getpid()}"
    with image.open("wb") as file:
        file.truncate(size_mib * MIB)
    mounted.mkdir()
    run("mkfs.ext4", "-q", "-F", image)
    run("mount", "-o", "loop,sync", image, mounted)
    try:
        device = mounted.stat().st_dev
        group.mkdir()
        limit = f"{os.major(device)}:{os.minor(device)} {int(mb_per_s * figures.MB)}"
        (group / "blkio.throttle.write_bps_device").write_text(limit)
        yield mounted, group
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()
        run("umount", "-l", mounted)


class Asking:
    """Repeats one request in a thread of its own, and records how long each answer took."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._over = threading.Event()
        self._took_s: list[float] = []
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()
        if self._failed:
            raise self._failed[0]

    def _run(self) -> None:
        try:
            while not self._over.wait(ASK_EVERY_S):
                began_s = time.perf_counter()
                self._ask()
                self._took_s.append(time.perf_counter() - began_s)
        except BaseException as exc:
            self._failed.append(exc)

    def figures(self) -> dict[str, float]:
        """Returns the count and, in ms, median, 99th percentile and the longest."""
        took_ms = sorted(took_s * 1000 for took_s in self._took_s)
        assert took_ms, "not one answer came"
        p50, p99 = (took_ms[int(len(took_ms) * share)] for share in (0.5, 0.99))
        return {"count": len(took_ms), "p50_ms": p50, "p99_ms": p99, "max_ms": took_ms[-1]}


class Watched(load.V2):
    """An upload that records how far it was ahead. A greedy one ignores the window."""

    most_ahead_bytes = 0
    greedy = False

    def next_pieces(self) -> Sequence[content.Piece]:
        """See load.Upload."""
        if self.greedy:
            self._window_bytes = FAR_AHEAD_BYTES
        ahead_bytes = self.client.sent_bytes - self.client.stored_bytes
        self.most_ahead_bytes = max(self.most_ahead_bytes, ahead_bytes)
        return super().next_pieces()


class Greedy(Watched):
    """A greedy client is limited by TCP only."""

    greedy = True


def lag_counts(connection: KeepAliveConnection) -> dict[str, float]:
    """Returns how many timers of the loop were no later than each limit in seconds."""
    text = connection.ask("GET /incoming/metrics")[1].decode()
    return {limit: float(count) for limit, count in LAG.findall(text)}


def late_share(before: Mapping[str, float], after: Mapping[str, float], limit_s: str) -> float:
    """Returns the share of timers that were later than this."""
    counts = {limit: count - before.get(limit, 0.0) for limit, count in after.items()}
    return 1.0 - counts[limit_s] / max(counts["+Inf"], 1.0)


def _upload(server: OursWithoutFsync, app_url: str, kind: type[Watched], size_bytes: int) -> dict[str, Any]:
    """Uploads as fast as possible, and makes other requests meanwhile."""
    with ExitStack() as stack:
        keepers = [stack.enter_context(KeepAliveConnection(server.port)) for _ in range(4)]
        upload = kind(server.url, new_ticket(keepers[3], app_url), size_bytes)
        asked = {
            "incoming.js": lambda: keepers[0].ask("GET /incoming/frontend/incoming.js"),
            "tickets": lambda: new_ticket(keepers[1], app_url),
            "small files": lambda: server.upload(keepers[2]),
        }
        before, resident_mib = lag_counts(keepers[3]), figures.resident_mib(server.pid)
        figures.reset_peak(server.pid)
        began_s = time.perf_counter()
        with ExitStack() as meanwhile:
            asking = {name: meanwhile.enter_context(Asking(ask)) for name, ask in asked.items()}
            for _ in load.flat_out([upload]):
                pass
        wall_s = time.perf_counter() - began_s
        after = lag_counts(keepers[3])
        upload.receive_result()
        upload.socket.close()
    return {
        "mb_per_s": size_bytes / figures.MB / wall_s,
        "window_mib": upload.client.conf["MaxWindowBytes"] / MIB,
        "most_ahead_mib": upload.most_ahead_bytes / MIB,
        "memory_grown_mib": figures.peak_mib(server.pid) - resident_mib,
        "late_10_ms": late_share(before, after, "0.01"),
        "late_50_ms": late_share(before, after, "0.05"),
        "asked": {name: one.figures() for name, one in asking.items()},
    }


def _on_slow_disk(all_of_it: bool, mb_per_s: int, size_bytes: int, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    room_mib = 2 * size_bytes // MIB + 600
    with slow_disk(folder, room_mib, mb_per_s) as (mounted, group), quick_app() as app_url:
        storage = mounted / "storage" if all_of_it else folder / "storage"
        if not all_of_it:
            storage.mkdir()
            (mounted / "data").mkdir()
            (storage / "data").symlink_to(mounted / "data")
        with OursWithoutFsync(storage, app_url) as server:
            (group / "cgroup.procs").write_text(str(server.pid))
            return {
                "on_it": "data and journal" if all_of_it else "data",
                "polite": _upload(server, app_url, Watched, size_bytes),
                "greedy": _upload(server, app_url, Greedy, size_bytes),
            }


def measure(mb_per_s: int, size_bytes: int, storage: Path) -> dict[str, Any]:
    """Returns plain data: `disk_mb_per_s`, and `runs`, each with what lies `on_it`, `polite` and `greedy`.

    `polite` is a client that keeps to its window, `greedy` one that does not: of each `mb_per_s`,
    `window_mib`, `most_ahead_mib` (sent and not acknowledged), `memory_grown_mib` of the server, `late_10_ms`
    and `late_50_ms` (the share of the loop's timers that were later than this), and `asked`: for each thing
    that was asked for meanwhile `count`, `p50_ms`, `p99_ms`, `max_ms`. `skipped` instead of all: why it can't
    be measured here.
    """
    if os.geteuid() or not (BLKIO / "blkio.throttle.write_bps_device").exists():
        return {"skipped": "needs root, and the blkio controller of cgroup v1"}
    runs = []
    for number, all_of_it in enumerate((False, True)):
        settings.progress("everything on a slow disk" if all_of_it else "data on a slow disk")
        runs.append(_on_slow_disk(all_of_it, mb_per_s, size_bytes, storage / str(number)))
    return {"disk_mb_per_s": mb_per_s, "runs": runs}


def show(found: Mapping[str, Any]) -> None:
    """Prints what was found."""
    if "skipped" in found:
        sys.stdout.write(f"{found['skipped']}\n")
        return
    for run_ in found["runs"]:
        for kind in ("polite", "greedy"):
            one = run_[kind]
            sys.stdout.write(
                f"{run_['on_it']} on a disk of {found['disk_mb_per_s']} MB/s, {kind} client: "
                f"{one['mb_per_s']:.0f} MB/s,\n"
                f"  {one['most_ahead_mib']:.0f} MiB ahead (window {one['window_mib']:.0f}), server's memory "
                f"+{one['memory_grown_mib']:.0f} MiB, loop later than 10 ms: {one['late_10_ms']:.1%}, "
                f"50 ms: {one['late_50_ms']:.1%}\n"
            )
            for name, asked in one["asked"].items():
                times = (f"{key} {asked[f'{key}_ms']:.1f} ms" for key in ("p50", "p99", "max"))
                sys.stdout.write(f"  {name:12} {asked['count']:5} times: {', '.join(times)}\n")


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mb-per-s", type=int, default=20, help="how fast the disk is (default: 20)")
    parser.add_argument("--size-mib", type=int, default=128, help="how large the upload is (default: 128)")
    parser.add_argument("--storage", type=Path, help="where the disk's file lies (default: a temporary one)")
    options = parser.parse_args()
    with settings.storage(options.storage) as storage:
        show(measure(options.mb_per_s, options.size_mib * MIB, storage))


if __name__ == "__main__":
    main()
