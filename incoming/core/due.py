"""When housekeeping has to look at a ticket, given the times of the settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Protocol

from incoming.core.lifecycle import State
from incoming.core.ticket import Ticket

ALWAYS: Final = -math.inf
DELETION_LEFT_S: Final = 10.0
"""How long only the process that ended an upload deletes what it has left."""


class Times(Protocol):
    """How long a ticket may stay in each state. The settings satisfy this protocol."""

    @property
    def idle_timeout_s(self) -> float:
        """How long an upload may wait for its client."""

    @property
    def handover_wait_timeout_s(self) -> float:
        """How long an app may take between "wait" and finish_upload."""

    @property
    def failed_retention_s(self) -> float:
        """How long a file is kept that its app did not take."""

    @property
    def result_retention_s(self) -> float:
        """How long the result of an ended upload is kept."""


def state_timeouts_s(times: Times) -> dict[State, float]:
    """Returns how long a ticket may stay in each state in which nothing is under way."""
    return {
        State.ISSUED: times.idle_timeout_s,
        State.PAUSED: times.idle_timeout_s,
        State.WAITING: times.handover_wait_timeout_s,
        State.FAILED: times.failed_retention_s,
        State.FINISHED: times.result_retention_s,
        State.CANCELLED: times.result_retention_s,
        State.EXPIRED: times.result_retention_s,
    }


def due_at_s(ticket: Ticket, timeouts_s: Mapping[State, float]) -> float:
    """Returns after which time of the service's clock the ticket is due. `timeouts_s`: of `state_timeouts_s`.

    A ticket is always due while something is under way: its client may be lost, or a call to its app. So is a
    paused one that only has to be completed.
    """
    if ticket.state is State.UPLOADING or ticket.is_undelivered or ticket.is_whole:
        return ALWAYS
    if ticket.to_delete:
        return ticket.changed_at_s + DELETION_LEFT_S
    return ticket.changed_at_s + timeouts_s[ticket.state]


def is_due(ticket: Ticket, timeouts_s: Mapping[State, float], now_s: float) -> bool:
    """Returns whether housekeeping has to look at the ticket now."""
    return due_at_s(ticket, timeouts_s) < now_s


def is_deletion_due(ticket: Ticket, now_s: float) -> bool:
    """Returns whether any process has to delete what an ended upload has left."""
    return ticket.to_delete and ticket.changed_at_s + DELETION_LEFT_S < now_s
