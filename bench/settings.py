"""What all measurements have in common: options, a place to store, and a line that tells where they are."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds size, rounds and storage."""
    parser.add_argument("--size-mib", type=int, default=512, help="how large an upload is (default: 512)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: 5)")
    parser.add_argument(
        "--storage", type=Path, help="a folder on the disk that matters (default: a temporary one)"
    )


@contextmanager
def storage(folder: Path | None) -> Iterator[Path]:
    """Gives a new folder in `folder`, or among the temporary ones, and removes it after use."""
    with tempfile.TemporaryDirectory(prefix="incoming-bench-", dir=folder) as made:
        yield Path(made)


def progress(text: str) -> None:
    """Tells a person who waits what is being done; nothing where nobody looks."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
