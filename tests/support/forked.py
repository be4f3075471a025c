"""Servers and apps that start within some hundredths of a second, and die where a test says (`launcher`)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final, Self

from tests.support.server import ROOT, Process, RunningServer
from tests.support.waiting import wait_until

START_DEADLINE_S: Final = 60.0


class Launcher:
    """The process that forks servers. A context manager."""

    def __enter__(self) -> Self:
        self.lock = threading.RLock()
        """Guards the pipe to it, and what is known of its children."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.launcher"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT,
        )  # fmt: skip
        assert self._answer() == "ready"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.wait()

    def start(
        self, options: Sequence[str], environment: Mapping[str, str], log_file: Path, *,
        script: Path | None = None, plan: Mapping[str, object] | None = None,
    ) -> ForkedProcess:  # fmt: skip
        """Starts a server, or the script; what it prints goes to the end of the file."""
        command = {"options": options, "environment": dict(environment), "log": str(log_file), "plan": plan}
        pid = self.ask(do="start", script=str(script or ""), **command)
        return ForkedProcess(self, pid)

    def ask(self, **command: object) -> int:
        """Returns the answer to a command."""
        assert self._process.stdin
        with self.lock:
            self._process.stdin.write(json.dumps(command) + "\n")
            return int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


class ForkedProcess:
    """A server process as its test sees it: what subprocess.Popen is for other tests."""

    def __init__(self, launcher: Launcher, pid: int) -> None:
        self.pid = pid
        self._launcher = launcher
        self._pid_fd = os.pidfd_open(pid)
        self._code: int | None = None

    def poll(self) -> int | None:
        """Returns the exit code (-9: killed) once it has ended."""
        with self._launcher.lock:
            if self._code is None and self._ended(0):
                self._code = os.waitstatus_to_exitcode(self._launcher.ask(do="wait", pid=self.pid))
                os.close(self._pid_fd)
            return self._code

    def _ended(self, timeout_s: float | None) -> bool:
        """Returns whether it ends within this time."""
        poll = select.poll()  # select() ends at 1,024 descriptors
        poll.register(self._pid_fd, select.POLLIN)
        return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code. Raises subprocess.TimeoutExpired."""
        if self._code is None and not self._ended(timeout):
            raise subprocess.TimeoutExpired("server", timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def terminate(self) -> None:
        """Asks it to stop."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


class ForkedServer(RunningServer):
    """The server; or, with a `plan` for the next start, the server with something that goes wrong in it."""

    def __init__(self, launcher: Launcher, storage_dir: Path, **settings: object) -> None:
        super().__init__(storage_dir, None, **settings)
        self.launcher = launcher
        self.plan: dict[str, object] | None = None
        self.life = 0
        """The process that runs; 0 once it is buried."""

    def _spawn(self, log: IO[bytes]) -> Process:
        process = self.launcher.start(self._place(), self._environment(), self.log_file, plan=self.plan)
        self.life = process.pid
        return process

    @property
    def has_died(self) -> bool:
        """Whether its process has ended by itself, or at one of the points."""
        return self._process is None or self._process.poll() is not None

    def start_with(self, plan: dict[str, object]) -> bool:
        """Starts it with this plan. Returns whether it listens: it may have died on the way."""
        self.plan = dict(plan)
        self.launch()
        try:
            self.wait_ready()
        except AssertionError:
            if self.log_text().count("Traceback") or not plan:
                raise
            return False
        return True

    def shoot(self) -> None:
        """Kills the process that runs, if any, and leaves it to others to bury it. For other threads."""
        life = self.life
        if life:
            with contextlib.suppress(ProcessLookupError):
                os.kill(life, signal.SIGKILL)

    def bury(self) -> int:
        """Returns the exit code of a process that has died, or that is killed now."""
        self.life = 0
        if self._process is None:
            return -signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self.wait_for_end()


def show_greenlets(server: RunningServer) -> None:
    """Has a forked server that seems to hang print what all its greenlets do: then its log has it."""
    with contextlib.suppress(ProcessLookupError, AssertionError):
        os.kill(server.pid, signal.SIGUSR2)
        wait_until(lambda: "these were all greenlets" in server.log_text(), "it prints them", 5.0)


def killed_at(point: str, nth: int, when: str) -> dict[str, object]:
    """Returns the plan of a process that dies at its nth call of this."""
    return {"point": point, "nth": nth, "when": when}
