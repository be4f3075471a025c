"""The note of the storages that have the files of the tickets. It is kept with the tickets.

Tickets whose files are elsewhere would look like uploads that have lost everything. So a start with other
storages is refused while a ticket has a file in one that is missing.

The note has a line for each storage: its address, such as that of a bucket, or `local`, or `local ID` of a
directory. The first one is of the storage that has the uploads whose tickets name none.

The endpoint of S3 has a note of its own. It may be another name of the same store, so a start with another
one only warns.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from incoming.core.errors import BadSetting
from incoming.core.lifecycle import State
from incoming.core.storage_kinds import LOCAL, S3, name_in
from incoming.core.ticket import Ticket
from incoming.registry import journal

log = logging.getLogger(__name__)

NOTE_FILE: Final = "place"
ENDPOINT_FILE: Final = "endpoint"
AMAZON: Final = "Amazon's S3"
"""The endpoint, where the setting names none."""
MOVED: Final = (
    "{count} uploads still have files in {before}. Start the server with that until these uploads are "
    "finished, and it has deleted their files"
)
UNDRAINED: Final = (
    "the journal in {directory} has {count} uploads that are not finished, which Redis does not know. Start "
    "the server without this setting until they are finished, or set another storage_dir"
)


def check_same(before: str, now: str, tickets: Callable[[], Iterable[Ticket]]) -> str:
    """Returns the new note. Raises BadSetting if files are not where they are `now`, and some are needed.

    `before`: the note so far; empty for a new registry.
    """
    was, is_now = _by_name(before), _by_name(now)
    if not was or before == now:
        return now
    if was != is_now:
        nameless = next(iter(was))
        count = Counter(ticket.storage or nameless for ticket in tickets() if not ticket.may_be_forgotten)
        lost = [name for name in count if was.get(name) != is_now.get(name)]
        if lost:
            described = " and ".join(shown(was[name]) if name in was else name for name in lost)
            many = sum(count[name] for name in lost)
            raise BadSetting("storage", MOVED.format(count=many, before=described))
    return "\n".join(sorted(is_now.values(), key=lambda line: name_in(line) != next(iter(was))))


def check_endpoint(before: str, s3_endpoint: str, note: str, tickets: Callable[[], Iterable[Ticket]]) -> str:
    """Warns if uploads in S3 may have files at another endpoint. Returns the new note of the endpoint.

    `before` is the endpoint that the last start noted; empty at the first start. `note` lists the storages.
    """
    now = s3_endpoint.rstrip("/") or AMAZON
    if before and before != now:
        first = nameless(note)
        in_s3 = (one for one in tickets() if (one.storage or first) == S3)
        count = sum(one.state is not State.ISSUED and not one.may_be_forgotten for one in in_s3)
        if count:
            about = {"before": before, "now": now, "count": count}
            log.warning(
                "s3_endpoint was %(before)s and is now %(now)s: %(count)d uploads may still have files at "
                "the former one. If these are two stores, start the server with the former one until these "
                "uploads are finished",
                about,
            )
    return now


def are_same(before: str, now: str) -> bool:
    """Returns whether both notes name the same storages, in whatever order."""
    return _by_name(before) == _by_name(now)


def nameless(note: str) -> str:
    """Returns the name of the storage that has the uploads whose tickets name none."""
    return next(iter(_by_name(note)), LOCAL)


def _by_name(note: str) -> dict[str, str]:
    """Returns the lines of a note, by the name of their storage."""
    return {name_in(line): line for line in note.splitlines()}


def shown(line: str) -> str:
    """Returns a line of a note for people."""
    kind, _, name = line.partition(" ")
    return f"storage_dir ({name})" if kind == LOCAL and name else "storage_dir" if kind == LOCAL else line


def check_drained(storage_dir: Path) -> None:
    """Raises BadSetting if a journal in this directory has unfinished uploads: a Redis would replace it."""
    try:
        tickets = journal.read(storage_dir / "journal")
    except OSError:
        return  # no server has kept tickets here
    count = sum(not ticket.may_be_forgotten for ticket in tickets)
    if count:
        raise BadSetting("registry", UNDRAINED.format(directory=storage_dir, count=count))


def read_note(directory: Path) -> str:
    """Returns where the files were of the tickets in this directory; those of older versions were there."""
    return _read(directory / NOTE_FILE, LOCAL)


def write_note(directory: Path, note: str) -> None:
    """Notes where the files are. Raises OSError."""
    if read_note(directory) != note:
        _write(directory / NOTE_FILE, note)


def check_endpoint_in(
    directory: Path, s3_endpoint: str, note: str, tickets: Callable[[], Iterable[Ticket]]
) -> None:
    """Does the same as `check_endpoint`, with the note of the endpoint in this directory. Raises OSError."""
    before = _read(directory / ENDPOINT_FILE, "")
    now = check_endpoint(before, s3_endpoint, note, tickets)
    if before != now:
        _write(directory / ENDPOINT_FILE, now)


def _read(file: Path, default: str) -> str:
    try:
        return file.read_text("utf-8").strip()
    except FileNotFoundError:
        return default


def _write(file: Path, note: str) -> None:
    new_file = file.with_name(f"{file.name}.new")
    new_file.write_text(f"{note}\n", "utf-8")
    new_file.replace(file)


def directory_id(directory: Path) -> str:
    """Returns the id of a directory, which is made at the first call and stays. Raises OSError."""
    file = directory / "id"
    try:
        return file.read_text("ascii").strip()
    except FileNotFoundError:
        new_id = secrets.token_hex(8)
        file.write_text(f"{new_id}\n", "ascii")
        return new_id
