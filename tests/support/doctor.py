"""`incoming doctor` as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.support.server import ROOT


def run_doctor(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Returns what `incoming doctor` says."""
    command = [sys.executable, str(ROOT / "run.py"), "doctor", url, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def examine(url: str, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Returns the exit code, and {topic: finding}. Raises AssertionError for other output."""
    done = run_doctor(url, "--json", *options)
    assert not done.stderr, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {one["topic"]: one for one in found}


def changes(found: dict[str, dict[str, Any]]) -> set[str]:
    """Returns the topics that have to change."""
    return {topic for topic, one in found.items() if one["grade"] == "change"}
