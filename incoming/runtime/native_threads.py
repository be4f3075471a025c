"""Threads of the system, also where gevent has put its own in their place.

gevent's patches make `threading.Thread` a greenlet, and a greenlet that reads a file stops all others. What
is here may wait for a disk. A main thread that uses gevent must not wait here while it has other greenlets.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, Protocol

from gevent import monkey


class Lock(Protocol):
    """One of Python's own locks."""

    def acquire(self) -> bool:
        """Waits until the lock is free, and takes it."""

    def release(self) -> None:
        """Frees it. Any thread may do that."""


start_thread: Final[Callable[[Callable[..., object], tuple[Any, ...]], int]] = monkey.get_original(
    "_thread", "start_new_thread"
)
"""Starts a thread that runs a function with these arguments. It ends with the process."""
new_lock: Final[Callable[[], Lock]] = monkey.get_original("_thread", "allocate_lock")
real_poll: Final[Callable[[], Any]] = monkey.get_original("select", "poll")
"""select.poll as it was before gevent's patches: it does not switch to other greenlets."""


def new_queue() -> SimpleQueue[Any]:
    """Returns a queue between such threads."""
    queue: SimpleQueue[Any] = monkey.get_original("queue", "SimpleQueue")()
    return queue
