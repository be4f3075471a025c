"""Makes all measurements one after the other, then docs/explanation/performance.md and its plots.

make bench                          # all, about an hour
python -m bench --only single,many --rounds 5 --storage /srv/data
python -m bench --only http,small,browser      # uploads over HTTP
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import browser, http, idle, many, report, settings, single, slow_disk, small, takeover
from tests.support.data import MIB
from tests.support.engines import STARTS


def _single(options: argparse.Namespace, storage: Path) -> object:
    rounds = options.rounds or settings.ROUNDS
    rows = single.table(single.run(list(single.RIVALS), rounds, options.size_mib * MIB, storage))
    single.show(rows)
    return rows


def _http(options: argparse.Namespace, storage: Path) -> object:
    size_bytes = options.size_mib * MIB
    pairs = http.run(list(http.REFERENCES), options.rounds or settings.PAIRS, size_bytes, storage)
    rows = http.table(pairs)
    http.show(rows)
    return {"size_bytes": size_bytes, "rows": rows}


def _many(options: argparse.Namespace, storage: Path) -> object:
    rounds = options.rounds or settings.ROUNDS
    rows = many.measure_all(tuple(many.SERVERS), many.COUNTS, 1024, rounds, storage)
    many.show(rows)
    return rows


def _idle(options: argparse.Namespace, storage: Path) -> object:
    rounds = options.rounds or settings.ROUNDS
    figures = idle.measure(idle.COUNTS, idle.IDLE_S, rounds, options.size_mib * MIB, storage)
    idle.show(figures)
    return figures


def _small(options: argparse.Namespace, storage: Path) -> object:
    rounds = options.rounds or settings.ROUNDS
    figures = small.measure(list(small.STORES), (1, 16), rounds, 3, storage)
    small.show(figures)
    return figures


def _takeover(_: argparse.Namespace, storage: Path) -> object:
    figures = takeover.measure(takeover.TAKEOVERS, storage)
    takeover.show(figures)
    return figures


def _slow_disk(_: argparse.Namespace, storage: Path) -> object:
    figures = slow_disk.measure(20, 128 * MIB, storage)
    slow_disk.show(figures)
    return figures


def _browser(options: argparse.Namespace, storage: Path) -> object:
    size_bytes = options.size_mib * MIB
    figures = browser.run(list(STARTS), options.rounds or settings.PAIRS, size_bytes, storage)
    browser.show(figures)
    return figures


MEASUREMENTS: Final[dict[str, Callable[[Any, Path], object]]] = {
    "single": _single,
    "http": _http,
    "many": _many,
    "idle": _idle,
    "small": _small,
    "takeover": _takeover,
    "slow-disk": _slow_disk,
    "browser": _browser,
}


def main() -> None:
    """Reads the options, measures, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    settings.add_options(parser, rounds=0)
    parser.add_argument("--only", default=",".join(MEASUREMENTS), help="which measurements")
    options = parser.parse_args()
    load = os.getloadavg()[0]  # later it is also our own
    for name in options.only.split(","):
        sys.stdout.write(f"== {name}\n")
        with settings.storage(options.storage) as storage:
            report.keep(name, MEASUREMENTS[name](options, storage), load)
    report.render()


if __name__ == "__main__":
    main()
