"""Content-Range: which part of a file the body of a PUT is (RFC 9110 sections 14.4 and 14.5).

A server may take such a request only where it says so, and where nothing about it can be misread. So the
header is read strictly, and a body that has another length than its range is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from incoming.core.errors import BadHeader
from incoming.protocol.messages import MAX_INTEGER

HEADER: Final = "Content-Range"
_DIGITS: Final = rf"[0-9]{{1,{len(str(MAX_INTEGER))}}}"
_RANGE: Final = re.compile(rf"bytes ({_DIGITS})-({_DIGITS})/({_DIGITS}|\*)", re.IGNORECASE)
"""The unit is case-insensitive (section 14.1); nothing else has a second spelling."""


@dataclass(frozen=True, slots=True)
class ContentRange:
    """A part of a file: from `start_bytes` to before `end_bytes`, of `file_bytes` (None: not known yet)."""

    start_bytes: int
    end_bytes: int
    file_bytes: int | None

    @property
    def body_bytes(self) -> int:
        """How many bytes the body has."""
        return self.end_bytes - self.start_bytes

    @property
    def is_whole(self) -> bool:
        """Whether this is the whole file, as `curl -C -` says of what it sends."""
        return self.start_bytes == 0 and self.is_last

    @property
    def is_last(self) -> bool:
        """Whether the file ends with this part."""
        return self.end_bytes == self.file_bytes


def read_content_range(value: str | None, body_bytes: int | None) -> ContentRange | None:
    """Returns what a Content-Range says of a body; None where the header is missing. Raises BadHeader.

    `body_bytes`: the Content-Length, or None for a chunked body, whose length is known at its end only.
    """
    if value is None:
        return None
    found = _RANGE.fullmatch(value)
    if not found:
        raise BadHeader(HEADER, "must look like this: bytes 1000-4999/5000")
    first, last, total = found.groups()
    part = ContentRange(int(first), int(last) + 1, None if total == "*" else int(total))
    if max(part.end_bytes, part.file_bytes or 0) > MAX_INTEGER:
        raise BadHeader(HEADER, f"has a number that is larger than {MAX_INTEGER}")
    if part.body_bytes < 1:
        raise BadHeader(HEADER, "ends before it starts")
    if part.file_bytes is not None and part.end_bytes > part.file_bytes:
        raise BadHeader(HEADER, "ends after the end of the file")
    if body_bytes not in (None, part.body_bytes):
        raise BadHeader(HEADER, f"names {part.body_bytes} bytes, and the body has {body_bytes} bytes")
    return part
