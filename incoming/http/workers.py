"""Several processes that serve one port: a parent that has the port, and starts, watches and stops workers.

The workers inherit the listening socket (sd_listen_fds(3)), so a client that connects while a worker is
replaced waits and is not refused. A worker that dies is replaced. SIGHUP replaces all of them, one after the
other. Without their parent, workers stop, so that the port is free for the next one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final

import gevent
import gevent.event

from incoming.http import listeners
from incoming.runtime.gevent_runtime import GeventRuntime

log = logging.getLogger(__name__)

WORKER_VARIABLE: Final = "WORKER_OF_INCOMING"
"""Set for workers: their parent prints what a person should know."""
PARENT_VARIABLE: Final = "PARENT_OF_WORKER_OF_INCOMING"
"""The process id of the parent of a worker. A worker whose parent is another one has lost its own."""
READY_FD: Final = listeners.FIRST_INHERITED + 1
"""The descriptor to which a worker writes once it serves."""
NEEDS_SHARED: Final = (
    "more than one needs Redis and S3: set registry and storage, and no storage_choice, because a directory "
    "belongs to one process"
)
CHECK_INTERVAL_S: Final = 0.05
CHECK_PARENT_EVERY_S: Final = 0.25
STEADY_AFTER_S: Final = 10.0
"""A worker that has run for this long is replaced at once; one that has not, only after a while."""
FIRST_DELAY_S: Final = 0.5
MAX_DELAY_S: Final = 30.0
STOP_MARGIN_S: Final = 10.0
"""How much longer than `stop_timeout_s` a worker may take to stop before it is killed."""
FIRST_SAFE_FD: Final = 1000
"""Descriptors of the new process that nothing else has, on the way to the right ones."""
_WITH_OWN_PID: Final = ("sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh")
"""The variable has to name the process that gets the socket, which nobody knows before it runs."""


class Worker:
    """The process of one worker."""

    def __init__(self, number: int, words: Sequence[str], listener_fd: int) -> None:
        """Starts the process. Raises OSError."""
        self.number = number
        self.exit_code: int | None = None
        own = {WORKER_VARIABLE: str(number), PARENT_VARIABLE: str(os.getpid())}
        environ = {**os.environ, "LISTEN_FDS": "1", **own}
        self._ready_fd, child_fd = os.pipe()
        try:
            self.pid = os.posix_spawnp(
                _WITH_OWN_PID[0],
                [*_WITH_OWN_PID, *words],
                environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, listener_fd, FIRST_SAFE_FD),
                    (os.POSIX_SPAWN_DUP2, child_fd, FIRST_SAFE_FD + 1),
                    (os.POSIX_SPAWN_DUP2, FIRST_SAFE_FD, listeners.FIRST_INHERITED),
                    (os.POSIX_SPAWN_DUP2, FIRST_SAFE_FD + 1, READY_FD),
                    (os.POSIX_SPAWN_CLOSE, FIRST_SAFE_FD),
                    (os.POSIX_SPAWN_CLOSE, FIRST_SAFE_FD + 1),
                ],
                setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGHUP],
            )
        except OSError:
            os.close(self._ready_fd)
            raise
        finally:
            os.close(child_fd)
        os.set_blocking(self._ready_fd, False)
        self.is_ready = False

    def look(self) -> None:
        """Looks whether the worker serves by now: `is_ready`."""
        if not self.is_ready:
            with contextlib.suppress(BlockingIOError):
                self.is_ready = bool(os.read(self._ready_fd, 1))

    def close(self) -> None:
        """Forgets a worker that has ended."""
        os.close(self._ready_fd)

    def is_running(self) -> bool:
        """Returns whether the process has not ended. Else `exit_code` is known, or minus a signal."""
        if self.exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code is None

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless the process has ended."""
        if self.is_running():
            os.kill(self.pid, number)


class Workers:
    """The workers of this process, which does nothing else."""

    def __init__(
        self, count: int, words: Sequence[str], listener_fd: int, stop_within_s: float,
        on_ready: Callable[[], object],
    ) -> None:  # fmt: skip
        """`words`: the command of a worker. A worker that does not stop in time is killed.

        `on_ready` is called once the first worker serves.
        """
        self._on_ready = on_ready
        self._has_served = False
        self._count = count
        self._words = words
        self._listener_fd = listener_fd
        self._stop_within_s = stop_within_s
        self._runtime = GeventRuntime()
        self._stopping = gevent.event.Event()
        self._workers: dict[int, Worker] = {}
        os.set_inheritable(listener_fd, True)

    def run(self) -> int:
        """Runs the workers until a signal comes, or the first one can't start. Returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, self._handle_stop)
        gevent.signal_handler(signal.SIGHUP, lambda: gevent.spawn(self._replace_all))
        watchers = [gevent.spawn(self._keep, number) for number in range(1, self._count + 1)]
        done = gevent.joinall(watchers)
        return max((int(watcher.value or 0) for watcher in done), default=0)

    def _keep(self, number: int) -> int:
        """Keeps one worker running until all have to stop. Returns the exit code of one that never ran.

        All but the first one start once a worker serves.
        """
        delay_s = FIRST_DELAY_S
        has_run = False
        # What stops the first one would stop all of them, and each would say so.
        while number > 1 and not self._has_served and not self._stopping.is_set():
            self._runtime.sleep(CHECK_INTERVAL_S)
        while not self._stopping.is_set():
            began_s = self._runtime.now_s()
            worker = self._workers[number] = Worker(number, self._words, self._listener_fd)
            while worker.is_running():
                worker.look()
                self._tell_ready(worker)
                self._runtime.sleep(CHECK_INTERVAL_S)
            worker.close()
            if self._stopping.is_set():
                break
            is_steady = self._runtime.now_s() - began_s >= STEADY_AFTER_S
            was_ended = (worker.exit_code or 0) <= 0  # killed, or stopped to be replaced
            has_run = has_run or is_steady or was_ended
            if not has_run:  # its settings are wrong, most likely, and it has said so
                self._handle_stop()
                return worker.exit_code or 0
            delay_s = FIRST_DELAY_S if is_steady else min(2 * delay_s, MAX_DELAY_S)
            wait_s = 0.0 if is_steady or not worker.exit_code else delay_s
            if worker.exit_code:
                when = f"in {wait_s:.0f} s" if wait_s else "now"
                about = {"number": number, "end": _end(worker.exit_code), "when": when}
                log.error("worker %(number)d %(end)s, and the next one starts %(when)s", about)
            self._stopping.wait(wait_s)
        return 0

    def _tell_ready(self, worker: Worker) -> None:
        if worker.is_ready and not self._has_served:
            self._has_served = True
            self._on_ready()

    def _replace_all(self) -> None:
        """Replaces the workers one after the other, each once the successor of the one before serves."""
        log.info("replacing %(count)d workers", {"count": self._count})
        for number in sorted(self._workers):
            old = self._workers[number]
            self._end(old)
            while not self._stopping.is_set() and (
                self._workers[number] is old or not self._workers[number].is_ready
            ):
                self._runtime.sleep(CHECK_INTERVAL_S)

    def _handle_stop(self) -> None:
        if self._stopping.is_set():
            for worker in self._workers.values():
                worker.signal(signal.SIGKILL)
            return
        self._stopping.set()
        for worker in self._workers.values():
            gevent.spawn(self._end, worker)

    def _end(self, worker: Worker) -> None:
        """Stops a worker, and returns when it has ended."""
        worker.signal(signal.SIGTERM)
        until_s = self._runtime.now_s() + self._stop_within_s
        while worker.is_running():
            if self._runtime.now_s() > until_s:
                worker.signal(signal.SIGKILL)
            self._runtime.sleep(CHECK_INTERVAL_S)


def tell_ready() -> None:
    """Tells the parent, if this process is a worker, that it serves."""
    if os.environ.get(WORKER_VARIABLE):
        os.write(READY_FD, b"1")
        os.close(READY_FD)


def stop_without_parent() -> None:
    """Has this process, if it is a worker, stop as after SIGTERM once its parent has been killed."""
    if parent := os.environ.get(PARENT_VARIABLE):
        gevent.spawn(_stop_without, int(parent))


def _stop_without(parent: int) -> None:
    while os.getppid() == parent:
        gevent.sleep(CHECK_PARENT_EVERY_S)
    log.error("the parent of this worker was killed, so the worker stops")
    os.kill(os.getpid(), signal.SIGTERM)


def command(port: int) -> list[str]:
    """Returns the command of a worker: that of this process, for one worker and this port."""
    return [sys.executable, "-m", "incoming", *sys.argv[1:], "--workers", "1", "--port", str(port)]


def _end(exit_code: int) -> str:
    """Returns how a process has ended, for people. A code below 0 is minus a signal."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:  # a real-time signal has no name
        return f"was killed by signal {-exit_code}"
