"""One upload over loopback into a file: its speed, CPU and memory, and the ratio to a minimal server.

python -m bench.single --size-mib 1024 --rounds 3 --storage DIR --only v1,v2,floor-gevent
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

from bench import content, load, measure, settings
from bench.disk_idle import wait_for_disk
from bench.measure import Sample
from bench.rivals import ours, theirs
from bench.rivals.base import Rival
from tests.support.data import MIB
from tests.support.flood import warm_memory

WARM_UP_FACTOR: Final = 1.25
"""A virtual machine reclaims unused memory. The first writes after that are ten times slower."""
RIVALS: Final[dict[str, type[Rival]]] = {
    "v1": ours.OursV1,
    "v2": ours.Ours,
    "v2-unsynced": ours.OursUnsynced,
    "v2-sha256": ours.OursSha256,
    "v1-uwsgi": ours.UnderUwsgiV1,
    "v2-uwsgi": ours.UnderUwsgi,
    "tus-node": theirs.TusNode,
    "tus-python": theirs.TusPython,
    "copyparty": theirs.Copyparty,
    "copyparty-plain": theirs.CopypartyPlain,
    "nginx": theirs.Nginx,
    "nginx-tuned": theirs.NginxTuned,
    "floor-gevent": theirs.FloorGevent,
    "floor-sha256": theirs.FloorSha256,
    "floor-c": theirs.FloorC,
}


def one_run(rival: Rival, size_bytes: int) -> Sample:
    """Uploads one file, and compares what arrived. Raises AssertionError."""
    with warm_memory(rival.storage_dir, int(size_bytes * WARM_UP_FACTOR)):
        upload = rival.upload(size_bytes)
    measure.reset_peak(rival.pid)
    cpu_before_s, began_s = measure.cpu_s(rival.pid), time.perf_counter()
    for _ in load.flat_out([upload]):
        pass
    wall_s = time.perf_counter() - began_s
    stored = rival.finish(upload)
    finished_s = time.perf_counter() - began_s
    cpu_s = measure.cpu_s(rival.pid) - cpu_before_s  # what is done after the last acknowledgement counts, too
    sample = Sample(size_bytes, wall_s, cpu_s, measure.peak_mib(rival.pid), finished_s)
    assert measure.sha256(stored) == content.file_sha256(size_bytes), f"{rival.title}: the file is another"
    rival.clear(stored)
    wait_for_disk(rival.storage_dir, rival.pid)
    return sample


def run(names: Sequence[str], rounds: int, size_bytes: int, storage: Path) -> dict[str, list[Sample]]:
    """Returns the samples of each server. They take turns in random order. The first round is a warm-up."""
    with ExitStack() as stack:
        rivals = {name: stack.enter_context(RIVALS[name](storage / name)) for name in names}
        samples: dict[str, list[Sample]] = {name: [] for name in rivals}
        for number in range(1 + rounds):
            for name, rival in random.sample(sorted(rivals.items()), len(rivals)):
                samples[name].append(one_run(rival, size_bytes))
                settings.progress(
                    f"{name}: round {number} of {rounds}, {samples[name][-1].mb_per_s:.0f} MB/s"
                )
    return {name: measured[1:] for name, measured in samples.items()}


def ratio(ours_: Sequence[Sample], floors: Sequence[Sample], what: str) -> float:
    """Returns the median of the ratios within each round, because the speed of the machine varies."""
    pairs = zip(ours_, floors, strict=True)
    return float(statistics.median(getattr(one, what) / getattr(floor, what) for one, floor in pairs))


def table(samples: Mapping[str, Sequence[Sample]]) -> list[dict[str, Any]]:
    """Returns a row for each server: its figures, and its ratios to the gevent floor if that was measured."""
    floors = samples.get("floor-gevent")
    rows = []
    for name, measured in samples.items():
        row: dict[str, Any] = {"name": name, "title": RIVALS[name].title} | measure.figures_of(measured)
        if floors:
            row["speed_of_floor"] = ratio(measured, floors, "mb_per_s")
            row["finished_of_floor"] = ratio(measured, floors, "finished_mb_per_s")
            row["cpu_of_floor"] = ratio(measured, floors, "cpu_s_per_gib")
        rows.append(row)
    return rows


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the table."""
    line = "{:42} {:>16} {:>6} {:>19} {:>6} {:>6}\n"
    sys.stdout.write(line.format("", "MB/s", "floor", "CPU s/GiB", "floor", "MiB"))
    for row in rows:
        rate, cost = row["mb_per_s"], row["cpu_s_per_gib"]
        ratios = [f"{row[key]:.2f}" if key in row else "" for key in ("speed_of_floor", "cpu_of_floor")]
        spread = f"{rate.median:.0f} ({rate.least:.0f}-{rate.most:.0f})"
        costs = f"{cost.median:.2f} ({cost.least:.2f}-{cost.most:.2f})"
        sys.stdout.write(
            line.format(row["title"], spread, ratios[0], costs, ratios[1], f"{row['peak_mib'].median:.0f}")
        )


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    settings.add_options(parser)
    parser.add_argument("--only", default=",".join(RIVALS), help="which servers")
    options = parser.parse_args()
    with settings.storage(options.storage) as storage:
        samples = run(options.only.split(","), options.rounds, options.size_mib * MIB, storage)
    show(table(samples))


if __name__ == "__main__":
    main()
