"""The lines of a log, each with what tells whether it is as it was written, and whether one is missing.

`CRC NUMBER TEXT`: the CRC-32C (RFC 3720, appendix B.4) of what stands behind it, in eight hexadecimal digits;
how many lines were written before; and what the line says. A blank line is room that was not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from incoming.core.checksum import checksum


def numbered(number: int, text: bytes) -> bytes:
    """Returns the line that says so, with its end. The text is one line itself."""
    line = b"%d %s" % (number, text)
    return b"%08x %s\n" % (checksum(line), line)


class Reader:
    """Takes the lines of a log, the oldest first."""

    def __init__(self) -> None:
        self.lines = 0
        """How many there were, sound or not, up to the last sound one."""
        self.lost = 0
        """How many of them are not as they were written, or not there at all."""
        self.last_text = b""
        """What the last sound line says."""
        self.is_torn = False
        """Whether text that is not sound stands behind the last sound line.

        A process or a machine that dies while it writes leaves that, and so does damage: nobody can tell.
        """

    def texts(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yields what the sound lines say. Blank lines say nothing."""
        for line in lines:
            stripped = line.strip(b" \n\0")  # NUL: room in a file that was never written into
            if not stripped:
                continue
            crc, _, rest = stripped.partition(b" ")
            number, _, text = rest.partition(b" ")
            if number.isdigit() and crc == b"%08x" % checksum(rest):
                self.lost += max(int(number) - self.lines, 0)
                self.lines = int(number) + 1
                self.is_torn = False
                self.last_text = text
                yield text
            else:
                self.is_torn = True
