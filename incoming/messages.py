"""The wire: websocket text messages to and from frozen dataclasses (CONTRACT 4, version 1).

A text message is `{"MsgType": NAME, "MsgData": {...}}`. `parse` reads one, `encode` writes one; the tables
are made from the dataclasses, so a message is defined once. Field names on the wire are the field names
here in CamelCase. Binary messages are bare chunks and never come through this module.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Final, get_type_hints

from incoming.errors import BadMessage, sentence_for_pages

MAX_TEXT_BYTES: Final = 64 * 1024
"""A longer text message is refused: the longest honest one carries a file name."""
MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that a browser can count with exactly."""


@dataclass(frozen=True, slots=True)
class MsgUploadReq:
    """Client: I hold this ticket and a file of this length (bytes) and name."""

    id: str
    length_bytes: int
    name: str


@dataclass(frozen=True, slots=True)
class MsgUploadConf:
    """Server: send chunks of this size (KiB), from this offset, this many ahead of the acknowledgements."""

    chunk_size_kb: int
    file_pos: int
    send_ahead: int


@dataclass(frozen=True, slots=True)
class MsgAck:
    """Client: agreed, chunks follow."""

    ack: bool


@dataclass(frozen=True, slots=True)
class MsgChunkAck:
    """Server: a chunk of this many bytes is stored."""

    chunk_size: int


@dataclass(frozen=True, slots=True)
class MsgPause:
    """Client: I close now and come back later."""

    pause: bool


@dataclass(frozen=True, slots=True)
class MsgCancel:
    """Either side: the upload is given up, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class MsgCancelAck:
    """Server: the MsgCancel has been read."""

    ack: bool


@dataclass(frozen=True, slots=True)
class MsgError:
    """Either side: this upload ends here, for this reason."""

    error_code: int
    msg: str


@dataclass(frozen=True, slots=True)
class MsgAllDone:
    """Server: the app has the file."""

    success: bool


FromClient = MsgUploadReq | MsgAck | MsgPause | MsgCancel | MsgError
ToClient = MsgUploadConf | MsgChunkAck | MsgCancel | MsgCancelAck | MsgError | MsgAllDone


def _wire_name(field_name: str) -> str:
    """Returns the name on the wire: `chunk_size_kb` is `ChunkSizeKB` (units keep their capitals)."""
    words = field_name.split("_")
    return "".join("KB" if word == "kb" else word.capitalize() for word in words)


def _wire_fields(message: type[Any]) -> dict[str, tuple[str, type]]:
    """Returns {name on the wire: (field name, type)} of a message class."""
    hints = get_type_hints(message)
    return {_wire_name(f.name): (f.name, hints[f.name]) for f in fields(message)}


_MESSAGES: Final[tuple[type[Any], ...]] = (
    *(MsgUploadReq, MsgUploadConf, MsgAck, MsgChunkAck, MsgPause),
    *(MsgCancel, MsgCancelAck, MsgError, MsgAllDone),
)
_FIELDS: Final = {message: _wire_fields(message) for message in _MESSAGES}
_FROM_CLIENT: Final = {m.__name__: m for m in (MsgUploadReq, MsgAck, MsgPause, MsgCancel, MsgError)}


def encode(message: ToClient | FromClient) -> str:
    """Returns the text of a message."""
    values = {}
    for wire_name, (field_name, _) in _FIELDS[type(message)].items():
        value = getattr(message, field_name)
        # Existing pages write texts of the server into innerHTML (CONTRACT 4).
        values[wire_name] = sentence_for_pages(value) if isinstance(value, str) else value
    return json.dumps({"MsgType": type(message).__name__, "MsgData": values})


def parse(text: str) -> FromClient:
    """Returns the client's message that `text` is. Raises BadMessage, saying what is wrong with it."""
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BadMessage("A message is not JSON.") from exc
    if not isinstance(envelope, dict) or not isinstance(envelope.get("MsgType"), str):
        raise BadMessage("A message has no MsgType.")
    message = _FROM_CLIENT.get(envelope["MsgType"])
    if message is None:
        raise BadMessage("A message has a MsgType that clients don't send.")
    data = envelope.get("MsgData")
    if not isinstance(data, dict):
        raise BadMessage(f"{message.__name__} has no MsgData.")
    values: dict[str, Any] = {
        field_name: _value(message.__name__, wire_name, kind, data)
        for wire_name, (field_name, kind) in _FIELDS[message].items()
    }
    parsed: FromClient = message(**values)
    return parsed


def _value(message: str, wire_name: str, kind: type, data: dict[str, Any]) -> str | int:
    """Returns the field `wire_name` of `data`, which must be of the type `kind`. Raises BadMessage."""
    value = data.get(wire_name)
    if type(value) is not kind:  # exactly: True is an int to Python, and is no number here
        raise BadMessage(f"{message}.{wire_name} is missing or no {_KIND_NAMES[kind]}.")
    if isinstance(value, str):
        # JSON may carry half of a surrogate pair, which no other encoding can.
        return value.encode("utf-8", "replace").decode()
    if not isinstance(value, int) or abs(value) > MAX_INTEGER:
        raise BadMessage(f"{message}.{wire_name} is beyond all bounds.")
    if wire_name == "LengthBytes" and value < 0:
        raise BadMessage(f"{message}.{wire_name} is not the length of a file.")
    return value


_KIND_NAMES: Final = {str: "string", int: "integer", bool: "boolean"}


def bare_file_name(name_from_browser: str) -> str:
    r"""Returns the last component of a browser's file name, without control characters (CONTRACT 3).

    Apps join it to a folder of theirs: it never holds `/` or `\`, and it is never empty, `.` or `..`.
    """
    last = name_from_browser.replace("\\", "/").rpartition("/")[2]
    bare = "".join(c for c in last if not (ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0))
    return "upload" if bare in ("", ".", "..") else bare
