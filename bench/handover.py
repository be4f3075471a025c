"""What it costs that files are synced: the speed until the last acknowledgement, and until the handover.

    python -m bench.handover --size-mib 512 --rounds 9 --storage DIR

The server with and without `fsync` and `dd conv=fdatasync` take turns in random order.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from bench import measure, settings
from bench.measure import Figure
from bench.rivals.base import Rival, run
from bench.rivals.ours import Ours, OursUnsynced
from bench.single import WARM_UP_FACTOR, one_run
from tests.support.data import MIB
from tests.support.flood import warm_up

DD: Final = "dd"
SERVERS: Final[dict[str, type[Rival]]] = {"synced": Ours, "unsynced": OursUnsynced}
TITLES: Final = {"synced": "Incoming!!", "unsynced": "Incoming!!, --fsync no", DD: "dd conv=fdatasync"}
RECEIVED: Final = 0
HANDED_OVER: Final = 1
Speeds = tuple[float, float]
"""MB/s until the last acknowledgement, and until the app has the file. Of `dd` it is twice the same."""


def dd_speeds(folder: Path, size_bytes: int) -> Speeds:
    """Measures how fast `dd` writes and syncs a file."""
    warm_up(folder, int(size_bytes * WARM_UP_FACTOR))
    made = folder / "written by dd"
    began_s = time.perf_counter()
    run("dd", "if=/dev/zero", f"of={made}", "bs=1M", f"count={size_bytes // MIB}", "conv=fdatasync")
    took_s = time.perf_counter() - began_s
    made.unlink()
    return (size_bytes / measure.MB / took_s,) * 2


def server_speeds(server: Rival, size_bytes: int) -> Speeds:
    """Measures one upload."""
    sample = one_run(server, size_bytes)
    return sample.mb_per_s, sample.finished_mb_per_s


def measure_all(
    servers: Mapping[str, type[Rival]], rounds: int, size_bytes: int, storage: Path
) -> dict[str, list[Speeds]]:
    """Returns the speeds of each server and of `dd`, one pair for each round. The first is a warm-up."""
    speeds: dict[str, list[Speeds]] = {name: [] for name in (*servers, DD)}
    with ExitStack() as stack:
        running = {name: stack.enter_context(kind(storage / name)) for name, kind in servers.items()}
        for number in range(1 + rounds):
            for name in random.sample(list(speeds), len(speeds)):
                server = running.get(name)
                one = server_speeds(server, size_bytes) if server else dd_speeds(storage, size_bytes)
                speeds[name].append(one)
                settings.progress(f"{name}: round {number} of {rounds}, {one[HANDED_OVER]:.0f} MB/s")
    return {name: measured[1:] for name, measured in speeds.items()}


def table(speeds: Mapping[str, Sequence[Speeds]]) -> list[dict[str, Any]]:
    """Returns a row for each: its title, both speeds, and the medians of two ratios within each round.

    `of_unsynced`: until the last acknowledgement, to that without syncs. `of_slower`: until the handover, to
    the slower one of that without syncs and `dd`.
    """
    unsynced, dd = speeds["unsynced"], speeds[DD]
    slower = [min(one[HANDED_OVER], other[HANDED_OVER]) for one, other in zip(unsynced, dd, strict=True)]
    rows = []
    for name, measured in speeds.items():
        received, handed_over = ([one[when] for one in measured] for when in (RECEIVED, HANDED_OVER))
        row = {"title": TITLES.get(name, name), "finished_mb_per_s": Figure.of(handed_over)}
        if name != DD:
            row["mb_per_s"] = Figure.of(received)
            row["of_unsynced"] = _ratio(received, [one[RECEIVED] for one in unsynced])
            row["of_slower"] = _ratio(handed_over, slower)
        rows.append(row)
    return rows


def _ratio(mine: Sequence[float], others: Sequence[float]) -> float:
    return float(statistics.median(one / other for one, other in zip(mine, others, strict=True)))


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the table."""
    line = "{:28} {:>18} {:>8} {:>20} {:>8}\n"
    sys.stdout.write(line.format("MB/s", "until received", "of no", "until handed over", "of least"))
    for row in rows:
        spreads = {
            key: f"{one.median:.0f} ({one.least:.0f}-{one.most:.0f})"
            for key in ("mb_per_s", "finished_mb_per_s")
            if (one := row.get(key))
        }
        ratios = [f"{row[key]:.2f}" if key in row else "" for key in ("of_unsynced", "of_slower")]
        received, handed_over = spreads.get("mb_per_s", ""), spreads["finished_mb_per_s"]
        sys.stdout.write(line.format(row["title"], received, ratios[0], handed_over, ratios[1]))


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    settings.add_options(parser, rounds=settings.PAIRS)
    options = parser.parse_args()
    with settings.storage(options.storage) as storage:
        show(table(measure_all(SERVERS, options.rounds, options.size_mib * MIB, storage)))


if __name__ == "__main__":
    main()
