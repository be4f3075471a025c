"""Compares the speed with the recorded one, in less than a minute.

    python -m bench.quick

It compares ratios of two figures of one run, because the speed of the machine varies. The exit code is 1 if a
ratio is worse than the recorded one by more than `NOISE`.
"""

from __future__ import annotations

import sys
from typing import Final

from bench import report, settings, single
from tests.support.data import MIB

NAMES: Final = ("v1", "v2", "floor-gevent")
SIZE_BYTES: Final = 256 * MIB
ROUNDS: Final = 3
NOISE: Final = 0.3
"""How far two runs on one machine may differ, as a share of the figure."""


def main() -> None:
    """Measures, compares and prints."""
    with settings.storage(None) as storage:
        rows = single.table(single.run(NAMES, ROUNDS, SIZE_BYTES, storage))
    recorded = {row["name"]: row for row in report.read().get("single", {}).get("figures", [])}
    worse = False
    line = "{:28} {:>10} {:>10} {:>12} {:>10}\n"
    sys.stdout.write(line.format("in ratio to the floor", "speed", "recorded", "CPU", "recorded"))
    for row in rows[:-1]:
        before = recorded.get(row["name"], {"speed_of_floor": 0.0, "cpu_of_floor": 99.0})
        speeds = [one["speed_of_floor"] for one in (row, before)]
        costs = [one["cpu_of_floor"] for one in (row, before)]
        worse |= speeds[0] < speeds[1] * (1 - NOISE) or costs[0] > costs[1] * (1 + NOISE)
        figures = [f"{figure:.2f}" for figure in (*speeds, *costs)]
        sys.stdout.write(line.format(row["title"], *figures))
    if worse:
        sys.exit(
            "Slower than recorded, by more than noise. If a second run says so too, and an older version\n"
            "is faster here, it is true."
        )


if __name__ == "__main__":
    main()
