"""What we stand on: known vulnerabilities of the packages that are installed for users and for tests.

The advisories are asked for on the network. Where they can't be had the tests are skipped, and say so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any, Final

import pytest

from tests.support.server import ROOT
from tests.support.tally import tally

PINNED: Final = ("requirements.txt", "requirements-dev.txt")
TIMEOUT_S: Final = 300
asked_for = pytest.mark.skipif(
    not os.environ.get("INCOMING_TEST_ATTACKS"), reason="asks the network: make attacks"
)


def report_of(command: list[str]) -> dict[str, Any]:
    """Returns the JSON that an audit prints. Skips the test where there is none."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        report = {}
    if not isinstance(report, dict) or "error" in report or not report:
        pytest.skip(f"the advisories can't be had here: {(done.stderr or done.stdout)[-300:]}")
    return report


@asked_for
@pytest.mark.parametrize("file_name", PINNED)
def test_no_python_package_has_a_known_vulnerability(file_name: str) -> None:
    pytest.importorskip("pip_audit")
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    report = report_of([*command, "--requirement", file_name, "--no-deps", "--disable-pip"])
    packages = report["dependencies"]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    assert {p["name"]: p["vulns"] for p in packages if p.get("vulns")} == {}
    if unknown:
        pytest.skip(f"no advisories for {len(unknown)} of {len(packages)} packages can be had here")
    tally("attack", f"pip-audit of {file_name}", len(packages), "no known vulnerability")


@asked_for
def test_no_npm_package_has_a_known_vulnerability() -> None:
    if not shutil.which("npm"):
        pytest.skip("npm is not here")
    report = report_of(["npm", "audit", "--json"])
    assert report["vulnerabilities"] == {}
    tally("attack", "npm audit", report["metadata"]["dependencies"]["total"], "no known vulnerability")
