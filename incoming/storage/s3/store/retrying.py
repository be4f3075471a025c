"""Repeats calls to a store that is slow or unavailable, with growing pauses. Reports each outage once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from incoming.core.errors import NotesLost, StorageFailed, StorageFull
from incoming.runtime.base import Runtime
from incoming.storage.s3.store.client import S3Error

log = logging.getLogger(__name__)

T = TypeVar("T")
FIRST_PAUSE_S: Final = 0.1
MAX_PAUSE_S: Final = 5.0
LIMIT_S: Final = 90.0
"""After this time a call that does not succeed has failed. An outage of a minute breaks no connection."""


class Retries:
    """Repeats what may be repeated. It belongs to one store: all its calls fail together."""

    def __init__(self, runtime: Runtime, limit_s: float = LIMIT_S) -> None:
        self._runtime = runtime
        self._limit_s = limit_s
        self._is_out = False
        self.count = 0
        """How many calls to the store were repeated."""

    def run(self, call: Callable[[], T], is_wanted: Callable[[], bool] = lambda: True) -> T:
        """Returns what the call to the store returns once it succeeds.

        Raises StorageFailed after the limit, or when the call has failed and `is_wanted` says no. An S3Error
        that can't be repeated is raised as it is. So is any other error.
        """
        pauses = _Pauses(self._runtime, self._limit_s)
        while True:
            try:
                result = call()
            except S3Error as exc:
                if not exc.is_retryable:
                    raise
                self._fails(exc)
                if not pauses.has_time or not is_wanted():
                    raise StorageFailed from exc
            else:
                self._answers()
                return result
            self.count += 1
            pauses.pause()

    def run_change(self, change: Callable[[], None], is_wanted: Callable[[], bool]) -> None:
        """Makes a change of the metadata, which are not in the store, until it succeeds.

        Says nothing of the store. Raises StorageFailed and StorageFull like `run`. Any other error is raised
        as it is, and so is NotesLost.
        """
        pauses = _Pauses(self._runtime, self._limit_s)
        while True:
            try:
                return change()
            except (StorageFailed, StorageFull) as exc:
                if isinstance(exc, NotesLost) or not pauses.has_time or not is_wanted():
                    raise
            pauses.pause()

    def _fails(self, cause: Exception) -> None:
        if not self._is_out:
            self._is_out = True
            about = {"error": cause}
            log.warning("the store does not answer as it should, and is asked again: %(error)s", about)

    def _answers(self) -> None:
        if self._is_out:
            self._is_out = False
            log.info("the store answers again")


class _Pauses:
    """The pauses between the tries of one call, which grow up to a limit."""

    def __init__(self, runtime: Runtime, limit_s: float) -> None:
        self._runtime = runtime
        self._ends_s = runtime.now_s() + limit_s
        self._next_s = FIRST_PAUSE_S

    @property
    def has_time(self) -> bool:
        """Whether the next try begins before the limit."""
        return self._runtime.now_s() + self._next_s <= self._ends_s

    def pause(self) -> None:
        """Waits for the next try."""
        self._runtime.sleep(self._next_s * (0.5 + self._runtime.jitter() / 2))
        self._next_s = min(self._next_s * 2, MAX_PAUSE_S)
