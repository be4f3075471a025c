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


MIN_PAUSE_S: Final = 0.005
MAX_PAUSE_S: Final = 0.1
PAUSES_PER_CHECK: Final = 4
"""A check that takes long, such as a question to a browser, takes a fifth of the time at most."""
PAUSE_OF_WAITED: Final = 0.02


def wait_until(condition: Callable[[], T], what: str, deadline_s: float = DEADLINE_S) -> T:
    """Returns the first true value of `condition()`. Raises AssertionError with `what` when time is up."""
    began_s = time.monotonic()
    while True:
        asked_s = time.monotonic()
        if value := condition():
            return value
        now_s = time.monotonic()
        assert now_s < began_s + deadline_s, f"{what}: not within {deadline_s} s"
        pause_s = max((now_s - asked_s) * PAUSES_PER_CHECK, (now_s - began_s) * PAUSE_OF_WAITED)
        time.sleep(min(max(pause_s, MIN_PAUSE_S), MAX_PAUSE_S))
