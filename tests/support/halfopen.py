"""A peer that is gone without a word: nothing that is sent to it arrives, and nothing comes back any more.

What a lost radio link or a pulled plug looks like from the other side. The socket itself stays open, and has
to be kept: closing it would send the FIN that never came.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Final

SO_ATTACH_FILTER: Final = 26
"""Linux: a classic BPF program that says of each incoming packet how much of it is kept."""
KEEP_NOTHING: Final = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF_RET | BPF_K, 0


def vanish(sock: socket.socket) -> None:
    """From now on the socket's own kernel drops whatever comes for it, acknowledgements of TCP included."""
    program = ctypes.create_string_buffer(KEEP_NOTHING)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))
