"""How an upload ends, in sentences. Texts from outside are made harmless where they are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from incoming.client.protocol.events import Ending, Outcome
from incoming.protocol.messages import MsgErrorV2

CANCELLED_NUMBER: Final = 30
UNKNOWN_TICKET_NUMBER: Final = 11
NOT_UNDERSTOOD_NUMBERS: Final = (20, 21)
"""Something that we said was wrong; but we say nothing wrong, so it was damaged on its way."""
STILL_GOOD_NUMBERS: Final = (20, 21, 22, 24)
"""After these the ticket is as it was."""

TOO_OLD = Outcome(Ending.FAILED, "The server does not speak version 2 of the protocol; it is older than 0.3.")
NOT_TAKEN = Outcome(Ending.FAILED, "The app did not take the file.")
OTHER_CONTENT = Outcome(
    Ending.FAILED, "The app has a file with another content: this ticket was used for another file."
)
NO_SENSE = Outcome(Ending.FAILED, "The server's answers make no sense.", resumable=True)
STOPPED = Outcome(Ending.INTERRUPTED, "Interrupted. What is stored stays stored.", resumable=True)
STOPPED_LATE = Outcome(
    Ending.INTERRUPTED, "Interrupted. All data has arrived, and the app gets it without us.", resumable=True
)
CANCELLED_HERE = Outcome(Ending.INTERRUPTED, "The upload is cancelled. Its ticket is used up.")


def finished(crc32c: int | None) -> Outcome:
    """The app has the file."""
    return Outcome(Ending.FINISHED, "The app has the file.", crc32c=crc32c)


def changed_since(how: str) -> Outcome:
    """The app has what was sent, and the file is another one since; `how` is a sentence that names it."""
    return Outcome(Ending.FAILED, f"The app has the file as it was when it was read. {how}")


def gave_up(after_s: float, note: str) -> Outcome:
    """Nothing went on for so long; `note` is what was shown last."""
    why = f" {note}" if note else ""
    return Outcome(Ending.GAVE_UP, f"Gave up: nothing went on for {after_s:g} s.{why}", resumable=True)


def refused(error: MsgErrorV2) -> Outcome:
    """The server has ended it."""
    ending = Ending.CANCELLED if error.error_code == CANCELLED_NUMBER else Ending.FAILED
    other_file = error.code in ("wrong_file", "length_mismatch") and error.file_name
    text = f"{error.msg} {_file_meant(error)}" if other_file else error.msg
    return Outcome(ending, text, resumable=error.error_code in STILL_GOOD_NUMBERS and not other_file)


def _file_meant(error: MsgErrorV2) -> str:
    """Tells which file the upload was begun with."""
    try:
        changed_at = datetime.fromtimestamp(error.file_last_modified_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        changed_at = datetime.fromtimestamp(0, UTC)
    changed = f", last changed {changed_at:%Y-%m-%d %H:%M:%S} UTC" if error.file_last_modified_ms else ""
    return f'It was begun with "{error.file_name}" ({error.file_length_bytes:,} bytes{changed}).'
