"""The interface of a server that can be measured."""

from __future__ import annotations

import itertools
import socket
import subprocess
from pathlib import Path
from typing import Any, ClassVar

from bench import measure
from bench.load import Upload
from tests.support.server import RunningServer

HERE = Path(__file__).parent
PYTHON = HERE.parent / ".venv" / "bin"
"""The Python of the environment with bench/requirements.txt."""


class Rival(RunningServer):
    """A server in a process of its own. It is ready once it accepts connections."""

    title: ClassVar[str]

    def __init__(self, storage_dir: Path, **settings: Any) -> None:
        super().__init__(storage_dir, **settings)
        self._numbers = itertools.count()
        self.files = storage_dir
        storage_dir.mkdir(parents=True, exist_ok=True)

    def _announced_url(self) -> str:
        assert self._process
        assert self._process.poll() is None, "the server ended at its start"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return ""
        return self.url

    def upload(self, size_bytes: int) -> Upload:
        """Returns an upload that is ready for its first byte."""
        raise NotImplementedError

    def stored_bytes(self, upload: Upload) -> int:
        """Returns how many bytes of an upload are stored, as far as that is known."""
        return upload.acked_bytes

    def finish(self, upload: Upload) -> Path:
        """Finishes a stored upload, and returns the path of its file."""
        upload.socket.close()
        return self.newest()

    def check_and_remove(self, upload: Upload, sha256: str) -> None:
        """Finishes a stored upload, compares its file, and removes it. Raises AssertionError."""
        stored = self.finish(upload)
        assert measure.sha256(stored) == sha256, "the file is another"
        self.clear(stored)

    def newest(self) -> Path:
        """Returns the largest file of the storage."""
        return max((file for file in self.files.rglob("*") if file.is_file()), key=_size_bytes)

    def clear(self, stored: Path) -> None:
        """Removes the stored file before the next run."""
        stored.unlink()


def _size_bytes(file: Path) -> int:
    return file.stat().st_size


def run(*command: object) -> None:
    """Runs a command. Raises CalledProcessError."""
    subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
