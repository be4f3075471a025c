"""Where the body of a request belongs in its file, by the headers of all protocols.

Each protocol reads its own headers: a PUT has Content-Range, and tus and the IETF draft have Upload-Offset
and Upload-Length. A client may send those of another one too. If they contradict what the request is taken
for, a part of a file would count as the whole file, or be stored at another place. So such a request is
refused.
"""

from __future__ import annotations

from typing import Final

from incoming.core.errors import BadHeader
from incoming.protocol.content_range import HEADER as CONTENT_RANGE
from incoming.protocol.content_range import read_content_range
from incoming.wire.find_header import FindHeader
from incoming.wire.structured_fields import integer

OFFSET: Final = "Upload-Offset"
LENGTH: Final = "Upload-Length"


def check_range(find: FindHeader, start_bytes: int, file_bytes: int | None) -> int | None:
    """Compares Content-Range with what a request of another protocol is taken for.

    Its body begins at `start_bytes`, of a file of `file_bytes`. Returns the length of the file; None if
    nothing says it. Raises BadHeader.
    """
    part = read_content_range(find(CONTENT_RANGE), None)
    if part is None:
        return file_bytes
    return _checked(CONTENT_RANGE, part.start_bytes, part.file_bytes, start_bytes, file_bytes)


def check_upload_headers(find: FindHeader, start_bytes: int, file_bytes: int | None) -> int | None:
    """Compares Upload-Offset and Upload-Length likewise. A value that is not an integer counts as missing."""
    file_bytes = _checked(LENGTH, None, integer(find(LENGTH)), start_bytes, file_bytes)
    return _checked(OFFSET, integer(find(OFFSET)), None, start_bytes, file_bytes)


def check_whole(find: FindHeader) -> int | None:
    """Returns the length of the file in a form, by these headers; None if they don't say it.

    A Content-Range of all bytes may be about the form, so its length is not that of the file. Raises
    BadHeader if the headers say that the form has a part of a file.
    """
    part = read_content_range(find(CONTENT_RANGE), None)
    if part and not part.is_whole:
        why = "names a part of a file, but a form has a whole file. Send a part as the body of a PUT"
        raise BadHeader(CONTENT_RANGE, why)
    return check_upload_headers(find, 0, None)


def _checked(
    header: str, said_start: int | None, said_bytes: int | None, start_bytes: int, file_bytes: int | None
) -> int | None:
    """Returns the length of the file, by what the header says and by what is known."""
    if said_start not in (None, start_bytes):
        raise BadHeader(header, f"says byte {said_start}, but the request begins at byte {start_bytes}")
    if file_bytes is not None and said_bytes not in (None, file_bytes):
        raise BadHeader(header, f"says {said_bytes} bytes, but the file has {file_bytes} bytes")
    return said_bytes if file_bytes is None else file_bytes
