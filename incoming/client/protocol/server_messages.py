"""The server's messages in version 2 of the protocol, as the client reads them (docs/reference/protocol.md).

Unknown messages and members are skipped, since a newer server may send more. Everything that the client needs
must be there and be valid. Texts have no checksum, so an invalid message was damaged in transit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from incoming.core.folder_manifest import FolderManifest
from incoming.protocol.messages import (
    MAX_LIST_ITEMS,
    MsgAllDoneV2,
    MsgCancelAck,
    MsgErrorV2,
    MsgNews,
    MsgPong,
    MsgResend,
    MsgStored,
    MsgUploadConfV2,
    read_envelope,
    read_members,
    wire_type,
)
from incoming.protocol.v2 import VERSION


@dataclass(frozen=True, slots=True)
class OtherVersion:
    """A MsgUploadConf from a server that does not speak version 2."""


ServerMessage = (
    MsgUploadConfV2 | MsgStored | MsgResend | MsgNews | MsgPong | MsgCancelAck | MsgAllDoneV2 | MsgErrorV2
    | OtherVersion
)  # fmt: skip

_KINDS: Final[dict[str, type[Any]]] = {
    wire_type(kind): kind
    for kind in (
        *(MsgUploadConfV2, MsgStored, MsgResend, MsgNews, MsgPong),
        *(MsgCancelAck, MsgAllDoneV2, MsgErrorV2),
    )
}
_MISSING_IN_VERSION_1: Final[dict[str, Any]] = {
    "Code": "", "Retryable": False, "FileName": "", "FileLengthBytes": 0, "FileLastModifiedMs": 0,
}  # fmt: skip
"""A server that knows only version 1 answers a request with a MsgError that lacks these members."""


def parse(text: str) -> ServerMessage | None:
    """Returns the server's message in `text`; None if its type is not known. Raises BadMessage."""
    name, data = read_envelope(text)
    if name == "MsgUploadConf" and isinstance(data, dict) and data.get("Version", 1) == 1:
        return OtherVersion()
    kind = _KINDS.get(name)
    if kind is None:
        return None
    optional = _MISSING_IN_VERSION_1 if kind is MsgErrorV2 else None
    message: ServerMessage = read_members(kind, data, optional=optional, lowest=0)
    return message


def is_valid(conf: MsgUploadConfV2, length_bytes: int, manifest: FolderManifest | None = None) -> bool:
    """Returns whether a MsgUploadConf is possible for a file of this length, or for a folder."""
    inside = conf.offset <= length_bytes and all(a <= b <= length_bytes for a, b in conf.compare)
    limited = min(conf.max_chunk_bytes, conf.max_window_bytes, conf.silence_s) > 0
    whole = conf.offset == length_bytes or not conf.arrived
    left_out = all(_is_left_out(entry, conf.offset, manifest) for entry in conf.left_out)
    few = len(conf.compare) <= MAX_LIST_ITEMS
    return conf.version >= VERSION and inside and limited and whole and left_out and few


def _is_left_out(entry: int, offset: int, manifest: FolderManifest | None) -> bool:
    """Returns whether an entry of a folder may be left out if this many bytes are stored."""
    return manifest is not None and entry < len(manifest.entries) and manifest.ends[entry] <= offset
