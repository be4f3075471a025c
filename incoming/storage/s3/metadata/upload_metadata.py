"""All metadata of one storage, wherever it is kept."""

from __future__ import annotations

from dataclasses import dataclass

from incoming.storage.s3.metadata.folder_states import FolderStates
from incoming.storage.s3.metadata.manifest import Manifests


@dataclass(frozen=True, slots=True)
class UploadMetadata:
    """What keeps the manifests of files, and what keeps the states of folders."""

    manifests: Manifests
    folders: FolderStates
