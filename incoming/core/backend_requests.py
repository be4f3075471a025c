"""Requests of an app's backend, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from incoming.core.ticket import FILE

LIST_LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class NewUpload:
    """The parameters of `new_upload`. `secret_required` is false for the older `signalFinishSecret`.

    `length_bytes`: the length that the file has to have; None if any will do. `storage`: `local` or `s3`;
    empty if the app has not said. `destination`: the key that the object shall have in S3; empty for any.
    `dest_type`: `file` or `folder`.
    """

    signal_finish_url: str
    remove_file_when_finished: bool = True
    secret: str = field(default="", repr=False)
    secret_required: bool = False
    file_owner_uid: int | None = None
    wants_sha256: bool = False
    metadata: str = field(default="", repr=False)
    max_bytes_per_s: int = 0
    max_bytes: int = 0
    length_bytes: int | None = None
    return_url: str = field(default="", repr=False)
    storage: str = ""
    destination: str = ""
    dest_type: str = FILE


@dataclass(frozen=True, slots=True)
class Listing:
    """Which uploads to list: one by its id, or those of a state (any, if it is empty), page by page.

    `search`: only those that have each of its words, see `uploads.listing`.
    """

    id: str = ""
    secret: str = field(default="", repr=False)
    state: str = ""
    start: int = 0
    limit: int = LIST_LIMIT
    history: int = 0
    search: str = ""
