"""The example apps, loaded from their files and served by threads, with a record of what the server says."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from types import ModuleType
from typing import Any, Final
from urllib.parse import parse_qsl
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from webtest import TestApp

from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.folder_errand import FolderBytes
from tests.support.server import ROOT, RunningServer
from tests.support.waiting import DEADLINE_S

FINISHED_PATH: Final = "/api/backend/upload_finished"
COPYING: Final = ("(store)", "(copy_in)")
"""How the names of the examples' own threads end."""


def load(example: str) -> ModuleType:
    """Returns the example's backend.py as a module, as the server itself loads it."""
    file = ROOT / "examples" / example / "backend.py"
    spec = importlib.util.spec_from_file_location("example_backend", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class HostedExample:
    """An example app at a real port, beside a real server; `web` talks to it without the network.

    `deliveries` holds the form of each call of the server, in the order in which they came; `answered` counts
    those that the app is done with.
    """

    def __init__(self, example: str, server: RunningServer, uploads_dir: Path, http: WSGIServer) -> None:
        self.server = server
        self.uploads_dir = uploads_dir
        self.deliveries: list[dict[str, str]] = []
        self.answered = 0
        self._example = example
        self._port = http.server_port
        self.start(0.01)
        http.set_app(self._recorded)

    def start(self, finish_delay_s: float) -> None:
        """Makes the app anew, as a restart of its process does."""
        self._killed = set(threading.enumerate())
        options = {"finish_delay_s": finish_delay_s} if self._example == "2-dynamic" else {}
        self.app = load(self._example).make_app(
            public_incoming_host="",
            internal_incoming_host=f"127.0.0.1:{self.server.port}",
            public_app_host=f"127.0.0.1:{self._port}",
            internal_app_host=f"127.0.0.1:{self._port}",
            uploads_dir=self.uploads_dir,
            **options,
        )
        self.web = TestApp(self.app)

    def settle(self) -> None:
        """Waits for the threads that this app has started, because they write into the test's folder."""
        for thread in set(threading.enumerate()) - self._killed:
            if thread.name.endswith(COPYING):
                thread.join(DEADLINE_S)

    def _recorded(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == FINISHED_PATH:
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            self.deliveries.append(dict(parse_qsl(body.decode(), keep_blank_values=True)))
            environ["wsgi.input"] = io.BytesIO(body)
            try:
                return self.app(environ, start_response)
            finally:
                self.answered += 1
        return self.app(environ, start_response)

    def client(self, ticket_id: str, name: str, content: FileBytes) -> ClientV1:
        """Returns a client for a ticket."""
        return ClientV1(self.server.url, ticket_id, content, name)

    def upload(self, ticket_id: str, name: str, length_bytes: int = 1000) -> FileBytes:
        """Uploads a file, or a folder of the same name, and returns when the app has it."""
        is_for_folders = self._example == "6-folder"
        content = FolderBytes(len(name)) if is_for_folders else FileBytes(length_bytes, seed=len(name))
        self.client(ticket_id, name, content).upload()
        return content

    def deliver(self, **form: str) -> Any:
        """Says the same as the server did last time, with other fields, and returns the answer."""
        return self.web.post(FINISHED_PATH, self.deliveries[-1] | form, expect_errors=True)

    def files(self) -> dict[str, bytes]:
        """Returns what the app has stored, by name; what it has not completed, too."""
        return {path.name: path.read_bytes() for path in self.uploads_dir.iterdir() if path.is_file()}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """The deliveries are the record."""


@contextlib.contextmanager
def hosted(example: str, server: RunningServer, uploads_dir: Path) -> Iterator[HostedExample]:
    """Serves an example app on a free port."""
    http = make_server("127.0.0.1", 0, lambda *_: [], _Server, _Handler)
    app = HostedExample(example, server, uploads_dir, http)
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield app
    finally:
        http.shutdown()
        http.server_close()
        app.settle()
