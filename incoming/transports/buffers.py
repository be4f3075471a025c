"""Buffers for payloads: page-aligned, reused, and borrowed only while a message is arriving.

10,000 idle connections then hold none. A new buffer costs page faults for each of its pages, a reused one
none; and a payload that begins on a page is unmasked and copied fastest.
"""

from __future__ import annotations

import mmap
from typing import Final

MAX_SPARE_BUFFERS: Final = 64


class Buffers:
    """A stack of spare buffers of one size."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._spare: list[memoryview] = []

    def borrow(self) -> memoryview:
        """Returns a buffer that is the caller's until it is given back; its content is arbitrary."""
        return self._spare.pop() if self._spare else memoryview(mmap.mmap(-1, self.size_bytes))

    def give_back(self, buffer: memoryview) -> None:
        """Takes a borrowed buffer back."""
        if len(self._spare) < MAX_SPARE_BUFFERS:
            self._spare.append(buffer)
