"""What the process has done so far, in plain numbers: counters, how late the loop is, how fast bytes come in.

The upload path only adds to an int here. Whatever needs arithmetic is worked out by its readers: once a
second for speeds, at a scrape for the rest.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from incoming.core.lifecycle import CALLED_OFF, Claim, ClaimPart, Complete, Event, State
from incoming.core.ticket import Ticket

HISTORY_S: Final = 300
"""How much of the past the plot of the status page shows."""
SMOOTHING_S: Final = 3.0
"""A speed is an average over about this long: shorter ones flicker, longer ones lag."""
LAG_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
CALL_BUCKETS_S: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 2.5, 10.0, 30.0)
"""For calls to a store: Redis answers within 0.3 ms, and a part of 64 MiB takes S3 a second."""
RECENT_S: Final = 60.0
FORGET_AFTER_S: Final = 30.0
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
    folders_arrived: int = 0
    files_left_out: int = 0
    """Of folders: their clients could not read them."""

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
        if isinstance(event, Complete) and new.is_folder:
            self.folders_arrived += 1


class Lag:
    """How long something took, by length: how late the event loop is, or how slow calls to a store are."""

    def __init__(self, limits_s: tuple[float, ...] = LAG_BUCKETS_S) -> None:
        self.counts = [0] * (len(limits_s) + 1)
        self.sum_s = 0.0
        self._limits_s = limits_s

    def add(self, lag_s: float) -> None:
        """Counts one timer, or one call."""
        self.counts[bisect_left(self._limits_s, lag_s)] += 1
        self.sum_s += lag_s

    def buckets(self) -> list[tuple[float, int]]:
        """Returns for each limit in seconds how many took no longer; the last limit is infinite."""
        total, found = 0, []
        for limit_s, count in zip((*self._limits_s, math.inf), self.counts, strict=True):
            total += count
            found.append((limit_s, total))
        return found


@dataclass(frozen=True, slots=True)
class Transfers:
    """What this process is sending to a store that takes files in parts."""

    parts_in_flight: int
    buffered_bytes: int
    """In memory, for parts that the store does not have yet."""
    sent_bytes: int
    """So far, repeated ones too."""
    repeated_calls: int


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """How a store beyond this process answers its calls."""

    name: str
    """A stable word: `redis` or `s3`."""
    latency: Lag
    """Of calls that had an answer."""
    failures: Mapping[str, int]
    """Calls without an answer, or with one that tells to try again, by the name of the error."""
    is_away: bool
    """Whether the last call failed in that way."""
    transfers: Transfers | None = None


class Recent:
    """What the calls to a store were like in the last minute; looked at every few seconds."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int, float, int]] = deque()

    def look(self, figures: StoreFigures, now_s: float) -> None:
        """Takes up the figures as they are now."""
        calls, failures = sum(figures.latency.counts), sum(figures.failures.values())
        if not self._looks:
            self._looks.append((now_s, 0, 0.0, 0))  # the process has just begun
        self._looks.append((now_s, calls, figures.latency.sum_s, failures))
        while now_s - self._looks[0][0] > RECENT_S:
            self._looks.popleft()

    @property
    def mean_s(self) -> float | None:
        """How long a call took; None if there was no answer."""
        if not self._looks:
            return None
        (_, calls_before, sum_before_s, _), (_, calls, sum_s, _) = self._looks[0], self._looks[-1]
        return (sum_s - sum_before_s) / (calls - calls_before) if calls > calls_before else None

    @property
    def failures(self) -> int:
        """How many calls failed."""
        return self._looks[-1][3] - self._looks[0][3] if self._looks else 0


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
        """Of all uploads in this process, in the last second."""
        self._history: deque[int] = deque([0] * HISTORY_S, HISTORY_S)
        self._speeds: dict[str, _Speed] = {}
        self._sampled_at_s: float | None = None
        self._stored_bytes = 0

    def sample(
        self, now_s: float, stored_bytes: int, moved: Mapping[str, int], others_bytes_per_s: int = 0
    ) -> None:
        """Takes a sample: how much was stored in all, and the offset of each upload that has moved since.

        `others_bytes_per_s` is how fast the other processes of the service store now.

        The others cost nothing once their speed has faded: most connections of a large server are idle.
        """
        before_s, self._sampled_at_s = self._sampled_at_s, now_s
        moved_bytes, self._stored_bytes = stored_bytes - self._stored_bytes, stored_bytes
        took_s = now_s - before_s if before_s is not None else 0.0
        if took_s > 0:
            self.bytes_per_s = round(moved_bytes / took_s)
            seconds = min(max(round(took_s), 1), HISTORY_S)  # a loop that stood still leaves no gap
            self._history.extend([self.bytes_per_s + others_bytes_per_s] * seconds)
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
        """Returns the bytes that all processes stored in each of the last seconds, the newest last."""
        return list(self._history)[-seconds:] if seconds else []


@dataclass(slots=True)
class _Seen:
    speed: _Speed
    at_s: float
    moved_at_s: float | None = None


class SpeedsElsewhere:
    """How fast uploads come in that other processes hold, from their offsets whenever somebody looks."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def look(self, offsets: Mapping[str, int], now_s: float) -> None:
        """Takes up the offsets as they are now. What nobody has looked at for a while is forgotten."""
        for ticket_id, offset_bytes in offsets.items():
            seen = self._seen.setdefault(ticket_id, _Seen(_Speed(offset_bytes), now_s))
            if now_s <= seen.at_s:
                continue
            if offset_bytes > seen.speed.offset_bytes:
                seen.moved_at_s = now_s
            seen.speed.add(offset_bytes, now_s - seen.at_s)
            seen.at_s = now_s
        for ticket_id in [one for one, seen in self._seen.items() if now_s - seen.at_s > FORGET_AFTER_S]:
            del self._seen[ticket_id]

    def of(self, ticket_id: str) -> int:
        """Returns the smoothed speed of an upload in bytes a second; 0 at the first look."""
        seen = self._seen.get(ticket_id)
        return seen.speed.bytes_per_s() if seen else 0

    def moved_at_s(self, ticket_id: str) -> float | None:
        """Returns when an upload was first seen further on than before; None if it never was."""
        seen = self._seen.get(ticket_id)
        return seen.moved_at_s if seen else None
