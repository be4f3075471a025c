"""Coverage-guided fuzzing with atheris: `python -m tests.security.fuzz TARGET SECONDS`.

New inputs that reach new code go to tests/artifacts/corpus; `python -m tests.security.fuzz TARGET keep` adds
those of them that are worth it to tests/security/corpus. Ends with an error, and with the input in
tests/artifacts, when something raises, takes longer than HANG_S or more memory than it may.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["incoming", "bottle", "geventwebsocket"]):
    from tests.security.targets import TARGETS

ROOT: Final = Path(__file__).resolve().parents[2]
KEPT: Final = ROOT / "tests" / "security" / "corpus"
FOUND: Final = ROOT / "tests" / "artifacts"
MAX_INPUT_BYTES: Final = 4096
HANG_S: Final = 60
"""A folder of fifty levels is synced fifty times, on a disk that others may use."""
MAX_MEMORY_MIB: Final = 1024


def main(target: str, what: str, *passed: str) -> None:
    """Fuzzes for so many seconds, or keeps what was found. Does not return.

    libFuzzer merges in processes of its own, which it starts with its first argument and more (`passed`).
    """
    logging.getLogger("incoming").addHandler(logging.NullHandler())  # a line for each refusal takes longest
    kept, new = KEPT / target, FOUND / "corpus" / target
    for folder in (kept, new):
        folder.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_len={MAX_INPUT_BYTES}", f"-timeout={HANG_S}", f"-rss_limit_mb={MAX_MEMORY_MIB}"]
    program = f"{sys.executable} -m tests.security.fuzz {target} merging"
    if what == "merging":
        options = list(passed)
    elif what == "keep":
        options = [*limits, "-merge=1", str(kept), str(new)]
    else:
        report = [f"-artifact_prefix={FOUND}/{target}-", "-print_final_stats=1"]
        options = [*limits, *report, f"-max_total_time={what}", str(new), str(kept)]
    atheris.Setup([program, *options], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
