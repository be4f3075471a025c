"""The outcomes of an upload, in sentences. What is shown replaces control characters in foreign texts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from incoming.client.protocol.events import Ending, Outcome
from incoming.core import errors
from incoming.protocol.messages import MsgErrorV2

NOT_UNDERSTOOD: Final = (errors.BadMessage.number, errors.BadChunk.number)
"""The server could not use what we sent. Our messages are valid, so one was damaged in transit."""
TICKET_UNCHANGED: Final = (*NOT_UNDERSTOOD, errors.LengthMismatch.number, errors.WrongFile.number)
"""The server did not change the ticket."""
OTHER_FILE: Final = (errors.WrongFile.code, errors.LengthMismatch.code)

TOO_OLD = Outcome(Ending.FAILED, "The server does not speak version 2 of the protocol; it is older than 0.3.")
NOT_TAKEN = Outcome(Ending.FAILED, "The app did not accept the file.")
OTHER_CONTENT = Outcome(
    Ending.FAILED, "The app has a file with other content: this ticket was used for another file."
)
INVALID_ANSWERS = Outcome(Ending.FAILED, "The server's answers are not valid.", resumable=True)
STOPPED = Outcome(Ending.INTERRUPTED, "Interrupted. All stored bytes stay stored.", resumable=True)
STOPPED_LATE = Outcome(
    Ending.INTERRUPTED,
    "Interrupted. All data has arrived, and the server hands it over to the app.",
    resumable=True,
)
CANCELLED_HERE = Outcome(Ending.INTERRUPTED, "The upload is cancelled. Its ticket can't be used again.")


def finished(crc32c: int | None) -> Outcome:
    """The app has the file."""
    return Outcome(Ending.FINISHED, "The app has the file.", crc32c=crc32c)


def changed_since(how: str) -> Outcome:
    """The app has what was sent, but the file has changed since; `how` is a sentence that names it."""
    return Outcome(Ending.FAILED, f"The app has the file as it was when it was read. {how}")


def gave_up(after_s: float, note: str) -> Outcome:
    """There was no progress for so long; `note` is the last problem."""
    why = f" {note}" if note else ""
    return Outcome(Ending.GAVE_UP, f"Gave up: no progress for {after_s:g} s.{why}", resumable=True)


def refused(error: MsgErrorV2) -> Outcome:
    """The server has refused the upload."""
    ending = Ending.CANCELLED if error.error_code == errors.UploadCancelled.number else Ending.FAILED
    is_other_file = error.code in OTHER_FILE and error.file_name
    text = f"{error.msg} {_expected_file(error)}" if is_other_file else error.msg
    return Outcome(ending, text, resumable=error.error_code in TICKET_UNCHANGED and not is_other_file)


def _expected_file(error: MsgErrorV2) -> str:
    """Returns a sentence about the file that the upload began with."""
    try:
        changed_at = datetime.fromtimestamp(error.file_last_modified_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        changed_at = datetime.fromtimestamp(0, UTC)
    changed = f", last changed {changed_at:%Y-%m-%d %H:%M:%S} UTC" if error.file_last_modified_ms else ""
    return f'That file is "{error.file_name}" ({error.file_length_bytes:,} bytes{changed}).'
