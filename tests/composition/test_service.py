"""A service that does not come about leaves the storage directory to others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT

SCRIPT = """
import gevent.monkey
gevent.monkey.patch_all()
import os, sys
from unittest.mock import patch
from incoming.composition.service import Service
from incoming.settings.table import Settings

settings = Settings(storage_dir=sys.argv[1])
before = len(os.listdir("/proc/self/fd"))
try:
    with patch(sys.argv[2], side_effect=RuntimeError("it fails")):
        Service(settings)
except RuntimeError:
    pass
else:
    sys.exit("it did not fail")
print("descriptors more:", len(os.listdir("/proc/self/fd")) - before)
service = Service(settings)
service.close()
Service(settings).close()
"""
STEPS = [
    "incoming.composition.files.probe",
    "incoming.composition.tickets.Journal",
    "incoming.composition.tickets.MemoryRegistry",
    "incoming.composition.service.Uploads",
    "incoming.composition.service.housekeeping.require_power_cut_checks",
]


@pytest.mark.parametrize("step", STEPS)
def test_a_start_that_fails_after_it_took_the_lock_gives_it_up(step: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", SCRIPT, str(tmp_path / "storage"), step]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
