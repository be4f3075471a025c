"""Waiting for a condition: the one place where tests sleep, and always with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, deadline_s: float = 20.0) -> T:
    """Returns the first true value of `condition()`. Raises AssertionError with `what` when time is up."""
    give_up_at_s = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < give_up_at_s, f"{what}: not within {deadline_s} s"
        time.sleep(0.005)
    return value
