"""The server as it is, started so that it can be asked which greenlets it has.

At SIGUSR2 it writes {what a greenlet runs: how many do} as JSON into the file that INSPECTED_INTO names.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from incoming.cli import main  # isort: skip - it patches first

import gc
import json
import os
import signal
from collections import Counter

import greenlet  # type: ignore[import-untyped]


def _report(*_: object) -> None:
    """Counts the living greenlets by the innermost function of each."""
    found: Counter[str] = Counter()
    for thing in gc.get_objects():
        if isinstance(thing, greenlet.greenlet) and not thing.dead:
            frame = thing.gr_frame
            found[f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}" if frame else "runs"] += 1
    into = Path(os.environ["INSPECTED_INTO"])
    beside = into.with_suffix(".new")
    beside.write_text(json.dumps(found))
    beside.replace(into)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, _report)
    main()
