"""The records of an append log: the format tells whether one is damaged, and whether one is missing.

A record is a line, `CRC NUMBER PAYLOAD`: the CRC-32C (RFC 3720, appendix B.4) of what follows it, in eight
hexadecimal digits; how many records were written before; and the payload. A blank line is unused space.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from incoming.core.checksum import checksum


def encode_record(number: int, payload: bytes) -> bytes:
    """Returns the record with this number, as a line with its end. The payload has no line break."""
    record = b"%d %s" % (number, payload)
    return b"%08x %s\n" % (checksum(record), record)


class RecordReader:
    """Reads the lines of a log, the oldest first, and counts what is wrong with them."""

    def __init__(self) -> None:
        self.records = 0
        """How many records there were up to the last intact one, intact or not."""
        self.lost = 0
        """How many of these are damaged or missing."""
        self.last_payload = b""
        """The payload of the last intact record."""
        self.is_torn = False
        """Whether the last intact record is followed by text that is not an intact record.

        A torn write leaves that when the process or the machine dies, and so does damage. Nothing tells the
        two apart.
        """

    def payloads(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yields the payloads of the intact records. Skips blank lines."""
        for line in lines:
            stripped = line.strip(b" \n\0")  # NUL: space that was never written
            if not stripped:
                continue
            crc, _, rest = stripped.partition(b" ")
            number, _, payload = rest.partition(b" ")
            if number.isdigit() and crc == b"%08x" % checksum(rest):
                self.lost += max(int(number) - self.records, 0)
                self.records = int(number) + 1
                self.is_torn = False
                self.last_payload = payload
                yield payload
            else:
                self.is_torn = True
