"""docs/explanation/reliability.md, from what the tests have noted (`tests.support.tally`).

`python -m tests.support.reliability RUN TALLY_FILE`: the table of that run (faults, attacks, soak) is made
anew from the lines in the file; the tables of the others, and the text around them, stay.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "reliability.md"
RUNS: Final = ("faults", "attacks", "soak")
HEAD: Final = "| what was tried | how often | what happened |\n|---|---|---|\n"


class NothingTried(Exception):
    """The file has no line: an empty table would claim that nothing can happen."""


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    kind: str
    what: str
    tried: int
    happened: str


def read(lines: Iterable[str]) -> list[Row]:
    """Returns the rows that these lines add up to, sorted by what was tried. Raises NothingTried."""
    merged: dict[tuple[str, str], Row] = {}
    for line in filter(str.strip, lines):
        row = Row(**json.loads(line))
        before = merged.get((row.kind, row.what))
        if before:
            told = before.happened.split("; ")
            more = [part for part in row.happened.split("; ") if part not in told]
            row = Row(row.kind, row.what, before.tried + row.tried, "; ".join([*told, *more]))
        merged[row.kind, row.what] = row
    if not merged:
        raise NothingTried
    return [merged[key] for key in sorted(merged, key=lambda key: (key[0], key[1].lower()))]


def table(rows: Iterable[Row]) -> str:
    """Returns a table in Markdown."""
    cells = ((row.what, f"{row.tried:,}", row.happened) for row in rows)
    return HEAD + "".join(f"| {' | '.join(_cell(text) for text in line)} |\n" for line in cells)


def with_run(page: str, run: str, rows: list[Row], day: str) -> str:
    """Returns the page with the table of this run made anew. Raises ValueError: there is no place for it."""
    begin, end = f"<!-- {run} -->\n", f"<!-- end of {run} -->"
    before, found, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"the page has no place for {run}")
    tried = sum(row.tried for row in rows)
    said = f"Last `make {run}`: {day}, {tried:,} times in {len(rows)} ways.\n\n"
    return f"{before}{begin}{said}{table(rows)}{end}{after}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(run: str, file: str) -> None:
    """Rewrites the page."""
    rows = read(Path(file).read_text("utf-8").splitlines())
    day = datetime.now(UTC).date().isoformat()
    PAGE.write_text(with_run(PAGE.read_text("utf-8"), run, rows, day), "utf-8")
    print(f"{PAGE.name}: {len(rows)} rows of {run}")


if __name__ == "__main__":
    main(*sys.argv[1:])
