"""Repeats calls to a store that is slow or unavailable, with growing pauses. Reports each outage once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from incoming.core.errors import StorageFailed
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
        """How many calls were repeated."""

    def run(self, call: Callable[[], T], is_wanted: Callable[[], bool] = lambda: True) -> T:
        """Returns what the call returns once it succeeds.

        Raises StorageFailed after the limit, or when the call has failed and `is_wanted` says no. An S3Error
        that can't be repeated is raised as it is. So is any other error.
        """
        pause_s, began_s = FIRST_PAUSE_S, self._runtime.now_s()
        while True:
            try:
                result = call()
            except S3Error as exc:
                if not exc.is_retryable:
                    raise
                cause: Exception = exc
            except StorageFailed as exc:
                cause = exc
            else:
                self._answers()
                return result
            self._fails(cause)
            waited_s = self._runtime.now_s() - began_s
            if waited_s + pause_s > self._limit_s or not is_wanted():
                raise StorageFailed from cause
            self.count += 1
            self._runtime.sleep(pause_s * (0.5 + self._runtime.jitter() / 2))
            pause_s = min(pause_s * 2, MAX_PAUSE_S)

    def _fails(self, cause: Exception) -> None:
        if not self._is_out:
            self._is_out = True
            about = {"error": cause}
            log.warning("the store does not answer as it should, and is asked again: %(error)s", about)

    def _answers(self) -> None:
        if self._is_out:
            self._is_out = False
            log.info("the store answers again")
