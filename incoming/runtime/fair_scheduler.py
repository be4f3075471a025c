"""The fair scheduler: greenlets with much work share time slices, and the event loop runs in between."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from functools import cache
from typing import Final

import gevent.threadpool

TIME_SLICE_S: Final = 0.001
"""How long uploads may work before the loop looks for requests. Half of it costs a tenth of the speed."""
QUANTUM_BYTES: Final = 1024 * 1024
"""How much one connection reads before all others are served. Time slices alone would let the speeds of two
connections differ by a factor."""
CONTENTION_WINDOW: Final = 32
"""The number of recent calls of `yield_to_queue` whose mean tells whether there is contention."""


class FairScheduler:
    """Has the event loop run once between time slices, however many greenlets have work to do.

    All of them together work for TIME_SLICE_S. Then each one that wants to continue queues. The loop polls
    for I/O and runs what has waited for it, and the first in the queue continues. So a request is answered
    between two slices, whether there is one upload or 256.

    One greenlet does more in a slice than another. A greenlet that calls `yield_to_queue` after each quantum
    of work, and until then queues at the front, does as much as all others.

    gevent.sleep(0) polls for I/O after 50 greenlets only, and runs every greenlet with work before it polls.
    """

    def __init__(self) -> None:
        self._hub = gevent.get_hub()
        self._idle_watcher = self._hub.loop.idle(priority=self._hub.loop.MAXPRI)
        self._slice_ends_s = 0.0
        self._queue: deque[gevent.hub.Waiter] = deque()
        self._contention = 0.0

    def yield_if_due(self, first: bool = False) -> None:
        """Returns at once while the time slice lasts, else after queueing; at the front if `first`."""
        if self.is_slice_over():
            self._wait_in_queue(first)

    def yield_to_queue(self) -> None:
        """Lets those in the queue work before the caller continues, even while the time slice lasts."""
        self._contention += (bool(self._queue) - self._contention) / CONTENTION_WINDOW
        if self._queue:
            self._wait_in_queue(False)

    def _wait_in_queue(self, first: bool) -> None:
        waiter = gevent.hub.Waiter(self._hub)
        if not self._queue:
            self._idle_watcher.start(self._run_slice)
        if first:
            self._queue.appendleft(waiter)
        else:
            self._queue.append(waiter)
        try:
            waiter.get()
        except BaseException:  # the greenlet is killed, or out of time
            with contextlib.suppress(ValueError):
                self._queue.remove(waiter)
            raise

    def is_contended(self) -> bool:
        """Returns whether most recent calls of `yield_to_queue` found a greenlet in the queue."""
        return self._contention > 0.5

    def is_slice_over(self) -> bool:
        """Returns whether `yield_if_due` would queue."""
        return time.monotonic() >= self._slice_ends_s

    def _run_slice(self) -> None:
        """Runs in the hub, once in each pass of the loop."""
        self._slice_ends_s = time.monotonic() + TIME_SLICE_S
        while self._queue and not self.is_slice_over():
            self._queue.popleft().switch(None)
        if not self._queue:
            self._idle_watcher.stop()


@cache
def shared_scheduler() -> FairScheduler:
    """Returns the scheduler that all uploads of this process share."""
    return FairScheduler()


def yield_if_due(first: bool = False) -> None:
    """See FairScheduler.yield_if_due; on the shared scheduler, as the following."""
    shared_scheduler().yield_if_due(first)


def yield_to_queue() -> None:
    """See FairScheduler.yield_to_queue."""
    shared_scheduler().yield_to_queue()


def is_contended() -> bool:
    """Returns whether there is more work than time, so that uploads wait in the queue."""
    return shared_scheduler().is_contended()


def is_slice_over() -> bool:
    """See FairScheduler.is_slice_over."""
    return shared_scheduler().is_slice_over()
