"""The server as an older one: its messages lack the members of version 2 that came later.

`python -m tests.support.older_server` takes the options of `run.py`.
"""

from __future__ import annotations

from incoming.cli import main  # isort: skip - it patches first

import json
from collections.abc import Callable
from typing import Any, Final

from incoming.protocol import messages

LATER_MEMBERS: Final = {
    "MsgUploadConf": ("IdleSilenceS",),
    "MsgStored": ("MaxChunkBytes", "MaxWindowBytes", "Taken"),
}
"""{MsgType: members that a client must not depend on}, as docs/reference/protocol.md says."""


def without_later_members(encode: Callable[[Any], str]) -> Callable[[Any], str]:
    """Returns an encoder of messages whose output lacks them."""

    def encode_as_before(message: Any) -> str:
        envelope = json.loads(encode(message))
        for member in LATER_MEMBERS.get(envelope["MsgType"], ()):
            envelope["MsgData"].pop(member, None)
        return json.dumps(envelope)

    return encode_as_before


if __name__ == "__main__":
    vars(messages)["encode"] = without_later_members(messages.encode)
    main()
