"""Compares the speed with the recorded one, in less than a minute.

    python -m bench.quick

It compares ratios of two figures of one run, because the speed of the machine varies. The exit code is 1 if a
ratio is worse than the recorded one by more than `NOISE`.
"""

from __future__ import annotations

import math
import sys
from typing import Final

from bench import report, settings, single
from tests.support.data import MIB

NAMES: Final = ("v1", "v2", "floor-gevent")
SIZE_BYTES: Final = 512 * MIB
ROUNDS: Final = 3
NOISE: Final = 0.3
"""How far two runs on one machine may differ, as a share of the figure."""
RATIOS: Final = (
    ("speed_of_floor", "received"),
    ("finished_of_floor", "handed over"),
    ("cpu_of_floor", "CPU"),
)
"""The keys and titles of what is compared: the speed until all is acknowledged, and until the app has it."""


def _is_worse(key: str, now: float, recorded: float) -> bool:
    return now > recorded * (1 + NOISE) if key == "cpu_of_floor" else now < recorded * (1 - NOISE)


def main() -> None:
    """Measures, compares and prints."""
    with settings.storage(None) as storage:
        rows = single.table(single.run(NAMES, ROUNDS, SIZE_BYTES, storage))
    recorded = {row["name"]: row for row in report.read().get("single", {}).get("figures", [])}
    worse = False
    line = "{:24}" + " {:>12} {:>9}" * len(RATIOS) + "\n"
    heads = [head for _, title in RATIOS for head in (title, "recorded")]
    sys.stdout.write(line.format("in ratio to the floor", *heads))
    for row in rows[:-1]:
        before = recorded.get(row["name"], {})
        figures = []
        for key, _ in RATIOS:
            now, then = row[key], before.get(key, math.nan)  # nothing is worse than NaN
            worse |= _is_worse(key, now, then)
            figures += [f"{now:.2f}", f"{then:.2f}"]
        sys.stdout.write(line.format(row["title"], *figures))
    if worse:
        sys.exit(
            "Slower than recorded, by more than noise. If a second run says so too, and an older version\n"
            "is faster here, it is true."
        )


if __name__ == "__main__":
    main()
