"""What came over a websocket."""

from __future__ import annotations

from dataclasses import dataclass

from incoming.wire import frames
from incoming.wire.frames import FrameError


@dataclass(slots=True)
class Message:
    """A text message, or a binary one in a borrowed buffer.

    `payload` is empty for a binary message of `size_bytes` that was dropped: it was too large, or no chunk
    was expected. `crc32c` is that of what stands behind the lead; None where there is no lead.
    """

    opcode: int
    payload: memoryview
    size_bytes: int
    crc32c: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the payload is there."""
        return len(self.payload) == self.size_bytes

    @property
    def text(self) -> str:
        """The payload as text. Raises FrameError when it is not UTF-8 (RFC 6455 section 8.1)."""
        try:
            return str(self.payload, "utf-8")
        except UnicodeDecodeError as exc:
            raise FrameError(frames.CLOSE_BAD_DATA, "a text message is not UTF-8") from exc
