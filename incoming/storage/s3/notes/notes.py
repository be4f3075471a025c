"""All notes of one storage, wherever they are kept."""

from __future__ import annotations

from dataclasses import dataclass

from incoming.storage.s3.notes.folder_notes import FolderNotes
from incoming.storage.s3.notes.manifest import Manifests


@dataclass(frozen=True, slots=True)
class Notes:
    """What is noted of files, and what is noted of folders."""

    manifests: Manifests
    folders: FolderNotes
