"""Folders for tests: a tree of files, and the stream that it is as an upload."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from incoming.core.checksum import checksum
from incoming.core.folder_manifest import Entry, FolderManifest, encode_head, parse_head
from tests.support.data import FileBytes

MODIFIED_MS = 1_600_000_000_123


class StreamBytes(FileBytes):
    """A stream as the file that clients of the tests send."""

    def __init__(self, content: bytes) -> None:
        super().__init__(len(content))
        self.content = content

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """See FileBytes."""
        return self.content[offset_bytes : offset_bytes + size_bytes]


@dataclass(frozen=True)
class FolderData:
    """A folder with random files. A path with `/` at its end is an empty folder."""

    sizes: Sequence[tuple[str, int]]
    seed: int = 1
    contents: dict[str, bytes] = field(default_factory=dict)
    """Of files that are not random."""

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The content of each file, in the order of the stream."""
        made = random.Random(self.seed)
        found = {path: made.randbytes(size) for path, size in self.sizes if not path.endswith("/")}
        return found | self.contents

    @cached_property
    def entries(self) -> list[Entry]:
        """What the manifest has."""
        return [
            Entry(path) if path.endswith("/") else Entry(path, len(self.files[path]), MODIFIED_MS + at)
            for at, (path, _) in enumerate(self.sizes)
        ]

    @cached_property
    def head(self) -> bytes:
        """The beginning of the stream."""
        return encode_head(self.entries)

    @cached_property
    def manifest(self) -> FolderManifest:
        """What a server reads of the head."""
        return parse_head(self.head)

    @cached_property
    def stream(self) -> bytes:
        """All bytes of the upload."""
        return self.head + b"".join(self.files.values())

    def without(self, *indices: int) -> bytes:
        """Returns the stream in which these files are zeros: they are left out."""
        stream = bytearray(self.stream)
        for index in indices:
            start, end = self.manifest.range_of(index)
            stream[start:end] = bytes(end - start)
        return bytes(stream)

    def listed(self, text: bytes, left_out: Sequence[int] = ()) -> list[dict[str, Any]]:
        """Returns the lines of an app's list, after it has compared what is the same for every storage."""
        lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
        assert [line.get("sent_path", line["path"]) for line in lines] == [one.path for one in self.entries]
        for index, (line, entry) in enumerate(zip(lines, self.entries, strict=True)):
            if entry.is_folder:
                continue
            assert line["size"] == entry.size_bytes
            assert line.get("left_out", False) == (index in left_out)
            if index not in left_out:
                assert line["crc32c"] == f"{checksum(self.files[entry.path]):08x}"
        return lines
