"""How far an upload has come, for a client that asks without claiming it."""

from __future__ import annotations

from dataclasses import dataclass

from incoming.core.lifecycle import State


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of an upload, its file as its client described it, and how many bytes a client may skip.

    `offset_bytes`: where a claim would have resumed when this was found out. `length_bytes` is None while the
    length is unknown. `reason`: why the upload has failed or was called off.
    """

    state: State
    offset_bytes: int
    length_bytes: int | None
    name: str
    last_modified_ms: int
    reason: str
