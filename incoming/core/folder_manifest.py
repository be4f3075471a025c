"""A folder as one stream: its head, then the bytes of all files, in the order of the head's manifest.

    0    "IncFold1"
    8    length of the manifest in bytes (8 bytes)
    16   number of its entries (4)
    20   CRC-32C of the manifest (4)
    24   zeros (4)
    28   CRC-32C of the 28 bytes before (4)
    32   the manifest

Numbers are big-endian. The manifest is JSON Lines in UTF-8: one object for each entry, each ended by a
newline. `path` has `/` between the names. A path with `/` at its end is an empty folder. `size` is the
length of a file in bytes, 0 if it is missing. `modified_ms` is when it was changed, in milliseconds since
1970, if that is known. Other keys have no meaning yet.

A folder of 100,000 files is read in a thread. So this looks at a few hundred entries at a time: one long call
in a thread would keep all other threads from running.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec

from incoming.core.checksum import checksum
from incoming.core.errors import BadFolder

HEADER_BYTES: Final = 32
MAGIC: Final = b"IncFold1"
MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that JavaScript has exactly."""
MAX_TIME_MS: Final = 8_640_000_000_000_000
"""The latest time of a Date in JavaScript."""
_HEADER: Final = struct.Struct(">8sQII4x")
_CRC: Final = struct.Struct(">I")
_SLICE_BYTES: Final = 64 * 1024


class Bounds(NamedTuple):
    """How large a manifest may be."""

    max_entries: int = 100_000
    max_manifest_bytes: int = 32 * 1024 * 1024


USUAL_BOUNDS: Final = Bounds()
NO_BOUNDS: Final = Bounds(MAX_INTEGER, MAX_INTEGER)
"""For a head that was accepted before: the settings may be others now."""


class Entry(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A file, or an empty folder: its path ends with `/`. `modified_ms` is None where it is not known."""

    path: str
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] = msgspec.field(name="size", default=0)
    modified_ms: Annotated[int, msgspec.Meta(ge=-MAX_TIME_MS, le=MAX_TIME_MS)] | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is an empty folder."""
        return self.path.endswith("/")


class FolderManifest:
    """The entries of a folder, and where the bytes of each are in the stream."""

    def __init__(self, head_bytes: int, entries: Sequence[Entry]) -> None:
        """`head_bytes`: how long the head is. The bytes of the files come after it."""
        self.head_bytes = head_bytes
        self.entries = entries
        self.ends = array("Q", bytes(8 * len(entries)))
        """Where each entry ends in the stream."""
        end = head_bytes
        for index, entry in enumerate(entries):
            end += entry.size_bytes
            self.ends[index] = end
        self.length_bytes = end
        """How long the whole stream is."""
        self.files = sum(not entry.is_folder for entry in entries)
        """How many of the entries are files."""

    def range_of(self, index: int) -> tuple[int, int]:
        """Returns where an entry begins and ends in the stream."""
        return (self.ends[index - 1] if index else self.head_bytes), self.ends[index]

    def index_at(self, offset: int) -> int:
        """Returns which entry has the byte at this offset of the stream; past the last one, their number."""
        return bisect_right(self.ends, offset)


def head_bytes(header: bytes | memoryview, bounds: Bounds = USUAL_BOUNDS) -> int:
    """Returns how long the head is that has these 32 bytes at its beginning. Raises BadFolder."""
    return HEADER_BYTES + _read_header(header, bounds)[0]


def check_begins(header: bytes | memoryview, length_bytes: int | None = None) -> None:
    """Raises BadFolder where a stream that begins like this is not that of a folder.

    `header`: as much of the first 32 bytes as is known. `length_bytes`: how long the stream is, if known.
    """
    magic = bytes(header[: len(MAGIC)])
    if not MAGIC.startswith(magic) or (length_bytes is not None and length_bytes < HEADER_BYTES):
        raise BadFolder(BadFolder.NOT_A_FOLDER, "What was sent is not a folder")


def check_length(length_bytes: int | None, of_list_bytes: int, at_least: bool = False) -> None:
    """Raises BadFolder where a stream has another length than its list says.

    `length_bytes`: None while it is not known. `at_least`: only this much of what the list says is known.
    """
    if length_bytes is None or length_bytes == of_list_bytes or (at_least and length_bytes > of_list_bytes):
        return
    why = f"With its list it has {of_list_bytes} bytes, and not {length_bytes} bytes"
    raise BadFolder("wrong_length", "It ends within the list of its files" if at_least else why)


def _read_header(header: bytes | memoryview, bounds: Bounds) -> tuple[int, int, int]:
    """Returns the length of the manifest, the number of its entries and its CRC-32C."""
    packed = bytes(header[:HEADER_BYTES])
    content = packed[: -_CRC.size]
    if len(packed) < HEADER_BYTES or not packed.startswith(MAGIC):
        raise BadFolder(BadFolder.NOT_A_FOLDER, "What was sent is not a folder")
    if _CRC.pack(checksum(content)) != packed[-_CRC.size :]:
        raise BadFolder(BadFolder.DAMAGED, "The list of its files is damaged")
    _magic, manifest_bytes, count, crc = _HEADER.unpack(content)
    if count > bounds.max_entries:
        limit = f"{count} files and empty folders, the limit is {bounds.max_entries}"
        raise BadFolder("too_many_entries", f"It has {limit}")
    if manifest_bytes > bounds.max_manifest_bytes:
        limit = f"{manifest_bytes} bytes, the limit is {bounds.max_manifest_bytes} bytes"
        raise BadFolder("manifest_too_large", f"The list of its files has {limit}")
    return manifest_bytes, count, crc


def parse_head(head: bytes | memoryview, bounds: Bounds = USUAL_BOUNDS) -> FolderManifest:
    """Returns the manifest of a head, which has all its bytes and no more. Raises BadFolder.

    Whether the paths can be names of files is another question: see `folder_names`.
    """
    manifest_bytes, count, crc = _read_header(head, bounds)
    manifest = bytes(head[HEADER_BYTES:])
    if len(manifest) != manifest_bytes or checksum(manifest) != crc:
        raise BadFolder(BadFolder.DAMAGED, "The list of its files is damaged")
    entries: list[Entry] = []
    for lines in _slices(manifest):
        entries += _entries(lines, len(entries))
    if len(entries) != count:
        raise BadFolder("wrong_count", f"The list has {len(entries)} entries and not {count}")
    if HEADER_BYTES + manifest_bytes + sum(entry.size_bytes for entry in entries) > MAX_INTEGER:
        raise BadFolder("bad_size", "Its files have too many bytes")
    return FolderManifest(HEADER_BYTES + manifest_bytes, entries)


def _slices(manifest: bytes) -> Iterator[bytes]:
    """Yields the manifest in pieces that end where a line ends."""
    if manifest and not manifest.endswith(b"\n"):
        raise BadFolder("bad_entry", "The list of its files ends within a line")
    start = 0
    while start < len(manifest):
        end = manifest.find(b"\n", start + _SLICE_BYTES) + 1 or len(manifest)
        yield manifest[start:end]
        start = end


_DECODER: Final = msgspec.json.Decoder(Entry)
_ENCODER: Final = msgspec.json.Encoder()


def _entries(lines: bytes, first: int) -> list[Entry]:
    """Returns the entries of some lines. `first`: the index of the first one."""
    try:
        entries = [_DECODER.decode(line) for line in lines[:-1].split(b"\n")]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        entries = [_entry(line, first + at) for at, line in enumerate(lines[:-1].split(b"\n"))]
    for at, entry in enumerate(entries):
        if entry.size_bytes and entry.is_folder:
            raise BadFolder("bad_size", "is a folder, so it can't have a size", first + at, entry.path)
    return entries


def _entry(line: bytes, index: int) -> Entry:
    try:
        return _DECODER.decode(line)
    except msgspec.ValidationError as exc:
        raise BadFolder("bad_entry", _what_is_wrong(str(exc)), index) from exc
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise BadFolder("bad_entry", "is not a JSON object in UTF-8", index) from exc


def _what_is_wrong(why: str) -> str:
    """Returns in plain words what msgspec says of an entry. Its own words about limits are garbled."""
    if "$.size" in why:
        return f"has a size that is not a whole number from 0 to {MAX_INTEGER}"
    if "$.modified_ms" in why:
        return f"has a modified_ms that is not a whole number from {-MAX_TIME_MS} to {MAX_TIME_MS}"
    if "path" in why:
        return "has no path, or one that is not a text"
    return "is not a JSON object"


def encode_head(entries: Iterable[Entry]) -> bytes:
    """Returns the head of a folder with these entries, in their order."""
    lines = [_ENCODER.encode(entry) for entry in entries]
    manifest = b"".join(line + b"\n" for line in lines)
    header = _HEADER.pack(MAGIC, len(manifest), len(lines), checksum(manifest))
    return header + _CRC.pack(checksum(header)) + manifest
