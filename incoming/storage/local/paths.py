"""Where the files of uploads are."""

from __future__ import annotations

from pathlib import Path


def upload_file(directory: Path, ticket_id: str) -> Path:
    """Returns where the file of an upload is, in the directory of all uploads."""
    return directory / ticket_id / ticket_id
