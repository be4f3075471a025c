"""A WSGI app that stores the body of a request as an upload does, under each web server.

`PUT /NAME` stores the body as NAME in a directory, and what came of it as NAME.json: the client may be gone.
Its query: `refuse` answers before the first read, `stop=BYTES` reads so much only, `interim` sends a 104
first, `buffer=BYTES` sets how much is read at a time, `wait` waits for a file NAME.go before the first read,
`empty` answers without a body. `POST /NAME` interrupts the reading of NAME, `GET /NAME` tells how far it is.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from incoming.core.errors import IncomingError
from incoming.http_uploads.body import BodyBroken, BodyInterrupted, RequestBody, open_body

DIRECTORY: Final = Path(os.environ.get("READING_APP_DIR", "."))
BUFFER_BYTES: Final = 1024 * 1024
_running: Final[dict[str, RequestBody]] = {}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """See PEP 3333."""
    name, method = environ["PATH_INFO"].strip("/"), environ["REQUEST_METHOD"]
    query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    if method == "GET":
        reading = _running.get(name)
        return answer(start_response, "200 OK", {"received": reading.received_bytes if reading else None})
    if method == "POST":
        _running[name].interrupt()
        return answer(start_response, "200 OK", {})
    try:
        body = open_body(environ)
    except IncomingError as error:
        return answer(
            start_response, f"{error.http_status} x", {"error": str(error)}, [("Connection", "close")]
        )
    _running[name] = body
    try:
        found = {} if "refuse" in query else store(body, DIRECTORY / name, query)
    finally:
        del _running[name]
    body.skip_rest()
    found |= {"received": body.received_bytes, "at_end": body.at_end, "length": body.length_bytes}
    found |= {"trailers": dict(body.trailers), "name": name}
    file = DIRECTORY / f"{name}.json"
    file.with_suffix(".new").write_text(json.dumps(found))
    file.with_suffix(".new").rename(file)
    status = "409 Conflict" if "refuse" in query else "201 Created"
    headers = [] if body.keeps_alive else [("Connection", "close")]
    if "empty" in query:
        start_response("204 No Content", headers)
        return body.until_sent([])
    return body.until_sent(answer(start_response, status, found, headers))


def store(body: RequestBody, file: Path, query: dict[str, list[str]]) -> dict[str, Any]:
    """Reads the body, and returns what went wrong and how the bytes came."""
    stop_bytes = int(query.get("stop", ["0"])[0])
    buffer = memoryview(bytearray(int(query.get("buffer", [str(BUFFER_BYTES)])[0])))
    pieces: list[int] = []
    while "wait" in query and not file.with_suffix(".go").exists():
        time.sleep(0.005)
    if "interim" in query:
        body.send_interim(104, [("Upload-Offset", "0")])
    with file.open("wb", buffering=0) as out:
        try:
            while not stop_bytes or body.received_bytes < stop_bytes:
                size_bytes = body.read_into(buffer)
                if not size_bytes:
                    break
                pieces.append(size_bytes)
                out.write(buffer[:size_bytes])
        except BodyBroken as broken:
            return {"error": broken.error.code, "why": str(broken), "pieces": pieces}
        except BodyInterrupted:
            return {"error": "interrupted", "pieces": pieces, "ended_s": time.time()}
    return {"pieces": pieces}


def answer(
    start_response: Callable[..., Any], status: str, found: dict[str, Any], headers: Iterable[Any] = ()
) -> Iterable[bytes]:
    """Answers with JSON."""
    text = json.dumps(found).encode()
    start_response(
        status, [("Content-Type", "application/json"), ("Content-Length", str(len(text))), *headers]
    )
    return [text]


def main(kind: str, port: int) -> None:
    """Serves the app: on our own server, on pywsgi, or on pywsgi with TLS."""
    from gevent.pywsgi import WSGIServer  # noqa: PLC0415

    from incoming.http.listeners import listen  # noqa: PLC0415
    from incoming.http.server import Server  # noqa: PLC0415

    if kind == "ours":
        Server(lambda _port: application, listen("127.0.0.1", port)).serve_forever()
    else:
        certificate = {"certfile": sys.argv[3], "keyfile": sys.argv[4]} if kind == "tls" else {}
        WSGIServer(("127.0.0.1", port), application, log=None, **certificate).serve_forever()


if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()
    main(sys.argv[1], int(sys.argv[2]))
