"""A program that a test runs in a session of its own, kills, freezes and thaws."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Final

STOP_DEADLINE_S: Final = 60.0


def children_of(pid: int) -> list[int]:
    """Returns the ids of the processes that this one has started, and that it has not waited for."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class OwnedProcess:
    """The base of servers that a test starts: `start` of a subclass sets `_process`."""

    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: it loses nothing that it has answered for."""
        assert self._process
        self.stop()

    def freeze(self) -> None:
        """It answers nobody until `thaw`; connections stay, and new ones are accepted."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It works again."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ends it by SIGKILL. Does nothing if it does not run."""
        process, self._process = self._process, None
        if process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_DEADLINE_S)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process
        os.killpg(self._process.pid, number)
