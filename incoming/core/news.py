"""The news that a client which holds an upload may get at any moment."""

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
    """The app gave no answer, and why. It is called again."""

    why: str = "the app does not answer yet"


@dataclass(frozen=True, slots=True)
class NotHandedOver:
    """The app did not accept the file. The error's text is for the user."""

    error: errors.HandoverFailed


@dataclass(frozen=True, slots=True)
class Interrupted:
    """This claim has ended: another one took over, or the upload may resume later."""

    error: errors.TakenOver | errors.Stopping | errors.StorageLost | errors.StorageFailed


@dataclass(frozen=True, slots=True)
class Durable:
    """The storage keeps more of what it has taken: `acknowledged_bytes` of the file may be acknowledged now.

    Only the client whose bytes they are gets this news, and it never leaves the process.
    """

    acknowledged_bytes: int


News = CalledOff | HandedOver | NotHandedOver | WaitingForApp | Interrupted | Durable
"""Any news."""
