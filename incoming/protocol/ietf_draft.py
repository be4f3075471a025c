"""Resumable uploads of the IETF: what the headers mean in each version of the draft.

The draft is draft-ietf-httpbis-resumable-upload. While it is one, clients name its iteration by a number in
Upload-Draft-Interop-Version. The iterations differ in a few points, which are data here: see `Dialect`. The
rest is common to all. Sections are those of draft -12.

This module reads the headers of requests and writes those of answers. It knows no transport. A header with a
value of the wrong type counts as missing, as the draft demands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from incoming.core.errors import BadHeader, WrongMediaType
from incoming.protocol.body_place import check_range
from incoming.wire.find_header import FindHeader
from incoming.wire.media_type import media_type
from incoming.wire.structured_fields import boolean, integer, serialized

Headers = list[tuple[str, str]]

MEDIA_TYPE: Final = "application/partial-upload"
"""The Content-Type of bytes that are appended, since interop version 6."""
INTERIM_STATUS: Final = 104
"""Upload Resumption Supported."""


class Header(StrEnum):
    """The headers, as answers and error messages spell them."""

    VERSION = "Upload-Draft-Interop-Version"
    OFFSET = "Upload-Offset"
    COMPLETE = "Upload-Complete"
    INCOMPLETE = "Upload-Incomplete"
    LENGTH = "Upload-Length"
    LIMIT = "Upload-Limit"


# --- the dialects --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one interop version has of its own.

    `flag`: the header that says whether the upload is complete; if it is Upload-Incomplete, it says the
    opposite. `needs_flag`: an append without it is refused; otherwise it counts as the last one.
    `append_media_type`: the one that an append must have; empty if any will do. `refuses_state`: a request
    for the offset, or to cancel, must not have the headers of the state. `reports_progress`: interim answers
    may tell the offset. `part_status` and `whole_status` answer a part, and the end of the file.
    `age_key`: what Upload-Limit calls the time that is left; empty before there was that header.

    `withholds`: clients take an offset that has reached the length for success, whatever the flag says. So
    they are told of the last byte when the app has the file. `ends_at_length`: clients may leave it at that
    and never say that the upload is complete (tus-js-client with a stream, or with an empty file).
    """

    version: int
    flag: Header = Header.COMPLETE
    needs_flag: bool = False
    append_media_type: str = ""
    refuses_state: bool = False
    reports_progress: bool = False
    part_status: int = 201
    whole_status: int = 201
    age_key: str = ""
    withholds: bool = True
    ends_at_length: bool = False

    def flag_value(self, is_complete: bool) -> str:
        """Returns the value of the flag."""
        return "?1" if is_complete is (self.flag is Header.COMPLETE) else "?0"


_V3: Final = Dialect(3, flag=Header.INCOMPLETE, refuses_state=True)  # -01, March 2023: iOS 17
_V4: Final = replace(_V3, version=4, flag=Header.COMPLETE)  # -02
_V5: Final = replace(_V4, version=5, reports_progress=True, ends_at_length=True)  # -03: iOS 18.0
_V6: Final = replace(  # -04 and -05: iOS 18.1
    _V5, version=6, append_media_type=MEDIA_TYPE, refuses_state=False, age_key="expires"
)
_V7: Final = replace(  # -06 to -08
    _V6,
    version=7,
    needs_flag=True,
    part_status=204,
    whole_status=204,
    age_key="max-age",
    withholds=False,
    ends_at_length=False,
)
_V8: Final = replace(_V7, version=8)  # -09 to -11: any 2xx answers DELETE; iOS 26
_V9: Final = replace(_V8, version=9)  # -12: an append to a complete upload may get the last answer again
_V10: Final = replace(_V9, version=10)  # -13, October 2026: less is asked of the answer to HEAD
DIALECTS: Final = {dialect.version: dialect for dialect in (_V3, _V4, _V5, _V6, _V7, _V8, _V9, _V10)}
"""The interop versions that this server knows."""
NEWEST: Final = _V10


@dataclass(frozen=True, slots=True)
class Spoken:
    """The dialect of a request. `is_named`: the client has named its number, and the server knows it."""

    dialect: Dialect
    is_named: bool


def spoken(find: FindHeader) -> Spoken:
    """Returns the dialect of a request.

    Without a number, or with one that is not known, it is the newest, and no interim answer is allowed
    (appendix "Draft Version Identification"). Upload-Incomplete has been in one version only.
    """
    named = DIALECTS.get(integer(find(Header.VERSION)) or 0)
    if named:
        return Spoken(named, is_named=True)
    is_first = find(Header.INCOMPLETE) is not None and find(Header.COMPLETE) is None
    return Spoken(_V3 if is_first else NEWEST, is_named=False)


def is_spoken(find: FindHeader) -> bool:
    """Returns whether a request has a header, or the media type, that only this protocol has."""
    own = (Header.VERSION, Header.COMPLETE, Header.INCOMPLETE)
    return any(find(header) is not None for header in own) or media_type(find("Content-Type")) == MEDIA_TYPE


# --- requests ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Transfer:
    """A request with bytes of a file: the bytes from `offset_bytes` on, to the end if `is_last`.

    `length_bytes` is the length of the file, if the request tells it.
    """

    offset_bytes: int
    is_last: bool
    length_bytes: int | None


class InconsistentLength(BadHeader):
    """The headers of one request give the file two lengths."""

    def __init__(self, said_bytes: int, implied_bytes: int) -> None:
        super().__init__(
            Header.LENGTH,
            f"says {said_bytes} bytes, but the request ends at byte {implied_bytes} of the file",
        )


def is_creation(dialect: Dialect, method: str, find: FindHeader) -> bool:
    """Returns whether a request with bytes creates the upload; otherwise it appends to one (4.2.1, 4.4.1).

    A PATCH can do either, since an upload has the address that it is created at. An append has an offset, or
    at least the media type of one.
    """
    if method != "PATCH":
        return True
    own_type = media_type(find("Content-Type"))
    has_type = bool(dialect.append_media_type) and own_type == dialect.append_media_type
    return not has_type and find(Header.OFFSET) is None and find(dialect.flag) is not None


def read_creation(dialect: Dialect, find: FindHeader, content_bytes: int | None) -> Transfer:
    """Returns what a request that creates an upload says (4.2). Raises BadHeader.

    `content_bytes`: its Content-Length; None if it has none.
    """
    if _offset(find):
        raise BadHeader(Header.OFFSET, "is not allowed in a request that creates an upload")
    is_last = _flag(dialect, find)
    if is_last is None:
        raise BadHeader(dialect.flag, "must be ?1 or ?0")
    return _transfer(0, is_last, find, content_bytes)


def read_append(dialect: Dialect, find: FindHeader, content_bytes: int | None) -> Transfer:
    """Returns what a request that appends says (4.4). Raises WrongMediaType, BadHeader."""
    if dialect.append_media_type not in ("", media_type(find("Content-Type"))):
        raise WrongMediaType(dialect.append_media_type)
    offset_bytes = _offset(find)
    if offset_bytes is None:
        raise BadHeader(Header.OFFSET, "must be an integer, 0 or more")
    is_last = _flag(dialect, find)
    if is_last is None and (dialect.needs_flag or find(dialect.flag) is not None):
        raise BadHeader(dialect.flag, "must be ?1 or ?0")
    return _transfer(offset_bytes, is_last is not False, find, content_bytes)


def check_stateless(dialect: Dialect, find: FindHeader) -> None:
    """Raises BadHeader if a request for the offset, or to cancel, has headers of the state (-01 to -03)."""
    if not dialect.refuses_state:
        return
    for header in (Header.OFFSET, dialect.flag):
        if find(header) is not None:
            raise BadHeader(header, "is not allowed in this request")


def _offset(find: FindHeader) -> int | None:
    offset_bytes = integer(find(Header.OFFSET))
    return None if offset_bytes is None or offset_bytes < 0 else offset_bytes


def _flag(dialect: Dialect, find: FindHeader) -> bool | None:
    """Returns whether the request is the last one; None if it does not say."""
    value = boolean(find(dialect.flag))
    return None if value is None else value is (dialect.flag is Header.COMPLETE)


def _transfer(offset_bytes: int, is_last: bool, find: FindHeader, content_bytes: int | None) -> Transfer:
    """Adds the length, by what the client says and by where the content ends (4.1.3).

    Clients of all versions send Upload-Length, also of those that do not have it yet.
    """
    said_bytes = integer(find(Header.LENGTH))
    if said_bytes is not None and said_bytes < 0:
        said_bytes = None
    if is_last and content_bytes is not None:
        implied_bytes = offset_bytes + content_bytes
        if said_bytes not in (None, implied_bytes):
            raise InconsistentLength(said_bytes, implied_bytes)
        said_bytes = implied_bytes
    return Transfer(offset_bytes, is_last, check_range(find, offset_bytes, said_bytes))


# --- answers -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server lets in (4.1.4). None sets no limit. `max_age_s`: how long the upload stays, from now."""

    max_bytes: int | None = None
    max_age_s: int | None = None


def limit_value(dialect: Dialect, limits: Limits) -> str | None:
    """Returns the value of Upload-Limit; None for a version that has no such header. It is never empty."""
    if not dialect.age_key:
        return None
    members = {"max-size": limits.max_bytes, dialect.age_key: limits.max_age_s}
    given = {key: value for key, value in members.items() if value is not None}
    return serialized(given or {"min-size": 0})


def answer_headers(
    spoken: Spoken,
    *,
    is_complete: bool | None = None,
    offset_bytes: int | None = None,
    length_bytes: int | None = None,
    limits: Limits | None = None,
) -> Headers:
    """Returns the headers of an answer, in the client's dialect. What is None is left out."""
    dialect, headers = spoken.dialect, Headers()
    if spoken.is_named:
        headers.append((Header.VERSION.value, str(dialect.version)))
    if is_complete is not None:
        headers.append((dialect.flag.value, dialect.flag_value(is_complete)))
    if offset_bytes is not None:
        headers.append((Header.OFFSET.value, str(offset_bytes)))
    if length_bytes is not None:
        headers.append((Header.LENGTH.value, str(length_bytes)))
    limit = limit_value(dialect, limits) if limits else None
    if limit is not None:
        headers.append((Header.LIMIT.value, limit))
    return headers
