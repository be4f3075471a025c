"""Folders with files, made at random and compared: paths, bytes, times, and what an app is told of them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from crc32c import crc32c

from incoming.core.units import NS_PER_MS
from tests.support.app import DONE, Delivery, Reply

BLOCK_BYTES = 1 << 20
REFUSED = Reply(404, "it could not be read")
NOW_MS = 1_764_000_000_000


@dataclass(frozen=True, slots=True)
class Leaf:
    """A file of a tree."""

    size_bytes: int
    crc32c: str
    sha256: str
    modified_ms: int


Tree = dict[str, Leaf | None]
"""Files by their paths, and empty folders: their paths end with `/`, and they are None."""


def tree_of(folder: Path) -> Tree:
    """Returns what is in a folder."""
    return dict(_leaves(os.fsencode(folder), ""))


def _leaves(folder: bytes, path: str) -> Iterator[tuple[str, Leaf | None]]:
    found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    if path and not found:
        yield path, None
    for entry in found:
        name = path + entry.name.decode("utf-8", "replace")
        if entry.is_dir(follow_symlinks=False):
            yield from _leaves(entry.path, f"{name}/")
        elif entry.is_file(follow_symlinks=False):
            yield name, _leaf(entry.path, entry.stat().st_mtime_ns)


def _leaf(path: bytes, modified_ns: int) -> Leaf:
    size_bytes, crc, sha256 = 0, 0, hashlib.sha256()
    with open(path, "rb") as file:  # noqa: PTH123
        while block := file.read(BLOCK_BYTES):
            size_bytes, crc = size_bytes + len(block), crc32c(block, crc)
            sha256.update(block)
    return Leaf(size_bytes, f"{crc:08x}", sha256.hexdigest(), modified_ns // NS_PER_MS)


def write_leaf(path: Path, content: bytes, modified_ms: int) -> None:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(0, modified_ms * NS_PER_MS))


def write_random_tree(folder: Path, random: Random, sizes_bytes: list[int]) -> Tree:
    """Makes a folder with files of these sizes and some empty folders. Returns what is in it."""
    folder.mkdir(parents=True)
    for number, size_bytes in enumerate(sizes_bytes):
        above = "/".join(f"folder {random.randrange(4)}" for _ in range(random.randrange(4)))
        modified_ms = NOW_MS - random.randrange(10**11)
        write_leaf(folder / above / f"{number}.é", random.randbytes(size_bytes), modified_ms)
    for number in range(random.randrange(3)):
        (folder / f"empty {number}").mkdir()
    return tree_of(folder)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A folder as the app got it: what is on the disk, and the lines of the list."""

    tree: Tree
    lines: list[dict[str, Any]]
    fields: dict[str, str]

    def assert_consistent(self) -> None:
        """The list and the fields say of the folder what is on the disk."""
        listed: Tree = {}
        left_out = 0
        for line in self.lines:
            if line.get("left_out"):
                left_out += 1
            elif line["path"].endswith("/"):
                listed[line["path"]] = None
            else:
                sha256 = line.get("sha256") or self.tree[line["path"]].sha256  # type: ignore[union-attr]
                listed[line["path"]] = Leaf(line["size"], line["crc32c"], sha256, line["modified_ms"])
        assert listed == self.tree
        files = [leaf for leaf in self.tree.values() if leaf]
        assert int(self.fields["files"]) == len(files)
        assert int(self.fields["filesBytes"]) == sum(leaf.size_bytes for leaf in files)
        assert int(self.fields["leftOut"]) == left_out

    def as_sent(self) -> Tree:
        """Returns the tree with the paths that the client has sent."""
        sent = {line["path"]: line.get("sent_path", line["path"]) for line in self.lines}
        return {sent[path]: leaf for path, leaf in self.tree.items()}


class TreeKeeper:
    """An answer of an app: it looks at each folder, takes it with one rename, and says "done"."""

    def __init__(self, kept: Path) -> None:
        """`kept`: where the folders are moved to."""
        self._kept = kept
        self._lock = threading.Lock()
        self.arrived: dict[str, list[Arrived]] = {}
        """What came for each ticket: more than one item if the app was told again."""
        kept.mkdir(exist_ok=True)

    def __call__(self, delivery: Delivery) -> Reply:
        fields, folder = delivery.fields, Path(delivery.fields.get("filename", ""))
        if fields["cancelled"] == "no" and folder.exists():
            try:
                arrived = self._look(folder, fields)
            except Exception:  # the upload ends, and the test fails
                traceback.print_exc()
                return REFUSED
            with self._lock:
                self.arrived.setdefault(delivery.id, []).append(arrived)
            folder.rename(self._kept / delivery.id)
        return DONE

    def _look(self, folder: Path, fields: dict[str, str]) -> Arrived:
        lines = Path(fields["manifest"]).read_bytes().splitlines()
        return Arrived(tree_of(folder), [json.loads(line) for line in lines], fields)
