"""Closes a connection whose peer may still be sending, so that the peer can read the answer."""

from __future__ import annotations

import contextlib
import socket
from typing import Final

import gevent

from incoming.runtime.fair_scheduler import yield_if_due

LINGER_TIMEOUT_S: Final = 5.0
"""How long a peer that is still sending may take to read an answer."""
MAX_LINGER_BYTES: Final = 16 * 1024 * 1024
"""How much more such a peer may send."""
_PIECE_BYTES: Final = 64 * 1024


def linger(sock: socket.socket, max_bytes: float | None = None) -> None:
    """Lets the peer read what was sent. TCP discards it when a socket is closed with unread bytes.

    Our side is shut, and what arrives is dropped until the peer is done. `max_bytes`: how much more the peer
    may send; MAX_LINGER_BYTES if None. Raises nothing.
    """
    with contextlib.suppress(OSError), gevent.Timeout(LINGER_TIMEOUT_S, False):
        sock.shutdown(socket.SHUT_WR)
        scratch = bytearray(_PIECE_BYTES)
        left_bytes = MAX_LINGER_BYTES if max_bytes is None else max_bytes
        while left_bytes > 0 and (received_bytes := sock.recv_into(scratch)):
            left_bytes -= received_bytes
            yield_if_due()
