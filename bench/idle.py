"""The cost of many idle connections and many tickets: for each of them, and for one upload at the same time.

    python -m bench.idle --counts 1000,2500,5000,10000 --size-mib 512 --rounds 3 --storage DIR

For each number of connections, it measures how long they take to connect, the memory of server and kernel for
each, the server's CPU while all are idle, and the speed of one upload among them. A server without such
connections takes turns with it. For tickets it measures how many are made a second, how long a start takes
with that many in the journal, and the memory for each.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from bench import measure as figures
from bench import settings, single
from bench.crowd import crowd
from bench.keep_alive import KeepAliveConnection, new_ticket
from bench.rivals.ours import Ours
from incoming.registry.entries import tombstone
from tests.support.data import MIB
from tests.support.server import RunningServer, add_to_journal, multiply_tickets

COUNTS: Final = (1000, 2500, 5000, 10_000)
IDLE_S: Final = 50.0
"""The server sends something to each connection at least once in this time."""
SPARE_DESCRIPTORS: Final = 200
"""Descriptors that are kept free: each upload of the measurement takes two of the server's."""
TICKETS_AT_ONCE: Final = 16
AS_INSTALLED: Final = {"connection_timeout_s": 10}
"""Idle connections are pinged as often as with the default settings."""
APP_URL: Final = "http://127.0.0.1:9/"
"""No app listens at this address, and none is called."""


def _descriptors() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def slab_kib() -> int:
    """Returns the memory that the kernel uses for its own objects, such as the sockets of both ends."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Slab:"))


def make_tickets(server: RunningServer, count: int) -> tuple[list[str], float]:
    """Makes tickets over several kept-alive connections. Returns them, and how many were made a second."""

    def some(count: int) -> list[str]:
        with KeepAliveConnection(server.port) as backend:
            return [new_ticket(backend, APP_URL) for _ in range(count)]

    began_s = time.perf_counter()
    shares = [
        count // TICKETS_AT_ONCE + (number < count % TICKETS_AT_ONCE) for number in range(TICKETS_AT_ONCE)
    ]
    with ThreadPoolExecutor(TICKETS_AT_ONCE) as threads:
        ids = [ticket_id for share in threads.map(some, shares) for ticket_id in share]
    return ids, count / (time.perf_counter() - began_s)


def idle_cpu(server: RunningServer, duration_s: float) -> float:
    """Returns the share of one core that the server uses."""
    before_s, began_s = figures.cpu_s(server.pid), time.perf_counter()
    time.sleep(duration_s)
    return (figures.cpu_s(server.pid) - before_s) / (time.perf_counter() - began_s)


def connections(count: int, idle_s: float, rounds: int, size_bytes: int, storage: Path) -> dict[str, Any]:
    """Returns what this number of idle connections costs; see `measure`."""
    with ExitStack() as stack:
        with_idle = stack.enter_context(Ours(storage / f"with-{count}", **AS_INSTALLED))
        alone = stack.enter_context(Ours(storage / f"without-{count}", **AS_INSTALLED))
        for server in (with_idle, alone):
            single.one_run(server, min(size_bytes, 64 * MIB))
        count = min(count, (_descriptors() - SPARE_DESCRIPTORS) // 2)
        ids, _ = make_tickets(with_idle, count)
        before_mib, kernel_before_kib = figures.resident_mib(with_idle.pid), slab_kib()
        connect_s = stack.enter_context(crowd(with_idle.port, ids))
        grown_kib = (figures.resident_mib(with_idle.pid) - before_mib) * 1024
        kernel_kib = slab_kib() - kernel_before_kib
        time.sleep(1)
        cpu = idle_cpu(with_idle, idle_s)
        pairs = [_in_turn(with_idle, alone, size_bytes) for _ in range(rounds)]
        grown_later_kib = (figures.resident_mib(with_idle.pid) - before_mib) * 1024
    return {
        "count": count,
        "connect_s": connect_s,
        "kib_each": max(grown_kib, grown_later_kib) / count,
        "kernel_kib_each": kernel_kib / count,
        "idle_cpu": cpu,
        "mb_per_s_among": statistics.median(among for among, _ in pairs),
        "mb_per_s_alone": statistics.median(without for _, without in pairs),
        "speed_ratio": statistics.median(among / without for among, without in pairs),
    }


def _in_turn(with_idle: Ours, alone: Ours, size_bytes: int) -> tuple[float, float]:
    """Returns the speed in MB/s of an upload to each of the two, measured in random order."""
    both = random.sample([with_idle, alone], 2)
    rates = {server: single.one_run(server, size_bytes).mb_per_s for server in both}
    return rates[with_idle], rates[alone]


def tickets(counts: Sequence[int], storage: Path) -> dict[str, Any]:
    """Returns what tickets cost; see `measure`."""
    server = RunningServer(storage / "tickets", log_level="warning")
    with server:
        some, _ = make_tickets(server, 100)
        _, per_s = make_tickets(server, max(counts) - len(some))
        server.kill()
        others = server.journaled().keys() - set(some)
        add_to_journal(server, *map(tombstone, others))
        server.start()  # its rewritten log does not have the others any more
        rows = [_restarted(server, some, count) for count in (len(some), *counts)]
    base = rows[0]
    for row in rows[1:]:
        more = row["count"] - base["count"]
        row["kib_each"] = (row.pop("resident_mib") - base["resident_mib"]) * 1024 / more
        row["ms_each"] = (row["start_s"] - base["start_s"]) * 1000 / more
    return {"created_per_s": per_s, "created_at_once": TICKETS_AT_ONCE, "starts": rows[1:]}


def _restarted(server: RunningServer, some: list[str], count: int) -> dict[str, float]:
    if server.runs:
        server.kill()
    multiply_tickets(server, some, len(some) + count - len(server.journaled()))
    began_s = time.perf_counter()
    server.start()
    took_s = time.perf_counter() - began_s
    return {"count": count, "start_s": took_s, "resident_mib": figures.resident_mib(server.pid)}


def measure(
    counts: Sequence[int], idle_s: float, rounds: int, size_bytes: int, storage: Path
) -> dict[str, Any]:
    """Returns plain data.

    `connections`: for each count (which is less than was asked for where descriptors are short; each has a
    ticket, claimed by version 2) `connect_s`, `kib_each` of the server's memory, `kernel_kib_each` (of both
    ends), `idle_cpu` as a share of a core, and `mb_per_s_among`, `mb_per_s_alone`, `speed_ratio` of one
    flat-out upload.
    `tickets`: `created_per_s`, by `created_at_once` connections; `starts`: for each count `start_s` from
    the launch until the server listens, and what each ticket beyond the first hundred adds: `ms_each`,
    `kib_each`.
    """
    rows = []
    for count in counts:
        settings.progress(f"{count} idle connections")
        rows.append(connections(count, idle_s, rounds, size_bytes, storage))
    settings.progress("tickets")
    return {"connections": rows, "tickets": tickets(counts, storage)}


def show(found: dict[str, Any]) -> None:
    """Prints the tables."""
    line = "{:>12} {:>10} {:>9} {:>11} {:>9} {:>16} {:>6}\n"
    heads = (
        "connections",
        "connect s",
        "KiB each",
        "kernel KiB",
        "idle CPU",
        "MB/s among/alone",
        "",
    )
    sys.stdout.write(line.format(*heads))
    for row in found["connections"]:
        rates = f"{row['mb_per_s_among']:.0f} / {row['mb_per_s_alone']:.0f}"
        sys.stdout.write(
            line.format(
                row["count"], f"{row['connect_s']:.1f}", f"{row['kib_each']:.1f}",
                f"{row['kernel_kib_each']:.1f}", f"{row['idle_cpu']:.2%}", rates, f"{row['speed_ratio']:.2f}",
            )
        )  # fmt: skip
    made = found["tickets"]
    sys.stdout.write(f"\n{made['created_per_s']:.0f} tickets a second, {made['created_at_once']} at once\n")
    for row in made["starts"]:
        sys.stdout.write(
            f"{row['count']:>12} tickets: start {row['start_s']:.2f} s, {row['ms_each']:.3f} ms and "
            f"{row['kib_each']:.1f} KiB each\n"
        )


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    settings.add_options(parser)
    parser.add_argument(
        "--counts", default=",".join(map(str, COUNTS)), help="how many connections and tickets"
    )
    parser.add_argument(
        "--idle-s", type=float, default=IDLE_S, help="how long to look at idle ones (default: %(default)s)"
    )
    options = parser.parse_args()
    counts = [int(count) for count in options.counts.split(",")]
    with settings.storage(options.storage) as storage:
        show(measure(counts, options.idle_s, options.rounds, options.size_mib * MIB, storage))


if __name__ == "__main__":
    main()
