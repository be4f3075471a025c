"""The entries of the journal: each change of a ticket, as the payload of a record.

An entry is `ID TICKET`: the ticket's id, and `{"version": 1, "ticket": {...}}` with its secrets, or `-` for a
ticket that was forgotten (a tombstone). The latest entry of each ticket counts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, Final, get_type_hints

import msgspec
from msgspec.structs import force_setattr

from incoming.core import checkpoints, parts
from incoming.core.lifecycle import State
from incoming.core.ticket import TICKET_ID, Ticket
from incoming.runtime.garbage import no_collection

VERSION: Final = 1
_FORGOTTEN: Final = b"-"
CLEAN_STOP: Final = b"stopped -"
"""The last entry of a process that stopped cleanly. Older versions read the tombstone of no ticket."""
_TYPES: Final = {name: kind for name, kind in get_type_hints(Ticket).items() if name != "token"}
"""The fields that the journal stores. A claim ends with its process, and so does its token."""
_STATES: Final = {state.value: state for state in State}
_MAX_TIME_S: Final = 1e15
"""JSON has larger numbers, and Python reads NaN and Infinity from it. None of them is a time."""


class DamagedEntry(ValueError):
    """An entry that has no valid ticket; the message tells why."""


def ticket_entry(ticket: Ticket) -> bytes:
    """Returns the entry of a ticket in its current state."""
    return b"%s %s" % (ticket.id.encode(), encode(ticket))


def tombstone(ticket_id: str) -> bytes:
    """Returns the entry of a ticket that was forgotten."""
    return b"%s %s" % (ticket_id.encode(), _FORGOTTEN)


def latest_entries(entries: Iterable[bytes]) -> dict[str, bytes]:
    """Returns the latest entry of each ticket that was not forgotten, by its id."""
    latest: dict[str, bytes] = {}
    apply_entries(latest, entries)
    return latest


def apply_entries(latest: dict[str, bytes], entries: Iterable[bytes]) -> None:
    """Puts newer entries into `latest`, and removes the tickets that have a tombstone."""
    for entry in entries:
        ticket_id, _, content = entry.partition(b" ")
        if content == _FORGOTTEN:
            latest.pop(ticket_id.decode("ascii", "replace"), None)
        else:
            latest[ticket_id.decode("ascii", "replace")] = entry


def decode_all(latest: dict[str, bytes]) -> tuple[list[Ticket], dict[str, DamagedEntry]]:
    """Returns the tickets of these entries, and by their ids what is wrong with the damaged ones."""
    found, damaged = [], {}
    with no_collection():
        for ticket_id in sorted(latest):
            try:
                found.append(decode(latest[ticket_id].partition(b" ")[2], ticket_id))
            except DamagedEntry as exc:
                damaged[ticket_id] = exc
    return found, damaged


# --- one entry -----------------------------------------------------------------------------------------


def encode(ticket: Ticket) -> bytes:
    """Returns the ticket as JSON, in one line. Each change of a ticket does this, so msgspec does it."""
    persisted = ticket.persisted()
    try:
        content = _encoder.encode(persisted)
    except UnicodeEncodeError:  # a name with half of a character; JSON has it, and UTF-8 does not
        fields = {name: getattr(persisted, name) for name in _TYPES}
        content = json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return b'{"version": %d, "ticket": %s}' % (VERSION, content)


def decode(content: bytes, ticket_id: str) -> Ticket:
    """Returns the ticket `ticket_id` of its entry. Raises DamagedEntry.

    A start does this for each ticket, so almost all of them are decoded by msgspec in one step.
    """
    ticket = _decoded_at_once(content) or _decoded_by_fields(content)
    if ticket.id != ticket_id or not TICKET_ID.fullmatch(ticket_id):
        raise DamagedEntry("the id of its ticket differs from its name")
    return ticket


class _Entry(msgspec.Struct):
    version: int
    ticket: Ticket


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(_Entry)


def _decoded_at_once(content: bytes) -> Ticket | None:
    """Returns the ticket of an entry; None if it is damaged, or differs from what this version writes."""
    try:
        entry = _decoder.decode(content)
        ticket = entry.ticket
        if ticket.checkpoints:
            checkpoints.check(ticket.checkpoints)
        if ticket.parts:
            parts.check(ticket.parts)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    is_usual = entry.version == VERSION and not ticket.token
    has_times = _is_time(ticket.issued_at_s) and _is_time(ticket.changed_at_s)
    if not (is_usual and has_times and _is_time(ticket.issued_unix_s)):
        return None
    url = sys.intern(ticket.signal_finish_url)  # an app has thousands of tickets
    force_setattr(ticket, "signal_finish_url", url)
    return ticket


def _decoded_by_fields(content: bytes) -> Ticket:
    """Returns the ticket of an entry; a missing field has its default. Raises DamagedEntry."""
    try:
        entry = json.loads(content.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as exc:
        raise DamagedEntry("it is not JSON") from exc
    if not isinstance(entry, dict) or entry.get("version") != VERSION:
        raise DamagedEntry(f"it is not of version {VERSION}")
    raw = entry.get("ticket")
    if not isinstance(raw, dict):
        raise DamagedEntry("it has no ticket")
    values = {name: _value(name, raw[name]) for name in _TYPES if name in raw}
    for name in ("id", "signal_finish_url"):
        if name not in values:
            raise DamagedEntry(f"its ticket has no {name}")
    return Ticket(**values)


def _checkpoints(value: object) -> checkpoints.Checkpoints:
    """Returns the checkpoints in a JSON value. Raises DamagedEntry."""
    try:
        return checkpoints.read(value)
    except ValueError as exc:
        raise DamagedEntry(f"its checkpoints: {exc}"[:200]) from exc


def _parts(value: object) -> parts.UploadParts | None:
    """Returns the parts in a JSON value. Raises DamagedEntry."""
    try:
        return parts.read(value)
    except ValueError as exc:
        raise DamagedEntry(f"its parts: {exc}"[:200]) from exc


def _is_time(value_s: float) -> bool:
    return -_MAX_TIME_S < value_s < _MAX_TIME_S


def _value(name: str, value: Any) -> Any:
    """Returns the value of the field `name` with its type. Raises DamagedEntry."""
    kind = _TYPES[name]
    if kind is State and isinstance(value, str) and value in _STATES:
        return _STATES[value]
    if kind is float and type(value) in (int, float) and _is_time(value):
        return float(value)
    if kind == int | None and (value is None or type(value) is int):
        return value
    if kind == checkpoints.Checkpoints:
        return _checkpoints(value)
    if kind == parts.UploadParts | None:
        return _parts(value)
    if kind == tuple[int, ...] and isinstance(value, list) and all(type(one) is int for one in value):
        return tuple(value)
    if type(value) is not kind or kind is float:
        raise DamagedEntry(f"its {name} is {value!r}"[:200])
    return value
