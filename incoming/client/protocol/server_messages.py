"""What the server says in version 2 of the protocol, read from the wire (docs/protocol.md).

It is read leniently where that harms nobody: unknown messages and members are skipped, and a newer server
may say more. What is needed has to be there and make sense: texts have no checksum, so a message that does
not is one that was damaged on its way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from incoming.core.errors import BadMessage
from incoming.protocol.messages import (
    MAX_INTEGER,
    MAX_LIST_ITEMS,
    MsgAllDone2,
    MsgCancelAck,
    MsgError2,
    MsgNews,
    MsgPong,
    MsgResend,
    MsgStored,
    MsgUploadConf2,
    wire_fields,
)


@dataclass(frozen=True, slots=True)
class OtherVersion:
    """A MsgUploadConf of a server that does not speak version 2."""


Reply = (
    MsgUploadConf2 | MsgStored | MsgResend | MsgNews | MsgPong | MsgCancelAck | MsgAllDone2 | MsgError2
    | OtherVersion
)  # fmt: skip

_FROM_SERVER: Final = {
    message.__name__.rstrip("2"): (message, wire_fields(message))
    for message in (
        *(MsgUploadConf2, MsgStored, MsgResend, MsgNews, MsgPong),
        *(MsgCancelAck, MsgAllDone2, MsgError2),
    )
}
_MAY_BE_MISSING: Final[dict[str, Any]] = {
    "Code": "", "Retryable": False, "FileName": "", "FileLengthBytes": 0, "FileLastModifiedMs": 0,
    "RetryAfterS": 0.0, "MaxChunkBytes": 0, "Why": "",
}  # fmt: skip
"""A server that knows version 1 only answers a request with a MsgError that lacks the first five."""


def parse(text: str) -> Reply | None:
    """Returns the server's message that `text` is; None for one that is not known. Raises BadMessage."""
    try:
        envelope = json.loads(text)
        name, data = envelope["MsgType"], envelope["MsgData"]
    except (ValueError, RecursionError, KeyError, TypeError) as exc:
        raise BadMessage("The server's message is not one.") from exc
    if not isinstance(name, str) or not isinstance(data, dict):
        raise BadMessage("The server's message is not one.")
    if name == "MsgUploadConf" and data.get("Version", 1) == 1:
        return OtherVersion()
    if name not in _FROM_SERVER:
        return None
    message, members = _FROM_SERVER[name]
    values = {
        its_field.name: _value(kind, data.get(wire_name, _MAY_BE_MISSING.get(wire_name)))
        for wire_name, (its_field, kind) in members.items()
    }
    reply: Reply = message(**values)
    return reply


def make_sense(conf: MsgUploadConf2, length_bytes: int) -> bool:
    """Returns whether the terms can be kept for a file of this length."""
    inside = conf.offset <= length_bytes and all(a <= b <= length_bytes for a, b in conf.compare)
    limited = min(conf.max_chunk_bytes, conf.max_window_bytes, conf.silence_s) > 0
    whole = conf.offset == length_bytes or not conf.arrived
    return conf.version >= 2 and inside and limited and whole and len(conf.compare) <= MAX_LIST_ITEMS


_RANGES: Final = tuple[tuple[int, int], ...]


def _value(kind: Any, value: Any) -> Any:
    """Returns `value` as a `kind`. Raises BadMessage when it is none, is negative, or beyond all bounds."""
    if kind == _RANGES:
        return _ranges(value)
    if kind is float and type(value) is int:  # JSON knows one kind of number only
        value = float(value) if abs(value) <= MAX_INTEGER else None
    if type(value) is not kind:
        raise BadMessage("The server's message has a member that makes no sense.")
    if isinstance(value, (int, float)) and not 0 <= value <= MAX_INTEGER:
        raise BadMessage("The server's message has a number that makes no sense.")
    return value


def _ranges(value: Any) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, list) or not all(isinstance(p, list) and len(p) == 2 for p in value):
        raise BadMessage("The server's message has ranges that make no sense.")
    return tuple((_value(int, start), _value(int, end)) for start, end in value)
