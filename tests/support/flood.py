"""Uploads flat out for next to no CPU of the client's own: one masked frame, sent again and again.

What arrives is the same chunk many times, so this is for measuring; `client` compares content. As a program
it uploads beside the process that measures: `python -m tests.support.flood URL TICKET_ID MIB`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.client_v1 import KIB, ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.websocket import BINARY

GIVEN_BACK_S: Final = 2.5
"""Memory that nobody uses has gone back to the machine below by then."""


class Flood:
    """One upload of the same chunk again and again, which is as large as the server wants it."""

    def __init__(self, url: str, ticket_id: str, size_bytes: int) -> None:
        """Connects and asks for the upload; `run` does the rest. Whole chunks have to make up the size."""
        self._client = ClientV1(url, ticket_id, FileBytes(size_bytes))
        self._client.connect()
        chunk_bytes = self._client.request()["ChunkSizeKB"] * KIB
        assert not size_bytes % chunk_bytes
        self._chunks = size_bytes // chunk_bytes
        chunk = FileBytes(chunk_bytes).read(0, chunk_bytes)
        self._frame = bytes(self._client.ws.frame(0x80 | BINARY, chunk))

    def run(self) -> None:
        """Sends everything; returns when the last chunk is acknowledged."""
        client, frame = self._client, self._frame
        client.agree()
        ahead = min(client.send_ahead, self._chunks)
        for _ in range(ahead):
            client.ws.socket.sendall(frame)
        for number in range(self._chunks):
            client.expect("MsgChunkAck")
            if number + ahead < self._chunks:
                client.ws.socket.sendall(frame)


def warm_up(folder: Path, size_bytes: int) -> None:
    """Sees to it that what is measured next has warm memory of this size; see `warm_memory`."""
    with warm_memory(folder, size_bytes):
        pass


@contextmanager
def warm_memory(folder: Path, size_bytes: int) -> Iterator[None]:
    """Has a file of this size in `folder` while things are made ready, and sets its memory free at the end.

    A virtual machine gives memory back that nobody uses, two seconds after it was set free. The first writes
    to it after that are ten times slower; and while it is given back the disk stands still, up to 0.2 s.
    So what was free before is given back before the end, and what is measured has to begin and be over in
    the two seconds after it.
    """
    given_back_s = time.monotonic() + GIVEN_BACK_S
    with tempfile.TemporaryFile(dir=folder) as file:
        block = os.urandom(MIB)
        for _ in range(size_bytes // MIB):
            file.write(block)
        yield
        time.sleep(max(given_back_s - time.monotonic(), 0.0))


if __name__ == "__main__":
    Flood(sys.argv[1], sys.argv[2], int(sys.argv[3]) * MIB).run()
