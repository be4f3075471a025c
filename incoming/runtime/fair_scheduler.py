"""The fair scheduler: uploads take turns, and the event loop serves requests between two turns."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from functools import cache
from typing import Final

import gevent.threadpool


class FairScheduler:
    """Has the event loop run once between pieces of work, however many greenlets have work to do.

    All of them together work for `TURN_S`; then whoever wants to go on waits in line, the loop looks for new
    I/O and runs what has waited for it, and the next in line goes on. So a request is answered between two
    turns, be there one upload or 256. In the same time one does more than another: so who gives way after
    each share of work, and comes first until then, has done as much as all others. (gevent.sleep(0) looks
    for I/O after 50 greenlets only, and serves every greenlet that has work before it looks.)
    """

    def __init__(self) -> None:
        self._hub = gevent.get_hub()
        self._between = self._hub.loop.idle(priority=self._hub.loop.MAXPRI)
        self._until_s = 0.0
        self._line: deque[gevent.hub.Waiter] = deque()
        self._crowd = 0.0

    def take(self, comes_first: bool = False) -> None:
        """Returns when the caller may work: at once while the turn lasts. `comes_first` of those in line."""
        if self.is_over():
            self._stand_in_line(comes_first)

    def give_way(self) -> None:
        """Has those in line work before the caller goes on, even while the turn lasts."""
        self._crowd += (bool(self._line) - self._crowd) / CROWD_OVER
        if self._line:
            self._stand_in_line(False)

    def _stand_in_line(self, comes_first: bool) -> None:
        waiter = gevent.hub.Waiter(self._hub)
        if not self._line:
            self._between.start(self._next_turn)
        if comes_first:
            self._line.appendleft(waiter)
        else:
            self._line.append(waiter)
        try:
            waiter.get()
        except BaseException:  # the greenlet is killed, or out of time
            with contextlib.suppress(ValueError):
                self._line.remove(waiter)
            raise

    def is_crowded(self) -> bool:
        """Returns whether somebody stood in line more often than not when one of late gave way."""
        return self._crowd > 0.5

    def is_over(self) -> bool:
        """Returns whether the caller would have to wait."""
        return time.monotonic() >= self._until_s

    def _next_turn(self) -> None:
        """Runs in the hub, once in each pass through the loop."""
        self._until_s = time.monotonic() + TURN_S
        while self._line and not self.is_over():
            self._line.popleft().switch(None)
        if not self._line:
            self._between.stop()


TURN_S: Final = 0.001
"""For how long uploads may work before requests are looked for. Half of it costs a tenth of the speed."""


CROWD_OVER: Final = 32
"""Of how many shares of work the mean tells whether there is a crowd."""


@cache
def _turns() -> FairScheduler:
    return FairScheduler()


def breathe(comes_first: bool = False) -> None:
    """Lets others run if this turn is over. A caller that `comes_first` continues before those in line."""
    _turns().take(comes_first)


def give_way() -> None:
    """Lets those go on who wait for their turn, even while this one lasts."""
    _turns().give_way()


def is_crowded() -> bool:
    """Returns whether there is more work than time, so that tasks wait in line; see FairScheduler."""
    return _turns().is_crowded()


def turn_is_over() -> bool:
    """Returns whether `breathe` would let others run."""
    return _turns().is_over()
