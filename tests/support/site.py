"""Web servers: with one page, and with the files of a folder."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextlib.contextmanager
def serve_page(html: str, address: str = "127.0.0.1") -> Iterator[str]:
    """Serves the page on a free port, whatever the path; yields its URL."""
    content = html.encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Nobody reads it."""

    with _serving(Handler, address) as url:
        yield url


@contextlib.contextmanager
def serve_folder(folder: Path, address: str = "127.0.0.1") -> Iterator[str]:
    """Serves the files of a folder on a free port; yields the URL of the folder."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Nobody reads it."""

    with _serving(partial(Handler, directory=str(folder)), address) as url:
        yield url


@contextlib.contextmanager
def _serving(handler: Callable[..., BaseHTTPRequestHandler], address: str) -> Iterator[str]:
    with ThreadingHTTPServer((address, 0), handler) as http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield f"http://{address}:{http.server_port}/"
        finally:
            http.shutdown()
