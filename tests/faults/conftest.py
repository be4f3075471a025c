"""What the tests of faults share: a launcher of servers that start fast and die where they are told to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.forked import Launcher


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Forks servers."""
    with Launcher() as running:
        yield running
