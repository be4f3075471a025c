"""What an app's answer means, and when it is asked again. Pure: no clock, no network.

CONTRACT 3 and DESIGN 2: 200 with `done` or `wait` is an answer. No connection, a timeout, 5xx and 429 pass by
themselves: try again. Everything else is a refusal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

MAX_ANSWER_BYTES: Final = 4096
"""More of an answer is not read: the longest honest one has four letters, and white space."""


@dataclass(frozen=True, slots=True)
class Done:
    """The app has the file."""

    result: ClassVar = "done"


@dataclass(frozen=True, slots=True)
class WillFinish:
    """The app said "wait": it calls finish_upload later."""

    result: ClassVar = "wait"


@dataclass(frozen=True, slots=True)
class Refused:
    """The app answered, and it does not take the file. `why` is for logs and for users."""

    why: str
    result: ClassVar = "refused"


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing that counts as an answer; trying again may help."""

    why: str
    result: ClassVar = "no_answer"


Answer = Done | WillFinish | Refused | NoAnswer


def classify(status: int, body: bytes) -> Answer:
    """Returns what an HTTP answer of the app means. Nothing of its body is repeated to anybody."""
    if status >= 500 or status == 429:
        return NoAnswer(f"the app answered with status {status}")
    if not 200 <= status < 300:
        return Refused(f"the app answered with status {status}")
    word = body.strip()
    if status == 200 and word == b"done":
        return Done()
    if status == 200 and word == b"wait":
        return WillFinish()
    return Refused("the app's answer was neither done nor wait")


def retry_delay_s(attempt: int, first_s: float, longest_s: float, jitter: float) -> float:
    """Returns the delay after the failed attempt number `attempt` (1 is the first): doubling, up to a bound.

    `jitter`, from 0 to 1, spreads the delays over 75 to 125 %, so that many uploads don't call in step.
    """
    doubled = first_s * 2.0 ** min(attempt - 1, 60)
    return min(doubled, longest_s) * (0.75 + jitter / 2)
