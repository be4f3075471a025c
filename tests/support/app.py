"""An app's backend that answers handovers from a script: a real HTTP server on a free port."""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Final
from urllib.parse import parse_qsl
from urllib.request import urlopen

from tests.support.ports import free_port
from tests.support.waiting import DEADLINE_S, wait_until

MIB: Final = 1 << 20
PREFIXES: Final = "/app-"
LOADS: Final = 5
"""How often an app loads an object that breaks off."""
_numbers = itertools.count()


@dataclass(frozen=True)
class Delivery:
    """One POST of a handover as it came in; `sha256` is empty when there was no file to look at."""

    path: str
    headers: dict[str, str]
    pairs: list[tuple[str, str]]
    received_at_s: float
    sha256: str
    size_bytes: int | None
    caller_has_gone: bool
    """Whether the server that made the call was killed, or had given up, before it was on record."""

    @property
    def fields(self) -> dict[str, str]:
        """The form fields; `pairs` has them in order, repeated ones too."""
        return dict(self.pairs)

    @property
    def id(self) -> str:
        """The ticket that this is about."""
        return self.fields["id"]


@dataclass(frozen=True)
class Reply:
    """What the app answers."""

    status: int = 200
    body: str | bytes = "done"
    headers: dict[str, str] = field(default_factory=dict)


Answer = Reply | Callable[[Delivery], Reply]
DONE: Final = Reply(200, "done")
WAIT: Final = Reply(200, "wait")


class SlowApp:
    """An answer of an app that takes its time: it comes once the app is let go."""

    def __init__(self, reply: Reply = DONE) -> None:
        self.go_ahead = threading.Event()
        self._reply = reply

    def __call__(self, _: Delivery) -> Reply:
        assert self.go_ahead.wait(60)
        return self._reply


class ScriptedApp:
    """Answers the first delivery with the first answer, and so on; the last one repeats.

    A context manager. `stop()` and `start()` take it down and up again on the same port.
    """

    address = "127.0.0.1"

    def __init__(self, *answers: Answer) -> None:
        self.answers: Sequence[Answer] = answers or (DONE,)
        self.deliveries: list[Delivery] = []
        self.hash_files = True
        self.port = free_port()
        self.prefix = f"/app-{os.getpid()}-{next(_numbers)}"
        """Ports are used again. A server that still calls an app of an earlier test is told 404."""
        self._lock = threading.Lock()
        self._http: ThreadingHTTPServer | None = None

    def __enter__(self) -> ScriptedApp:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The signalFinishURL of this app."""
        return f"http://{self.address}:{self.port}{self.prefix}/api/backend/upload_finished"

    @property
    def is_up(self) -> bool:
        """Whether it listens."""
        return self._http is not None

    def start(self) -> None:
        """Begins to listen."""
        self._http = _Server((self.address, self.port), self)
        serve = self._http.serve_forever
        threading.Thread(target=serve, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Stops listening: connections are refused from now on."""
        http, self._http = self._http, None
        if http:
            http.shutdown()
            http.server_close()

    def answer(self, delivery: Delivery) -> Reply:
        """Returns what the script says about a delivery, which is on record from now on."""
        with self._lock:
            answer = self.answers[min(len(self.deliveries), len(self.answers) - 1)]
            self.deliveries.append(delivery)
        return answer if isinstance(answer, Reply) else answer(delivery)

    def about(self, ticket_id: str) -> list[Delivery]:
        """Returns the deliveries of one ticket so far."""
        return [delivery for delivery in list(self.deliveries) if delivery.id == ticket_id]

    def wait_for(self, count: int, deadline_s: float = DEADLINE_S) -> list[Delivery]:
        """Returns the deliveries as soon as there are `count` of them."""
        wait_until(lambda: len(self.deliveries) >= count, f"{count} deliveries", deadline_s)
        return list(self.deliveries)


class _Server(ThreadingHTTPServer):
    """Its threads may hang for as long as a script wants: nobody waits for them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], app: ScriptedApp) -> None:
        self.app = app
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A server that was killed in the middle of its call is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        length_bytes = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length_bytes).decode()
        if len(body.encode()) < length_bytes:
            self.close_connection = True  # a server that was killed in the middle of its call
            return
        path = self.path.removeprefix(self.server.app.prefix)
        if path.startswith(PREFIXES):
            self._send(Reply(404, "this app has never heard of it"))
            return
        pairs = parse_qsl(body, keep_blank_values=True, strict_parsing=bool(body))
        looks = self.server.app.hash_files
        sha256, size_bytes = _look_at(dict(pairs) if looks else {})
        has_gone = self._caller_has_gone()
        if looks and size_bytes is None and has_gone:
            self.close_connection = True  # the next call may have ended with the file
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        delivery = Delivery(path, headers, pairs, time.monotonic(), sha256, size_bytes, has_gone)
        self._send(self.server.app.answer(delivery))

    def _caller_has_gone(self) -> bool:
        """Whether the server that calls was killed, or has given up: nobody waits for an answer."""
        try:
            peeked: bytes = self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not peeked

    def _send(self, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else reply.body.encode()
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Deliveries are the record."""


def _look_at(fields: dict[str, str]) -> tuple[str, int | None]:
    """Returns the SHA-256 and the size of the file that a delivery names, on the disk or by its URL."""
    filename, url = fields.get("filename", ""), fields.get("url", "")
    if url:
        return _loaded(url, int(fields["size"]))
    if not Path(filename).is_file():
        return "", None
    with Path(filename).open("rb") as file:
        return _digest(file)


def _loaded(url: str, size_bytes: int) -> tuple[str, int]:
    """Loads an object as an app has to: a connection that breaks off tells http.client nothing."""
    for _ in range(LOADS):
        with urlopen(url) as response:
            found = _digest(response)
            told_bytes = int(response.headers["Content-Length"])
        assert told_bytes == size_bytes, "the store has another length than was handed over"
        if found[1] == size_bytes:
            break
        print(f"the store broke off at {found[1]} of {size_bytes} bytes", flush=True)
        time.sleep(0.5)
    return found


def _digest(file: IO[bytes]) -> tuple[str, int]:
    digest, size_bytes = hashlib.sha256(), 0
    while block := file.read(MIB):
        digest.update(block)
        size_bytes += len(block)
    return digest.hexdigest(), size_bytes
