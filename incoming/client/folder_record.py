"""What was listed when the upload of a folder began, so that a later run of the command resumes it.

The list of files is the beginning of the stream, so it must stay the same, although the folder may have
changed since. It is kept until the upload ends, in a file that only its user can read.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from incoming.client.folder_walk import Folder
from incoming.core.errors import BadFolder
from incoming.core.folder_manifest import MAX_INTEGER, Bounds, encode_head, parse_head

KEEP_S: Final = 60 * 24 * 3600.0
"""How long an unused record is kept. Unused tickets expire long before."""
NOT_THERE_NS: Final = -(1 << 62)
"""No file was changed at this time."""
_OWN_BOUNDS: Final = Bounds(MAX_INTEGER, MAX_INTEGER)


@dataclass(frozen=True, slots=True)
class Begun:
    """The folder of an upload that has begun, and the paths that are new since then."""

    folder: Folder
    new: list[str]


class FolderRecord:
    """The record of the upload with a ticket. Without a place to keep it, there is never one."""

    def __init__(self, ticket_id: str) -> None:
        home = os.environ.get("XDG_STATE_HOME")
        # The ticket is a secret.
        name = hashlib.sha256(ticket_id.encode("utf-8", "surrogateescape")).hexdigest()
        try:
            state = Path(home) if home else Path("~/.local/state").expanduser()
        except RuntimeError:
            state = Path(os.devnull)  # nobody's home is known
        self._path = state / "incoming" / "folders" / name

    def save(self, folder: Folder) -> None:
        """Keeps the list of this folder."""
        first_line = json.dumps({"roots": _roots(folder.roots)}).encode()
        new = self._path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_old(self._path.parent)
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(first_line + b"\n")
                file.write(encode_head(folder.entries))
            new.rename(self._path)

    def remove(self) -> None:
        """The upload has ended: it can't be resumed."""
        with suppress(OSError):
            self._path.unlink()

    def resumed(self, now: Folder) -> Begun | None:
        """Returns the folder as it was listed when its upload began; None if there is no record of that.

        `now`: what is listed now. What has changed since, or is gone, can't be read.
        """
        try:
            first_line, _, head = self._path.read_bytes().partition(b"\n")
            if json.loads(first_line)["roots"] != _roots(now.roots):
                return None
            entries = parse_head(head, _OWN_BOUNDS).entries
        except (OSError, ValueError, KeyError, TypeError, BadFolder):
            return None
        indices = {entry.path: index for index, entry in enumerate(now.entries)}
        begun = Folder(now.name, now.roots, skipped=now.skipped)
        for entry in entries:
            begun.entries.append(entry)
            index = indices.pop(entry.path, None)
            if index is None:
                begun.add_place(entry.path.removesuffix("/"), 0, NOT_THERE_NS)
            else:
                is_same = now.entries[index] == entry
                modified_ns = now.modified_ns[index] if is_same else NOT_THERE_NS
                begun.add_place(now.places[index], now.root_of[index], modified_ns)
        return Begun(begun, list(indices))


def _roots(roots: Sequence[Path]) -> list[str]:
    return [os.fsencode(os.path.realpath(root)).hex() for root in roots]


def _remove_old(place: Path) -> None:
    """Removes records that were kept for too long."""
    oldest_s = time.time() - KEEP_S
    for path in place.iterdir():
        if path.stat().st_mtime < oldest_s:
            path.unlink()
