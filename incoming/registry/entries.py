"""What the journal says of tickets, as text: a line for each change of state.

`ID ENTRY`: the ticket's id, and `{"version": 1, "ticket": {...}}`, secrets included, or `-` once the ticket
is forgotten. Of each ticket the last line counts.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from typing import Any, Final, get_type_hints

from incoming.lifecycle import State
from incoming.ticket import Ticket

VERSION: Final = 1
TICKET_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FORGOTTEN: Final = b"-"
_TYPES: Final = get_type_hints(Ticket)
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
    for line in lines:
        ticket_id, _, entry = line.partition(b" ")
        if entry == _FORGOTTEN:
            last.pop(ticket_id.decode("ascii", "replace"), None)
        else:
            last[ticket_id.decode("ascii", "replace")] = line
    return last


def tickets(last: dict[str, bytes]) -> tuple[list[Ticket], dict[str, DamagedEntry]]:
    """Returns the tickets of these lines, and by their ids what is wrong with those that are none."""
    found, unknown = [], {}
    for ticket_id in sorted(last):
        try:
            found.append(decode(last[ticket_id].partition(b" ")[2], ticket_id))
        except DamagedEntry as exc:
            unknown[ticket_id] = exc
    return found, unknown


# --- an entry ------------------------------------------------------------------------------------------


def encode(ticket: Ticket) -> bytes:
    """Returns what is kept of a ticket, as JSON in one line."""
    rest = ticket.at_rest()
    return json.dumps({"version": VERSION, "ticket": {name: getattr(rest, name) for name in _TYPES}}).encode()


def decode(content: bytes, ticket_id: str) -> Ticket:
    """Returns the ticket `ticket_id` of its entry. Raises DamagedEntry."""
    try:
        entry = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise DamagedEntry("it is not JSON") from exc
    if not isinstance(entry, dict) or entry.get("version") != VERSION:
        raise DamagedEntry(f"it is not of version {VERSION}")
    raw = entry.get("ticket")
    if not isinstance(raw, dict):
        raise DamagedEntry("it has no ticket")
    values = {f.name: _value(f.name, raw) for f in dataclasses.fields(Ticket) if f.name in raw}
    if values.get("id") != ticket_id or not TICKET_ID.fullmatch(ticket_id):
        raise DamagedEntry("its ticket has another id than its name says")
    if "signal_finish_url" not in values:
        raise DamagedEntry("its ticket has no signal_finish_url")
    return Ticket(**values)


def _value(name: str, raw: dict[str, Any]) -> Any:
    """Returns the field `name` as its type says. Raises DamagedEntry."""
    value, kind = raw[name], _TYPES[name]
    if kind is State and value in list(State):
        return State(value)
    if kind is float and type(value) in (int, float) and -_MAX_TIME_S < value < _MAX_TIME_S:
        return float(value)
    if kind == int | None and (value is None or type(value) is int):
        return value
    if type(value) is not kind or kind is float:
        raise DamagedEntry(f"its {name} is {value!r}"[:200])
    return value
