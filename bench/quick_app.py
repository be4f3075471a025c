"""An app that answers every handover at once, over kept-alive connections: `-m bench.quick_app PORT`."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.support.ports import free_port
from tests.support.waiting import wait_until

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\ndone"
LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class _Answering(asyncio.Protocol):
    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self._data[:end])
            end += 4 + int(found[1] if found else 0)
            if len(self._data) < end:
                return
            self._data = self._data[end:]
            self._transport.write(ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", port, backlog=256)
    await server.serve_forever()


def takes_connections(port: int) -> bool:
    """Returns whether something listens on this port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def quick_app() -> Iterator[str]:
    """Runs the app as a process of its own. Yields its signalFinishURL."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "bench.quick_app", str(port)]) as process:
        try:
            wait_until(lambda: takes_connections(port), "the app listens", 30)
            yield f"http://127.0.0.1:{port}/api/backend/upload_finished"
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
