"""The messages of a server in protocol version 2, exactly as docs/reference/protocol.md describes them."""

from __future__ import annotations

import json
from typing import Final

from tests.support.upload_client import Message

MEMBERS: Final[dict[str, dict[str, type | tuple[type, ...]]]] = {
    "MsgUploadConf": {
        "Version": int,
        "Offset": int,
        "MaxChunkBytes": int,
        "MaxWindowBytes": int,
        "SilenceS": (int, float),
        "Compare": list,
        "Arrived": bool,
        "FileName": str,
        "FileLastModifiedMs": int,
        "IdleSilenceS": (int, float),
    },
    "MsgStored": {"Offset": int, "MaxChunkBytes": int, "MaxWindowBytes": int},
    "MsgResend": {"Offset": int, "Round": int},
    "MsgCancelAck": {"Ack": bool},
    "MsgPong": {},
    "MsgNews": {"News": str, "RetryAfterS": (int, float), "Why": str},
    "MsgAllDone": {"Success": bool, "Crc32c": int},
    "MsgError": {
        "ErrorCode": int,
        "Code": str,
        "Msg": str,
        "Retryable": bool,
        "FileName": str,
        "FileLengthBytes": int,
        "FileLastModifiedMs": int,
    },
}
"""The types of all members."""
OPTIONAL: Final[dict[str, dict[str, type]]] = {
    "MsgStored": {"Taken": int}, "MsgUploadConf": {"DestType": str, "LeftOut": list},
    "MsgError": {"Index": int},
}  # fmt: skip
"""Those of members that are only there where they say something."""


def read_message(text: bytes, file_name: str) -> Message:
    """Returns a message of the server. Raises AssertionError if it is not as documented.

    No text for people may hold `file_name`: pages may write such texts into innerHTML.
    """
    message = json.loads(text)
    assert set(message) == {"MsgType", "MsgData"}, message
    members = dict(MEMBERS[message["MsgType"]])
    for member, its_type in OPTIONAL.get(message["MsgType"], {}).items():
        if member in message["MsgData"]:
            members[member] = its_type
    assert set(message["MsgData"]) == set(members), message
    for member, value in message["MsgData"].items():
        kind = members[member]
        assert isinstance(value, kind) and (kind is bool or not isinstance(value, bool)), message
        if isinstance(value, str) and member != "FileName":
            assert value and not set("<>&") & set(value), message
            assert file_name not in value, message
    return Message(message["MsgType"], message["MsgData"])
