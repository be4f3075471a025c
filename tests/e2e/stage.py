"""All that an upload needs, for real: the server, an example app, and the networks between them."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support.browser import Card
from tests.support.data import MIB, FileBytes
from tests.support.forked import ForkedProcess, ForkedServer, Launcher
from tests.support.on_disk import bytes_in, files_below
from tests.support.ports import free_port
from tests.support.relay import Relay
from tests.support.server import ROOT, RunningServer
from tests.support.waiting import wait_until

SLOW_BYTES_PER_S: Final = 4 * MIB
"""Slow enough for several steps of progress, fast enough for a test."""
CRAWL_BYTES_PER_S: Final = MIB // 2
"""So slow that a person sees it move."""
MAX_BYTES: Final = MIB // 2
"""A connection carries so much at each of them, and then almost nothing: larger files do not end."""


class RunningExample:
    """An example app in a process of its own, from a copy of its two files: `uploads` is the test's alone."""

    def __init__(self, launcher: Launcher, name: str, folder: Path, **options: object) -> None:
        self._launcher = launcher
        self.folder = folder / name
        shutil.copytree(ROOT / "examples" / name, self.folder, ignore=shutil.ignore_patterns("uploads"))
        self.uploads = self.folder / "uploads"
        self.port = free_port()
        self.options = options | {"port": self.port}
        self.log_file = folder / f"{name}.log"
        self._process: ForkedProcess | None = None

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Starts the app and returns when it takes connections."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Starts the process and does not wait for it."""
        options = [part for name, value in self.options.items() for part in (f"--{name}", str(value))]
        script = self.folder / "backend.py"
        self._process = self._launcher.start(options, os.environ, self.log_file, script=script)

    def wait_ready(self) -> None:
        """Waits until it takes connections."""
        wait_until(self._answers, "the example app answers")

    def _answers(self) -> bool:
        assert self._process and self._process.poll() is None, self.log_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def stop(self) -> None:
        """Ends the app, as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log_text(self) -> str:
        """Everything that the app has printed."""
        return self.log_file.read_text(errors="replace")

    def uploaded(self) -> dict[str, str]:
        """Returns the SHA-256 of each file that the app has, by name."""
        files = [path for path in self.uploads.iterdir() if not path.name.startswith(".")]
        return {path.name: sha256(path) for path in files}


@dataclass
class Stage:
    """The browser reaches the server through `network`, the server reaches the app through `app_road`.

    The app reaches the server through a relay, too, which has its port before the server runs, so that both
    can start at the same time. While `network` is slow, no upload ends that is larger than MAX_BYTES.
    """

    server: RunningServer
    network: Relay
    app_road: Relay
    app: RunningExample
    folder: Path
    lengths_bytes: list[int] = field(default_factory=list)
    """Those of the files that were made."""

    def __post_init__(self) -> None:
        self.network.max_bytes = MAX_BYTES

    def file(self, name: str, length_bytes: int, seed: int = 0) -> tuple[Path, str]:
        """Makes a file to upload; returns its path and its SHA-256."""
        content = FileBytes(length_bytes, seed)
        self.lengths_bytes.append(length_bytes)
        path = self.folder / str(seed) / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            file.writelines(content.blocks())
        return path, content.sha256

    def hold_at(self, fraction: float, *cards: Card, length_bytes: int = 0) -> list[float]:
        """Lets uploads come that far, and holds them there, so that there is time to do something to them.

        They have `length_bytes`, or else the length of the smallest file of the test. Returns how far each
        was when it was seen; `let_go` makes an end of it.
        """
        self.network.bytes_per_s = SLOW_BYTES_PER_S
        length_bytes = length_bytes or min(self.lengths_bytes)
        self.network.max_bytes = int(fraction * length_bytes) + MIB  # a chunk counts once it is whole
        assert self.network.max_bytes < length_bytes, "such a small file would not be held"
        seen = [card.wait_for_fraction(fraction) for card in cards]
        assert max(seen) < 1
        return seen

    def let_go(self) -> None:
        """Makes the network as fast as it can be."""
        self.network.bytes_per_s = 0

    def go_on(self) -> None:
        """Lets uploads go on to their ends, slowly."""
        self.network.bytes_per_s = SLOW_BYTES_PER_S
        self.network.max_bytes = math.inf

    def stored_bytes(self) -> int:
        """Returns how much of unfinished uploads the server has on its disk."""
        return sum(map(bytes_in, files_below(self.server.storage_dir / "data")))


@contextlib.contextmanager
def set_up(launcher: Launcher, example: str, folder: Path, **app_options: object) -> Iterator[Stage]:
    """Starts everything, with delays that suit a test, and stops it afterwards."""
    settings: dict[str, Any] = {
        "chunk_size_kib": 256,
        "connection_timeout_s": 120,  # a slow network is no dead one
        "handover_retry_first_s": 0.1,
        "handover_retry_max_s": 0.5,
    }
    with contextlib.ExitStack() as stack:
        network, app_road, server_road = (stack.enter_context(Relay(0)) for _ in range(3))
        app = RunningExample(
            launcher,
            example,
            folder,
            public_incoming_host=network.host,
            internal_incoming_host=server_road.host,
            internal_app_host=app_road.host,
            **app_options,
        )
        app_road.target_port = app.port
        stack.callback(app.stop)
        app.launch()
        server = stack.enter_context(ForkedServer(launcher, folder / "storage", **settings))
        network.target_port = server_road.target_port = server.port
        app.wait_ready()
        yield Stage(server, network, app_road, app, folder)


def change_unnoticed(path: Path) -> str:
    """Changes the first bytes of a file and keeps its size and times. Returns its new SHA-256."""
    changed_ns = path.stat().st_mtime_ns
    with path.open("r+b") as file:
        first = file.read(8)
        file.seek(0)
        file.write(bytes(byte ^ 255 for byte in first))
    os.utime(path, ns=(changed_ns, changed_ns))
    return sha256(path)


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
