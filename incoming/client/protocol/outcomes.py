"""The outcomes of an upload, in sentences. What is shown replaces control characters in foreign texts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from incoming.client.protocol.events import Ending, File, Outcome
from incoming.core import errors
from incoming.protocol.messages import MsgErrorV2

NOT_UNDERSTOOD: Final = (errors.BadMessage.number, errors.BadChunk.number, errors.BadParameter.number)
"""The server could not use what we sent. Our messages are valid, so one was damaged in transit."""
TICKET_UNCHANGED: Final = (*NOT_UNDERSTOOD, errors.LengthMismatch.number, errors.WrongFile.number)
"""The server did not change the ticket."""
OTHER_FILE: Final = (errors.WrongFile.code, errors.LengthMismatch.code)

CAN_LEAVE_OUT: Final = "With --leave-out, the upload resumes without this file."
TOO_LATE_TO_LEAVE_OUT: Final = "It is too late to leave it out, so the folder needs a new ticket."

TOO_OLD = Outcome(Ending.FAILED, "The server does not speak version 2 of the protocol; it is older than 0.3.")
INVALID_ANSWERS = Outcome(Ending.FAILED, "The server's answers are not valid.", resumable=True)
STOPPED = Outcome(Ending.INTERRUPTED, "Interrupted. All stored bytes stay stored.", resumable=True)
STOPPED_LATE = Outcome(
    Ending.INTERRUPTED,
    "Interrupted. All data has arrived, and the server hands it over to the app.",
    resumable=True,
)
CANCELLED_HERE = Outcome(Ending.INTERRUPTED, "The upload is cancelled. Its ticket can't be used again.")


def finished(file: File, crc32c: int | None) -> Outcome:
    """The app has the file."""
    return Outcome(Ending.FINISHED, f"The app has the {file.what}.", crc32c=crc32c)


def not_compared(file: File, why: str) -> Outcome:
    """The app has it, but it can't be compared with what is here; `why` is a sentence that names the file."""
    return Outcome(Ending.FINISHED, f"The app has the {file.what}. It could not be compared. {why}")


def not_taken(file: File) -> Outcome:
    """The app has refused the file."""
    return Outcome(Ending.FAILED, f"The app did not accept the {file.what}.")


def other_content(file: File) -> Outcome:
    """The ticket has finished, but not with this file."""
    what = file.what
    return Outcome(
        Ending.FAILED,
        f"The app has a {what} with different content: this ticket was used for another {what}.",
    )


def other_ticket(file: File) -> Outcome:
    """A file is sent with a ticket for a folder, or a folder with one for a file."""
    if file.manifest:
        return Outcome(
            Ending.FAILED,
            "This ticket is for a single file. For a folder, the app asks for a ticket with destType=folder.",
        )
    return Outcome(Ending.FAILED, "This ticket is for a folder, not for a single file.")


def changed_since(file: File, how: str) -> Outcome:
    """The app has what was sent, but it has changed since; `how` is a sentence that names the file."""
    return Outcome(Ending.FAILED, f"The app has the {file.what} as it was when it was read. {how}")


def gave_up(after_s: float, note: str) -> Outcome:
    """There was no progress for so long; `note` is the last problem."""
    why = f" {note}" if note else ""
    return Outcome(Ending.GAVE_UP, f"Gave up: no progress for {after_s:g} s.{why}", resumable=True)


def refused(error: MsgErrorV2, file: File) -> Outcome:
    """The server has refused the upload of this file."""
    ending = Ending.CANCELLED if error.error_code == errors.UploadCancelled.number else Ending.FAILED
    is_other_file = error.code in OTHER_FILE and error.file_name
    text = f"{error.msg} {_expected_file(error)}" if is_other_file else error.msg
    if file.manifest and 0 <= error.index < len(file.manifest.entries):
        text = f'{text} It is "{file.manifest.entries[error.index].path}".'
    return Outcome(ending, text, resumable=error.error_code in TICKET_UNCHANGED and not is_other_file)


def _expected_file(error: MsgErrorV2) -> str:
    """Returns a sentence about the file that the upload began with."""
    try:
        changed_at = datetime.fromtimestamp(error.file_last_modified_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        changed_at = datetime.fromtimestamp(0, UTC)
    size = f"{error.file_length_bytes:,} bytes" if error.file_length_bytes else ""  # it may be unknown
    changed = f"last changed {changed_at:%Y-%m-%d %H:%M:%S} UTC" if error.file_last_modified_ms else ""
    about = ", ".join(part for part in (size, changed) if part)
    return f'That file is "{error.file_name}"{f" ({about})" if about else ""}.'
