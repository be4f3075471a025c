"""All measurements, one after the other; then docs/explanation/performance.md with its plots is made of them.

make bench                          # all, about half an hour
python -m bench --only single,many --rounds 5 --storage /srv/data
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import browser, idle, many, report, settings, single, slow_disk, small
from tests.support.data import MIB
from tests.support.engines import STARTS


def _single(options: argparse.Namespace, storage: Path) -> object:
    rows = single.table(single.run(list(single.RIVALS), options.rounds, options.size_mib * MIB, storage))
    single.show(rows)
    return rows


def _many(options: argparse.Namespace, storage: Path) -> object:
    rows = many.measure_all(tuple(many.SERVERS), many.COUNTS, 1024, options.rounds, storage)
    many.show(rows)
    return rows


def _idle(options: argparse.Namespace, storage: Path) -> object:
    figures = idle.measure(idle.COUNTS, idle.IDLE_S, options.rounds, options.size_mib * MIB, storage)
    idle.show(figures)
    return figures


def _small(options: argparse.Namespace, storage: Path) -> object:
    figures = small.measure(list(small.STORES), (1, 16), options.rounds, 3, storage)
    small.show(figures)
    return figures


def _slow_disk(_: argparse.Namespace, storage: Path) -> object:
    figures = slow_disk.measure(20, 128 * MIB, storage)
    slow_disk.show(figures)
    return figures


def _browser(options: argparse.Namespace, storage: Path) -> object:
    figures = browser.run(list(STARTS), options.rounds, options.size_mib * MIB, storage)
    browser.show(figures)
    return figures


MEASUREMENTS: Final[dict[str, Callable[[Any, Path], object]]] = {
    "single": _single,
    "many": _many,
    "idle": _idle,
    "small": _small,
    "slow-disk": _slow_disk,
    "browser": _browser,
}


def main() -> None:
    """Reads the options, measures, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    settings.add_options(parser)
    parser.add_argument("--only", default=",".join(MEASUREMENTS), help="which measurements")
    options = parser.parse_args()
    for name in options.only.split(","):
        sys.stdout.write(f"== {name}\n")
        with settings.storage(options.storage) as storage:
            report.keep(name, MEASUREMENTS[name](options, storage))
    report.render()


if __name__ == "__main__":
    main()
