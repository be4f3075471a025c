"""The metadata of a storage in an SQLite file of this machine."""

from __future__ import annotations

from incoming.storage.s3.metadata.sqlite_file import SqliteFile
from incoming.storage.s3.metadata.sqlite_folder_states import SqliteFolderStates
from incoming.storage.s3.metadata.sqlite_manifests import SqliteManifests
from incoming.storage.s3.metadata.upload_metadata import UploadMetadata


def metadata_in_sqlite(file: SqliteFile) -> UploadMetadata:
    """Returns the metadata in a file of this machine. Raises StorageFailed."""
    return UploadMetadata(SqliteManifests(file), SqliteFolderStates(file))
