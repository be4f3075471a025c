"""The wire: websocket text messages to and from frozen dataclasses (CONTRACT 4, and docs/protocol.md).

A text message is `{"MsgType": NAME, "MsgData": {...}}`. `parse` reads one, `encode` writes one; the tables
are made from the dataclasses, so a message is defined once. Field names on the wire are the field names
here in CamelCase. A 2 behind a name marks the form that a message has in version 2; it is not on the wire.
Binary messages are chunks and never come through this module.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Final, get_args, get_type_hints

from incoming.core.errors import BadMessage, sentence_for_pages

MAX_TEXT_BYTES: Final = 64 * 1024
"""A longer text message is refused: the longest honest one carries a file name."""
MAX_REQUEST_BYTES: Final = 8 * 1024
"""A longer text message is refused while no chunks are expected, so before a claim.

The longest honest one is a MsgUploadReq: a file's name has at most 255 UTF-16 units (NTFS, APFS) or bytes
(ext4), each of them six bytes where JSON escapes it. That leaves room for a folder's name or two before it.
"""
MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that a browser can count with exactly."""
MAX_LIST_ITEMS: Final = 64


def _as_it_is(default: Any = MISSING) -> Any:
    """A text that is data, not a sentence: it is sent unchanged."""
    return field(default=default, metadata={"as_it_is": True})


@dataclass(frozen=True, slots=True)
class MsgUploadReq:
    """Client: I hold this ticket and a file of this length (bytes) and name, and speak this version.

    `name`: empty when unknown, as for clients of October 2014. `last_modified_ms`: since 1970; 0 when
    unknown, and always in version 1.
    """

    id: str
    length_bytes: int
    name: str = _as_it_is("")
    version: int = 1
    last_modified_ms: int = 0


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


# --- version 2 -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MsgUploadConf2:
    """Server: I have `offset` bytes; prove that you have these ranges, then go on within these limits."""

    version: int
    offset: int
    max_chunk_bytes: int
    max_window_bytes: int
    silence_s: float
    compare: tuple[tuple[int, int], ...]
    arrived: bool
    file_last_modified_ms: int
    file_name: str = _as_it_is()
    idle_silence_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MsgAgree:
    """Client: the checksums of the ranges that were to be compared."""

    crc32c: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MsgStored:
    """Server: all bytes before this offset are stored; for a second chunks and window may be so large."""

    offset: int
    max_chunk_bytes: int = 0
    max_window_bytes: int = 0


@dataclass(frozen=True, slots=True)
class MsgResend:
    """Server: what should follow at this offset was damaged; this round begins."""

    offset: int
    round: int


@dataclass(frozen=True, slots=True)
class MsgComplete:
    """Client: that was all, and the whole file has this checksum."""

    crc32c: int
    round: int


@dataclass(frozen=True, slots=True)
class MsgPing:
    """Client: are you there?"""


@dataclass(frozen=True, slots=True)
class MsgPong:
    """Server: I am."""


@dataclass(frozen=True, slots=True)
class MsgNews:
    """Server: something that is not an end; NEWS_* has the kinds. `why` says it in words, for the user."""

    news: str
    retry_after_s: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class MsgAllDone2:
    """Server: the app has the file, which has this checksum."""

    success: bool
    crc32c: int


@dataclass(frozen=True, slots=True)
class MsgError2:
    """Server: this connection ends, and why; the file that was meant, if another one came."""

    error_code: int
    code: str
    msg: str
    retryable: bool
    file_length_bytes: int
    file_last_modified_ms: int
    file_name: str = _as_it_is()


NEWS_HANDING_OVER: Final = "handing_over"
NEWS_WAITING_FOR_APP: Final = "waiting_for_app"
NEWS_STOPPING: Final = "stopping"

FromClient = MsgUploadReq | MsgAck | MsgPause | MsgCancel | MsgError | MsgAgree | MsgComplete | MsgPing
ToClient = (
    MsgUploadConf | MsgChunkAck | MsgCancel | MsgCancelAck | MsgError | MsgAllDone
    | MsgUploadConf2 | MsgStored | MsgResend | MsgPong | MsgNews | MsgAllDone2 | MsgError2
)  # fmt: skip


def _wire_name(field_name: str) -> str:
    """Returns the name on the wire: `chunk_size_kb` is `ChunkSizeKB` (units keep their capitals)."""
    words = field_name.split("_")
    return "".join("KB" if word == "kb" else word.capitalize() for word in words)


def wire_fields(message: type[Any]) -> dict[str, tuple[Field[Any], Any]]:
    """Returns {name on the wire: (field, type)} of a message class."""
    hints = get_type_hints(message)
    return {_wire_name(f.name): (f, hints[f.name]) for f in fields(message)}


_FIELDS: Final = {message: wire_fields(message) for message in get_args(FromClient) + get_args(ToClient)}
_FROM_CLIENT: Final = {message.__name__: message for message in get_args(FromClient)}


_ACKNOWLEDGEMENTS: Final = {
    MsgChunkAck: '{{"MsgType": "MsgChunkAck", "MsgData": {{"ChunkSize": {0.chunk_size}}}}}',
    MsgStored: '{{"MsgType": "MsgStored", "MsgData": {{"Offset": {0.offset}, '
    '"MaxChunkBytes": {0.max_chunk_bytes}, "MaxWindowBytes": {0.max_window_bytes}}}}}',
}
"""Each chunk has one, and json takes four times as long."""


def encode(message: ToClient | FromClient) -> str:
    """Returns the text of a message."""
    if acknowledgement := _ACKNOWLEDGEMENTS.get(type(message)):
        return acknowledgement.format(message)
    values = {}
    for wire_name, (its_field, _) in _FIELDS[type(message)].items():
        value = getattr(message, its_field.name)
        if isinstance(value, str) and not its_field.metadata.get("as_it_is"):
            value = sentence_for_pages(value)  # existing pages write it into innerHTML (CONTRACT 4)
        values[wire_name] = value
    return json.dumps({"MsgType": type(message).__name__.rstrip("2"), "MsgData": values})


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
        its_field.name: _value(f"{message.__name__}.{wire_name}", kind, data[wire_name])
        for wire_name, (its_field, kind) in _FIELDS[message].items()
        if wire_name in data or _required(f"{message.__name__}.{wire_name}", kind, its_field)
    }
    parsed: FromClient = message(**values)
    return parsed


def _required(name: str, kind: Any, its_field: Field[Any]) -> bool:
    """Returns False for a field that may be left out. Raises BadMessage for another."""
    if its_field.default is MISSING:
        raise BadMessage(f"{name} is missing or no {_KIND_NAMES[kind]}.")
    return False


def _value(name: str, kind: Any, value: Any) -> Any:
    """Returns `value`, which must be of the type `kind`. Raises BadMessage with the `name` of the field."""
    if kind == _INTEGERS and isinstance(value, list) and len(value) <= MAX_LIST_ITEMS:
        return tuple(_value(name, int, item) for item in value)
    if type(value) is not kind:  # exactly: True is an int to Python, and is no number here
        raise BadMessage(f"{name} is missing or no {_KIND_NAMES[kind]}.")
    if isinstance(value, str):
        # JSON may carry half of a surrogate pair, which no other encoding can.
        return value.encode("utf-8", "replace").decode()
    if abs(value) > MAX_INTEGER:
        raise BadMessage(f"{name} is beyond all bounds.")
    if name.endswith(".LengthBytes") and value < 0:
        raise BadMessage(f"{name} is not the length of a file.")
    return value


_INTEGERS: Final = tuple[int, ...]
_KIND_NAMES: Final[dict[Any, str]] = {
    str: "string", int: "integer", bool: "boolean", _INTEGERS: "list of integers",
}  # fmt: skip


