"""A server that says each message back, for the Autobahn suite: `python -m tests.security.echo_server PORT`.

Incoming!! itself never echoes. So this is its HTTP server, its handshake, its upgrade, its frame reader and
its frame writer as they are, and in the place of `websocket.session_driver` a loop of ten lines that ends a
connection the way that one does. Only the bound on text is raised, to what section 9 of the suite sends;
that the real one holds is shown by tests/integration/test_frames.py.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterable  # noqa: E402
from typing import Any, Final  # noqa: E402

import gevent  # noqa: E402

from incoming.core.client_limits import ClientLimits  # noqa: E402
from incoming.core.stats import Counters  # noqa: E402
from incoming.http.listeners import listen  # noqa: E402
from incoming.http.server import Server  # noqa: E402
from incoming.runtime.buffer_pool import BufferPool  # noqa: E402
from incoming.uploads.refusals import Refusals  # noqa: E402
from incoming.websocket import websocket as transport  # noqa: E402
from incoming.websocket.keepalive import KeepAlive  # noqa: E402
from incoming.websocket.upgrade import Upgrades  # noqa: E402
from incoming.websocket.websocket import WebSocket  # noqa: E402
from incoming.websocket.writer import ConnectionGone  # noqa: E402
from incoming.wire import frames  # noqa: E402
from incoming.wire.frames import FrameError  # noqa: E402

MAX_BYTES: Final = 16 * 1024 * 1024
SILENCE_S: Final = 60.0


def echo(websocket: WebSocket, source: str = "") -> None:
    """Says everything back until the connection ends."""
    websocket.expect_chunks(True)
    try:
        while (message := websocket.receive()) is not None:
            if message.opcode == frames.OP_TEXT:
                websocket.writer.send_text(message.text)
            else:
                websocket.writer.send(message.opcode, bytes(message.payload))
    except ConnectionGone:
        pass
    except FrameError as exc:
        websocket.close(exc.code, str(exc))
    finally:
        websocket.end()


def no_page(environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers whatever is no handshake."""
    start_response("404 Not Found", [])
    return [b""]


def main(port: int) -> None:
    """Serves until it is killed."""
    vars(transport)["MAX_TEXT_BYTES"] = MAX_BYTES
    refusals = Refusals(Counters(), time.monotonic)
    upgrades = Upgrades(BufferPool(MAX_BYTES), KeepAlive(SILENCE_S), ClientLimits((), 0), refusals)
    app = upgrades.wrap(no_page, ("/echo",), echo)
    Server(lambda _: app, listen("127.0.0.1", port)).start()
    print("listens", flush=True)
    gevent.sleep(10**9)


if __name__ == "__main__":
    main(int(sys.argv[1]))
