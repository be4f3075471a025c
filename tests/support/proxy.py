"""A real proxy in front of the server: how its configuration is changed, and how it starts and stops."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Self

import requests

from tests.support.ports import free_port
from tests.support.waiting import wait_until

STOP_DEADLINE_S: Final = 60.0


class _Nothing(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def app_without_routes() -> Iterator[int]:
    """Runs an app that answers everything with 501. Yields its port."""
    http = ThreadingHTTPServer(("127.0.0.1", free_port()), _Nothing)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield http.server_port
    finally:
        http.shutdown()
        http.server_close()


class Proxy(ABC):
    """A proxy that runs in `folder`. A context manager; `change` the site before it starts."""

    def __init__(self, folder: Path, site: str) -> None:
        """Makes `folder`. `site` is the configuration. Raises MissingTool."""
        self.folder = folder
        self.port = free_port()
        self.plain_port = free_port()
        self.site = site
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    @property
    def host(self) -> str:
        """`localhost:PORT`, as browsers see it."""
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        """`https://localhost:PORT`, without a slash at the end."""
        return f"https://{self.host}"

    def change(self, pattern: str, text: str) -> None:
        """Replaces what a regular expression finds in the site. Raises AssertionError for nothing."""
        self.site, count = re.subn(pattern, lambda _: text, self.site)
        assert count, f"the configuration has no {pattern}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @abstractmethod
    def _write(self) -> None:
        """Writes the configuration's files."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The program with its options; it stays in the foreground. Raises MissingTool."""

    def start(self) -> None:
        """Starts the proxy and returns when it answers."""
        self._write()
        with (self.folder / "start.log").open("wb") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(self._answers, f"{type(self).__name__} answers")
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self._process and self._process.poll() is None, (self.folder / "start.log").read_text()
        with contextlib.suppress(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{self.plain_port}/", allow_redirects=False, timeout=60)
            return True
        return False

    def stop(self) -> None:
        """Ends the proxy and its workers."""
        process, self._process = self._process, None
        if not process:
            return
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
