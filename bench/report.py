"""Figures as a file that programs read, and as the page and the plots that people read.

Everything is made from docs/explanation/performance.json: `python -m bench.report` writes the page again
without measuring.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.parts import PARTS, PLOTS

ROOT: Final = Path(__file__).resolve().parents[1]
RECORD: Final = ROOT / "docs" / "explanation" / "performance.json"
PAGE: Final = ROOT / "docs" / "explanation" / "performance.md"


def machine() -> dict[str, str]:
    """Returns what the figures were measured on."""
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores",
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "kernel": platform.release().split("-")[0],
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
    assert begin in page, f"docs/explanation/performance.md has no place for {name}"
    return page[: page.index(begin) + len(begin)] + f"\n\n{text}\n\n" + page[page.index(end) :]


def _about(of: Mapping[str, str]) -> str:
    system = f"{of['system']}, Linux {of['kernel']}, Python {of['python']}"
    return f"\n\n({of['when']}, {of['processor']}, {system}, at {of['commit']}.)"


if __name__ == "__main__":
    render()
