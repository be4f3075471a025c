"""Where a storage keeps what it notes of uploads on their way to S3."""

from __future__ import annotations

from dataclasses import dataclass

from incoming.storage.s3.file_folder_notes import FileFolderNotes
from incoming.storage.s3.file_manifests import FileManifests
from incoming.storage.s3.folder_notes import FolderNotes
from incoming.storage.s3.manifest import Manifests
from incoming.storage.s3.notes_file import NotesFile


@dataclass(frozen=True, slots=True)
class Notes:
    """All notes of one storage."""

    manifests: Manifests
    folders: FolderNotes


def notes_in(file: NotesFile) -> Notes:
    """Returns the notes in a file of this machine. Raises StorageFailed."""
    return Notes(FileManifests(file), FileFolderNotes(file))
