"""What a disk may have after a power cut, made of what it was asked to do (`faultpoints.Trace`).

The rules are POSIX's, not those of a friendly filesystem. What was written to a file and not synced may be
there, or not, or in part, each write by itself; a file that has grown past a write that was lost has a hole
there. What was done to a directory (a name made, moved, removed) and not synced may have happened or not.
"""

from __future__ import annotations

import base64
import json
import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PAGE_BYTES: Final = 4096
Line = dict[str, Any]


@dataclass
class _File:
    """An inode: what is surely on the disk, and what may be."""

    content: bytes = b""
    pending: list[tuple[int, Line]] = field(default_factory=list)


@dataclass
class _Folder:
    """A directory: the names that are surely in it, and what may have happened to them."""

    names: dict[str, _File | str] = field(default_factory=dict)
    pending: list[tuple[int, Line, _File | None]] = field(default_factory=list)


DIRECTORY: Final = "a directory"


class Disk:
    """The disk below `root` as it may be after the first lines of a trace."""

    def __init__(self, root: Path, lines: list[Line], chance: random.Random) -> None:
        self._root = root
        self._chance = chance
        self._folders: dict[str, _Folder] = {}
        self._files: dict[int, _File] = {}
        self._now: dict[str, _File] = {}
        """What each name stands for while the power is on."""
        for number, line in enumerate(lines):
            getattr(self, f"_{line['op']}")(number, line)

    def _folder(self, path: str) -> _Folder:
        return self._folders.setdefault(path, _Folder())

    def _change(self, number: int, path: str, line: Line, file: _File | None = None) -> None:
        self._folder(str(Path(path).parent)).pending.append((number, line, file))

    # --- the lines of the trace --------------------------------------------------------------------------

    def _link(self, number: int, line: Line) -> None:
        path = line["path"]
        known = self._now.get(path)
        if known is None or self._files.get(line["ino"]) is not known:
            known = self._files[line["ino"]] = _File()
            self._now[path] = known
            self._change(number, path, line, known)

    def _write(self, number: int, line: Line) -> None:
        self._files[line["ino"]].pending.append((number, line))

    _truncate = _write

    def _sync(self, _: int, line: Line) -> None:
        file = self._files.get(line["ino"])
        if file:
            settled = [change for change in file.pending if change[0] < line["covers"]]
            file.content = _applied(file.content, [change for _, change in settled])
            file.pending = file.pending[len(settled) :]

    def _sync_failed(self, _: int, line: Line) -> None:
        """As on Linux: what the disk did not take is lost, and no later sync finds anything to do."""
        self._files[line["ino"]].pending.clear()

    def _mkdir(self, number: int, line: Line) -> None:
        self._change(number, line["path"], line)

    _rmdir = _mkdir

    def _rename(self, number: int, line: Line) -> None:
        file = self._now.pop(line["source"])
        self._now[line["target"]] = file
        self._change(number, line["target"], line, file)

    def _unlink(self, number: int, line: Line) -> None:
        self._now.pop(line["path"], None)
        self._change(number, line["path"], line)

    def _sync_dir(self, _: int, line: Line) -> None:
        folder = self._folder(line["path"])
        settled = [change for change in folder.pending if change[0] < line["covers"]]
        for _number, change, file in settled:
            _rearrange(folder.names, change, file)
        folder.pending = folder.pending[len(settled) :]

    def _sync_all(self, _: int, line: Line) -> None:
        for ino in self._files:
            self._sync(0, {"ino": ino, "covers": line["covers"]})
        for path in list(self._folders):
            self._sync_dir(0, {"path": path, "covers": line["covers"]})

    # --- the cut -------------------------------------------------------------------------------------------

    def rebuild(self, place: Path) -> None:
        """Writes to `place` what may be there when the power is back."""
        self._rebuild_folder(str(self._root), place)

    def _rebuild_folder(self, path: str, place: Path) -> None:
        place.mkdir()
        folder = self._folder(path)
        names = dict(folder.names)
        for _number, change, file in self._luck(folder.pending):
            _rearrange(names, change, file)
        for name, file in names.items():
            if isinstance(file, _File):
                self._rebuild_file(file, place / name)
            else:
                self._rebuild_folder(f"{path}/{name}", place / name)

    def _luck(self, pending: list[Any]) -> list[Any]:
        """Returns those changes that have reached the disk: all, none, the first ones, or just any."""
        how = self._chance.randrange(4)
        if how == 0:
            return pending
        if how == 1:
            return []
        if how == 2:
            return pending[: self._chance.randrange(len(pending) + 1)]
        return [change for change in pending if self._chance.randrange(2)]

    def _rebuild_file(self, file: _File, place: Path) -> None:
        with place.open("wb") as out:
            out.write(file.content)
            for _number, change in self._luck(file.pending):
                if change["op"] == "truncate":
                    out.flush()
                    os.ftruncate(out.fileno(), change["size"])
                else:
                    self._write_some(out, change)

    def _write_some(self, out: Any, change: Line) -> None:
        """Writes a change whole, or some pages of it; the length may be there without its bytes."""
        data, position = base64.b64decode(change["data"]), change["position"]
        lost = self._chance.randrange(4) == 0
        for start in range(0, len(data), PAGE_BYTES):
            if not lost or self._chance.randrange(2):
                out.seek(position + start)
                out.write(data[start : start + PAGE_BYTES])
        out.flush()
        if lost and os.fstat(out.fileno()).st_size < position + len(data) and self._chance.randrange(2):
            os.ftruncate(out.fileno(), position + len(data))


def _applied(content: bytes, changes: list[Line]) -> bytes:
    """Returns the content after these changes, all of them."""
    new = bytearray(content)
    for change in changes:
        if change["op"] == "truncate":
            size = change["size"]
            new = new[:size] + bytes(max(size - len(new), 0))
        else:
            data, position = base64.b64decode(change["data"]), change["position"]
            new += bytes(max(position - len(new), 0))
            new[position : position + len(data)] = data
    return bytes(new)


def _rearrange(names: dict[str, Any], change: Line, file: _File | None) -> None:
    """Does to the names of a directory what the line says."""
    match change["op"]:
        case "link":
            names[Path(change["path"]).name] = file
        case "mkdir":
            names[Path(change["path"]).name] = DIRECTORY
        case "rename":
            names.pop(Path(change["source"]).name, None)
            names[Path(change["target"]).name] = file
        case "unlink" | "rmdir":
            names.pop(Path(change["path"]).name, None)


def read_trace(file: Path) -> list[Line]:
    """Returns the lines of a trace."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]
