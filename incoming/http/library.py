"""The files of the JavaScript library: minified, in the encoding that the client prefers.

The files are read once, at the start, with their compressed forms (RFC 9110 sections 8.4, 8.8.3, 12.5.3 and
13.1). A request then costs no access to the disk and no compression.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Final

BUNDLES: Final = (
    "incoming.js",
    "incoming.mjs",
    "queue.mjs",
    "resume.mjs",
    "texts/de.js",
    "texts/de.mjs",
    "react.mjs",
    "vue.mjs",
    "svelte.mjs",
    "uppy.mjs",
    "element.mjs",
    "incoming-upload.js",
)
"""What pages load: scripts and modules. `scripts/build-library.mjs` builds them."""
SCRIPT: Final = "text/javascript; charset=utf-8"
SOURCE_MAP: Final = "application/json"


def _minified(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.min{dot}{suffix}"


SOURCES: Final[Mapping[str, tuple[str, str]]] = {
    **{name: (_minified(name), SCRIPT) for name in BUNDLES},
    **{f"{_minified(name)}.map": (f"{_minified(name)}.map", SOURCE_MAP) for name in BUNDLES},
}
"""For each name that clients ask for: the file with its bytes, and its content type."""
SUFFIXES: Final = {"br": ".br", "gzip": ".gz"}
"""The encodings that may be there, best first, with the suffix of their files."""
IDENTITY: Final = "identity"


@dataclass(frozen=True, slots=True)
class Representation:
    """A file in one encoding."""

    body: bytes
    etag: str
    """Quoted, and different for each encoding, as the bytes are."""


@dataclass(frozen=True, slots=True)
class LibraryFile:
    """A file in all its encodings."""

    content_type: str
    last_modified: str
    """An HTTP date."""
    modified_s: float
    by_encoding: Mapping[str, Representation]

    def answer(self, request_headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Returns the status, headers and body for a GET request with these headers.

        The status is 200 with the file, or 304 if the client has this version.
        """
        encoding = choose(request_headers.get("Accept-Encoding", ""), self.by_encoding)
        representation = self.by_encoding[encoding]
        headers = {
            "Access-Control-Allow-Origin": "*",  # pages of any origin load the library,
            "Cross-Origin-Resource-Policy": "cross-origin",  # even those that ask for cross-origin isolation
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",  # clients ask each time, and get it when it has changed
            "ETag": representation.etag,
            "Last-Modified": self.last_modified,
            "Vary": "Accept-Encoding",
        }
        if self._is_known(request_headers, representation.etag):
            return 304, headers, b""
        headers["Content-Type"] = self.content_type
        if encoding != IDENTITY:
            headers["Content-Encoding"] = encoding
        return 200, headers, representation.body

    def _is_known(self, request_headers: Mapping[str, str], etag: str) -> bool:
        tags = request_headers.get("If-None-Match")
        if tags is not None:  # then the time of the last change does not count
            return _has_tag(tags, etag)
        try:
            since = parsedate_to_datetime(request_headers.get("If-Modified-Since", ""))
            return since.timestamp() >= int(self.modified_s)
        except (ValueError, OverflowError):
            return False  # an invalid date is ignored (RFC 9110 section 13.1.3)


def load(directory: Path) -> dict[str, LibraryFile]:
    """Returns the files by the names that clients ask for. Raises OSError when one is missing."""
    return {name: _load(directory / source, kind) for name, (source, kind) in SOURCES.items()}


def _load(path: Path, content_type: str) -> LibraryFile:
    by_encoding = {IDENTITY: _representation(path)}
    for encoding, suffix in SUFFIXES.items():
        compressed = path.with_name(path.name + suffix)
        if compressed.is_file():
            by_encoding[encoding] = _representation(compressed)
    modified_s = path.stat().st_mtime
    return LibraryFile(content_type, formatdate(modified_s, usegmt=True), modified_s, by_encoding)


def _representation(path: Path) -> Representation:
    body = path.read_bytes()
    return Representation(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def choose(accept_encoding: str, offered: Mapping[str, object]) -> str:
    """Returns the encoding for a client: the best of those with its highest weight, or `identity`.

    An invalid list of encodings counts as empty (RFC 9110 section 12.5.3).
    """
    weights = dict(map(_weight, accept_encoding.lower().split(",")))
    others = weights.get("*", 0.0)
    liked = {name: weights.get(name, others) for name in SUFFIXES if name in offered}
    best = max(liked.values(), default=0.0)
    plain = weights.get(IDENTITY, 0.0)
    if best <= 0 or plain > best:
        return IDENTITY
    return next(name for name, weight in liked.items() if weight == best)


def _weight(item: str) -> tuple[str, float]:
    name, _, parameter = item.partition(";")
    _, _, value = parameter.partition("=")
    try:
        weight = float(value) if parameter else 1.0
    except ValueError:
        weight = 0.0
    return name.strip(), weight if 0 <= weight <= 1 else 0.0


def _has_tag(if_none_match: str, etag: str) -> bool:
    """Tells whether the tag is in the header. The comparison is weak, because proxies make tags weak."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or "*" in tags
