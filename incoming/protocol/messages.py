"""The text messages of both versions, as frozen dataclasses (docs/reference/protocol.md has the tables).

A text message is `{"MsgType": NAME, "MsgData": {...}}`. `parse` reads a client's message, `encode` writes any
message. Both use tables that are derived from the dataclasses, so each message is defined once. Member names
on the wire are the field names in CamelCase. The suffix V2 marks a message that has another form in version
2; it is not on the wire. Binary messages are chunks and never come through this module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Final, TypeVar, get_args, get_type_hints

from incoming.core.errors import BadMessage, sentence_for_pages

MAX_TEXT_BYTES: Final = 64 * 1024
"""A longer text message is refused. The longest valid one carries a file name."""
MAX_REQUEST_BYTES: Final = 8 * 1024
"""A longer text message is refused while no chunks are expected, so before a claim too.

The longest valid one is a MsgUploadReq. A file name has at most 255 UTF-16 units (NTFS, APFS) or bytes
(ext4), and JSON escapes each with at most six bytes. The rest leaves room for a few folder names.
"""
MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that JavaScript represents exactly."""
MAX_LIST_ITEMS: Final = 64
MAX_LEFT_OUT_ITEMS: Final = 1_000_000
"""A folder has fewer files by far (`max_folder_entries`), and not all of them are left out."""


def _data(default: Any = MISSING) -> Any:
    """A text that is data and not a sentence. It is sent unchanged."""
    return field(default=default, metadata={"is_data": True})


def _for_folders(default: Any) -> Any:
    """A member that only messages about folders have. Its list may be as long as a folder's."""
    return field(
        default=default, metadata={"is_data": True, "is_optional": True, "max_items": MAX_LEFT_OUT_ITEMS}
    )


@dataclass(frozen=True, slots=True)
class MsgUploadReq:
    """Client: requests the upload of a file of this length in bytes, in this version of the protocol.

    `name`: empty if unknown, as from clients of October 2014. `last_modified_ms`: since 1970; 0 if unknown,
    and always in version 1.
    """

    id: str
    length_bytes: int
    name: str = _data("")
    version: int = 1
    last_modified_ms: int = 0


@dataclass(frozen=True, slots=True)
class MsgUploadConf:
    """Server: send chunks of this size (KiB) from this offset on, this many of them unacknowledged."""

    chunk_size_kb: int
    file_pos: int
    send_ahead: int


@dataclass(frozen=True, slots=True)
class MsgAck:
    """Client: chunks follow."""

    ack: bool


@dataclass(frozen=True, slots=True)
class MsgChunkAck:
    """Server: a chunk of this many bytes is stored."""

    chunk_size: int


@dataclass(frozen=True, slots=True)
class MsgPause:
    """Client: the upload is paused; the client closes and reconnects later."""

    pause: bool


@dataclass(frozen=True, slots=True)
class MsgCancel:
    """Either side: the upload is cancelled, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class MsgCancelAck:
    """Server: the MsgCancel was received."""

    ack: bool


@dataclass(frozen=True, slots=True)
class MsgError:
    """Either side: the upload failed, for this reason."""

    error_code: int
    msg: str


@dataclass(frozen=True, slots=True)
class MsgAllDone:
    """Server: the app has taken the file."""

    success: bool


# --- version 2 -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MsgUploadConfV2:
    """Server: `offset` bytes are stored. Send the checksums of the ranges in `compare`, then chunks.

    `dest_type` is `folder` if the ticket is for one. `left_out`: the numbers of the files in it that are left
    out, in ascending order: there are zeros in their place. Both members are missing where they say nothing.
    """

    version: int
    offset: int
    max_chunk_bytes: int
    max_window_bytes: int
    silence_s: float
    compare: tuple[tuple[int, int], ...]
    arrived: bool
    file_last_modified_ms: int
    file_name: str = _data()
    idle_silence_s: float = 0.0
    dest_type: str = _for_folders("")
    left_out: tuple[int, ...] = _for_folders(())


@dataclass(frozen=True, slots=True)
class MsgAgree:
    """Client: the checksums of the ranges in `compare`."""

    crc32c: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MsgAgreeOverHttp:
    """Client, over HTTP: the checksums of these ranges. No request knows which ones another one asked for."""

    crc32c: tuple[int, ...]
    compare: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class MsgLeaveOut:
    """Client: the file with this number (from 0) in the folder's list can't be read, so it is left out.

    The next byte belongs to it, or it has just ended. From now on there are zeros in its place. MsgStored has
    the offset after it. A client sends this when all that it has sent is stored, and waits for MsgStored.
    """

    index: int


@dataclass(frozen=True, slots=True)
class MsgStored:
    """Server: all bytes before this offset are stored; these limits hold for a second.

    `taken`: the server has received all bytes before this offset, and its storage is at work on those that
    are not stored. 0: no more than are stored.
    """

    offset: int
    max_chunk_bytes: int = 0
    max_window_bytes: int = 0
    taken: int = 0


@dataclass(frozen=True, slots=True)
class MsgResend:
    """Server: the chunk at this offset was damaged. Send again from there, in this round."""

    offset: int
    round: int


@dataclass(frozen=True, slots=True)
class MsgComplete:
    """Client: all chunks are sent, and the whole file has this checksum."""

    crc32c: int
    round: int


@dataclass(frozen=True, slots=True)
class MsgPing:
    """Client: asks for a MsgPong."""


@dataclass(frozen=True, slots=True)
class MsgPong:
    """Server: answers MsgPing, or shows that it is alive."""


@dataclass(frozen=True, slots=True)
class MsgNews:
    """Server: something has happened that is not an end. NEWS_* are its kinds; `why` is for users."""

    news: str
    retry_after_s: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class MsgAllDoneV2:
    """Server: the app has taken the file, which has this checksum."""

    success: bool
    crc32c: int


@dataclass(frozen=True, slots=True)
class MsgErrorV2:
    """Server: why it ends the connection, and which file it expected if another one came.

    `index`: which entry in the list of a folder can't be stored; missing if it is about none.
    """

    error_code: int
    code: str
    msg: str
    retryable: bool
    file_length_bytes: int
    file_last_modified_ms: int
    file_name: str = _data()
    index: int = _for_folders(-1)


NEWS_HANDING_OVER: Final = "handing_over"
NEWS_WAITING_FOR_APP: Final = "waiting_for_app"
NEWS_STOPPING: Final = "stopping"

FromClient = (
    MsgUploadReq | MsgAck | MsgPause | MsgCancel | MsgError | MsgAgree | MsgLeaveOut | MsgComplete | MsgPing
)
ToClient = (
    MsgUploadConf | MsgChunkAck | MsgCancel | MsgCancelAck | MsgError | MsgAllDone
    | MsgUploadConfV2 | MsgStored | MsgResend | MsgPong | MsgNews | MsgAllDoneV2 | MsgErrorV2
)  # fmt: skip


def _wire_name(field_name: str) -> str:
    """Returns the name on the wire: `chunk_size_kb` is `ChunkSizeKB` (the unit stays in capitals)."""
    words = field_name.split("_")
    return "".join("KB" if word == "kb" else word.capitalize() for word in words)


def _wire_fields(message: type[Any]) -> dict[str, tuple[Field[Any], Any]]:
    """Returns {name on the wire: (field, type)} of a message class."""
    hints = get_type_hints(message)
    return {_wire_name(f.name): (f, hints[f.name]) for f in fields(message)}


def wire_type(message: type[Any]) -> str:
    """Returns the MsgType of a message class."""
    return message.__name__.removesuffix("V2").removesuffix("OverHttp")


_FIELDS: Final = {
    message: _wire_fields(message)
    for message in (*get_args(FromClient), *get_args(ToClient), MsgAgreeOverHttp)
}
_FROM_CLIENT: Final = {wire_type(message): message for message in get_args(FromClient)}

# --- writing -------------------------------------------------------------------------------------------

_ACKNOWLEDGEMENTS: Final = {
    MsgChunkAck: '{{"MsgType": "MsgChunkAck", "MsgData": {{"ChunkSize": {0.chunk_size}}}}}',
    MsgStored: '{{"MsgType": "MsgStored", "MsgData": {{"Offset": {0.offset}, '
    '"MaxChunkBytes": {0.max_chunk_bytes}, "MaxWindowBytes": {0.max_window_bytes}{1}}}}}',
}
"""Each chunk has one, and the json module takes four times as long."""


def encode(message: ToClient | FromClient) -> str:
    """Returns the text of a message."""
    if acknowledgement := _ACKNOWLEDGEMENTS.get(type(message)):
        taken = f', "Taken": {message.taken}' if isinstance(message, MsgStored) and message.taken else ""
        return acknowledgement.format(message, taken)
    values = {}
    for wire_name, (its_field, _) in _FIELDS[type(message)].items():
        value = getattr(message, its_field.name)
        if its_field.metadata.get("is_optional") and value == its_field.default:
            continue
        if isinstance(value, str) and not its_field.metadata.get("is_data"):
            value = sentence_for_pages(value)  # pages write sentences into innerHTML
        values[wire_name] = value
    return json.dumps({"MsgType": wire_type(type(message)), "MsgData": values})


# --- reading -------------------------------------------------------------------------------------------

_Message = TypeVar("_Message")


def parse(text: str) -> FromClient:
    """Returns the client's message in `text`. Raises BadMessage with the reason."""
    name, data = read_envelope(text)
    kind = _FROM_CLIENT.get(name)
    if kind is None:
        raise BadMessage("A message has a MsgType that clients don't send.")
    message: FromClient = read_members(kind, data)
    if isinstance(message, MsgUploadReq) and message.length_bytes < 0:
        raise BadMessage("MsgUploadReq.LengthBytes is negative.")
    if isinstance(message, MsgLeaveOut) and message.index < 0:
        raise BadMessage("MsgLeaveOut.Index is negative.")
    return message


def read_envelope(text: str) -> tuple[str, Any]:
    """Returns MsgType and MsgData of a message; MsgData may be anything. Raises BadMessage."""
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BadMessage("A message is not JSON.") from exc
    if not isinstance(envelope, dict) or not isinstance(envelope.get("MsgType"), str):
        raise BadMessage("A message has no MsgType.")
    return envelope["MsgType"], envelope.get("MsgData")


def read_members(
    message: type[_Message],
    data: Any,
    *,
    optional: Mapping[str, Any] | None = None,
    lowest: int = -MAX_INTEGER,
) -> _Message:
    """Returns the message of this class that MsgData holds. Raises BadMessage, which names the member.

    Unknown members are ignored. `optional`: values for members that may be missing, besides those with a
    default. No number may be below `lowest`.
    """
    if not isinstance(data, dict):
        raise BadMessage(f"{wire_type(message)} has no MsgData.")
    values: dict[str, Any] = {}
    for wire_name, (its_field, kind) in _FIELDS[message].items():
        if wire_name in data:
            try:
                max_items = its_field.metadata.get("max_items", MAX_LIST_ITEMS)
                values[its_field.name] = _value(kind, data[wire_name], lowest, max_items)
            except _Invalid as exc:
                raise BadMessage(f"{wire_type(message)}.{wire_name} {exc}.") from exc
        elif optional and wire_name in optional:
            values[its_field.name] = optional[wire_name]
        elif its_field.default is MISSING:
            raise BadMessage(f"{wire_type(message)}.{wire_name} is missing.")
    return message(**values)


class _Invalid(Exception):
    """A member's value is not valid. The text says what it is or is not."""


_INTEGERS: Final = tuple[int, ...]
_RANGES: Final = tuple[tuple[int, int], ...]
_KIND_NAMES: Final[dict[Any, str]] = {
    str: "a string", int: "an integer", float: "a number", bool: "a boolean",
    _INTEGERS: "a list of integers", _RANGES: "a list of ranges",
}  # fmt: skip


def _value(kind: Any, value: Any, lowest: int, max_items: int = MAX_LIST_ITEMS) -> Any:
    """Returns `value` as a `kind`; a list has `max_items` at most. Raises _Invalid."""
    if kind in (_INTEGERS, _RANGES) and isinstance(value, list) and len(value) <= max_items:
        read_item = _integer if kind == _INTEGERS else _range
        return tuple(read_item(item, lowest) for item in value)
    if kind is float and type(value) is int and abs(value) <= MAX_INTEGER:
        value = float(value)  # JSON has one kind of number
    if type(value) is not kind:  # exactly: in Python, True is an int too
        raise _Invalid(f"is not {_KIND_NAMES[kind]}")
    if isinstance(value, str):
        # JSON can hold half of a surrogate pair. No other encoding can.
        return value.encode("utf-8", "replace").decode()
    if not lowest <= value <= MAX_INTEGER:
        raise _Invalid("is out of range")
    return value


def _integer(value: Any, lowest: int) -> int:
    number: int = _value(int, value, lowest)
    return number


def _range(value: Any, lowest: int) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise _Invalid(f"is not {_KIND_NAMES[_RANGES]}")
    return _integer(value[0], lowest), _integer(value[1], lowest)
