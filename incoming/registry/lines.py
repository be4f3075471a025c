"""The lines of a log, each with what tells whether it is as it was written, and whether one is missing.

`CRC NUMBER TEXT`: the CRC-32C (RFC 3720, appendix B.4) of what stands behind it, in eight hexadecimal digits;
how many lines were written before; and what the line says. A blank line is room that was not used.
"""

from __future__ import annotations

from incoming.digest import checksum


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
        """How many of them are not as they were written, or not there at all.

        What is wrong behind the last sound one was being written when the process or the machine died.
        """

    def text(self, line: bytes) -> bytes | None:
        """Returns what a line says; None for one that says nothing."""
        line = line.strip(b" \n\0")  # NUL: room in a file that was never written into
        crc, _, rest = line.partition(b" ")
        number, _, text = rest.partition(b" ")
        if not number.isdigit() or crc != b"%08x" % checksum(rest):
            return None
        self.lost += max(int(number) - self.lines, 0)
        self.lines = int(number) + 1
        return text
