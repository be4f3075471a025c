"""What uploads of browsers need: the page, tickets, both servers, and a check of what arrived."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from bench import measure
from tests.support.app import DONE, Delivery, Reply, ScriptedApp
from tests.support.flood import warm_up
from tests.support.server import RunningServer, new_upload

HERE: Final = Path(__file__).parent
TUS: Final = HERE / "rivals"
WARM_UP_FACTOR: Final = 1.25


class Site(ThreadingHTTPServer):
    """Serves the page, the scripts and the tickets. Each path in `scripts` is a file.

    `ticket` returns the id of a ticket for a file of this length.
    """

    daemon_threads = True

    def __init__(self, page: str, scripts: dict[str, Path], ticket: Callable[[str], str]) -> None:
        self.page = page.encode()
        self.scripts = scripts
        self.ticket = ticket
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        script = self.server.scripts.get(self.path)
        if script:
            self._send("text/javascript", script.read_bytes())
        else:
            self._send("text/html", self.server.page)

    def do_POST(self) -> None:
        length = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._send("text/plain", self.server.ticket(length).encode())

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """The figures are the record."""


@contextmanager
def _tus_server(directory: Path) -> Iterator[tuple[str, int]]:
    """Runs @tus/server. Yields its URL and its process."""
    command = ["node", str(TUS / "tus_node.mjs"), str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield f"http://127.0.0.1:{int(process.stdout.readline())}", process.pid
        finally:
            process.terminate()


@dataclass(frozen=True)
class Stage:
    """The page's address, the file, and for each server its folder and its process."""

    url: str
    file: Path
    storages: dict[str, Path]
    pids: dict[str, int]
    kept: Path

    def warm_up(self, server: str) -> None:
        """Warms up the memory that the file will be written to."""
        warm_up(self.storages[server], int(self.file.stat().st_size * WARM_UP_FACTOR))

    def check(self, server: str) -> None:
        """Compares what has arrived, and removes it. Raises AssertionError."""
        folder = self.kept if server == "incoming" else self.storages[server]
        whole = [stored for stored in folder.iterdir() if stored.suffix != ".json"]
        assert len(whole) == 1, whole
        assert measure.sha256(whole[0]) == measure.sha256(self.file), f"{server}: the file is another"
        self.clear()

    def clear(self) -> None:
        """Removes what has arrived."""
        for stored in [*self.kept.iterdir(), *self.storages["tus"].iterdir()]:
            stored.unlink()


@contextmanager
def stage(root: Path, file: Path, scripts: dict[str, Path]) -> Iterator[Stage]:
    """Runs both servers, the app and the site in `root`. `scripts`: further scripts by their paths."""
    kept, tus = root / "kept", root / "tus"
    kept.mkdir()
    tus.mkdir()

    def keep(delivery: Delivery) -> Reply:
        os.link(delivery.fields["filename"], kept / delivery.id)  # the server removes its own name
        return DONE

    with ExitStack() as stack:
        app = stack.enter_context(ScriptedApp(keep))
        app.hash_files = False
        server = stack.enter_context(RunningServer(root / "incoming", log_level="warning", fsync="no"))
        tus_url, tus_pid = stack.enter_context(_tus_server(tus))
        page = (HERE / "browser_page.html").read_text("utf-8")
        page = page.replace("TUS_URL", tus_url).replace("INCOMING_HOST", server.url.removeprefix("http://"))
        library = HERE.parent / "static" / "incoming.js"
        tus_client = TUS / "node_modules" / "tus-js-client" / "dist" / "tus.min.js"
        scripts = {"/incoming.js": library, "/tus.js": tus_client, **scripts}
        site = Site(page, scripts, lambda length: new_upload(server, app.url, lengthBytes=length))
        stack.callback(site.shutdown)
        storages = {"incoming": server.storage_dir, "tus": tus}
        pids = {"incoming": server.pid, "tus": tus_pid}
        yield Stage(f"http://127.0.0.1:{site.server_port}/", file, storages, pids, kept)
