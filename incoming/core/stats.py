"""What the process has done so far, in plain numbers: counters, how late the loop is, how fast bytes come in.

The upload path only adds to an int here. Whatever needs arithmetic is worked out by whoever looks: once a
second for speeds, at a scrape for the rest.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from incoming.core.lifecycle import CALLED_OFF, Claim, ClaimPart, Event, State
from incoming.core.ticket import Ticket

HISTORY_S: Final = 300
"""How much of the past the plot of the status page shows."""
SMOOTHING_S: Final = 3.0
"""A speed is an average over about this long: shorter ones flicker, longer ones are behind."""
LAG_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
ENDS: Final = CALLED_OFF | {State.FINISHED, State.FAILED}
CLAIM_KINDS: Final = {State.ISSUED: "first", State.PAUSED: "resume", State.UPLOADING: "takeover"}
WATCHES: Final = "watch"
"""The kind of a claim that comes after the file has: its client wants to hear the result."""
OF_PART: Final = "part"


@dataclass(slots=True)
class Counters:
    """What has happened since the process started. Only `connections` goes down again."""

    received_bytes: int = 0
    """Of files, as they came in; some come twice, or damaged."""
    stored_bytes: int = 0
    damaged_chunks: int = 0
    connections: int = 0
    issued: int = 0
    claims: Counter[str] = field(default_factory=Counter)
    """By kind: first, resume, takeover, watch, part."""
    ended: Counter[State] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    """Calls to apps, by what came back: done, wait, refused, no_answer."""
    call_failures: Counter[str] = field(default_factory=Counter)
    """Failed calls to apps, by the kind of failure."""
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By what was refused (claim, request, handover) and the error's code."""

    def called(self, result: str, failure_kind: str) -> None:
        """Counts one call to an app; `failure_kind` is empty if the app answered."""
        self.calls[result] += 1
        if failure_kind:
            self.call_failures[failure_kind] += 1

    def changed(self, old: Ticket, event: Event, new: Ticket) -> None:
        """Counts one change of a ticket."""
        if isinstance(event, Claim):
            self.claims[CLAIM_KINDS.get(old.state, WATCHES)] += 1
        if isinstance(event, ClaimPart):
            self.claims[OF_PART] += 1
        if new.state is not old.state and new.state in ENDS:
            self.ended[new.state] += 1


class Lag:
    """How late the event loop is: what a timer of ours has to wait beyond its time, others wait too."""

    def __init__(self) -> None:
        self.counts = [0] * (len(LAG_BUCKETS_S) + 1)
        self.sum_s = 0.0

    def add(self, lag_s: float) -> None:
        """Counts one timer."""
        self.counts[bisect_left(LAG_BUCKETS_S, lag_s)] += 1
        self.sum_s += lag_s

    def buckets(self) -> list[tuple[float, int]]:
        """Returns for each limit in seconds how many timers were no later; the last limit is infinite."""
        total, found = 0, []
        for limit_s, count in zip((*LAG_BUCKETS_S, math.inf), self.counts, strict=True):
            total += count
            found.append((limit_s, total))
        return found


@dataclass(slots=True)
class _Speed:
    """An average in which the past fades; `weight` is how much of it there is, as there is none at first."""

    offset_bytes: int
    fading_bytes_per_s: float = 0.0
    weight: float = 0.0

    def add(self, offset_bytes: int, took_s: float) -> None:
        """Takes the offset up as it is after another `took_s`."""
        fresh = 1.0 - math.exp(-took_s / SMOOTHING_S)
        moved_bytes = max(offset_bytes - self.offset_bytes, 0)  # what was stored can be thrown away
        self.fading_bytes_per_s += fresh * (moved_bytes / took_s - self.fading_bytes_per_s)
        self.weight += fresh * (1.0 - self.weight)
        self.offset_bytes = offset_bytes

    def bytes_per_s(self) -> int:
        """Returns the average as it is now."""
        return round(self.fading_bytes_per_s / self.weight) if self.weight else 0


class Speeds:
    """How fast uploads come in, each of them and all together; looked at about once a second."""

    def __init__(self) -> None:
        self.bytes_per_s = 0
        """Of all uploads, in the last second."""
        self._history: deque[int] = deque([0] * HISTORY_S, HISTORY_S)
        self._speeds: dict[str, _Speed] = {}
        self._sampled_at_s: float | None = None
        self._stored_bytes = 0

    def sample(self, now_s: float, stored_bytes: int, moved: Mapping[str, int]) -> None:
        """Takes up how much was stored so far in all, and the offset of each upload that has moved since.

        The others cost nothing once their speed has faded: most connections of a large server are idle.
        """
        before_s, self._sampled_at_s = self._sampled_at_s, now_s
        moved_bytes, self._stored_bytes = stored_bytes - self._stored_bytes, stored_bytes
        took_s = now_s - before_s if before_s is not None else 0.0
        if took_s > 0:
            self.bytes_per_s = round(moved_bytes / took_s)
            seconds = min(max(round(took_s), 1), HISTORY_S)  # a loop that stood still leaves no gap
            self._history.extend([self.bytes_per_s] * seconds)
        if took_s > 0:
            for ticket_id, speed in list(self._speeds.items()):
                speed.add(moved.get(ticket_id, speed.offset_bytes), took_s)
                if ticket_id not in moved and not speed.bytes_per_s():
                    del self._speeds[ticket_id]
        for ticket_id, offset_bytes in moved.items():
            self._speeds.setdefault(ticket_id, _Speed(offset_bytes))

    def of(self, ticket_id: str) -> int:
        """Returns the smoothed speed of an upload in bytes a second."""
        speed = self._speeds.get(ticket_id)
        return speed.bytes_per_s() if speed else 0

    def history(self, seconds: int) -> list[int]:
        """Returns the bytes stored in each of the last seconds, the newest last."""
        return list(self._history)[-seconds:] if seconds else []
