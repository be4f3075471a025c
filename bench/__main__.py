"""All measurements, one after the other; then docs/performance.md with its plots is made of them.

    make bench                          # all, about half an hour
    python -m bench --only single,many --rounds 5 --storage /srv/data
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import many, report, settings, single
from tests.support.data import MIB


def _single(options: argparse.Namespace, storage: Path) -> object:
    rows = single.table(single.run(list(single.RIVALS), options.rounds, options.size_mib * MIB, storage))
    single.show(rows)
    return rows


def _many(options: argparse.Namespace, storage: Path) -> object:
    rows = many.measure_all(many.PROTOCOLS, many.COUNTS, 1024, options.rounds, storage)
    many.show(rows)
    return rows


MEASUREMENTS: Final[dict[str, Callable[[Any, Path], object]]] = {"single": _single, "many": _many}


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
