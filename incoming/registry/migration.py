"""Migrates the journal of an old version, which had a file `ID.json` with the entry of each ticket.

The first start that finds such files reads them once. A file without a valid ticket is moved to `damaged/`
and reported.
"""

from __future__ import annotations

import logging
from pathlib import Path

from incoming.core.ticket import short_id
from incoming.registry.entries import DamagedEntry, decode, ticket_entry

log = logging.getLogger(__name__)


class OldEntries:
    """The files of an old journal. Every method blocks on the disk."""

    def __init__(self, directory: Path, damaged_dir: Path) -> None:
        """Damaged files are moved to `damaged_dir`."""
        self._directory = directory
        self._damaged_dir = damaged_dir
        self._migrated: list[Path] = []

    def entries(self) -> dict[str, bytes]:
        """Returns an entry for each ticket, by its id. Raises OSError if the directory can't be read."""
        entries = {}
        for file in sorted(self._directory.glob("*.json")):
            try:
                entries[file.stem] = ticket_entry(decode(file.read_bytes(), file.stem))
            except (DamagedEntry, IsADirectoryError) as exc:
                self._set_aside(file, exc)
            except OSError as exc:
                # It may be intact: the disk fails, or descriptors are missing. The next start tries again.
                about = {"ticket": short_id(file.stem), "error": exc}
                log.error(
                    "journal entry %(ticket)s can't be read: %(error)s. The next start tries again", about
                )
            else:
                self._migrated.append(file)
        return entries

    def delete(self) -> None:
        """Deletes what was read, once the log has it. Raises OSError."""
        for file in (*self._migrated, *self._directory.glob("*.json.tmp")):
            file.unlink(missing_ok=True)
        self._migrated.clear()

    def _set_aside(self, file: Path, why: Exception) -> None:
        about = {"ticket": short_id(file.stem), "error": why, "damaged_dir": self._damaged_dir}
        log.error("journal entry %(ticket)s is damaged: %(error)s. It is set aside in %(damaged_dir)s", about)
        try:
            self._damaged_dir.mkdir(mode=0o700, exist_ok=True)
            file.replace(self._damaged_dir / file.name)
        except OSError as exc:
            about["error"] = exc
            log.error("journal entry %(ticket)s could not be set aside: %(error)s", about)
