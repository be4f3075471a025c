"""A TCP relay in the middle of a connection: it makes the network slow, cuts it, or takes one end away."""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
import time
from typing import Final

from tests.support.ports import free_port

BLOCK_BYTES: Final = 16 * 1024
BUFFER_BYTES: Final = 64 * 1024
"""Small, so that what a sender has got rid of is not far from what has arrived."""
WALKING_BYTES_PER_S: Final = 32 * 1024
"""The speed behind the most that a connection may carry. Both ends still see that the other one is alive."""


class Relay:
    """Passes connections on to `target_port` of this machine; a context manager.

    `bytes_per_s` is the speed of each connection towards the target (0: as fast as it goes), and may be
    changed at any time. `stop()` refuses new connections and cuts the present ones; `start()` takes them
    again, on the same port. With `source` it is a proxy, and says of each connection's first request that it
    is from there. `answers_to_lose`: so many answers of the target are lost, each with its connection.

    While it is slow, a connection carries `max_bytes` at that speed, and behaves as if it almost stood still
    from there. So what a test looks at does not end meanwhile, however busy the machine is.
    """

    def __init__(self, target_port: int, bytes_per_s: int = 0, source: str = "") -> None:
        self.target_port = target_port
        self.bytes_per_s = bytes_per_s
        self.max_bytes = math.inf
        self.source = source
        self.port = free_port()
        self.accepted = 0
        self.carried_bytes = 0
        """How many bytes came from clients, on all connections."""
        self.answers_to_lose = 0
        self.damage: tuple[bytes, bytes] = (b"", b"")
        """Which bytes on the way to the target are replaced, if one block has them, and by which."""
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()

    def __enter__(self) -> Relay:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """`name:port`, as the options of the examples want it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begins to listen; on the port of last time, if there was one."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)  # handed down to connections
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuses whoever comes, and cuts whoever is there."""
        listener, self._listener = self._listener, None
        if listener:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the accept
            listener.close()
        self.cut()

    def cut(self) -> None:
        """Resets every present connection, as a dying network does: no close frame, no goodbye."""
        with self._open_lock:
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it; that one closes it

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            target = socket.create_connection(("127.0.0.1", self.target_port), timeout=60)
        except OSError:
            client.close()
            return
        target.settimeout(None)
        with self._open_lock:
            self._open |= {client, target}
        if self._listener is None:
            self.cut()  # stopped meanwhile
        back = threading.Thread(target=self._pump, args=(target, client), daemon=True)
        back.start()
        if self.source:
            self._say_where_from(client, target)
        self._pump(client, target, paced=True)
        back.join()
        with self._open_lock:
            self._open -= {client, target}
        client.close()
        target.close()

    def _say_where_from(self, client: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            line, end, rest = client.recv(BLOCK_BYTES).partition(b"\r\n")
            target.sendall(line + end + f"X-Forwarded-For: {self.source}\r\n".encode() + rest)

    def _pump(self, source: socket.socket, sink: socket.socket, *, paced: bool = False) -> None:
        """Passes bytes on until the source ends, and tells the sink about the end."""
        carried_bytes = 0
        with contextlib.suppress(OSError):
            while block := source.recv(BLOCK_BYTES):
                if not paced and self.answers_to_lose:
                    self.answers_to_lose -= 1
                    break
                if paced:
                    self.carried_bytes += len(block)
                    block = block.replace(*self.damage) if self.damage[0] else block
                sink.sendall(block)
                carried_bytes += len(block)
                if paced:
                    self._keep_pace(len(block), carried_bytes)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _keep_pace(self, block_bytes: int, carried_bytes: int) -> None:
        """Waits after a block as long as it takes at the speed of now, which may change meanwhile."""
        began_s = time.monotonic()
        while bytes_per_s := self.bytes_per_s:
            if carried_bytes > self.max_bytes:
                bytes_per_s = min(bytes_per_s, WALKING_BYTES_PER_S)
            rest_s = began_s + block_bytes / bytes_per_s - time.monotonic()
            if rest_s <= 0:
                return
            time.sleep(min(rest_s, 0.05))
