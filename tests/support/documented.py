"""An app from the docs: its files and its commands as a reader pastes them. Only the ports differ."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import requests

from tests.support.ports import free_port
from tests.support.server import ROOT
from tests.support.waiting import wait_until


class DocumentedApp:
    """An app in a folder. Free ports replace those of the docs: 4000 (Incoming!!) and 8080 (the app)."""

    def __init__(
        self, folder: Path, files: Mapping[str, str], commands: Sequence[str], incoming_port: int
    ) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://localhost:{self.port}"
        self._ports = {"4000": str(incoming_port), "8080": str(self.port)}
        self._commands = [self._with_ports(command) for command in commands]
        folder.mkdir(exist_ok=True)
        for name, code in files.items():
            (folder / name).write_text(self._with_ports(code), "utf-8")

    def _with_ports(self, code: str) -> str:
        return re.sub(r"\b(4000|8080)\b", lambda found: self._ports[found[1]], code)

    @property
    def uploads(self) -> Path:
        """Where the app keeps its files."""
        return self.folder / "uploads"

    @contextmanager
    def running(self, *first: str) -> Iterator[Self]:
        """Runs `first` and the commands in the folder. What the docs install is installed already."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        inherited = {name: value for name, value in os.environ.items() if name != "UPLOAD_SECRET"}
        if (ROOT / "node_modules").is_dir() and not (self.folder / "node_modules").exists():
            (self.folder / "node_modules").symlink_to(ROOT / "node_modules")
        log_path = self.folder.parent / f"{self.folder.name}.log"
        with log_path.open("a") as log, subprocess.Popen(
            ["bash", "-ec", "\n".join([*first, *self._commands])], cwd=self.folder,
            env=inherited | {"PATH": path}, stdout=log, stderr=log, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                wait_until(lambda: self._answers(process, log_path), "the app answers")
                yield self
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _answers(self, process: subprocess.Popen[bytes], log: Path) -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(requests.ConnectionError, requests.ReadTimeout):  # it is still starting
            return requests.get(self.url, timeout=60).ok
        return False
