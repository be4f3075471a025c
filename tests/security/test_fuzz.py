"""What fuzzing has found stays found: each kept input is tried again; `make attacks` looks for more.

`targets` says what is fuzzed and what must hold, `fuzz` how. INCOMING_TEST_FUZZ_S: how many seconds for each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.security.targets import TARGETS
from tests.support.server import ROOT
from tests.support.tally import tally

CORPUS: Final = Path(__file__).with_name("corpus")
FUZZ_S: Final = int(os.environ.get("INCOMING_TEST_FUZZ_S", "0"))
HAPPENED: Final = "no crash, no hang, and read as another reader reads it"
MAX_CORPUS_BYTES: Final = 400_000
every_target = pytest.mark.parametrize("target", TARGETS)


@every_target
def test_no_kept_input_does_any_harm(target: str) -> None:
    kept = sorted((CORPUS / target).iterdir())
    assert len(kept) > 2
    for file in kept:
        try:
            TARGETS[target](file.read_bytes())
        except Exception as exc:
            raise AssertionError(f"{file} does harm") from exc
    tally("attack", f"fuzzing: {target}, kept inputs", len(kept), HAPPENED)


def test_every_kept_input_has_a_target_and_all_are_small() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS)
    assert sum(file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()) < MAX_CORPUS_BYTES


@pytest.mark.skipif(not FUZZ_S, reason="takes long, and needs atheris: make attacks")
@every_target
def test_fuzzing_finds_nothing(target: str) -> None:
    command = [sys.executable, "-m", "tests.security.fuzz", target, str(FUZZ_S)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=FUZZ_S + 300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    runs = [int(line.split()[-1]) for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    assert runs, done.stderr[-4000:]
    assert runs[0] > FUZZ_S
    tally("attack", f"fuzzing: {target}, new inputs", runs[0], HAPPENED)
