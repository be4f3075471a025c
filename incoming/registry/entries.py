"""What the journal says of tickets, as text: a line for each change of state.

`ID ENTRY`: the ticket's id, and `{"version": 1, "ticket": {...}}`, secrets included, or `-` once the ticket
is forgotten. Of each ticket the last line counts.
"""

from __future__ import annotations

import gc
import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, get_type_hints

from incoming.core import checkpoints
from incoming.core.lifecycle import State
from incoming.core.ticket import Ticket

VERSION: Final = 1
TICKET_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FORGOTTEN: Final = b"-"
STOPPED: Final = b"stopped -"
"""The last line of a process that has ended by itself. Older versions take it for the end of a ticket that
they don't know."""
_TYPES: Final = {name: kind for name, kind in get_type_hints(Ticket).items() if name != "token"}
"""A claim ends with its process, and so does its token."""
_NAMES: Final = tuple(_TYPES)
_PUT: Final = tuple(getattr(Ticket, name).__set__ for name in _NAMES)
"""Sets each field of a new ticket."""
_put_token: Final = Ticket.__dict__["token"].__set__
_sound_kinds: Final[set[tuple[type, ...]]] = set()
"""The types of the values of tickets that were found sound: there are eight at most."""
_STATES: Final = {state.value: state for state in State}
_MAX_TIME_S: Final = 1e15
"""JSON has larger numbers, and Python reads NaN and Infinity from it; none of them is a time."""


class DamagedEntry(ValueError):
    """Text of a journal that says nothing of a ticket; the message tells why."""


def written(ticket: Ticket) -> bytes:
    """Returns the line for a ticket as it is now."""
    return b"%s %s" % (ticket.id.encode(), encode(ticket))


def forgotten(ticket_id: str) -> bytes:
    """Returns the line for a ticket that is not known any more."""
    return b"%s %s" % (ticket_id.encode(), _FORGOTTEN)


def last_lines(lines: Iterable[bytes]) -> dict[str, bytes]:
    """Returns the last line of each ticket that is not forgotten, by its id."""
    last: dict[str, bytes] = {}
    note(last, lines)
    return last


def note(last: dict[str, bytes], lines: Iterable[bytes]) -> None:
    """Puts the last line of each ticket into `last`, and takes those out that these lines forget."""
    for line in lines:
        ticket_id, _, entry = line.partition(b" ")
        if entry == _FORGOTTEN:
            last.pop(ticket_id.decode("ascii", "replace"), None)
        else:
            last[ticket_id.decode("ascii", "replace")] = line


def tickets(last: dict[str, bytes]) -> tuple[list[Ticket], dict[str, DamagedEntry]]:
    """Returns the tickets of these lines, and by their ids what is wrong with those that are none."""
    found, unknown = [], {}
    with _no_collection():
        for ticket_id in sorted(last):
            try:
                found.append(decode(last[ticket_id].partition(b" ")[2], ticket_id))
            except DamagedEntry as exc:
                unknown[ticket_id] = exc
    return found, unknown


@contextmanager
def _no_collection() -> Iterator[None]:
    """Within it Python looks for no cycles: among objects that all stay, that takes a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# --- an entry ------------------------------------------------------------------------------------------


def encode(ticket: Ticket) -> bytes:
    """Returns what is kept of a ticket, as JSON in one line."""
    rest = ticket.at_rest()
    entry = {"version": VERSION, "ticket": {name: getattr(rest, name) for name in _TYPES}}
    return json.dumps(entry, ensure_ascii=False).encode("utf-8", "surrogatepass")


def decode(content: bytes, ticket_id: str) -> Ticket:
    """Returns the ticket `ticket_id` of its entry. Raises DamagedEntry.

    A start does this for each ticket, so a value that is as most are costs one comparison.
    """
    try:
        entry = json.loads(content.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as exc:
        raise DamagedEntry("it is not JSON") from exc
    if not isinstance(entry, dict) or entry.get("version") != VERSION:
        raise DamagedEntry(f"it is not of version {VERSION}")
    raw = entry.get("ticket")
    if not isinstance(raw, dict):
        raise DamagedEntry("it has no ticket")
    ticket = _ticket(raw)
    if ticket.id != ticket_id or not TICKET_ID.fullmatch(ticket_id):
        raise DamagedEntry("the id of its ticket differs from its name")
    return ticket


def _ticket(raw: dict[str, Any]) -> Ticket:
    """Returns the ticket with these fields; what is missing has its default. Raises DamagedEntry.

    A start does this for each ticket. So where one with values of the same types was found sound, only what
    is bounded is looked at, and the fields are set in a quarter of the time that a frozen dataclass takes.
    """
    kinds = tuple(map(type, raw.values()))
    usual = kinds in _sound_kinds and tuple(raw) == _NAMES
    if usual and raw["state"] in _STATES and _is_time(raw["issued_at_s"]) and _is_time(raw["changed_at_s"]):
        raw["state"] = _STATES[raw["state"]]
        raw["checkpoints"] = _checkpoints(raw["checkpoints"])
        raw["signal_finish_url"] = sys.intern(raw["signal_finish_url"])  # an app has thousands
        ticket = object.__new__(Ticket)
        for put, value in zip(_PUT, raw.values(), strict=True):
            put(ticket, value)
        _put_token(ticket, "")
        return ticket
    values = {name: _value(name, raw[name]) for name in _NAMES if name in raw}
    for name in ("id", "signal_finish_url"):
        if name not in values:
            raise DamagedEntry(f"its ticket has no {name}")
    if tuple(raw) == _NAMES and type(raw["issued_at_s"]) is type(raw["changed_at_s"]) is float:
        _sound_kinds.add(kinds)
    return Ticket(**values)


def _checkpoints(value: object) -> checkpoints.Checkpoints:
    """Returns what it says. Raises DamagedEntry."""
    if value == []:
        return ()
    try:
        return checkpoints.read(value)
    except ValueError as exc:
        raise DamagedEntry(f"its checkpoints: {exc}"[:200]) from exc


def _is_time(value_s: float) -> bool:
    return -_MAX_TIME_S < value_s < _MAX_TIME_S


def _value(name: str, value: Any) -> Any:
    """Returns the field `name` as its type says. Raises DamagedEntry."""
    kind = _TYPES[name]
    if kind is State and isinstance(value, str) and value in _STATES:
        return _STATES[value]
    if kind is float and type(value) in (int, float) and _is_time(value):
        return float(value)
    if kind == int | None and (value is None or type(value) is int):
        return value
    if kind == checkpoints.Checkpoints:
        return _checkpoints(value)
    if type(value) is not kind or kind is float:
        raise DamagedEntry(f"its {name} is {value!r}"[:200])
    return value
