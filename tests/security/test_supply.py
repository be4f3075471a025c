"""What we stand on: known vulnerabilities of the packages that are installed for users and for tests.

The advisories are asked for on the network. Where they can't be had the tests are skipped, and
docs/explanation/reliability.md says that nothing was checked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any, Final, NoReturn

import pytest

from tests.support.server import ROOT
from tests.support.tally import tally

PINNED: Final = ("requirements.txt", "requirements-test.txt", "requirements-dev.txt")
TIMEOUT_S: Final = 300
asked_for = pytest.mark.skipif(
    not os.environ.get("INCOMING_TEST_ATTACKS"), reason="asks the network: make attacks"
)


def not_checked(what: str, why: str) -> NoReturn:
    """Skips the test, and has the page say so: a row that is missing would not be missed."""
    tally("attack", what, 0, f"NOT CHECKED: {why}")
    pytest.skip(why)


def report_of(what: str, command: list[str]) -> dict[str, Any]:
    """Returns the JSON that an audit prints. Skips the test where there is none."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        report = {}
    if not isinstance(report, dict) or "error" in report or not report:
        print((done.stderr or done.stdout)[-300:])
        not_checked(what, "the advisories were out of reach")
    return report


@asked_for
@pytest.mark.parametrize("file_name", PINNED)
def test_no_python_package_has_a_known_vulnerability(file_name: str) -> None:
    pytest.importorskip("pip_audit")
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    what = f"pip-audit of {file_name}"
    report = report_of(what, [*command, "--requirement", file_name, "--no-deps", "--disable-pip"])
    packages = report["dependencies"]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    assert {p["name"]: p["vulns"] for p in packages if p.get("vulns")} == {}
    if unknown:
        not_checked(what, f"no advisories for {len(unknown)} of {len(packages)} packages were found")
    tally("attack", what, len(packages), "no known vulnerability")


@asked_for
def test_no_npm_package_has_a_known_vulnerability() -> None:
    what = "npm audit"
    if not shutil.which("npm"):
        not_checked(what, "npm is not here")
    report = report_of(what, ["npm", "audit", "--json"])
    assert report["vulnerabilities"] == {}
    tally("attack", what, report["metadata"]["dependencies"]["total"], "no known vulnerability")
