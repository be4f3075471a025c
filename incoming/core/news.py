"""What a connection that holds a ticket can hear about it at any moment."""

from __future__ import annotations

from dataclasses import dataclass

from incoming.core import errors


@dataclass(frozen=True, slots=True)
class CalledOff:
    """The app cancelled, or the ticket expired."""

    error: errors.UploadCancelled | errors.UploadExpired


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The app has the file, which has this checksum."""

    crc32c: int = 0


@dataclass(frozen=True, slots=True)
class WaitingForApp:
    """The app gave no answer, and why; it is asked again."""

    why: str = "the app does not answer yet"


@dataclass(frozen=True, slots=True)
class NotHandedOver:
    """The app did not take the file; the words are for the user."""

    error: errors.HandoverFailed


@dataclass(frozen=True, slots=True)
class Interrupted:
    """This connection has to go, and the upload resumes on another one: after a takeover, at a later time."""

    error: errors.TakenOver | errors.Stopping | errors.StorageLost


News = CalledOff | HandedOver | NotHandedOver | WaitingForApp | Interrupted
"""What a ticket's watcher may hear at any moment."""
