"""Waiting for a condition: the one place where tests sleep, and always with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
DEADLINE_S: Final = 120.0
"""It only bounds a hang: a busy machine may take a hundred times as long as an idle one."""
AT_ONCE_S: Final = 10.0
"""A busy machine may take so long for what happens at once. It would be 30 s, if a timeout had to end."""


def wait_until(condition: Callable[[], T], what: str, deadline_s: float = DEADLINE_S) -> T:
    """Returns the first true value of `condition()`. Raises AssertionError with `what` when time is up."""
    give_up_at_s = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < give_up_at_s, f"{what}: not within {deadline_s} s"
        time.sleep(0.005)
    return value
