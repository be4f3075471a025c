"""tus 1.0: what its headers mean (https://tus.io/protocols/resumable-upload, version 1.0.0).

This module reads the headers of requests and writes those of answers. It knows no transport. A header that
came twice has both values with a comma between them, so it is malformed wherever one value is meant.

A number, a length or an offset is read strictly. What could mean two things is refused with an error that
names the header. Texts of clients that are merely untidy are accepted: see `read_metadata`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from typing import Final

from incoming.core.errors import BadHeader, UnsupportedChecksum, UnsupportedVersion, WrongMediaType
from incoming.protocol.body_place import check_range
from incoming.protocol.digests import CONTENT_DIGEST, HASHES, content_digests
from incoming.protocol.messages import MAX_INTEGER
from incoming.protocol.request_checksum import DIGEST_BYTES, Checksum, Checksums, RequestChecksums
from incoming.wire.base64_text import decoded
from incoming.wire.find_header import FindHeader, announces, find_in
from incoming.wire.media_type import media_type

VERSION: Final = "1.0.0"
MEDIA_TYPE: Final = "application/offset+octet-stream"
"""The Content-Type of bytes of a file."""
ALGORITHMS: Final = ("crc32c", "sha1", "sha256", "md5", "crc32")
"""What Tus-Checksum-Algorithm lists, the fastest first. sha1 is the one that each server must have."""
MAX_METADATA_BYTES: Final = 4096
"""The limit of Upload-Metadata: the journal keeps it unchanged."""
MAX_CONCAT_URLS: Final = 1000
"""How many partial uploads a final one may name."""
MAX_DIGITS: Final = len(str(MAX_INTEGER))


class Extension(StrEnum):
    """The extensions, by their names in Tus-Extension."""

    CREATION = "creation"
    CREATION_WITH_UPLOAD = "creation-with-upload"
    CREATION_DEFER_LENGTH = "creation-defer-length"
    EXPIRATION = "expiration"
    CHECKSUM = "checksum"
    CHECKSUM_TRAILER = "checksum-trailer"
    TERMINATION = "termination"
    CONCATENATION = "concatenation"
    CONCATENATION_UNFINISHED = "concatenation-unfinished"


class Header(StrEnum):
    """The headers, as answers and error messages spell them."""

    RESUMABLE = "Tus-Resumable"
    TUS_VERSION = "Tus-Version"
    EXTENSION = "Tus-Extension"
    MAX_SIZE = "Tus-Max-Size"
    CHECKSUM_ALGORITHM = "Tus-Checksum-Algorithm"
    OFFSET = "Upload-Offset"
    LENGTH = "Upload-Length"
    DEFER_LENGTH = "Upload-Defer-Length"
    METADATA = "Upload-Metadata"
    CHECKSUM = "Upload-Checksum"
    CONCAT = "Upload-Concat"
    EXPIRES = "Upload-Expires"


# --- version -------------------------------------------------------------------------------------------


def check_version(find: FindHeader) -> None:
    """Raises UnsupportedVersion unless the client speaks the version that we speak.

    OPTIONS is the one method that is answered whatever the client says.
    """
    if find(Header.RESUMABLE) != VERSION:
        raise UnsupportedVersion(Header.RESUMABLE, VERSION)


# --- numbers -------------------------------------------------------------------------------------------

_DIGITS: Final = re.compile(rf"[0-9]{{1,{MAX_DIGITS}}}")


def read_integer(find: FindHeader, header: str) -> int | None:
    """Returns the non-negative integer in a header; None if the header is missing. Raises BadHeader.

    The largest one is 2^53-1, which JavaScript represents exactly.
    """
    text = find(header)
    if text is None:
        return None
    if not _DIGITS.fullmatch(text) or int(text) > MAX_INTEGER:
        raise BadHeader(header, f"must be an integer from 0 to {MAX_INTEGER}, in decimal digits")
    return int(text)


def is_file_content(find: FindHeader) -> bool:
    """Returns whether the body has the media type of a file's bytes. Case and parameters do not matter."""
    return media_type(find("Content-Type")) == MEDIA_TYPE


# --- metadata ------------------------------------------------------------------------------------------

FILE_NAME_KEYS: Final = ("filename", "name")
"""What clients call the name of the file. Uppy sends both."""
_METADATA_TEXT: Final = re.compile(r"[\x20-\x7e\x80-\xff]*")
"""A header is sent back unchanged, so it may hold nothing that ends or hides a header."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a client says of its file. `raw` is the header unchanged; the values are a stranger's bytes."""

    raw: str = ""
    values: Mapping[str, bytes] = field(default_factory=dict)

    def text(self, key: str) -> str:
        """Returns a value as text: UTF-8, else Windows-1252; empty if there is no such key."""
        value = self.values.get(key, b"")
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("windows-1252", "replace")

    @property
    def file_name(self) -> str:
        """The name of the file; empty if the client does not say."""
        return next((name for name in map(self.text, FILE_NAME_KEYS) if name), "")


NO_METADATA: Final = Metadata()


def read_metadata(find: FindHeader) -> Metadata:
    """Returns what Upload-Metadata says. Raises BadHeader.

    The header may be missing or empty. A value may be missing, with or without the space before it. Blanks
    around a comma and a missing padding do no harm. An empty pair, a key that comes twice and a value that is
    not base64 are refused: another server could understand them otherwise.
    """
    raw = find(Header.METADATA) or ""
    if len(raw) > MAX_METADATA_BYTES:
        raise BadHeader(Header.METADATA, f"has more than {MAX_METADATA_BYTES} bytes")
    if not _METADATA_TEXT.fullmatch(raw):
        raise BadHeader(Header.METADATA, "has a control character")
    values: dict[str, bytes] = {}
    for pair in raw.split(",") if raw else ():
        key, _, text = pair.strip(" ").partition(" ")
        value = decoded(text)
        if not key:
            raise BadHeader(Header.METADATA, "has an empty key")
        if key in values:
            raise BadHeader(Header.METADATA, "has the same key twice")
        if value is None:
            raise BadHeader(Header.METADATA, "has a value that is not base64")
        values[key] = value
    return Metadata(raw, values)


# --- checksums -----------------------------------------------------------------------------------------


def read_checksum(text: str) -> Checksum:
    """Returns the checksum in the value of Upload-Checksum. Raises BadHeader, UnsupportedChecksum."""
    algorithm, _, in_base64 = text.partition(" ")
    if algorithm not in ALGORITHMS:
        raise UnsupportedChecksum(", ".join(ALGORITHMS))
    digest = decoded(in_base64)
    if digest is None or len(digest) != DIGEST_BYTES[algorithm]:
        size = DIGEST_BYTES[algorithm]
        raise BadHeader(
            Header.CHECKSUM, f"must be the name of an algorithm, a space, and {size} bytes in base64"
        )
    return Checksum(algorithm, digest)


def read_checksums(find: FindHeader) -> RequestChecksums:
    """Returns what the body is compared with, which may be nothing. Raises BadHeader, UnsupportedChecksum.

    A Content-Digest (RFC 9530) counts beside the headers of tus. Either may come as a trailer. If it has been
    announced and does not come, that is an error for Upload-Checksum, as tus says. A proxy may have dropped a
    Content-Digest, which nobody has to compare, so its absence is none.
    """
    digests = content_digests(find)
    in_header = tuple(read_checksum(text) for text in [find(Header.CHECKSUM)] if text is not None)
    follows, digest_follows = announces(find, Header.CHECKSUM), announces(find, CONTENT_DIGEST)
    is_chunked = "chunked" in (find("Transfer-Encoding") or "").lower()
    if follows and not is_chunked:
        raise BadHeader("Trailer", f"announces {Header.CHECKSUM}, but only a chunked body can have a trailer")

    def read_trailers(trailers: Mapping[str, str]) -> Checksums:
        found: Checksums = ()
        find_trailer = find_in(trailers)
        if follows:
            text = find_trailer(Header.CHECKSUM)
            if text is None:
                raise BadHeader(Header.CHECKSUM, "was announced as a trailer, but did not come")
            found = (read_checksum(text),)
            if in_header and in_header != found:
                raise BadHeader(Header.CHECKSUM, "has a different value than the trailer of this name")
        if digest_follows:
            found += content_digests(find_trailer)
        return found

    expected: set[str] = set()
    if follows:
        expected.update([one.algorithm for one in in_header] or ALGORITHMS)
    if digest_follows and is_chunked:
        expected.update(HASHES.values())
    return RequestChecksums(in_header + digests, read_trailers if expected else None, expected)


# --- concatenation -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PartialUpload:
    """The upload is a part of a file."""


@dataclass(frozen=True, slots=True)
class FinalUpload:
    """The upload is made of the partial uploads with these URLs, in this order. `raw`: the header."""

    urls: tuple[str, ...]
    raw: str


Concat = PartialUpload | FinalUpload
_URL: Final = re.compile(r"[\x21-\x7e]+")


def read_concat(find: FindHeader) -> Concat | None:
    """Returns what Upload-Concat says; None if it is missing. Raises BadHeader."""
    text = find(Header.CONCAT)
    if text is None:
        return None
    if text == "partial":
        return PartialUpload()
    word, semicolon, rest = text.partition(";")
    urls = tuple(rest.split())
    if word != "final" or not semicolon:
        raise BadHeader(Header.CONCAT, "must be partial, or final with a semicolon and URLs")
    if not urls or not all(map(_URL.fullmatch, urls)):
        raise BadHeader(Header.CONCAT, "must name the URLs of partial uploads after final and a semicolon")
    if len(urls) > MAX_CONCAT_URLS:
        raise BadHeader(Header.CONCAT, f"names more than {MAX_CONCAT_URLS} partial uploads")
    return FinalUpload(urls, text)


# --- requests ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Creation:
    """A POST: what upload the client wants.

    `length_bytes` is None while the client does not know it, and for a final upload, whose parts say it.
    `has_content`: the body is the beginning of the file. The body of any other POST is ignored.
    """

    length_bytes: int | None
    metadata: Metadata = NO_METADATA
    concat: Concat | None = None
    has_content: bool = False


def read_creation(find: FindHeader) -> Creation:
    """Returns what a POST asks for. Raises BadHeader."""
    length_bytes = read_integer(find, Header.LENGTH)
    deferred = find(Header.DEFER_LENGTH)
    concat = read_concat(find)
    if deferred not in (None, "1"):
        raise BadHeader(Header.DEFER_LENGTH, "must be 1")
    if isinstance(concat, FinalUpload):
        if length_bytes is not None or deferred:
            raise BadHeader(Header.LENGTH, "must be missing: the parts of a final upload say how long it is")
    elif (length_bytes is None) == (deferred is None):
        raise BadHeader(Header.LENGTH, f"or {Header.DEFER_LENGTH} is needed, but not both")
    has_content = is_file_content(find)
    if has_content:
        if read_integer(find, Header.OFFSET):
            raise BadHeader(Header.OFFSET, "must be missing or 0: a creation has the beginning of the file")
        check_range(find, 0, length_bytes)
    return Creation(length_bytes, read_metadata(find), concat, has_content)


@dataclass(frozen=True, slots=True)
class Append:
    """A PATCH: where its bytes belong, and how long the file is, if the client says so again or only now."""

    offset_bytes: int
    length_bytes: int | None = None


def read_append(find: FindHeader) -> Append:
    """Returns what a PATCH asks for. Raises WrongMediaType, BadHeader."""
    if not is_file_content(find):
        raise WrongMediaType(MEDIA_TYPE)
    offset_bytes = read_integer(find, Header.OFFSET)
    if offset_bytes is None:
        raise BadHeader(Header.OFFSET, "is missing")
    length_bytes = read_integer(find, Header.LENGTH)
    if length_bytes is not None and length_bytes < offset_bytes:
        raise BadHeader(Header.LENGTH, f"must not be less than {Header.OFFSET}")
    check_range(find, offset_bytes, length_bytes)
    return Append(offset_bytes, length_bytes)


# --- answers -------------------------------------------------------------------------------------------


def capabilities(extensions: Iterable[Extension], max_size_bytes: int) -> dict[str, str]:
    """Returns the headers of an answer to OPTIONS. `max_size_bytes`: 0 if there is no limit."""
    names = list(extensions)
    headers = {Header.RESUMABLE: VERSION, Header.TUS_VERSION: VERSION}
    if names:
        headers[Header.EXTENSION] = ",".join(names)  # no spaces: a client splits and compares exactly
    if max_size_bytes:
        headers[Header.MAX_SIZE] = str(max_size_bytes)
    if Extension.CHECKSUM in names:
        headers[Header.CHECKSUM_ALGORITHM] = ",".join(ALGORITHMS)
    return {str(name): value for name, value in headers.items()}


def expires(at_s: float) -> str:
    """Returns a time (seconds since 1970) for Upload-Expires: RFC 9110 section 5.6.7, in GMT."""
    return formatdate(at_s, usegmt=True)
