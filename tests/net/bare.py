"""One bare TCP connection over an emulated link: the yardstick."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tests.net.network import SERVER_ADDRESS, Network

BLOCK_BYTES: Final = 64 * 1024


@dataclass
class Transfer:
    """How far a transfer was at which time: (seconds after its beginning, bytes), in order."""

    points: list[tuple[float, int]] = field(default_factory=list, repr=False)

    def bytes_per_s(self, from_s: float, to_s: float) -> float:
        """The mean rate between two times."""
        from_bytes, to_bytes = np.interp([from_s, to_s], *self.steps())
        return float(to_bytes - from_bytes) / (to_s - from_s)

    def bytes_per_s_after(self, from_s: float) -> float:
        """The mean rate from the first step after a time to the last one: no step is cut in two."""
        steps = [step for step in zip(*self.steps(), strict=True) if step[0] >= from_s]
        (begin_s, begin_bytes), (end_s, end_bytes) = steps[0], steps[-1]
        return (end_bytes - begin_bytes) / (end_s - begin_s)

    def rates(self) -> list[float]:
        """The mean rate (MB/s) of each whole second, for reports."""
        done = np.interp(range(int(self.points[-1][0]) + 1), *self.steps())
        return [round(float(rate), 2) for rate in np.diff(done) / 1e6]

    def steps(self) -> tuple[list[float], list[int]]:
        """The points where more had come: what comes in chunks is measured along a line through them."""
        steps = [(0.0, 0)]
        steps += [point for point in self.points if point[1] > steps[-1][1]]
        return [at_s for at_s, _ in steps], [done for _, done in steps]


def bare_tcp(network: Network, duration_s: float) -> Transfer:
    """Sends zeros from the client to the server for so long; returns what arrived when."""
    with network.server.inside():
        listener = socket.create_server((SERVER_ADDRESS, 0))
    with network.client.inside():
        sender = socket.create_connection(listener.getsockname(), timeout=10)
    with listener, sender, listener.accept()[0] as receiver:
        transfer = Transfer()
        began_s = time.monotonic()
        thread = threading.Thread(target=_receive, args=(receiver, transfer, began_s))
        thread.start()
        while time.monotonic() < began_s + duration_s:
            sender.sendall(bytes(BLOCK_BYTES))
        reset(sender)
        thread.join()
    return transfer


def _receive(receiver: socket.socket, transfer: Transfer, began_s: float) -> None:
    buffer = bytearray(16 * BLOCK_BYTES)
    total = 0
    with contextlib.suppress(ConnectionResetError):
        while got := receiver.recv_into(buffer):
            total += got
            transfer.points.append((time.monotonic() - began_s, total))


def reset(connection: socket.socket) -> None:
    """Closes a connection at once, without what is queued."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
