"""Between the server and an app: keeps each call, and can take the app away at a chosen moment."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs

APP_TIMEOUT_S = 60.0


class Between:
    """Passes each POST on to the app at `port`, and its answer back. A context manager.

    `calls` has the bodies, `answers` the statuses that the app gave (0: none), in the order of the answers.
    `on_answer` has what is called when the app has answered a call about a ticket. That answer is lost.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.calls: list[bytes] = []
        self.answers: list[int] = []
        self.on_answer: dict[str, Callable[[], object]] = {}
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.between = self
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def about(self, ticket_id: str) -> list[bytes]:
        """Returns the calls about a ticket."""
        return [body for body in self.calls if ticket_id.encode() in body]

    def ask_app(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Returns status and body of the app's answer to this form. Raises OSError, HTTPException."""
        app = http.client.HTTPConnection("localhost", self.port, timeout=APP_TIMEOUT_S)
        try:
            app.request("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})
            answer = app.getresponse()
            return answer.status, answer.read()
        finally:
            app.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    between: Between

    def handle_error(self, request: object, client_address: object) -> None:
        """A server that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        between = self.server.between
        body = self.rfile.read(int(self.headers["Content-Length"]))
        between.calls.append(body)
        self.close_connection = True
        try:
            status, answer = between.ask_app(self.path, body)
        except (OSError, http.client.HTTPException):
            between.answers.append(0)
            return  # the server is cut off, as if there were nothing between
        between.answers.append(status)
        ticket_id = parse_qs(body.decode())["id"][0]
        if ticket_id in between.on_answer:
            between.on_answer.pop(ticket_id)()
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        """`calls` is the record."""
