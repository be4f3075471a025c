"""A Bottle app with Incoming!! in its process, run by the web server that its first argument names.

python -m tests.hosts.cohosted_app serve|bottle|pywsgi|websocket PORT STORAGE_DIR
"""

from __future__ import annotations

from gevent import monkey  # isort: skip

monkey.patch_all()

# ruff: noqa: E402 - the patch comes first
import dataclasses
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import bottle
from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler

from incoming import ArrivedUpload, Incoming, Refuse
from incoming.core.errors import IncomingError

how, port, storage_dir = sys.argv[1], int(sys.argv[2]), sys.argv[3]
logging.basicConfig(level=logging.INFO)
app = bottle.Bottle()
incoming = Incoming(
    storage_dir=storage_dir, host="127.0.0.1", port=port, handover_retry_first_s=0.1, handover_retry_max_s=0.3
)
incoming.mount(app)
folder = Path(storage_dir).parent


def told(what: str, upload: ArrivedUpload) -> None:
    """Notes what the app was told, for the test."""
    seen = {"what": what, **dataclasses.asdict(upload)}
    with (folder / "told.jsonl").open("a") as file:
        file.write(json.dumps(seen) + "\n")


@incoming.callback("taken")
def taken(upload: ArrivedUpload) -> None:
    """Moves the file away, and so answers that the app has it."""
    told("taken", upload)
    incoming.in_thread(Path(upload.path).rename, folder / upload.id)


@incoming.callback("called-off")
def called_off(upload: ArrivedUpload) -> None:
    """Hears of cancellations."""
    told("called off", upload)


def later(upload: ArrivedUpload) -> str:
    """Has no name of its own: it is found by its module. The test finishes the upload."""
    told("later", upload)
    return "wait"


@incoming.callback("fails-once")
def fails_once(upload: ArrivedUpload) -> str:
    """A defect, and then a repaired app."""
    mark = folder / f"{upload.id}.failed"
    told("fails once", upload)
    if not mark.exists():
        mark.touch()
        raise LookupError("not ready yet")
    return "done"


@incoming.callback("refuses")
def refuses(upload: ArrivedUpload) -> str:
    """Does not want it."""
    raise Refuse("this is no video")


CALLBACKS: dict[str, Any] = {f.__name__: f for f in (taken, later, fails_once, refuses)}


def ticket(name: str) -> str:
    """Returns a new ticket for one of the callbacks."""
    metadata = {"record": 7, "für": "Zoë"}
    return incoming.new_upload(CALLBACKS[name], on_cancelled=called_off, metadata=metadata, sha256=True).id


def measured(length: str) -> str:
    """Returns a new ticket for a file of this length, or why there is none."""
    try:
        return incoming.new_upload(taken, length_bytes=length, return_url="https://x").id  # type: ignore[arg-type]
    except IncomingError as exc:
        return str(exc)


def for_a(dest_type: str) -> str:
    """Returns a new ticket for a file or a folder, or why there is none."""
    try:
        return incoming.new_upload(taken, dest_type=dest_type, remove_file_when_finished=False).id
    except IncomingError as exc:
        return str(exc)


def finish(ticket_id: str) -> str:
    """The app has it now."""
    incoming.finish_upload(ticket_id)
    return "ok"


def cancel(ticket_id: str) -> str:
    """The app gives up."""
    incoming.cancel_upload(ticket_id)
    return "ok"


def page() -> str:
    """A page that uploads what is chosen."""
    return (Path(__file__).parent / "page.html").read_text("utf-8")


def echo() -> None:
    """A websocket of gevent-websocket, as apps have had it before."""
    websocket = bottle.request.environ["wsgi.websocket"]
    websocket.send(f"echo of {websocket.receive()}")


def slow_hook() -> None:
    """Our paths must not come here: each request would take this long."""
    time.sleep(0.01)
    bottle.response.set_header("X-App", "yes")


def not_found(_: object) -> str:
    """The app's own page."""
    return "the app has no such page"


app.post("/ticket/<name>", callback=ticket)
app.post("/measured/<length>", callback=measured)
app.post("/for-a/<dest_type>", callback=for_a)
app.post("/finish/<ticket_id>", callback=finish)
app.post("/cancel/<ticket_id>", callback=cancel)
app.get("/", callback=page)
app.get("/echo", callback=echo)
app.add_hook("before_request", slow_hook)
app.error_handler[404] = not_found

match how:
    case "serve":
        incoming.serve(app)
    case "bottle":
        bottle.run(app, server="gevent", host="127.0.0.1", port=port)
    case "pywsgi":
        WSGIServer(("127.0.0.1", port), app).serve_forever()
    case "websocket":
        WSGIServer(("127.0.0.1", port), app, handler_class=WebSocketHandler).serve_forever()
