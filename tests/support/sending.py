"""`incoming send` in its own process, as a script starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.support.data import FileBytes
from tests.support.on_disk import bytes_in
from tests.support.server import ROOT
from tests.support.waiting import wait_until

COMMAND: Final = [sys.executable, "-m", "incoming.commands.send"]
PATCHED: Final = [sys.executable, "-m", "incoming.cli", "send"]
"""The same command with gevent's patches, as a user starts it."""
IN_TERMINAL: Final = ["env", "--default-signal=HUP", *COMMAND]
"""The command, which hears of a closed terminal even if the tests run under nohup."""
DEADLINE_S: Final = 60.0


def write_file(path: Path, data: FileBytes) -> Path:
    """Writes a file with this content and returns its path."""
    with path.open("wb") as file:
        file.writelines(data.blocks())
    return path


class Sending:
    """One run of the command. A context manager that ends the process."""

    def __init__(
        self, file: Path | str, *options: str, command: list[str] | None = None, cwd: Path = ROOT, **env: str
    ) -> None:
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self._process = subprocess.Popen(
            [*(command or COMMAND), str(file), "--json", *options],
            cwd=cwd, stdout=subprocess.PIPE, stderr=self._stderr, text=True, env=os.environ | env,
        )  # fmt: skip
        self.exit_code = -1
        self.said = ""
        self.result: dict[str, Any] = {}

    def __enter__(self) -> Sending:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Kills the process."""
        self._process.kill()
        self._process.communicate()
        self._stderr.close()

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Sends SIGINT, as Ctrl-C does, or another signal."""
        self._process.send_signal(number)

    def ends(self, deadline_s: float = DEADLINE_S) -> Sending:
        """Waits for its end, and sets `exit_code`, `said` (its stderr) and `result` (its JSON)."""
        printed, _ = self._process.communicate(timeout=deadline_s)
        self.exit_code = self._process.returncode
        self.said = self.says()
        self.result = json.loads(printed) if printed else {}
        return self

    def says(self) -> str:
        """Returns its stderr so far."""
        descriptor = self._stderr.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()

    @property
    def runs(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None


def wait_stored(path: Path, size_bytes: int) -> None:
    """Waits until the server has stored so many bytes of an upload."""
    wait_until(lambda: bytes_in(path) >= size_bytes, f"{size_bytes} bytes stored")
