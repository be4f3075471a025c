"""One large upload over HTTP, compared with a reference: a minimal server, or another way to upload to ours.

    python -m bench.http --rounds 9 --size-mib 512 --only put,patch,patches-4mib

Each row has a reference (`REFERENCES`). The two run one right after the other, in random order, and the ratio
is that of these two runs. The first round is a warm-up.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from bench import measure, settings
from bench.measure import Figure, Sample
from bench.rivals import ours_http, theirs
from bench.rivals.base import Rival
from bench.single import one_run
from tests.support.data import MIB

RIVALS: Final[dict[str, type[Rival]]] = {
    "put": ours_http.Put,
    "put-until-handed-over": ours_http.PutUntilHandedOver,
    "patch": ours_http.Patch,
    "patches-4mib": ours_http.ShortPatches,
    "patch-crc32c": ours_http.PatchWithCrc32c,
    "put-sha256": ours_http.PutWithSha256,
    "patch-uwsgi": ours_http.PatchUnderUwsgi,
    "patch-gunicorn": ours_http.PatchUnderGunicorn,
    "patches-4mib-gunicorn": ours_http.ShortPatchesUnderGunicorn,
    "tus-node": theirs.TusNode,
    "nginx": theirs.Nginx,
    "nginx-tuned": theirs.NginxTuned,
    "floor-gevent": theirs.FloorGevent,
    "floor-crc32c": theirs.FloorCrc32c,
    "floor-sha256": theirs.FloorSha256,
}
REFERENCES: Final = {
    "put": "floor-gevent",
    "put-until-handed-over": "floor-gevent",
    "patch": "floor-gevent",
    "patches-4mib": "patch",
    "patch-crc32c": "floor-crc32c",
    "put-sha256": "floor-sha256",
    "patch-uwsgi": "patch",
    "patch-gunicorn": "patch",
    "patches-4mib-gunicorn": "patches-4mib",
    "tus-node": "floor-gevent",
    "nginx": "floor-gevent",
    "nginx-tuned": "floor-gevent",
}
"""The reference of each row, by the row's name."""
Pair = tuple[Sample, Sample]
"""A run, and the run of its reference next to it."""


def run(names: Sequence[str], rounds: int, size_bytes: int, storage: Path) -> dict[str, list[Pair]]:
    """Returns the pairs of each of these names."""
    pairs: dict[str, list[Pair]] = {name: [] for name in names}
    with ExitStack() as stack:
        needed = dict.fromkeys([*names, *(REFERENCES[name] for name in names)])
        rivals = {name: stack.enter_context(RIVALS[name](storage / name)) for name in needed}
        for number in range(1 + rounds):
            for name in random.sample(names, len(names)):
                both = (name, REFERENCES[name])
                taken = {one: one_run(rivals[one], size_bytes) for one in random.sample(both, 2)}
                pair = taken[name], taken[REFERENCES[name]]
                pairs[name] += [pair] if number else []
                rate, other = (sample.mb_per_s for sample in pair)
                settings.progress(f"{name}: round {number} of {rounds}, {rate:.0f} MB/s, {rate / other:.2f}")
    return pairs


def table(pairs: Mapping[str, Sequence[Pair]]) -> list[dict[str, Any]]:
    """Returns a row for each name, then one for each floor.

    The figures of a row are `mb_per_s`, `cpu_s_per_gib`, `peak_mib` and `finished_mb_per_s`. With a
    `reference` come `speed_ratio` and `cpu_ratio`, of the pairs.
    """
    rows = [
        _row(name, [mine for mine, _ in measured]) | _ratios(name, measured)
        for name, measured in pairs.items()
    ]
    for floor in dict.fromkeys(REFERENCES[name] for name in pairs if REFERENCES[name] not in REFERENCES):
        references = [
            other for name, measured in pairs.items() for _, other in measured if REFERENCES[name] == floor
        ]
        rows.append(_row(floor, references))
    return rows


def _row(name: str, measured: Sequence[Sample]) -> dict[str, Any]:
    return {"name": name, "title": RIVALS[name].title} | measure.figures_of(measured)


def _ratios(name: str, measured: Sequence[Pair]) -> dict[str, Any]:
    return {
        "reference": REFERENCES[name],
        "speed_ratio": Figure.of([mine.mb_per_s / other.mb_per_s for mine, other in measured]),
        "cpu_ratio": Figure.of([mine.cpu_s_per_gib / other.cpu_s_per_gib for mine, other in measured]),
    }


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the table."""
    line = "{:52} {:>17} {:>17} {:>17} {:>17}  {}\n"
    sys.stdout.write(line.format("", "MB/s", "CPU s/GiB", "speed ratio", "CPU ratio", "to"))
    for row in rows:
        cells = [_spread(row["mb_per_s"], 0), _spread(row["cpu_s_per_gib"], 2)]
        cells += [_spread(row[key], 2) if key in row else "" for key in ("speed_ratio", "cpu_ratio")]
        sys.stdout.write(line.format(row["title"], *cells, row.get("reference", "")))


def _spread(figure: Figure, digits: int) -> str:
    least, most = f"{figure.least:.{digits}f}", f"{figure.most:.{digits}f}"
    return f"{figure.median:.{digits}f} ({least}-{most})"


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    settings.add_options(parser, rounds=settings.PAIRS)
    parser.add_argument("--only", default=",".join(REFERENCES), help="which rows")
    options = parser.parse_args()
    with settings.storage(options.storage) as storage:
        pairs = run(options.only.split(","), options.rounds, options.size_mib * MIB, storage)
    show(table(pairs))


if __name__ == "__main__":
    main()
