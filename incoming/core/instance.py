"""A process of a service, as other processes of it know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Instance:
    """A process of the service: its machine, and when it was started (Unix time).

    No other process ever has its `id`. Its `name` is for people: the next process may have the same.
    """

    id: str
    name: str
    hostname: str
    pid: int
    since_s: float
    bytes_per_s: int = 0
    """How fast it stored bytes of uploads when it was last heard of."""
    connections: int = 0
    """How many upload connections it had then."""
    sources: Mapping[str, int] = field(default_factory=dict, compare=False)
    """How many connections the client addresses with most of them had then, see core.client_limits."""
