"""Many uploads at once: their total speed, the share of each, and the answers to small requests meanwhile.

    python -m bench.many --counts 1,4,16,64,256 --total-mib 1024 --only v2,floor-gevent

All uploads send as fast as they can. Shares are measured when the first upload is stored, because all of them
run until then.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import requests

from bench import content, load, measure, settings
from bench.disk_idle import wait_for_disk
from bench.rivals.base import Rival
from bench.rivals.ours import Ours, OursV1
from bench.rivals.theirs import FloorGevent
from bench.single import WARM_UP_FACTOR
from tests.support.data import MIB
from tests.support.flood import warm_memory

COUNTS: Final = (1, 4, 16, 64, 256)
SERVERS: Final[dict[str, type[Rival]]] = {"v1": OursV1, "v2": Ours, "floor-gevent": FloorGevent}
MIN_MIB: Final = 4
"""The smallest upload. It needs several chunks, or its share could not be measured."""
FLOOR: Final = "floor-gevent"
Run = dict[str, float]
TIMES: Final = ("library_p50_ms", "library_p99_ms", "ticket_p99_ms", "lag_p99_ms")
LAG_BUCKET: Final = re.compile(r'incoming_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)')


def percentile(values: Sequence[float], percent: float) -> float:
    """Returns a percentile of these values."""
    ordered = sorted(values)
    return ordered[min(math.ceil(len(ordered) * percent / 100), len(ordered)) - 1]


@contextmanager
def probing(server: Ours) -> Iterator[dict[str, list[float]]]:
    """Makes small requests meanwhile. The dict that it yields is filled at the end."""
    times_ms: dict[str, list[float]] = {}
    command = [sys.executable, "-m", "bench.prober", server.url]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        yield times_ms
        said, _ = process.communicate("\n")
    times_ms |= json.loads(said)


def lag_counts(server: Ours) -> dict[float, float]:
    """Returns {seconds: how often a timer was no later than that}, so far."""
    text = requests.get(f"{server.url}/incoming/metrics", timeout=30).text
    return {float(limit): float(count) for limit, count in LAG_BUCKET.findall(text)}


def lag_ms(before: dict[float, float], after: dict[float, float], percent: float) -> float:
    """Returns a percentile of the timers' delays: the upper end of its bucket."""
    total = after[math.inf] - before[math.inf]
    wanted = total * percent / 100
    return min(limit for limit in after if after[limit] - before[limit] >= wanted) * 1000


def one_run(server: Rival, count: int, total_mib: int) -> Run:
    """Uploads `count` files at once. Returns plain numbers; see `measure_all`."""
    size_bytes = max(total_mib // count, MIN_MIB) * MIB
    total_bytes = size_bytes * count
    with warm_memory(server.storage_dir, int(total_bytes * WARM_UP_FACTOR)):
        uploads = [server.upload(size_bytes) for _ in range(count)]
    measure.reset_peak(server.pid)
    with asking(server) as asked:
        began_s, cpu_before_s = time.perf_counter(), measure.cpu_s(server.pid)
        shares: list[int] = []
        for _ in load.flat_out(uploads):
            shares = shares or [server.stored_bytes(one) for one in uploads]
        wall_s, cpu_s = time.perf_counter() - began_s, measure.cpu_s(server.pid) - cpu_before_s
    peak_mib = measure.peak_mib(server.pid)
    for upload in uploads:
        server.check_and_remove(upload, content.file_sha256(size_bytes))
    wait_for_disk(server.storage_dir, server.pid)
    if asked:
        asked["least_share"] = min(shares) / statistics.mean(shares)
    return {
        "mb_per_s": total_bytes / measure.MB / wall_s,
        "cpu_s_per_gib": cpu_s / total_bytes * measure.GIB,
        "peak_mib": peak_mib,
        **asked,
    }


@contextmanager
def asking(server: Rival) -> Iterator[Run]:
    """Makes small requests to a server of ours meanwhile. A minimal server does not answer them."""
    figures: Run = {}
    if not isinstance(server, Ours):
        yield figures
        return
    lag_before = lag_counts(server)
    with probing(server) as times_ms:
        time.sleep(0.3)  # the prober starts first
        yield figures
    figures |= {
        "library_p50_ms": percentile(times_ms["library"], 50),
        "library_p99_ms": percentile(times_ms["library"], 99),
        "ticket_p99_ms": percentile(times_ms["ticket"], 99),
        "lag_p99_ms": lag_ms(lag_before, lag_counts(server), 99),
    }


def measure_all(
    names: Sequence[str], counts: Sequence[int], total_mib: int, rounds: int, storage: Path
) -> list[dict[str, Any]]:
    """Returns a row for each server and count: the medians of the runs, in which the servers took turns.

    Rates in MB/s, times in ms, memory in MiB; `least_share` is of the fair one, `of_one` the sum in ratio to
    a single upload of the same round, `of_floor` in ratio to as many uploads to the floor.
    """
    runs: dict[tuple[str, int], list[Run]] = {(name, count): [] for name in names for count in counts}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(SERVERS[name](storage / name)) for name in names}
        for number in range(1 + rounds):
            for count in counts:
                for name in random.sample(names, len(names)):
                    run = one_run(servers[name], count, total_mib)
                    settings.progress(f"{name}: {count} at once, round {number} of {rounds}")
                    runs[name, count] += [run] if number else []
    return [_row(name, count, counts[0], runs) for name in names for count in counts]


def _row(name: str, count: int, least: int, runs: Mapping[tuple[str, int], list[Run]]) -> dict[str, Any]:
    mine = runs[name, count]
    row: dict[str, Any] = {"name": name, "count": count}
    row |= {key: statistics.median(one[key] for one in mine) for key in mine[0]}
    for key, others in (("of_one", runs[name, least]), ("of_floor", runs.get((FLOOR, count), []))):
        if others:
            pairs = zip(mine, others, strict=True)
            row[key] = statistics.median(one["mb_per_s"] / other["mb_per_s"] for one, other in pairs)
    return row


def show(rows: Iterable[dict[str, Any]]) -> None:
    """Prints the table."""
    keys = ("mb_per_s", "of_one", "of_floor", "least_share", *TIMES, "peak_mib")
    sys.stdout.write("".join(f"{title:>16}" for title in ("", "at once", *keys)) + "\n")
    for row in rows:
        figures = "".join(f"{row[key]:16.2f}" if key in row else " " * 16 for key in keys)
        sys.stdout.write(f"{row['name']:>16}{row['count']:16d}{figures}\n")


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    settings.add_options(parser)
    parser.add_argument("--counts", default=",".join(map(str, COUNTS)), help="how many at once")
    parser.add_argument("--total-mib", type=int, default=1024, help="how much all of them send")
    parser.add_argument("--only", default=",".join(SERVERS), help="which servers")
    options = parser.parse_args()
    counts = [int(count) for count in options.counts.split(",")]
    with settings.storage(options.storage) as storage:
        rows = measure_all(options.only.split(","), counts, options.total_mib, options.rounds, storage)
    show(rows)


if __name__ == "__main__":
    main()
