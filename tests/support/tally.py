"""What faults, attacks and clients were tried, how often, and what happened.

The source of docs/explanation/reliability.md.

`make faults`, `make attacks` and `make clients` name a file in INCOMING_TEST_TALLY; in an ordinary run
nothing is written.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

Kind = Literal["fault", "attack", "client"]


def tally(kind: Kind, what: str, tried: int, happened: str) -> None:
    """Notes that `what` was tried so many times and that `happened`, a short sentence, held each time.

    To be called after the assertions: what fails is not noted. The same `what` may be noted by several tests.
    """
    file = os.environ.get("INCOMING_TEST_TALLY")
    if file:
        row = {"kind": kind, "what": what, "tried": tried, "happened": happened}
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
