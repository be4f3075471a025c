"""Figures as a file that programs read, and as the page and the plots that people read.

Everything is made from docs/performance.json: `python -m bench.report` makes the page anew without measuring.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import many
from bench.plots import Bar, bars, lines

ROOT: Final = Path(__file__).resolve().parents[1]
RECORD: Final = ROOT / "docs" / "performance.json"
PAGE: Final = ROOT / "docs" / "performance.md"
PLOTS: Final = ROOT / "docs" / "plots"
Rows = Sequence[Mapping[str, Any]]


def machine() -> dict[str, str]:
    """Returns what the figures were measured on."""
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores",
        "system": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _commit() -> str:
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return said.stdout.strip()


def read() -> dict[str, Any]:
    """Returns the figures on record, by what was measured."""
    record: dict[str, Any] = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    return record


def keep(name: str, figures: object) -> None:
    """Puts the figures of one measurement on record, with the machine that they are of."""
    record = read() | {name: {"machine": machine(), "figures": figures}}
    text = json.dumps(record, indent=1, sort_keys=True, default=_plain)
    RECORD.write_text(text + "\n", "utf-8")


def _plain(value: Any) -> Any:
    return {key: round(figure, 4) for key, figure in dataclasses.asdict(value).items()}


# --- the page ---------------------------------------------------------------------------------------


def render() -> None:
    """Makes the plots, and the parts of the page that are made by this program."""
    PLOTS.mkdir(exist_ok=True)
    page = PAGE.read_text("utf-8")
    for name, entry in read().items():
        page = _replace(page, name, PARTS[name](entry["figures"]) + _about(entry["machine"]))
    PAGE.write_text(page, "utf-8")


def _replace(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- {name}: written by make bench -->", f"<!-- end of {name} -->"
    assert begin in page, f"docs/performance.md has no place for {name}"
    return page[: page.index(begin) + len(begin)] + f"\n\n{text}\n\n" + page[page.index(end) :]


def _about(of: Mapping[str, str]) -> str:
    return f"\n\n({of['when']}, {of['processor']}, {of['system']}, Python {of['python']}, at {of['commit']}.)"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines_ = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines_)


def _picture(name: str, picture: str, text: str) -> str:
    (PLOTS / f"{name}.svg").write_text(picture, "utf-8")
    return f"![{text}](plots/{name}.svg)"


def _spread(of: Mapping[str, float], digits: int = 0) -> str:
    return f"{of['median']:.{digits}f} ({of['least']:.{digits}f} to {of['most']:.{digits}f})"


def _kind(name: str) -> str:
    return "ours" if name.startswith("v") else "floor" if name.startswith("floor") else "bar"


def _single(rows: Rows) -> str:
    ordered = sorted(rows, key=lambda row: -row["mb_per_s"]["median"])
    speeds = [Bar(row["title"], *_three(row["mb_per_s"]), _kind(row["name"])) for row in ordered]
    costs = [Bar(row["title"], *_three(row["cpu_s_per_gib"]), _kind(row["name"])) for row in ordered]
    cells = [
        [
            row["title"],
            _spread(row["mb_per_s"]),
            f"{row['speed_of_floor']:.2f}",
            _spread(row["cpu_s_per_gib"], 2),
            f"{row['cpu_of_floor']:.2f}",
            f"{row['peak_mib']['median']:.0f}",
            f"{row['finished_mb_per_s']['median']:.0f}" if _kind(row["name"]) == "ours" else "",
        ]
        for row in ordered
    ]
    titles = ["", "MB/s", "of the floor's", "CPU s/GiB", "times the floor's", "MiB", "MB/s until handed over"]
    pictures = [
        _picture("single-speed", bars("One upload", "MB/s, more is better", speeds), "speed of one upload"),
        _picture("single-cpu", bars("One upload", "CPU s/GiB, less is better", costs), "what it costs"),
    ]
    return "\n\n".join([*pictures, _table(titles, cells)])


def _three(figure: Mapping[str, float]) -> tuple[float, float, float]:
    return figure["median"], figure["least"], figure["most"]


def _many(rows: Rows) -> str:
    waits = ["library p50", "library p99", "ticket p99", "loop lag p99"]
    titles = ["", "at once", "MB/s", "of one's", "least share", *waits]
    cells = [
        [
            f"version {row['name'][1:]}",
            str(row["count"]),
            f"{row['mb_per_s']:.0f}",
            f"{row['of_one']:.2f}",
            f"{row['least_share']:.2f}",
            *(f"{row[key]:.1f} ms" for key in many.TIMES),
        ]
        for row in rows
    ]
    newest = [row for row in rows if row["name"] == "v2"]
    names = {"incoming.js p99": "library_p99_ms", "ticket p99": "ticket_p99_ms", "loop lag p99": "lag_p99_ms"}
    series = {title: [(row["count"], row[key]) for row in newest] for title, key in names.items()}
    title = "How long small requests wait beside uploads, version 2 (ms)"
    rates: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        rates.setdefault(f"version {row['name'][1:]}", []).append((row["count"], row["mb_per_s"]))
    pictures = [
        _picture("many-speed", lines("All uploads together (MB/s)", "uploads at once", rates), "the sum"),
        _picture("many-waiting", lines(title, "uploads at once", series), "how long small requests wait"),
    ]
    return "\n\n".join([*pictures, _table(titles, cells)])


PARTS: Final[dict[str, Callable[[Any], str]]] = {"single": _single, "many": _many}


if __name__ == "__main__":
    render()
