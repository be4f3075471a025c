"""The notes of a storage in a file of this machine."""

from __future__ import annotations

from incoming.storage.s3.notes.file_folder_notes import FileFolderNotes
from incoming.storage.s3.notes.file_manifests import FileManifests
from incoming.storage.s3.notes.notes import Notes
from incoming.storage.s3.notes.notes_file import NotesFile


def notes_in(file: NotesFile) -> Notes:
    """Returns the notes in a file of this machine. Raises StorageFailed."""
    return Notes(FileManifests(file), FileFolderNotes(file))
