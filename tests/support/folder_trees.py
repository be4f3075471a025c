"""Folders for tests: their streams, and what has to be on the disk in the end."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from incoming.core.checksum import checksum
from incoming.core.folder_manifest import Entry, encode_head
from incoming.storage import FolderStorage, FolderWriter

MODIFIED_MS: Final = 1_500_000_000_123
Tree = dict[str, bytes]
"""Paths, and what is in the files. That of an empty folder ends with `/`."""


def content(size_bytes: int, seed: int = 0) -> bytes:
    """Returns bytes that are the same each time."""
    return random.Random(seed).randbytes(size_bytes)


def tree_of(*sizes: tuple[str, int]) -> Tree:
    """Returns a folder with files of these sizes."""
    return {path: content(size, seed) for seed, (path, size) in enumerate(sizes)}


def entries_of(tree: Tree) -> list[Entry]:
    """Returns the entries of a folder."""
    return [Entry(path, len(data), MODIFIED_MS + number) for number, (path, data) in enumerate(tree.items())]


def head_of(tree: Tree) -> bytes:
    """Returns the head of a folder's stream."""
    return encode_head(entries_of(tree))


def stream_of(tree: Tree) -> bytes:
    """Returns the stream of a folder."""
    return head_of(tree) + b"".join(tree.values())


def send(writer: FolderWriter, stream: bytes, chunk_bytes: int = 100) -> None:
    """Writes what is missing of a stream."""
    for at in range(writer.taken_bytes, len(stream), chunk_bytes):
        chunk = stream[at : at + chunk_bytes]
        writer.write(memoryview(chunk), checksum(chunk))


def store(folders: FolderStorage, ticket_id: str, tree: Tree, chunk_bytes: int = 100) -> Path:
    """Stores a folder that arrives. Returns where it is."""
    stream = stream_of(tree)
    writer = folders.open(ticket_id, len(stream))
    writer.want_sha256()
    send(writer, stream, chunk_bytes)
    writer.finish()
    return Path(folders.location(ticket_id))


def found_at(place: Path) -> Tree:
    """Returns what is on the disk: the files, and the folders that are empty."""
    return dict(sorted(_found_at(place, "")))


def _found_at(place: Path, above: str) -> Iterator[tuple[str, bytes]]:
    for one in place.iterdir():
        path = f"{above}{one.name}"
        if not one.is_dir():
            yield path, one.read_bytes()
        elif any(one.iterdir()):
            yield from _found_at(one, f"{path}/")
        else:
            yield f"{path}/", b""


def expected(tree: Tree) -> Tree:
    """Returns what has to be on the disk of a folder whose names are kept."""
    has_content = {path.rsplit("/", depth)[0] for path in tree for depth in range(1, path.count("/") + 1)}
    kept = {path: data for path, data in tree.items() if path.rstrip("/") not in _above(tree, has_content)}
    return dict(sorted(kept.items()))


def _above(tree: Tree, folders: set[str]) -> set[str]:
    """Returns those of the folders that have something else in them."""
    return {one for one in folders if any(path.startswith(f"{one}/") and path != f"{one}/" for path in tree)}


def times_at(place: Path, tree: Tree) -> list[float]:
    """Returns when each entry was changed last, in milliseconds since 1970."""
    return [(place / path).stat().st_mtime_ns / 1_000_000 for path in tree]


def list_at(place: Path) -> list[dict[str, Any]]:
    """Returns the lines of the list beside a folder."""
    lines = place.with_name(f"{place.name}.manifest").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def list_of(tree: Tree) -> list[dict[str, Any]]:
    """Returns the lines that the list of a folder has to have, with SHA-256."""
    return [
        {"path": entry.path, "modified_ms": entry.modified_ms}
        if entry.is_folder
        else {
            "path": entry.path,
            "size": entry.size_bytes,
            "crc32c": f"{checksum(data):08x}",
            "sha256": hashlib.sha256(data).hexdigest(),
            "modified_ms": entry.modified_ms,
        }
        for entry, data in zip(entries_of(tree), tree.values(), strict=True)
    ]
