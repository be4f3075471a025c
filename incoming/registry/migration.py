"""Journals as they were before there was one log: a file `ID.json` for each ticket, with its entry.

They are read once, by the first start that finds them. A file that holds no ticket is set aside and reported.
"""

from __future__ import annotations

import logging
from pathlib import Path

from incoming.registry.entries import DamagedEntry, decode, written

log = logging.getLogger(__name__)


class OldEntries:
    """The old files of a journal; those that are damaged go to `shelf`. Every method blocks on the disk."""

    def __init__(self, directory: Path, shelf: Path) -> None:
        self._directory = directory
        self._shelf = shelf
        self._taken: list[Path] = []

    def lines(self) -> dict[str, bytes]:
        """Returns a line for each ticket, by its id. Raises OSError where the directory can't be read."""
        lines = {}
        for file in sorted(self._directory.glob("*.json")):
            try:
                lines[file.stem] = written(decode(file.read_bytes(), file.stem))
            except (DamagedEntry, IsADirectoryError) as exc:
                self._set_aside(file, exc)
            except OSError as exc:
                # It may be sound: a disk that fails, or too few descriptors. The next start tries it again.
                about = {"ticket": file.stem[:8], "error": exc}
                log.error(
                    "journal entry %(ticket)s can't be read: %(error)s. The next start tries again", about
                )
            else:
                self._taken.append(file)
        return lines

    def remove(self) -> None:
        """Removes what was read, once it is kept elsewhere. Raises OSError."""
        for file in (*self._taken, *self._directory.glob("*.json.tmp")):
            file.unlink(missing_ok=True)
        self._taken.clear()

    def _set_aside(self, file: Path, why: Exception) -> None:
        about = {"ticket": file.stem[:8], "error": why, "shelf": self._shelf}
        log.error("journal entry %(ticket)s is damaged: %(error)s. It is set aside in %(shelf)s", about)
        try:
            self._shelf.mkdir(mode=0o700, exist_ok=True)
            file.replace(self._shelf / file.name)
        except OSError as exc:
            about["error"] = exc
            log.error("journal entry %(ticket)s could not be set aside: %(error)s", about)
