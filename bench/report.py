"""Stores the figures as JSON, and makes the page and the plots from them.

The figures are in docs/explanation/performance.json. `python -m bench.report` makes the page again without
measuring.
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
BUSY_LOAD: Final = 2.0
"""From this load on the page says that other programs used the machine."""
RECORD: Final = ROOT / "docs" / "explanation" / "performance.json"
PAGE: Final = ROOT / "docs" / "explanation" / "performance.md"


def machine(load: float) -> dict[str, str]:
    """Returns a description of the machine. `load`: its load average before the first measurement."""
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores",
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "commit": _commit(),
        "load": f"{load:.1f}",
    }


def _commit() -> str:
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return said.stdout.strip()


def read() -> dict[str, Any]:
    """Returns the recorded figures, by measurement."""
    record: dict[str, Any] = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    return record


def keep(name: str, figures: object, load: float) -> None:
    """Records the figures of one measurement, and the machine that they were measured on."""
    record = read() | {name: {"machine": machine(load), "figures": figures}}
    text = json.dumps(record, indent=1, sort_keys=True, default=_plain)
    RECORD.write_text(text + "\n", "utf-8")


def _plain(value: Any) -> Any:
    return {key: round(figure, 4) for key, figure in dataclasses.asdict(value).items()}


# --- the page ---------------------------------------------------------------------------------------


def render() -> None:
    """Makes the plots, and the generated parts of the page."""
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
    load = of.get("load", "0")
    beside = f", while other programs used the machine (load {load})" if float(load) >= BUSY_LOAD else ""
    return f"\n\n({of['when']}, {of['processor']}, {system}, at {of['commit']}{beside}.)"


if __name__ == "__main__":
    render()
