"""What all measurements share: options, a folder for files, and a progress line."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROUNDS: Final = 5
"""The default number of rounds."""
PAIRS: Final = 9
"""The default number of rounds where ratios of pairs are measured."""


def add_options(parser: argparse.ArgumentParser, rounds: int = ROUNDS) -> None:
    """Adds options for size, rounds and storage. `rounds`: the default, or 0 for that of each measurement."""
    parser.add_argument("--size-mib", type=int, default=512, help="how large an upload is (default: 512)")
    told = rounds or f"{ROUNDS}, or {PAIRS} pairs"
    parser.add_argument(
        "--rounds", type=int, default=rounds, help=f"how often each is measured (default: {told})"
    )
    parser.add_argument(
        "--storage", type=Path, help="a folder on the disk that matters (default: a temporary one)"
    )


@contextmanager
def storage(folder: Path | None) -> Iterator[Path]:
    """Yields a new folder in `folder`, or a temporary one, and removes it after use."""
    with tempfile.TemporaryDirectory(prefix="incoming-bench-", dir=folder) as made:
        yield Path(made)


def progress(text: str) -> None:
    """Shows what is being measured, on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
