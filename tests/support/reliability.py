"""docs/explanation/reliability.md, from what the tests have noted (`tests.support.tally`).

`python -m tests.support.reliability RUN TALLY_FILE`: the table of that run, one of RUNS, is made anew from
the lines in the file; the tables of the others, and the text around them, stay. With `add` at the end, the
lines are those of single tests: their rows are added to the table, or replaced in it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "reliability.md"
RUNS: Final = ("faults", "attacks", "soak", "clients")
SINGLE: Final = " Single tests since then: "
CASES: Final = (
    *("upload", "cut and continue", "kill -9 and continue", "refusal", "0 bytes", "5 GiB, sparse"),
    "no success before the app is done",
)
"""The columns of the table of clients."""
BETWEEN: Final = " · "
"""Between the client and the case in what a test of clients notes."""
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


def matrix(rows: Iterable[Row]) -> str:
    """Returns the table of clients and cases in Markdown: how many tests of each have passed."""
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        name, _, case_name = row.what.partition(BETWEEN)
        counts.setdefault(name, {})[case_name] = row.tried
    head = f"| client | {' | '.join(CASES)} |\n|---|{'---|' * len(CASES)}\n"
    lines = (
        f"| {name} | {' | '.join(str(tried.get(one, '')) for one in CASES)} |\n"
        for name, tried in sorted(counts.items(), key=lambda pair: pair[0].lower())
    )
    return head + "".join(lines)


RENDER: Final = {"clients": matrix}
"""The runs whose table is another one."""


def with_run(page: str, run: str, rows: list[Row], day: str) -> str:
    """Returns the page with the table of this run made anew. Raises ValueError: there is no place for it."""
    before, _, after = _around(page, run)
    return f"{before}Last `make {run}`: {day}, {_counted(rows)}\n\n{RENDER.get(run, table)(rows)}{after}"


def with_rows(page: str, run: str, rows: list[Row], day: str) -> str:
    """Returns the page with these rows of single tests in the table of this run. Raises as `with_run`."""
    before, place, after = _around(page, run)
    last_run, _, _ = place.partition("\n")
    lines = [line for line in place.splitlines(keepends=True) if line.startswith("| ")][1:]
    new = table(rows).removeprefix(HEAD).splitlines(keepends=True)
    merged = {_name_of(line): line for line in [*lines, *new]}
    body = "".join(merged[name] for name in sorted(merged, key=str.lower))
    last_run = last_run.partition(SINGLE)[0]
    return f"{before}{last_run}{SINGLE}{day}, {_counted(rows)}\n\n{HEAD}{body}{after}"


def _around(page: str, run: str) -> tuple[str, str, str]:
    """Returns the page up to the place of a run, the place, and the rest. Raises ValueError."""
    begin, end = f"<!-- {run} -->\n", f"<!-- end of {run} -->"
    before, found, rest = page.partition(begin)
    place, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"the page has no place for {run}")
    return before + begin, place, end + after


def _counted(rows: list[Row]) -> str:
    return f"{sum(row.tried for row in rows):,} times in {len(rows)} ways."


def _name_of(line: str) -> str:
    """Returns what was tried, of a line of a table."""
    return re.split(r"(?<!\\)\|", line)[1].strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(run: str, file: str, how: str = "") -> None:
    """Rewrites the page."""
    rows = read(Path(file).read_text("utf-8").splitlines())
    day = datetime.now(UTC).date().isoformat()
    if how == "add" and run in RENDER:
        raise ValueError(f"the table of {run} has no rows of single tests")
    change = with_rows if how == "add" else with_run
    PAGE.write_text(change(PAGE.read_text("utf-8"), run, rows, day), "utf-8")
    if run in RENDER:
        print(RENDER[run](rows))
    print(f"{PAGE.name}: {len(rows)} rows of {run}")


if __name__ == "__main__":
    main(*sys.argv[1:])
