"""Apps that are built with Vite, as a reader builds them: with the packed library in their node_modules."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import requests

from tests.support.ports import free_port
from tests.support.server import ROOT
from tests.support.waiting import wait_until

VITE: Final = ROOT / "node_modules" / ".bin" / "vite"
DEADLINE_S: Final = 120


def pack_library(folder: Path) -> Path:
    """Packs the library as `npm pack` does. Returns the tarball."""
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder)]
    subprocess.run(command, cwd=ROOT / "static", check=True, capture_output=True, timeout=DEADLINE_S)
    (tarball,) = folder.glob("incoming-uploads-*.tgz")
    return tarball


class ViteApp:
    """An app in a folder, with the library from a tarball and all else from the tree's node_modules."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://localhost:{self.port}/"
        modules = folder / "node_modules"
        modules.mkdir()
        with tarfile.open(library) as packed:
            packed.extractall(modules, filter="data")
        (modules / "package").rename(modules / "incoming-uploads")
        above = folder.parent / "node_modules"  # where Node looks for what an app's own folder does not have
        if not above.exists():
            above.symlink_to(ROOT / "node_modules")

    def use_ports(self, ports: Mapping[int, int]) -> None:
        """Replaces ports in the app's sources: those that the docs name by those of the test."""
        known = re.compile(rf"(?<=localhost:)({'|'.join(map(str, ports))})\b")
        for path in self.folder.rglob("*"):
            if path.is_file() and "node_modules" not in path.parts:
                code = path.read_text("utf-8")
                path.write_text(known.sub(lambda found: str(ports[int(found[1])]), code), "utf-8")

    def build(self, mode: str = "production") -> None:
        """Builds the app. In the mode "development", React is the one that checks what it renders."""
        done = subprocess.run(
            [str(VITE), "build", "--mode", mode], cwd=self.folder, env=os.environ | {"NODE_ENV": mode},
            capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    @contextlib.contextmanager
    def served(self) -> Iterator[None]:
        """Serves what was built, with the proxy of the app's configuration."""
        command = [str(VITE), "preview", "--port", str(self.port), "--strictPort"]
        log_path = self.folder.parent / f"{self.folder.name}.log"
        with log_path.open("w") as log, subprocess.Popen(
            command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
        ) as process:  # fmt: skip
            try:
                wait_until(lambda: self._answers(process, log_path), "the app is served")
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _answers(self, process: subprocess.Popen[bytes], log: Path) -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(self.url, timeout=60).ok
        return False
