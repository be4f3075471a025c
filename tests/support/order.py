"""In which order workers take the files: pure.

Left to itself, xdist begins with the files of the most tests. Those are the quick ones. Then one worker is
still busy with a long file at the end, when the others have nothing left to do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

LONG: Final = frozenset(
    {
        *("", "clients", "commands", "composition", "e2e", "examples", "faults", "hosts", "how_to", "net"),
        *("recipes", "security", "static"),
    }
)
"""Folders of tests that start processes and wait for them. Their files take most of the time."""


def in_order(files: Iterable[str]) -> list[str]:
    """Returns the files (`tests/e2e/test_tabs.py`) in the order in which they begin.

    The long ones come first, and each of their folders is spread evenly over that part: a worker with a
    browser mostly runs beside workers that wait. The quick ones fill the end.
    """
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for file in files:
        by_folder[_folder(file)].append(file)
    places = {
        file: ((index + 0.5) / len(beside), file)
        for beside in by_folder.values()
        for index, file in enumerate(sorted(beside))
    }
    return sorted(places, key=lambda file: (_folder(file) not in LONG, places[file]))


def _folder(file: str) -> str:
    """Returns the folder below `tests`; an empty text for a file that is in none."""
    below = file.removeprefix("tests/")
    return below.partition("/")[0] if "/" in below else ""
